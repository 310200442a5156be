//! Checks the files of a run before it starts: inputs that cannot be read, and files that the run would destroy.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::program::plain;
use crate::config::{Input, Target};

type Result<T> = std::result::Result<T, Diagnostic>;

/// Checks the inputs before the run starts, so that a mistyped last file is found at once and not after an hour.
pub(super) fn inputs(files: &[PathBuf]) -> Result<Vec<Input>> {
    if files.is_empty() {
        return Ok(vec![Input::Stdin]);
    }
    let mut inputs = Vec::new();
    for path in files {
        if path.as_os_str() == "-" {
            if inputs.contains(&Input::Stdin) {
                return Err(Diagnostic::new("standard input is named twice").help("it can be read only once"));
            }
            inputs.push(Input::Stdin);
            continue;
        }
        let cannot = |reason: String, help: &str| {
            Err(Diagnostic::new(format!("cannot read the events {}: {reason}", path.display())).help(help))
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return cannot("it is a folder".to_owned(), "name the files in it, e.g. folder/*.jsonl");
            }
            Ok(_) => inputs.push(Input::File(path.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return cannot("there is no such file".to_owned(), "a relative path starts in the current folder");
            }
            Err(error) => return cannot(plain(&error), "see that the file can be read"),
        }
    }
    Ok(inputs)
}

/// The files that a run writes, besides standard output.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    /// `--output`.
    pub(super) output: Option<&'a Path>,
    /// `--errors`.
    pub(super) errors: &'a Target,
    /// `--logs`.
    pub(super) logs: Option<&'a Target>,
}

impl<'a> Written<'a> {
    /// Returns the files, each with its flag.
    fn files(self) -> impl Iterator<Item = (&'static str, &'a Path)> {
        let of = |target: &'a Target| match target {
            Target::File(path) => Some(path.as_path()),
            Target::Nowhere | Target::Stderr | Target::Temporary => None,
        };
        let files = [("--output", self.output), ("--errors", of(self.errors)), ("--logs", self.logs.and_then(of))];
        files.into_iter().filter_map(|(flag, path)| Some((flag, path?)))
    }
}

/// The identity of a regular file, device and inode. A path is not
/// enough: a redirection has none, and a link has another one.
type Id = (u64, u64);

fn id_of_path(path: &Path) -> Option<Id> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

fn id_of_stream(stream: BorrowedFd<'_>) -> Option<Id> {
    let stat = rustix::fs::fstat(stream).ok()?;
    let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
    regular.then_some((stat.st_dev, stat.st_ino))
}

/// Returns whether two paths name the same file, even one that does not exist yet.
fn same(one: &Path, other: &Path) -> bool {
    match (id_of_path(one), id_of_path(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => {
            // The file does not exist, but its folder may have two names.
            let place = |path: &Path| {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Some((fs::canonicalize(folder).ok()?, path.file_name()?.to_owned()))
            };
            let special = |path: &Path| fs::metadata(path).is_ok();
            !special(one) && !special(other) && (one == other || place(one).is_some_and(|it| Some(it) == place(other)))
        }
        _ => false,
    }
}

/// Redirects standard error to the terminal, if there is one: standard error is a file that must not change.
fn spare_stderr() {
    let open = |path| fs::File::options().write(true).open(path);
    if let Ok(file) = open("/dev/tty").or_else(|_| open("/dev/null")) {
        let _ = rustix::stdio::dup2_stderr(file);
    }
}

/// Rejects output files that the run also reads or writes in another role, because writing would destroy
/// them. `read` lists the files that the run reads besides its inputs: code, libraries, data, settings.
pub(super) fn refuse_overwriting(written: Written<'_>, inputs: &[Input], read: &[&Path]) -> Result<()> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams = [
        ("standard input", id_of_stream(stdin.as_fd())),
        ("standard output", id_of_stream(stdout.as_fd())),
        ("standard error", id_of_stream(stderr.as_fd())),
    ];
    let files = inputs.iter().filter_map(|input| match input {
        Input::File(path) => Some(path.as_path()),
        Input::Stdin => None,
    });
    let read: Vec<&Path> = files.chain(read.iter().copied()).collect();
    let from_stdin = inputs.contains(&Input::Stdin).then(|| (streams[0].0.to_owned(), streams[0].1));
    let from_files = read.iter().map(|path| (path.display().to_string(), id_of_path(path)));
    for (name, file) in from_files.chain(from_stdin) {
        if file.is_some() && file == streams[2].1 {
            spare_stderr();
        }
        if let Some((stream, _)) = streams[1..].iter().find(|(_, stream)| file.is_some() && *stream == file) {
            return Err(Diagnostic::new(format!("{stream} goes to {name}, which this run reads"))
                .help("writing to it would overwrite it; redirect it to another file"));
        }
    }
    let files: Vec<(&str, &Path)> = written.files().collect();
    for (index, (flag, path)) in files.iter().enumerate() {
        if path.is_dir() {
            return Err(Diagnostic::new(format!("cannot write {flag} {}: it is a folder", path.display()))
                .help("name a file in it"));
        }
        let file = id_of_path(path);
        if let Some((name, _)) = streams.iter().find(|(_, stream)| file.is_some() && *stream == file) {
            return Err(Diagnostic::new(format!("{flag} {} is also {name} of this run", path.display()))
                .help("one of them would overwrite the other; name another file"));
        }
        if read.iter().any(|input| same(input, path)) {
            return Err(Diagnostic::new(format!("{flag} {} is also read by this run", path.display()))
                .help("writing to it would overwrite it; name another file"));
        }
        if let Some((other, _)) = files[..index].iter().find(|(_, other)| same(other, path)) {
            return Err(Diagnostic::new(format!("{other} and {flag} are the same file, {}", path.display()))
                .help("name two files"));
        }
    }
    Ok(())
}

//! `--output`: a file that is written whole or not at all.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::diagnostic::Diagnostic;
use super::program::plain;

/// Where the output of a run goes.
pub(super) struct OutputFile {
    /// As it was named.
    pub(super) path: PathBuf,
    /// What takes its place once it is whole.
    staged: Option<Staged>,
    file: File,
}

struct Staged {
    temporary: NamedTempFile,
    /// The file itself, where the path is a link to it.
    target: PathBuf,
}

impl OutputFile {
    /// Makes the temporary file, in the folder of the file. What is no regular file, such as a pipe, is written at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, Diagnostic> {
        let cannot = |error: io::Error| {
            let help = match error.kind() {
                io::ErrorKind::NotFound => "its folder has to be there; a relative path starts in the current folder",
                _ => "see that its folder can be written to: the output stands in a temporary file there at first",
            };
            Diagnostic::new(format!("cannot write --output {}: {}", path.display(), plain(&error))).help(help)
        };
        let before = fs::metadata(path).ok();
        if before.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(path).map_err(cannot)?;
            return Ok(Self { path: path.to_owned(), staged: None, file });
        }
        let target = if before.is_some() { fs::canonicalize(path).map_err(cannot)? } else { path.to_owned() };
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // As for any new file, the system takes away what the user's mask says.
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(cannot)?;
        if let Some(before) = before {
            temporary.as_file().set_permissions(before.permissions()).map_err(cannot)?;
        }
        let file = temporary.as_file().try_clone().map_err(cannot)?;
        Ok(Self { path: path.to_owned(), staged: Some(Staged { temporary, target }), file })
    }

    /// What to write to.
    ///
    /// # Errors
    /// When there are too many open files.
    pub(super) fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Puts the file in its place. Without this call the file stays as it was.
    ///
    /// # Errors
    /// When the system refuses; the file is as it was.
    pub(super) fn keep(self) -> Result<(), Diagnostic> {
        let Some(Staged { temporary, target }) = self.staged else { return Ok(()) };
        let kept = temporary
            .as_file()
            .sync_all()
            .and_then(|()| temporary.persist(&target).map(drop).map_err(|error| error.error));
        kept.map_err(|error| {
            Diagnostic::new(format!("cannot write --output {}: {}", self.path.display(), plain(&error)))
                .help("it is as it was before the run")
        })
    }
}

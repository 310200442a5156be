//! `--output`: a file that is written completely or not at all.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::diagnostic::Diagnostic;
use super::program::plain;

/// The output of a run.
pub(super) struct OutputFile {
    /// The path as the user gave it.
    pub(super) path: PathBuf,
    /// The temporary file that replaces the file at `path` once it is complete. `None` if `path` is not a regular file.
    staged: Option<Staged>,
    file: File,
}

struct Staged {
    temporary: NamedTempFile,
    /// The final path; the link's target if the path is a link.
    target: PathBuf,
}

impl OutputFile {
    /// Creates the temporary file next to the output file. If the path is not a regular file, such as a pipe, it is
    /// written to directly.
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
        // The mode of any new file; the system applies the user's umask to it.
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

    /// Returns a handle to write to.
    ///
    /// # Errors
    /// When too many files are open.
    pub(super) fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Moves the complete file to its place. Without this call the old file stays unchanged.
    ///
    /// # Errors
    /// When the system refuses; the old file stays unchanged.
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

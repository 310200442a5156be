//! Allows one sync at a time on a state.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::super::error::{Error, Result, plain};

/// Holds the lock of a sync until dropped.
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Lock {
    /// Takes the lock of the sync with this state.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn take(state: &Path) -> Result<Self> {
        let mut path = state.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let cannot = |error: &std::io::Error| {
            Error::new(format!("cannot open the lock of the state, {}: {}", path.display(), plain(error)))
                .help("the folder of the state has to exist, and this user has to be able to write in it")
        };
        let mut options = File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(|error| cannot(&error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let process = if pid.trim().is_empty() { String::new() } else { format!(" (process {})", pid.trim()) };
            return Err(Error::new(format!("another sync{process} is at work on the state {}", state.display()))
                .help("wait until it has ended; one state has one sync at a time"));
        }
        // The process id is for the message above; the lock works without it.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_state_has_one_sync() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.db");
        let held = Lock::take(&path).unwrap();
        let error = Lock::take(&path).err().unwrap();
        assert!(error.message.contains(&std::process::id().to_string()), "{error}");
        drop(held);
        Lock::take(&path).unwrap();
    }
}

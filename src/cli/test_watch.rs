//! The loop of `sluicegate test --watch`: changed files and keys decide which tests run next.

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::file_watcher::FileWatcher;
use crate::testing::discover;

/// The tests to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Test files, or folders to look for them in.
    pub(super) paths: Vec<PathBuf>,
    /// A regular expression for the names of tests.
    pub(super) names: Option<String>,
    /// Whether snapshots that differ are rewritten.
    pub(super) update: bool,
}

/// Failed tests, each with its file and its name.
pub(super) type FailedTests = BTreeSet<(PathBuf, String)>;

/// Calls `run` at the start and after each change or key, until the user ends the loop.
///
/// # Errors
/// When the terminal cannot be read.
pub(super) fn watch(
    paths: &[PathBuf],
    filter: Option<&str>,
    run: &mut dyn FnMut(&Selection) -> FailedTests,
) -> anyhow::Result<()> {
    let mut watcher = FileWatcher::new(paths);
    let mut state = State { paths: paths.to_vec(), file_part: None, names: filter.map(str::to_owned) };
    let mut next = state.everything();
    let keys = Keys::open();
    loop {
        let failed = run(&next);
        watcher.forget();
        if keys.is_some() {
            say("\nwaiting for changes · a all, f failed, p file, t test, u update snapshots, q quit\n");
        }
        next = loop {
            if let Some(changed) = watcher.take_changes() {
                break state.touched(changed);
            }
            match keys.as_ref().map_or_else(|| Ok(pause()), Keys::wait)? {
                Some(b'q' | 3 | 4) => return Ok(()),
                Some(key) => {
                    if let Some(selection) = state.on_key(key, &failed)? {
                        break selection;
                    }
                }
                None => {}
            }
        };
    }
}

/// The user's current choices.
struct State {
    paths: Vec<PathBuf>,
    /// Limits the test files to paths that contain this text.
    file_part: Option<String>,
    names: Option<String>,
}

impl State {
    fn everything(&self) -> Selection {
        let paths = match &self.file_part {
            None => self.paths.clone(),
            Some(part) => {
                let found = discover::find(&self.paths).unwrap_or_default().into_iter().map(|(path, _)| path);
                found.filter(|path| path.to_string_lossy().contains(part.as_str())).collect()
            }
        };
        Selection { paths, names: self.names.clone(), update: false }
    }

    /// Returns the tests to run after a change. A changed test file
    /// affects only its own tests; any other change can affect all.
    fn touched(&self, changed: Vec<PathBuf>) -> Selection {
        let only_tests = changed.iter().all(|path| path.is_file() && discover::is_test(path));
        let wanted =
            |path: &Path| self.file_part.as_ref().is_none_or(|part| path.to_string_lossy().contains(part.as_str()));
        let paths: Vec<PathBuf> = changed.into_iter().filter(|path| wanted(path)).collect();
        if only_tests && !paths.is_empty() { Selection { paths, ..self.everything() } } else { self.everything() }
    }

    /// Returns the tests that a key selects; `None` for any other key.
    fn on_key(&mut self, key: u8, failed: &FailedTests) -> io::Result<Option<Selection>> {
        Ok(match key {
            b'a' => {
                (self.file_part, self.names) = (None, None);
                Some(self.everything())
            }
            b'\n' | b'\r' => Some(self.everything()),
            b'u' => Some(Selection { update: true, ..self.everything() }),
            b'f' if failed.is_empty() => {
                say("no test has failed\n");
                None
            }
            b'f' => Some(only(failed)),
            b'p' => {
                self.file_part = ask("part of the file's path (empty: all files): ")?;
                Some(self.everything())
            }
            b't' => {
                self.names = ask("pattern of the test's name (empty: all tests): ")?;
                Some(self.everything())
            }
            _ => None,
        })
    }
}

/// Selects only these tests.
fn only(failed: &FailedTests) -> Selection {
    let paths: BTreeSet<&PathBuf> = failed.iter().map(|(path, _)| path).collect();
    let names: BTreeSet<String> = failed.iter().map(|(_, name)| escape(name)).collect();
    let names: Vec<String> = names.into_iter().collect();
    Selection {
        paths: paths.into_iter().cloned().collect(),
        names: Some(format!("^(?:{})$", names.join("|"))),
        update: false,
    }
}

/// Returns a JavaScript regular expression that matches this text.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if r"\^$.|?*+()[]{}/".contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Reads a line from the terminal; `None` if it is empty.
fn ask(question: &str) -> io::Result<Option<String>> {
    say(question);
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let line = line.trim();
    Ok((!line.is_empty()).then(|| line.to_owned()))
}

/// The pause between two checks of the files.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Waits for one pause. Used if there is no terminal to read keys from.
fn pause() -> Option<u8> {
    let _ = poll(&mut [], Some(&PAUSE));
    None
}

/// Reads keys from the terminal. Keys are unbuffered and without echo only during
/// `wait`: a run can be interrupted as usual, and the terminal is left unchanged.
struct Keys {
    usual: Termios,
}

impl Keys {
    /// Returns `None` if standard input or standard output is not a terminal.
    fn open() -> Option<Self> {
        let stdin = io::stdin();
        (stdin.is_terminal() && io::stdout().is_terminal()).then_some(())?;
        Some(Self { usual: tcgetattr(&stdin).ok()? })
    }

    /// Returns the next key, if one is pressed within the pause.
    fn wait(&self) -> io::Result<Option<u8>> {
        let stdin = io::stdin();
        let mut at_once = self.usual.clone();
        at_once.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        at_once.special_codes[SpecialCodeIndex::VMIN] = 0;
        at_once.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &at_once)?;
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
        let ready = poll(&mut waiting, Some(&PAUSE));
        let mut key = [0];
        let count = match ready {
            Ok(1..) => rustix::io::read(&stdin, &mut key)?,
            _ => 0,
        };
        tcsetattr(&stdin, OptionalActions::Now, &self.usual)?;
        // The end of the input ends the loop, as Ctrl-D does.
        let hung_up = ready.is_ok_and(|ready| ready > 0) && count == 0;
        Ok(if hung_up { Some(4) } else { (count == 1).then_some(key[0]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State { paths: vec![PathBuf::from(".")], file_part: Some("x".to_owned()), names: Some("n".to_owned()) }
    }

    #[test]
    fn keys_choose_what_is_run() {
        let failed: FailedTests = [(PathBuf::from("a.test.js"), "adds 1 + 1 (twice)".to_owned())].into();
        let mut all = state();
        let selection = all.on_key(b'a', &failed).unwrap().unwrap();
        assert_eq!(selection, Selection { paths: vec![PathBuf::from(".")], names: None, update: false });
        let only = state().on_key(b'f', &failed).unwrap().unwrap();
        assert_eq!(only.paths, [PathBuf::from("a.test.js")]);
        assert_eq!(only.names.as_deref(), Some(r"^(?:adds 1 \+ 1 \(twice\))$"));
        assert_eq!(state().on_key(b'f', &FailedTests::new()).unwrap(), None);
        assert!(state().on_key(b'u', &failed).unwrap().unwrap().update);
        assert_eq!(state().on_key(b'z', &failed).unwrap(), None);
    }
}

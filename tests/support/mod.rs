//! A folder for each test, in which the binary runs.

pub mod hostile;
pub mod live;
pub mod web_server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// A temporary folder with files, in which commands run.
pub struct Dir {
    dir: tempfile::TempDir,
}

/// The result of a command.
pub struct Done {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Done {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("output is UTF-8")
    }

    /// Standard output as lines.
    pub fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    /// The last line of standard error, without the rate, which no test may depend on.
    pub fn summary(&self) -> &str {
        let last = self.err.lines().rev().find(|line| line.contains(" in ")).unwrap_or_default();
        last.rsplit_once(" · ").map_or(last, |(counts, _)| counts)
    }

    /// The JSON objects on standard error: dead letters.
    pub fn dead_letters(&self) -> Vec<serde_json::Value> {
        self.err.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default());
        Done { code, out: output.stdout, err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}

impl Dir {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        watch(dir.path());
        Self { dir }
    }

    /// A folder with a transformation called `t.js`.
    pub fn with(code: &str) -> Self {
        let dir = Self::new();
        dir.file("t.js", code);
        dir
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// The binary, in this folder, with pipes on all streams.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command.args(args).current_dir(self.path()).env("NO_COLOR", "1");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SLUICEGATE_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to the end with `input` on standard input.
    pub fn run(&self, args: &[&str], input: impl AsRef<[u8]>) -> Done {
        finish(self.command(args).spawn().unwrap(), input.as_ref().to_vec())
    }
}

/// Prevents tests from hanging forever: processes that still run in `dir` after a time that no test needs are reported
/// and killed, and the test that waits for them fails.
fn watch(dir: &Path) {
    const FAR_TOO_LONG: Duration = Duration::from_mins(15);
    static DIRS: Mutex<Vec<(Instant, String, PathBuf)>> = Mutex::new(Vec::new());
    static WATCH: Once = Once::new();
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    DIRS.lock().unwrap().push((Instant::now(), test, dir.to_owned()));
    WATCH.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(10));
                let mut dirs = DIRS.lock().unwrap();
                dirs.retain(|(_, _, dir)| dir.exists());
                for (_, test, dir) in dirs.iter().filter(|(since, ..)| since.elapsed() > FAR_TOO_LONG) {
                    kill_all_in(dir, test);
                }
            }
        });
    });
}

/// Kills the processes whose working directory is `dir`.
fn kill_all_in(dir: &Path, test: &str) {
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.filter(|_| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == dir))
        else {
            continue;
        };
        let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        eprintln!("{test} hangs: process {pid} is killed: {}", command.replace('\0', " "));
        // SAFETY: sends a signal to a process that runs in the folder of a test.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// The processes that `parent`'s threads started, from the kernel's own list.
pub fn children(parent: u32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Feeds a child and waits for its end.
pub fn finish(mut child: Child, input: Vec<u8>) -> Done {
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        // A child that ends early closes the pipe. The test checks the child's own message.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    output.into()
}

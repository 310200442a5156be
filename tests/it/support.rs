//! A folder of its own for each test, and the binary run in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A temporary folder with files, in which commands run.
pub struct Dir {
    dir: tempfile::TempDir,
}

/// What a command did.
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
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a transformation called `t.js`.
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

/// Feeds a child and waits for its end.
pub fn finish(mut child: Child, input: Vec<u8>) -> Done {
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        // A child that ends early closes the pipe; what it says about that is what counts.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    output.into()
}

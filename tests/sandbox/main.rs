//! An attacker with full control of a worker process, and what the sandbox prevents.
//!
//! This program is both sides: as a supervisor it starts itself as a worker, just as the binary does. In that worker it
//! runs native code (a payload) at the point where the author's code would be read, with the whole sandbox in place.
//! The binary itself cannot run a payload. Each test is one payload and returns the kernel's answer.

mod frames;

use std::ffi::CString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sluicegate::engine::{Options, Program};
use sluicegate::workers::{self, Job, PreparedProcess, Resources, RunError, Sandbox, ServicePool};

type Payload = fn() -> Result<String, String>;

/// The required result of a payload.
#[derive(Clone, Copy, PartialEq)]
enum Must {
    /// The payload works. This shows that the others fail for the right reason.
    Work,
    /// The kernel refuses the payload.
    BeRefused,
    /// The kernel refuses the payload if V8 runs without its compilers.
    BeRefusedWithoutCompilers,
}

/// A payload's name, its function, and its required result.
const TESTS: &[(&str, Payload, Must)] = &[
    ("memory can be had and the clock be read", ordinary, Must::Work),
    ("a file cannot be opened", open_file, Must::BeRefused),
    ("not even /proc/self can be opened", open_proc, Must::BeRefused),
    ("a file cannot be made in /tmp", make_file, Must::BeRefused),
    (
        "a socket cannot be made",
        || call("socket", libc::SYS_socket, &[libc::AF_INET as i64, libc::SOCK_STREAM as i64, 0]),
        Must::BeRefused,
    ),
    (
        "not even a unix socket",
        || call("socket", libc::SYS_socket, &[libc::AF_UNIX as i64, libc::SOCK_STREAM as i64, 0]),
        Must::BeRefused,
    ),
    ("not even a pair of them", socket_pair, Must::BeRefused),
    ("a program cannot be started", start_program, Must::BeRefused),
    ("a process cannot be forked", fork, Must::BeRefused),
    (
        "a thread cannot be started",
        || std::thread::Builder::new().spawn(|| ()).map(|_| "started".into()).map_err(errno),
        Must::BeRefused,
    ),
    ("the supervisor cannot be signalled", || signal(std::os::unix::process::parent_id() as i32), Must::BeRefused),
    ("no process can be signalled", || signal(-1), Must::BeRefused),
    ("a thread of another process cannot be signalled", signal_thread, Must::BeRefused),
    (
        "another process cannot be traced",
        || call("ptrace", libc::SYS_ptrace, &[16, i64::from(std::os::unix::process::parent_id()), 0, 0]),
        Must::BeRefused,
    ),
    ("another process's memory cannot be read", read_memory, Must::BeRefused),
    ("there is no environment", environment, Must::BeRefused),
    ("a limit cannot be raised", raise_limit, Must::BeRefused),
    ("the shared memory's file cannot be reached", || call("dup", libc::SYS_dup, &[4]), Must::BeRefused),
    ("what is shared for reading cannot be made writable", reopen_memory, Must::BeRefused),
    (
        "a user namespace cannot be made",
        || call("unshare", libc::SYS_unshare, &[libc::CLONE_NEWUSER as i64]),
        Must::BeRefused,
    ),
    ("io_uring cannot be set up", || call("io_uring_setup", libc::SYS_io_uring_setup, &[4, 0]), Must::BeRefused),
    ("the filter cannot be taken back", || call("seccomp", libc::SYS_seccomp, &[0, 0, 0]), Must::BeRefused),
    ("more memory than the limit cannot be had", too_much_memory, Must::BeRefused),
    ("descriptors cannot be sent to the supervisor", send_descriptor, Must::BeRefused),
    ("memory cannot be had that is executable", executable_memory, Must::BeRefusedWithoutCompilers),
    ("memory that was written cannot be made executable", made_executable, Must::BeRefusedWithoutCompilers),
];

fn errno(error: io::Error) -> String {
    error.to_string()
}

fn call(name: &str, number: i64, args: &[i64]) -> Result<String, String> {
    let arg = |index: usize| args.get(index).copied().unwrap_or(0);
    // SAFETY: the calls in the table take numbers, or null where they take pointers.
    let answer = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    if answer >= 0 { Ok(format!("{name} gave {answer}")) } else { Err(errno(io::Error::last_os_error())) }
}

fn ordinary() -> Result<String, String> {
    let memory = vec![1u8; 100 << 20];
    let elapsed = std::time::Instant::now().elapsed();
    Ok(format!("{} bytes, {elapsed:?}", memory.iter().map(|byte| u64::from(*byte)).sum::<u64>()))
}

fn open_file() -> Result<String, String> {
    std::fs::read_to_string("/etc/passwd").map_err(errno)
}

fn open_proc() -> Result<String, String> {
    std::fs::read_to_string("/proc/self/status").map_err(errno)
}

fn make_file() -> Result<String, String> {
    std::fs::write("/tmp/sluicegate-was-here", "x").map(|()| "made".into()).map_err(errno)
}

fn socket_pair() -> Result<String, String> {
    std::os::unix::net::UnixStream::pair().map(|_| "made".into()).map_err(errno)
}

fn start_program() -> Result<String, String> {
    let path = CString::new("/bin/true").expect("no zero");
    let argv = [path.as_ptr(), std::ptr::null()];
    let env = [std::ptr::null()];
    // SAFETY: a path and two lists that end with null. If the call succeeded, this process would become another
    // program.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    Err(errno(io::Error::last_os_error()))
}

fn fork() -> Result<String, String> {
    // SAFETY: a child would end at once.
    match unsafe { libc::fork() } {
        // SAFETY: ends the child, which shares nothing with this process.
        0 => unsafe { libc::_exit(0) },
        -1 => Err(errno(io::Error::last_os_error())),
        child => Ok(format!("child {child}")),
    }
}

fn signal(process: i32) -> Result<String, String> {
    // Signal 0 only checks whether a signal could be sent.
    call("kill", libc::SYS_kill, &[i64::from(process), 0])
}

fn signal_thread() -> Result<String, String> {
    let parent = i64::from(std::os::unix::process::parent_id());
    call("tgkill", libc::SYS_tgkill, &[parent, parent, 0])
}

fn read_memory() -> Result<String, String> {
    call(
        "process_vm_readv",
        libc::SYS_process_vm_readv,
        &[i64::from(std::os::unix::process::parent_id()), 0, 0, 0, 0, 0],
    )
}

fn environment() -> Result<String, String> {
    let all: Vec<_> = std::env::vars_os().collect();
    if all.is_empty() { Err("the environment is empty".into()) } else { Ok(format!("{all:?}")) }
}

fn raise_limit() -> Result<String, String> {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid limit.
    match unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) } {
        0 => Ok("raised".into()),
        _ => Err(errno(io::Error::last_os_error())),
    }
}

fn reopen_memory() -> Result<String, String> {
    std::fs::OpenOptions::new().write(true).open("/proc/self/fd/4").map(|_| "opened".into()).map_err(errno)
}

fn too_much_memory() -> Result<String, String> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..64 {
        let mut one = Vec::new();
        if let Err(error) = one.try_reserve_exact(256 << 20) {
            return Err(error.to_string());
        }
        all.push(one);
    }
    Ok(format!("{} GiB", all.len() / 4))
}

fn send_descriptor() -> Result<String, String> {
    // SAFETY: an empty message; the call must be refused before it is read.
    let message: libc::msghdr = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    match unsafe { libc::sendmsg(3, &message, 0) } {
        -1 => Err(errno(io::Error::last_os_error())),
        sent => Ok(format!("sent {sent}")),
    }
}

const PAGE: usize = 4096;

fn map(protection: i32) -> Result<*mut libc::c_void, String> {
    // SAFETY: a mapping at a place that the kernel chooses, which nothing else uses.
    let page =
        unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
    if page == libc::MAP_FAILED { Err(errno(io::Error::last_os_error())) } else { Ok(page) }
}

fn executable_memory() -> Result<String, String> {
    map(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC).map(|_| "mapped".into())
}

fn made_executable() -> Result<String, String> {
    let page = map(libc::PROT_READ | libc::PROT_WRITE)?;
    // SAFETY: the page was just mapped, and nothing else uses it.
    match unsafe { libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_EXEC) } {
        0 => Ok("made".into()),
        _ => Err(errno(io::Error::last_os_error())),
    }
}

/// Runs in the worker: calls the payload that the program is named after, and returns its result as an error.
fn hook(program: &Program) -> Result<(), String> {
    if program.name == frames::NAME {
        frames::worker();
        return Ok(());
    }
    let Some((_, payload, _)) = TESTS.iter().find(|(name, ..)| *name == program.name) else { return Ok(()) };
    Err(match payload() {
        Ok(done) => format!("DONE {done}"),
        Err(refused) => format!("REFUSED {refused}"),
    })
}

/// Starts workers by forking them.
struct Forked {
    runtime: tokio::runtime::Runtime,
    resources: Resources,
    workers: u64,
}

impl Forked {
    fn new(jitless: bool) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        let prepared = PreparedProcess::new(Options::default(), jitless, |message| panic!("{message}"));
        assert!(runtime.block_on(prepared.prepare_now()), "no process is prepared");
        Self { runtime, resources: Resources::new(1, 1).with_prepared(prepared), workers: 0 }
    }

    /// Does the same as [`workers::check`] with a forked worker.
    fn check(&mut self, program: Program, sandbox: Sandbox) -> Result<(), RunError> {
        let job = Job { sandbox, ..Job::new(program, Options::default()) };
        let started = self.runtime.block_on(async {
            let permit = self.resources.worker_permit_within(PATIENCE).await.expect("there is a place");
            ServicePool::start(&job, &self.resources, permit).await.map(|_| ())
        });
        self.workers += 1;
        let forked = self.resources.prepared().map_or(0, PreparedProcess::forked);
        assert_eq!(forked, self.workers, "the worker was not forked");
        started
    }
}

/// The maximum time that the previous worker may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if filter.as_deref() == Some("worker") {
        return ExitCode::from(workers::worker_main_with(hook));
    }
    if filter.as_deref() == Some("prepared") {
        return ExitCode::from(workers::prepared_main_with(hook));
    }
    if filter.as_deref() == Some("supervise") {
        let file = std::env::args_os().nth(2).unwrap_or_default();
        let (said, code) = match frames::supervisor(file.as_ref()) {
            Ok(said) => (said, ExitCode::SUCCESS),
            Err(error) => (error, ExitCode::FAILURE),
        };
        eprintln!("{said}");
        return code;
    }
    let mut failed = 0;
    if filter.as_deref().is_none_or(|filter| filter == frames::NAME) {
        let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
        let tried = frames::try_all(seconds);
        println!(
            "test frames out of turn ... {} ({})",
            if tried.is_ok() { "ok" } else { "FAILED" },
            tried.as_ref().unwrap_or_else(|error| error)
        );
        failed += u32::from(tried.is_err());
        if filter.is_some() {
            return if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    }
    for (jitless, forked) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut prepared = forked.then(|| Forked::new(jitless));
        for (name, _, must) in TESTS {
            let title =
                format!("{name}{}{}", if jitless { " (jitless)" } else { "" }, if forked { " (forked)" } else { "" });
            if filter.as_deref().is_some_and(|filter| !title.contains(filter)) {
                continue;
            }
            let program = Program::new(*name, "export const transformEvent = (event) => event;");
            let sandbox = Sandbox { jitless, require: true, ..Sandbox::default() };
            let checked = match &mut prepared {
                Some(prepared) => prepared.check(program, sandbox),
                None => workers::check(&program, &Options::default(), sandbox).map(|_| ()),
            };
            let answer = match checked {
                Err(RunError::Load(error)) => error.message,
                Err(error) => error.to_string(),
                Ok(_) => "the payload did not run".to_owned(),
            };
            let works = match must {
                Must::Work => true,
                Must::BeRefused => false,
                Must::BeRefusedWithoutCompilers => !jitless,
            };
            let good = answer.starts_with(if works { "DONE" } else { "REFUSED" });
            failed += u32::from(!good);
            println!("test {title} ... {} ({answer})", if good { "ok" } else { "FAILED" });
        }
    }
    // A worker without a payload works in the same sandbox.
    let program = Program::new("none", "export const transformEvent = (event) => event;");
    let plain = workers::check(&program, &Options::default(), Sandbox { require: true, ..Sandbox::default() });
    if let Err(error) = plain {
        println!("test a worker without a payload ... FAILED ({error})");
        failed += 1;
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

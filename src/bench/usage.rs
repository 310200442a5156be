//! The resource use of a process and its children: CPU time and memory, as the kernel counts them.

use std::time::Duration;

/// CPU time of this process and of the children that it has waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time together.
    pub cpu: Duration,
    /// The largest memory peak of any child, in bytes.
    pub child_rss: u64,
}

impl Usage {
    /// Returns the use up to now.
    pub fn now() -> Self {
        let own = rusage(libc::RUSAGE_SELF);
        let children = rusage(libc::RUSAGE_CHILDREN);
        Self { cpu: cpu(&own) + cpu(&children), child_rss: children.ru_maxrss as u64 * 1024 }
    }
}

fn rusage(who: libc::c_int) -> libc::rusage {
    // SAFETY: zeros are a valid `rusage`, and the call writes to nothing else. It cannot fail for these two arguments.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    }
}

fn cpu(usage: &libc::rusage) -> Duration {
    let time = |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// The load of other processes on this machine.
pub struct Others {
    /// CPU time of all processes.
    all: Duration,
    own: Duration,
    since: std::time::Instant,
}

impl Others {
    /// Starts watching.
    pub fn watch() -> Self {
        Self { all: machine_cpu(), own: Usage::now().cpu, since: std::time::Instant::now() }
    }

    /// Returns the share of the machine's CPU time that other
    /// processes used, 0 to 1; zero if the kernel does not report it.
    pub fn share(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let others = (machine_cpu().saturating_sub(self.all)).saturating_sub(Usage::now().cpu - self.own);
        (others.as_secs_f64() / (self.since.elapsed().as_secs_f64() * cores).max(1e-9)).min(1.0)
    }
}

/// Returns the CPU time that the machine has used for anything, including time that a hypervisor has taken.
fn machine_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal. `user` already includes the time of guests.
    let busy: u64 =
        ticks.iter().enumerate().filter(|(index, _)| ![3, 4].contains(index) && *index < 8).map(|(_, t)| t).sum();
    Duration::from_secs_f64(busy as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Returns the CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns the memory peak of this process, in bytes. Not `ru_maxrss`, because a process inherits that from its parent.
pub fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0u64) * 1024
}

/// Describes the machine in one line.
pub fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let memory = read("/proc/meminfo");
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let gib = (kib as f64 / f64::from(1 << 20)).round();
    format!("{cores} × {}, {gib} GiB, Linux {}", model.unwrap_or("unknown processor"), kernel.trim())
}

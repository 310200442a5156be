//! The total and the free memory of the control groups that this process is in, or of the machine.
//!
//! A limit applies to a group and to all groups inside it, so every group on the path to the root counts: a
//! container's, a pod's, the unit of systemd. Versions 1 and 2 of control groups use different file names. Inside a
//! container, this process's path may be one of the host's that is not visible; the path then ends at the group that is
//! mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Memory is short when less than one `KEPT_FREE`th of it is free.
const KEPT_FREE: u64 = 8;

/// The time between two checks.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The result of a check is reused for this long. The kernel takes as long to add up the memory as a program takes to
/// load, and only a few workers can start in that time.
const RECENT: Duration = Duration::from_millis(10);

/// The file names in one version of control groups.
struct Names {
    limit: &'static str,
    used: &'static str,
    /// The line of `memory.stat` with the file cache that can be released.
    files: &'static str,
}

const VERSION_2: Names = Names { limit: "memory.max", used: "memory.current", files: "inactive_file " };

const VERSION_1: Names =
    Names { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", files: "total_inactive_file " };

/// The memory of a group or of the machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    all: u64,
    free: u64,
}

/// Returns whether memory is so short that idle workers should end. `false` if the system does not report it.
pub fn is_short() -> bool {
    every(&read).any(|memory| memory.free < memory.all / KEPT_FREE)
}

/// Returns the result of [`is_short`], computed at most [`RECENT`] ago.
pub fn was_short() -> bool {
    static SEEN: Mutex<Option<(Instant, bool)>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    match *seen {
        Some((at, short)) if at.elapsed() < RECENT => short,
        _ => {
            let short = is_short();
            *seen = Some((Instant::now(), short));
            short
        }
    }
}

/// Returns the memory that this process may use, in bytes: the smallest limit of its groups, or the machine's memory.
/// `None` if the system does not report it.
pub fn total() -> Option<u64> {
    every(&read).map(|memory| memory.all).min()
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Yields the machine's memory, and the memory of each group with a limit below it.
fn every(read: &dyn Fn(&Path) -> Option<String>) -> impl Iterator<Item = Memory> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| machine(&text));
    let max = machine.map_or(u64::MAX, |memory| memory.all);
    let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let groups = groups(&own).into_iter().filter_map(|(folder, names)| group(&folder, names, read));
    // In version 1, "no limit" is a number larger than any machine's memory.
    machine.into_iter().chain(groups.filter(move |memory| memory.all < max).collect::<Vec<_>>())
}

/// Returns the folders of this process's groups and of all groups above them, parsed from `/proc/self/cgroup`.
fn groups(own: &str) -> Vec<(PathBuf, &'static Names)> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, names) = match controllers {
            "" => ("/sys/fs/cgroup", &VERSION_2),
            _ if controllers.split(',').any(|it| it == "memory") => ("/sys/fs/cgroup/memory", &VERSION_1),
            _ => continue,
        };
        let inside = Path::new(path.trim_start_matches('/'));
        found.extend(inside.ancestors().map(|inside| (Path::new(mount).join(inside), names)));
    }
    found
}

/// Returns the memory of a group, or `None` if the group has no limit.
fn group(folder: &Path, names: &Names, read: &dyn Fn(&Path) -> Option<String>) -> Option<Memory> {
    let number = |name: &str| read(&folder.join(name))?.trim().parse::<u64>().ok();
    let all = number(names.limit)?;
    let used = number(names.used)?;
    let files = read(&folder.join("memory.stat")).and_then(|text| field(&text, names.files)).unwrap_or(0);
    Some(Memory { all, free: all.saturating_sub(used.saturating_sub(files)) })
}

/// Parses the machine's memory from `/proc/meminfo`.
fn machine(meminfo: &str) -> Option<Memory> {
    Some(Memory { all: field(meminfo, "MemTotal:")? << 10, free: field(meminfo, "MemAvailable:")? << 10 })
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:  8 kB\nMemFree: 9 kB\nMemAvailable:   4 kB\n");

    const MACHINE: Memory = Memory { all: 8192, free: 4096 };

    /// Returns the groups found in these files.
    fn found(files: &[(&str, &str)]) -> Vec<Memory> {
        let files: HashMap<_, _> = files.iter().copied().collect();
        every(&|path| files.get(path.to_str()?).map(|text| (*text).to_owned())).collect()
    }

    #[test]
    fn without_groups_the_machine_counts() {
        assert_eq!(found(&[]), []);
        assert_eq!(found(&[MEMINFO]), [MACHINE]);
        assert_eq!(found(&[MEMINFO, ("/proc/self/cgroup", "0::/\n")]), [MACHINE]);
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/memory.max", "1000\n"),
            ("/sys/fs/cgroup/memory.current", "900\n"),
            ("/sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 300\nactive_file 5\n"),
        ];
        assert_eq!(found(&files), [MACHINE, Memory { all: 1000, free: 400 }]);
    }

    #[test]
    fn each_group_on_the_way_up_counts_if_it_has_a_limit() {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/system.slice/sluicegate.service\n"),
            ("/sys/fs/cgroup/system.slice/sluicegate.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/sluicegate.service/memory.current", "10\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "2000\n"),
            ("/sys/fs/cgroup/system.slice/memory.current", "500\n"),
        ];
        assert_eq!(found(&files), [MACHINE, Memory { all: 2000, free: 1500 }]);
    }

    #[test]
    fn version_1_is_read_where_memory_is_its_own() {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "5:devices:/\n4:cpu,memory:/docker/1\n0::/\n"),
            // The container's own group is mounted as the root, but the path is the one on the host.
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n"),
            ("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n"),
        ];
        assert_eq!(found(&files), [MACHINE, Memory { all: 3000, free: 2500 }]);
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "4:memory:/\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n"),
        ];
        assert_eq!(found(&files), [MACHINE], "no limit");
    }
}

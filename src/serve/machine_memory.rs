//! How much memory is left, for this container if it has a limit, or for the machine.

use std::fs;
use std::time::Duration;

/// Where the limits of this process's own group stand, seen from inside of a container.
const GROUP: &str = "/sys/fs/cgroup";

/// The part of all memory that is kept free of idle workers.
const KEPT_FREE: u64 = 8;

/// How often to look.
pub const LOOK: Duration = Duration::from_millis(500);

/// Whether memory is so short that idle workers should go. Where the system does not say, it is not.
pub fn is_short() -> bool {
    let group = group(|name| fs::read_to_string(format!("{GROUP}/{name}")).ok());
    let of_machine = || fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine(&text));
    group.or_else(of_machine).is_some_and(|(all, free)| free < all / KEPT_FREE)
}

/// All memory of a group and what is free of it, in bytes; nothing if it has no limit.
fn group(read: impl Fn(&str) -> Option<String>) -> Option<(u64, u64)> {
    let max: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    // Files that were read and can be read again.
    let files = field(&read("memory.stat")?, "inactive_file ").unwrap_or(0);
    Some((max, max.saturating_sub(used.saturating_sub(files))))
}

/// The same of the machine.
fn machine(meminfo: &str) -> Option<(u64, u64)> {
    Some((field(meminfo, "MemTotal:")? << 10, field(meminfo, "MemAvailable:")? << 10))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let files = |name: &str| {
            let text = match name {
                "memory.max" => "1000\n",
                "memory.current" => "900\n",
                _ => "anon 1\ninactive_file 300\nactive_file 5\n",
            };
            Some(text.to_owned())
        };
        assert_eq!(group(files), Some((1000, 400)));
        assert_eq!(group(|_| Some("max\n".to_owned())), None);
        assert_eq!(group(|_| None), None);
        assert_eq!(machine("MemTotal:  2 kB\nMemFree: 9 kB\nMemAvailable:   1 kB\n"), Some((2048, 1024)));
        assert_eq!(machine(""), None);
    }
}

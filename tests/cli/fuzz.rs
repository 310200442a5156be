//! Runs the fuzz targets of `fuzz/` for a short time and without coverage: on their seeds, and on mutations of them.
//! The number of inputs and the mutator's seed are fixed; `SLUICEGATE_FUZZ_RUNS` sets a larger number.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// A sequence of numbers from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }

    /// A piece of `bytes`.
    fn piece<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.roll(bytes.len() + 1);
        &bytes[start..start + self.roll(bytes.len() - start + 1).min(64)]
    }
}

/// Words with a meaning for one of the targets.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\x01\x90",
    b"\"",
    b"\\",
    b"\\u0041",
    b"\\ud800",
    b"1e400",
    b"9007199254740993",
    b"-0",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\"0\":",
    b"\"__proto__\":",
    b"null",
    b"[run]",
    b"=",
    b"\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
];

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        let end = at + dice.roll(bytes.len() - at + 1).min(16);
        match dice.roll(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.insert(at, dice.roll(256) as u8),
            3 => drop(bytes.splice(at..end, dice.pick(WORDS).iter().copied())),
            4 => {
                let copy = dice.piece(&bytes).to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let other = &seeds[dice.roll(seeds.len())];
                bytes.splice(at..end, dice.piece(other).iter().copied());
            }
        }
    }
    bytes.truncate(4096);
    bytes
}

fn smoke(target: &str, runs: usize, check: fn(&[u8])) {
    let mut files: Vec<_> =
        std::fs::read_dir(Path::new("fuzz/corpus").join(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 8, "{target} has {} seeds", seeds.len());
    let mut dice = Dice(0x005E_ED0F_5EED);
    let runs = std::env::var("SLUICEGATE_FUZZ_RUNS").map_or(runs, |text| text.parse().unwrap());
    let made = std::iter::repeat_with(|| mutated(&seeds, &mut dice)).take(runs);
    for input in seeds.iter().cloned().chain(made) {
        if std::panic::catch_unwind(|| check(&input)).is_err() {
            panic!("{target} fails for b\"{}\"", input.escape_ascii());
        }
    }
}

#[test]
fn the_line_reader_loses_no_byte() {
    smoke("lines", 150, targets::lines::check);
}

#[test]
fn no_frame_is_believed_that_contradicts_itself() {
    smoke("frames", 20_000, targets::frames::check);
}

#[test]
fn every_config_file_is_read_or_refused_with_a_message() {
    smoke("config", 5_000, targets::config::check);
}

#[test]
fn an_untouched_event_keeps_its_bytes_and_a_changed_one_its_value() {
    smoke("fidelity", 4_000, targets::fidelity::check);
}

/// `fuzz/run` builds with `--locked`, and stops where the other workspace's lock file lacks a dependency of this one.
#[test]
fn the_lock_file_of_the_targets_has_every_dependency() {
    let read = |path: &str| -> toml::Table {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        text.parse().unwrap()
    };
    let lock = read("fuzz/Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"].as_str() == Some("sluicegate")).unwrap();
    // The name is followed by the version if the lock file has several versions of a package.
    let locked = ours["dependencies"].as_array().unwrap().iter().filter_map(|one| one.as_str()?.split(' ').next());
    let locked: Vec<_> = locked.collect();
    let manifest = read("Cargo.toml");
    let wanted = manifest["dependencies"].as_table().unwrap().keys();
    let missing: Vec<_> = wanted.filter(|name| !locked.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "cargo update --workspace --manifest-path fuzz/Cargo.toml adds {missing:?}");
}

//! Reads all rows once and finds which are new, changed, unchanged or invalid, and which keys are gone.
//!
//! Nothing is sent before the source has been read to its end. Only then is it certain that no key occurs twice, that
//! the source did not fail, and how many rows would be sent. Rows to send wait in a temporary file, so memory use stays
//! flat. Lines are parsed and hashed on up to eight threads, and compared with the state on one.

mod gone;
mod spool;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::adbc::process::Script;
use super::config::{Config, Mode};
use super::error::{Error, Result, plain};
use super::row::{Found, Invalid, Row, RowReader, found, key_hash};
use super::sorter::Sorter;
use super::source::{Block, Source, Stopper};
use super::state::{Doubts, Settled, State};

pub use spool::{Keys, Spool, SpoolReader, Spooled};

use gone::Gone;
use spool::write_spooled;

/// The most invalid rows that are kept for display.
const MAX_SHOWN: usize = 1000;

/// The most blocks that wait for each thread.
const WAITING: usize = 4;

/// How a row compares with the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Every sink has settled this row.
    Unchanged,
    /// No sink has acknowledged a row of this key.
    New,
    /// A sink has acknowledged a row of this key, and some sink needs this one.
    Changed,
}

const CLASSES: [Class; 3] = [Class::Unchanged, Class::New, Class::Changed];

/// Counts of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RowCounts {
    /// Rows of the source.
    pub read: u64,
    /// Rows that every sink has settled.
    pub unchanged: u64,
    /// Rows to send, of keys that no sink has acknowledged.
    pub new: u64,
    /// Rows to send, of keys that a sink has acknowledged.
    pub changed: u64,
    /// Rows that cannot be sent.
    pub invalid: u64,
    /// Keys that are gone and have to be deleted.
    pub deletes: u64,
}

impl RowCounts {
    fn of(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Unchanged => &mut self.unchanged,
            Class::New => &mut self.new,
            Class::Changed => &mut self.changed,
        }
    }
}

/// An invalid row: its line, and why.
pub type InvalidRow = (u64, Invalid);

/// The result of [`detect`].
pub struct Detected {
    /// The counts.
    pub counts: RowCounts,
    /// How many keys are gone that were never sent: the state forgets them.
    pub forgotten: u64,
    /// The rows to send.
    pub spool: Spool,
    /// The keys that are gone, in order, and whether any row of each was sent.
    pub gone: Keys,
    /// The first invalid rows.
    pub invalid: Vec<InvalidRow>,
    /// Why keys that are gone are not deleted, if they are not.
    pub deletes_held: Option<String>,
    /// Hashes of keys with problems whose rows are settled now.
    pub solved: HashSet<[u8; 16]>,
    /// Hashes of keys with problems that the source no longer has.
    pub missing: HashSet<[u8; 16]>,
    /// Warnings of the source about values that it could not pass on unchanged.
    pub warnings: Vec<String>,
}

/// The arguments of [`detect`].
pub struct DetectOptions<'a> {
    /// The sync.
    pub config: &'a Config,
    /// Whether all rows are sent, changed or not.
    pub everything: bool,
    /// The first run whose settled rows count.
    pub epoch: i64,
    /// The folder for temporary files.
    pub temporary: &'a Path,
    /// The script for a database that holds the state.
    pub script: Option<Script>,
    /// Whether the script compares, and so returns only rows that a sink needs, and keys that are gone.
    pub is_compared: bool,
    /// Stops the source.
    pub stopper: Stopper,
    /// Called with the number of rows read so far.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// The parsed lines of a block.
#[derive(Default)]
struct Parsed {
    rows: Vec<(u64, std::ops::Range<usize>, std::result::Result<Row, Invalid>)>,
    /// Lines of a comparing query that are not rows.
    found: Vec<Found>,
}

/// Reads the source and compares it with the state.
///
/// # Errors
/// When the source, the state or a temporary file fails.
pub fn detect(options: &DetectOptions<'_>, state: &State) -> Result<Detected> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let source = Source::open_with(options.config, options.stopper.clone(), options.script.clone())?;
    std::thread::scope(|scope| {
        let mut to_parse = Vec::new();
        let mut parsed: Vec<Receiver<(Block, Parsed)>> = Vec::new();
        for _ in 0..threads {
            let (blocks, receiver) = sync_channel::<Block>(WAITING);
            let (sender, done) = sync_channel(WAITING);
            to_parse.push(blocks);
            parsed.push(done);
            scope.spawn(move || parse(options, &receiver, &sender));
        }
        let reader = scope.spawn(move || read(source, &to_parse));
        let compared = compare(options, state, &parsed);
        drop(parsed);
        let read = reader.join().unwrap_or_else(|_| Err(Error::new("the reader of the source has stopped")));
        // An error of the source explains more than the errors that follow from it.
        let (is_whole, warnings) = read?;
        Ok(Detected { warnings, ..compared?.finish(options, state, is_whole)? })
    })
}

/// Distributes blocks to the threads in turn. Returns whether the last line had a line end, and the source's warnings.
fn read(mut source: Source, to_parse: &[SyncSender<Block>]) -> Result<(bool, Vec<String>)> {
    let mut turn = 0;
    while let Some(block) = source.next_block()? {
        if to_parse[turn].send(block).is_err() {
            break;
        }
        turn = (turn + 1) % to_parse.len();
    }
    Ok((source.is_whole(), source.warnings()))
}

fn parse(options: &DetectOptions<'_>, blocks: &Receiver<Block>, done: &SyncSender<(Block, Parsed)>) {
    let config = options.config;
    let mut reader = RowReader::new(config);
    while let Ok(block) = blocks.recv() {
        let mut parsed = Parsed::default();
        let (mut at, mut line) = (0, block.first_line);
        for text in block.bytes.split_inclusive(|byte| *byte == b'\n') {
            let range = at..at + text.len();
            at = range.end;
            if options.is_compared
                && let Some(found) = found(text.trim_ascii())
            {
                parsed.found.push(found);
            } else if !text.trim_ascii().is_empty() {
                let row = if text.len() > config.source.row_limit {
                    Err(too_long(text.len() as u64, config))
                } else {
                    reader.read(text.trim_ascii())
                };
                parsed.rows.push((line, range, row));
            }
            line += 1;
        }
        if let Some((line, len)) = block.too_long {
            parsed.rows.push((line, 0..0, Err(too_long(len, config))));
        }
        if done.send((block, parsed)).is_err() {
            return;
        }
    }
}

fn too_long(len: u64, config: &Config) -> Invalid {
    Invalid::NotARow(format!("it has {len} bytes; the maximum is {} (source.row_limit)", config.source.row_limit))
}

/// The state of the comparison.
struct Comparison {
    counts: RowCounts,
    spool: BufWriter<File>,
    /// The hash, line and class of each key.
    keys: Sorter<24>,
    invalid: Vec<InvalidRow>,
    /// Invalid rows, whose keys are not in `keys`.
    refused: u64,
    problems: HashSet<[u8; 16]>,
    doubts: Doubts,
    solved: HashSet<[u8; 16]>,
    missing: HashSet<[u8; 16]>,
    last_line_invalid: bool,
    /// Keys that are gone, if the database has compared the rows.
    found_gone: Vec<String>,
}

fn compare(options: &DetectOptions<'_>, state: &State, parsed: &[Receiver<(Block, Parsed)>]) -> Result<Comparison> {
    let temporary =
        tempfile::tempfile_in(options.temporary).map_err(|error| cannot_spool(options.temporary, &error))?;
    let sinks = state.sinks(options.config)?;
    let problems = state.problem_keys()?;
    let mut comparison = Comparison {
        counts: RowCounts::default(),
        spool: BufWriter::with_capacity(1 << 20, temporary),
        keys: Sorter::new(options.temporary),
        invalid: Vec::new(),
        refused: 0,
        solved: HashSet::new(),
        missing: problems.clone(),
        problems,
        doubts: state.doubts(&sinks)?,
        last_line_invalid: false,
        found_gone: Vec::new(),
    };
    let mut total = None;
    let is_first = state.known()? == 0;
    let mut settled = Vec::new();
    let mut turn = 0;
    while let Ok((block, Parsed { rows, found })) = parsed[turn].recv() {
        turn = (turn + 1) % parsed.len();
        for found in found {
            match found {
                Found::Gone(key) => comparison.found_gone.push(key),
                Found::Total(rows) => total = Some(rows),
            }
        }
        for (line, range, row) in rows {
            comparison.counts.read += 1;
            comparison.last_line_invalid = row.is_err();
            match row {
                Err(invalid) => comparison.refuse(line, invalid),
                Ok(row) => {
                    settled.clear();
                    if !is_first {
                        state.settled(&row.key, &mut settled)?;
                    }
                    let text = block.bytes[range].trim_ascii();
                    let taken = comparison.take(options, &sinks, line, &row, &settled, text);
                    taken.map_err(|error| cannot_spool(options.temporary, &error))?;
                }
            }
        }
        (options.progress)(comparison.counts.read);
    }
    if let Some(total) = total {
        // The database leaves out rows that all sinks have.
        let same = total.saturating_sub(comparison.counts.read);
        comparison.counts.read += same;
        comparison.counts.unchanged += same;
    }
    Ok(comparison)
}

fn cannot_spool(dir: &Path, error: &io::Error) -> Error {
    Error::new(format!("cannot write a temporary file in {}: {}", dir.display(), plain(error)))
        .help("rows that go out wait there; nothing was sent. Make room, and run the sync again")
}

impl Comparison {
    fn refuse(&mut self, line: u64, invalid: Invalid) {
        self.counts.invalid += 1;
        self.refused += 1;
        if let Some(key) = invalid.key() {
            self.missing.remove(&key_hash(key));
        }
        if self.invalid.len() < MAX_SHOWN {
            self.invalid.push((line, invalid));
        }
    }

    fn take(
        &mut self,
        options: &DetectOptions<'_>,
        sinks: &[i64],
        line: u64,
        row: &Row,
        settled: &[Settled],
        text: &[u8],
    ) -> io::Result<()> {
        let (mut need, mut known) = (0u32, false);
        for (bit, sink) in sinks.iter().enumerate() {
            match settled.iter().find(|settled| settled.sink == *sink) {
                Some(settled) => {
                    known |= settled.acknowledged.is_some();
                    if settled.fingerprint != row.fingerprint || settled.run < options.epoch {
                        need |= 1 << bit;
                    }
                }
                None => need |= 1 << bit,
            }
        }
        let hash = key_hash(&row.key);
        // A sink that is in doubt needs the row again.
        need |= self.doubts.get(&hash).copied().unwrap_or(0);
        let class = match (need, known) {
            (0, _) => Class::Unchanged,
            (_, false) => Class::New,
            _ => Class::Changed,
        };
        *self.counts.of(class) += 1;
        if self.problems.contains(&hash) {
            self.missing.remove(&hash);
            if need == 0 {
                self.solved.insert(hash);
            }
        }
        self.keys.push(key_record(&hash, line, class))?;
        if options.everything {
            need = u32::MAX >> (32 - sinks.len());
        }
        if need != 0 {
            write_spooled(&mut self.spool, line, row, class, need, text)?;
        }
        Ok(())
    }

    fn finish(mut self, options: &DetectOptions<'_>, state: &State, is_whole: bool) -> Result<Detected> {
        if self.counts.invalid == self.counts.read
            && let Some((line, invalid)) = self.invalid.first()
        {
            return Err(all_invalid(options.config, *line, invalid, self.counts.read));
        }
        if !is_whole && self.last_line_invalid {
            return Err(Error::new(format!("{} ends in the middle of a row", options.config.source.input)).help(
                "nothing was sent and nothing was deleted; see why the source is cut off, and run the sync again",
            ));
        }
        let spool_error = |error: io::Error| cannot_spool(options.temporary, &error);
        let file = self.spool.into_inner().map_err(|error| spool_error(error.into_error()))?;
        let sinks = state.sinks(options.config)?;
        let mut gone = Gone::new(options, state, &sinks, std::mem::take(&mut self.found_gone))?;
        let mut duplicates = Sorter::<8>::new(options.temporary);
        let mut twice: HashMap<[u8; 16], Vec<u64>> = HashMap::new();
        let mut keys = self.keys.sorted().map_err(spool_error)?;
        let mut group: Vec<(u64, Class)> = Vec::new();
        let mut current = None;
        loop {
            let next = keys.next_record().map_err(spool_error)?.map(|record| split_key_record(&record));
            if let Some((hash, line, class)) = next
                && current == Some(hash)
            {
                group.push((line, class));
                continue;
            }
            if let (Some(hash), 2..) = (current, group.len()) {
                for (line, class) in &group {
                    *self.counts.of(*class) -= 1;
                    self.counts.invalid += 1;
                    duplicates.push(line.to_be_bytes()).map_err(spool_error)?;
                }
                if twice.len() < MAX_SHOWN {
                    twice.insert(hash, group.iter().take(MAX_SHOWN).map(|(line, _)| *line).collect());
                }
            }
            let Some((hash, line, class)) = next else { break };
            gone.seen(&hash)?;
            group.clear();
            group.push((line, class));
            current = Some(hash);
        }
        let mut spool = Spool { file, duplicates: Some(duplicates.sorted().map_err(spool_error)?) };
        name_duplicates(&mut self.invalid, twice, &mut spool, state, &sinks).map_err(spool_error)?;
        let (gone, deletes, forgotten) = gone.finish(options, state)?;
        let deletes_held = match options.config.changes.mode {
            Mode::Mirror if self.refused > 0 && deletes + forgotten > 0 => {
                Some(format!("{} rows are invalid, and each of them may be one of those that look gone", self.refused))
            }
            _ => None,
        };
        let held = deletes_held.is_some();
        self.counts.deletes = if held { 0 } else { deletes };
        Ok(Detected {
            counts: self.counts,
            forgotten: if held { 0 } else { forgotten },
            spool,
            gone: if held { Keys::none() } else { gone },
            invalid: self.invalid,
            deletes_held,
            solved: self.solved,
            missing: self.missing,
            warnings: Vec::new(),
        })
    }
}

fn all_invalid(config: &Config, line: u64, invalid: &Invalid, read: u64) -> Error {
    let sentence = invalid.sentence(&config.source.key);
    let error = Error::new(match read {
        1 => format!("{} has one row, and it cannot be sent: line {line}: {sentence}", config.source.input),
        _ => format!(
            "none of the {read} rows of {} can be sent; the first, line {line}: {sentence}",
            config.source.input
        ),
    });
    error.help(match invalid {
        Invalid::NotARow(_) => "a source writes one JSON object a line; with DuckDB, use -jsonlines".to_owned(),
        Invalid::NoKeyColumn => {
            let message =
                "source.key names the column that identifies a row; names are matched exactly, letter by letter";
            message.to_owned()
        }
        _ => format!("see that {} is there, is not null and is unique in the source", config.source.key),
    })
}

fn key_record(hash: &[u8; 16], line: u64, class: Class) -> [u8; 24] {
    let mut record = [0; 24];
    record[..16].copy_from_slice(hash);
    record[16..].copy_from_slice(&(line << 2 | class as u64).to_be_bytes());
    record
}

fn split_key_record(record: &[u8; 24]) -> ([u8; 16], u64, Class) {
    let (mut hash, mut rest) = ([0; 16], [0; 8]);
    hash.copy_from_slice(&record[..16]);
    rest.copy_from_slice(&record[16..]);
    let rest = u64::from_be_bytes(rest);
    (hash, rest >> 2, CLASSES[(rest & 3) as usize])
}

/// Finds the text of each duplicate key among the rows to send and in the state.
fn name_duplicates(
    invalid: &mut Vec<InvalidRow>,
    mut twice: HashMap<[u8; 16], Vec<u64>>,
    spool: &mut Spool,
    state: &State,
    sinks: &[i64],
) -> io::Result<()> {
    if twice.is_empty() {
        return Ok(());
    }
    let mut found = |key: &str, twice: &mut HashMap<[u8; 16], Vec<u64>>| {
        for line in twice.remove(&key_hash(key)).unwrap_or_default() {
            invalid.push((line, Invalid::Duplicate { key: key.to_owned() }));
        }
    };
    let mut rows = spool.all()?;
    while let Some(row) = rows.next_row()? {
        found(&row.key, &mut twice);
    }
    drop(rows);
    if !twice.is_empty() {
        let scanned = state.keys(sinks, |key, _| {
            found(key, &mut twice);
            Ok(())
        });
        scanned.map_err(io::Error::other)?;
    }
    invalid.sort_by_key(|(line, _)| *line);
    invalid.truncate(MAX_SHOWN);
    Ok(())
}

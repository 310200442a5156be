//! Finds the keys that the source no longer has.

use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};

use super::super::config::Mode;
use super::super::error::{Error, Result, plain};
use super::super::row::key_hash;
use super::super::sorter::{Sorted, Sorter};
use super::super::state::State;
use super::spool::{Keys, put};
use super::{DetectOptions, cannot_spool};

/// Finds the keys of the state that the source no longer has, by merging both sides in the order of their hashes.
pub(super) struct Gone {
    known: Option<Sorted<24>>,
    next: Option<[u8; 24]>,
    /// Keys that the database reports as gone, by hash. A key that the source has nevertheless is not gone: its text in
    /// SQL differs from its text in JSON.
    given: HashMap<[u8; 16], String>,
    /// The numbers of the gone keys, in the order of the state.
    numbers: Sorter<8>,
}

impl Gone {
    pub(super) fn new(options: &DetectOptions<'_>, state: &State, sinks: &[i64], given: Vec<String>) -> Result<Self> {
        let given = given.into_iter().map(|key| (key_hash(&key), key)).collect();
        let mut gone = Self { known: None, next: None, given, numbers: Sorter::new(options.temporary) };
        if options.config.changes.mode == Mode::Mirror && !options.is_compared {
            let error = |error: io::Error| cannot_spool(options.temporary, &error);
            let mut known = Sorter::new(options.temporary);
            let mut number = 0u64;
            state.keys(sinks, |key, _| {
                let mut record = [0; 24];
                record[..16].copy_from_slice(&key_hash(key));
                record[16..].copy_from_slice(&number.to_be_bytes());
                number += 1;
                known.push(record).map_err(error)
            })?;
            let mut known = known.sorted().map_err(error)?;
            gone.next = known.next_record().map_err(error)?;
            gone.known = Some(known);
        }
        Ok(gone)
    }

    /// Records that the source has the key with this hash. Hashes must come in ascending order.
    pub(super) fn seen(&mut self, hash: &[u8; 16]) -> Result<()> {
        self.given.remove(hash);
        let step = || -> io::Result<()> {
            while let (Some(known), Some(next)) = (&mut self.known, self.next) {
                match next[..16].cmp(hash) {
                    std::cmp::Ordering::Greater => break,
                    std::cmp::Ordering::Equal => {}
                    std::cmp::Ordering::Less => self.numbers.push(number(&next))?,
                }
                self.next = known.next_record()?;
            }
            Ok(())
        };
        let mut step = step;
        step().map_err(|error| Error::new(format!("cannot sort the keys: {}", plain(&error))))
    }

    pub(super) fn finish(mut self, options: &DetectOptions<'_>, state: &State) -> Result<(Keys, u64, u64)> {
        if options.is_compared && options.config.changes.mode == Mode::Mirror {
            return given(options, state, self.given);
        }
        let error = |error: io::Error| cannot_spool(options.temporary, &error);
        while let (Some(known), Some(next)) = (&mut self.known, self.next) {
            self.numbers.push(number(&next)).map_err(error)?;
            self.next = known.next_record().map_err(error)?;
        }
        if self.known.is_none() {
            return Ok((Keys::none(), 0, 0));
        }
        let mut numbers = self.numbers.sorted().map_err(error)?;
        let mut wanted = numbers.next_record().map_err(error)?.map(u64::from_be_bytes);
        let mut out = BufWriter::new(tempfile::tempfile_in(options.temporary).map_err(error)?);
        let (mut at, mut deletes, mut forgotten) = (0, 0, 0);
        state.keys(&state.sinks(options.config)?, |key, was_sent| {
            if wanted == Some(at) {
                *(if was_sent { &mut deletes } else { &mut forgotten }) += 1;
                out.write_all(&[u8::from(was_sent)]).and_then(|()| put(&mut out, key.as_bytes())).map_err(error)?;
                wanted = numbers.next_record().map_err(error)?.map(u64::from_be_bytes);
            }
            at += 1;
            Ok(())
        })?;
        let mut file = out.into_inner().map_err(|failed| error(failed.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(error)?;
        Ok((Keys(Some(BufReader::new(file))), deletes, forgotten))
    }
}

/// Returns the keys that the database itself has reported as gone.
fn given(options: &DetectOptions<'_>, state: &State, keys: HashMap<[u8; 16], String>) -> Result<(Keys, u64, u64)> {
    let error = |error: io::Error| cannot_spool(options.temporary, &error);
    let sinks = state.sinks(options.config)?;
    let doubts = state.doubts(&sinks)?;
    let mut out = BufWriter::new(tempfile::tempfile_in(options.temporary).map_err(error)?);
    let (mut deletes, mut forgotten, mut settled) = (0, 0, Vec::new());
    let mut keys: Vec<String> = keys.into_values().collect();
    keys.sort();
    for key in &keys {
        state.settled(key, &mut settled)?;
        let is_sent = settled.iter().any(|one| one.acknowledged.is_some() && sinks.contains(&one.sink));
        let was_sent = is_sent || doubts.contains_key(&key_hash(key));
        *(if was_sent { &mut deletes } else { &mut forgotten }) += 1;
        out.write_all(&[u8::from(was_sent)]).and_then(|()| put(&mut out, key.as_bytes())).map_err(error)?;
    }
    let mut file = out.into_inner().map_err(|failed| error(failed.into_error()))?;
    file.seek(SeekFrom::Start(0)).map_err(error)?;
    Ok((Keys(Some(BufReader::new(file))), deletes, forgotten))
}

fn number(record: &[u8; 24]) -> [u8; 8] {
    let mut number = [0; 8];
    number.copy_from_slice(&record[16..]);
    number
}

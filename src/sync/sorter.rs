//! Sorts more records than fit in memory: full chunks are sorted
//! and written to a temporary file, and merged when they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// The size of a chunk in bytes.
const CHUNK: usize = 24 << 20;

/// The size of the read buffer of a chunk in bytes.
const READ: usize = 64 << 10;

/// Records of `N` bytes, sorted as bytes.
pub struct Sorter<const N: usize> {
    dir: PathBuf,
    chunk: Vec<[u8; N]>,
    most: usize,
    file: Option<File>,
    /// The number of records of each chunk in the file.
    runs: Vec<u64>,
}

impl<const N: usize> Sorter<N> {
    /// Creates a sorter that writes its temporary file to `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), chunk: Vec::new(), most: CHUNK / N, file: None, runs: Vec::new() }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When a chunk cannot be written.
    pub fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.chunk.len() == self.most {
            self.spill()?;
        }
        self.chunk.push(record);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.chunk.sort_unstable();
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile_in(&self.dir)?);
        }
        let mut out = BufWriter::with_capacity(1 << 20, self.file.as_mut().expect("it was just made"));
        for record in &self.chunk {
            out.write_all(record)?;
        }
        out.flush()?;
        self.runs.push(self.chunk.len() as u64);
        self.chunk.clear();
        Ok(())
    }

    /// Returns all records, sorted.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn sorted(mut self) -> io::Result<Sorted<N>> {
        self.chunk.sort_unstable();
        let mut runs = Vec::new();
        if let Some(mut file) = self.file.take() {
            file.seek(SeekFrom::Start(0))?;
            let file = Arc::new(file);
            let mut start = 0;
            for records in self.runs {
                let end = start + records * N as u64;
                let reader = BufReader::with_capacity(READ, Slice { file: file.clone(), at: start, end });
                runs.push(Run::File(reader));
                start = end;
            }
        }
        runs.push(Run::Memory(self.chunk.into_iter()));
        let mut heap = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            if let Some(record) = run.next()? {
                heap.push(Reverse((record, index)));
            }
        }
        Ok(Sorted { runs, heap })
    }
}

/// A part of a file.
struct Slice {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min((self.end - self.at) as usize);
        let n = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

enum Run<const N: usize> {
    File(BufReader<Slice>),
    Memory(std::vec::IntoIter<[u8; N]>),
}

impl<const N: usize> Run<N> {
    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        match self {
            Run::Memory(records) => Ok(records.next()),
            Run::File(reader) => {
                let mut record = [0; N];
                match reader.read_exact(&mut record) {
                    Ok(()) => Ok(Some(record)),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Sorted records.
pub struct Sorted<const N: usize> {
    runs: Vec<Run<N>>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Sorted<N> {
    /// Returns the next record; `None` at the end.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn next_record(&mut self) -> io::Result<Option<[u8; N]>> {
        let Some(Reverse((record, index))) = self.heap.pop() else { return Ok(None) };
        if let Some(next) = self.runs[index].next()? {
            self.heap.push(Reverse((next, index)));
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_sorted_whatever_the_chunks() {
        let numbers: Vec<u32> = (0..1000).map(|n| n * 7919 % 1009).collect();
        for most in [1, 3, 100, 5000] {
            let mut sorter = Sorter::<4>::new(std::env::temp_dir());
            sorter.most = most;
            for number in &numbers {
                sorter.push(number.to_be_bytes()).unwrap();
            }
            let mut sorted = sorter.sorted().unwrap();
            let mut got = Vec::new();
            while let Some(record) = sorted.next_record().unwrap() {
                got.push(u32::from_be_bytes(record));
            }
            let mut expected = numbers.clone();
            expected.sort_unstable();
            assert_eq!(got, expected);
        }
    }
}

//! Converts inputs to lines: compressed data, a JSON array, values over several lines. Detects inputs of other formats.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::JoinHandle;

mod chunks;
mod detect;
mod gzip;
mod values;

use self::chunks::Chunks;
pub use self::detect::{HEAD_LEN, check_head, is_undecided};
use self::gzip::Members;
use self::values::Values;
use crate::config::InputFormat;

/// An input, open or not yet.
pub struct Open {
    /// Its name in messages.
    pub name: String,
    /// What to read from.
    pub source: Source,
    /// How to read it.
    pub format: Format,
}

/// What to read from.
pub enum Source {
    /// A file or pipe that is open.
    File(File),
    /// A file that is opened when its turn comes, because there may be more inputs than file descriptors.
    Path(PathBuf),
}

impl Source {
    /// Opens the source, if it is not open yet.
    ///
    /// # Errors
    /// When the source cannot be opened, or is a directory.
    pub fn open(self) -> io::Result<File> {
        match self {
            Self::File(file) => Ok(file),
            Self::Path(path) => {
                let file = File::open(path)?;
                if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
            }
        }
    }
}

/// How an input is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// The kind of its content.
    pub input: InputFormat,
    /// Whether gzip and zstd are detected by their first bytes and unpacked.
    pub decompress: bool,
    /// Whether the first bytes are checked for other formats.
    pub detect: bool,
}

impl Open {
    /// Creates an input of lines from an open file.
    pub fn lines(name: String, file: File) -> Self {
        Self { name, source: Source::File(file), format: Format::default() }
    }
}

/// A stream that a separate thread writes from the content of an input.
pub struct Feed {
    /// The end to read from.
    pub file: File,
    /// The writing thread; it returns its error after the stream has ended.
    pub thread: JoinHandle<io::Result<()>>,
}

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Starts a stream of lines from an input that needs conversion. `head` was already read from `file`; `name` is the
/// input's name in messages.
///
/// # Errors
/// When the pipe, the thread or the decoder cannot be created.
pub fn feed(head: Vec<u8>, file: File, packed: Option<Packed>, format: Format, name: &str) -> io::Result<Feed> {
    let (reader, mut writer) = io::pipe()?;
    let raw = io::Cursor::new(head).chain(file);
    let bytes: Box<dyn Read + Send> = match packed {
        None => Box::new(raw),
        Some(Packed::Gzip) => Box::new(Members::new(BufReader::new(raw))),
        Some(Packed::Zstd) => Box::new(zstd::stream::read::Decoder::new(raw)?),
    };
    let name = name.to_owned();
    let work = move || {
        let done = checked(bytes, packed, format, &name).and_then(|mut bytes| match format.input {
            InputFormat::Lines => io::copy(&mut bytes, &mut writer).map(drop),
            InputFormat::Chunks => Chunks::Header(Vec::new()).copy(&mut bytes, &mut writer),
            InputFormat::Array | InputFormat::Json => Values::new(format.input).copy(&mut bytes, &mut writer),
        });
        done.or_else(|error| match error.kind() {
            // The reader has stopped early, which is not an error.
            io::ErrorKind::BrokenPipe => Ok(()),
            io::ErrorKind::UnexpectedEof if packed.is_some() => {
                mistake("its compressed data ends too early: the file is cut off".to_owned())
            }
            _ => Err(error),
        })
    };
    let thread = std::thread::Builder::new().name("input".into()).spawn(work)?;
    Ok(Feed { file: File::from(OwnedFd::from(reader)), thread })
}

/// Returns the same stream, after examining the start of unpacked data like the start of a file.
fn checked(
    mut bytes: Box<dyn Read + Send>,
    packed: Option<Packed>,
    format: Format,
    name: &str,
) -> io::Result<Box<dyn Read + Send>> {
    let Some(packed) = packed else { return Ok(bytes) };
    let mut head = vec![0; HEAD_LEN];
    let mut filled = 0;
    loop {
        match bytes.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if !is_undecided(&head[..filled], format) {
            break;
        }
    }
    head.truncate(filled);
    detect::unpacked(&head, format, name, packed)?;
    Ok(Box::new(io::Cursor::new(head).chain(bytes)))
}

fn mistake<T>(text: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

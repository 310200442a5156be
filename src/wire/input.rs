//! Turns inputs into lines: compressed data, a JSON array, values over several lines. Detects inputs of other formats.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::JoinHandle;

use crate::config::InputFormat;

/// How many bytes are examined before an input is read.
pub const LOOK: usize = 4096;

/// An input, open or not.
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
    /// A file that is opened when its turn comes: there may be more inputs than file descriptors.
    Path(PathBuf),
}

impl Source {
    /// Opens it, if it is not open.
    ///
    /// # Errors
    /// When it cannot be opened, or is a directory.
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
    pub look: bool,
}

impl Open {
    /// Lines of an open file.
    pub fn lines(name: String, file: File) -> Self {
        Self { name, source: Source::File(file), format: Format::default() }
    }
}

/// A stream that a separate thread writes from the content of an input.
pub struct Feed {
    /// The end to read from.
    pub file: File,
    /// The thread; returns its error after the stream has ended.
    pub thread: JoinHandle<io::Result<()>>,
}

/// The name of an input that is not a file.
const STANDARD_INPUT: &str = "standard input";

/// The first bytes of other formats, their names, and the command that converts them to lines of JSON.
const OTHERS: [(&[u8], &str, &str); 11] = [
    (b"BZh", "bzip2", "bzcat FILE | sluicegate run …"),
    (b"\xFD7zXZ\0", "xz", "xzcat FILE | sluicegate run …"),
    (b"\x04\x22\x4D\x18", "lz4", "lz4cat FILE | sluicegate run …"),
    (b"\xFF\x06\0\0sNaPpY", "snappy", "snzip -dc FILE | sluicegate run …"),
    (b"PK\x03\x04", "a ZIP archive, or a spreadsheet", "unzip -p FILE | sluicegate run …"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive", "7z e -so FILE | sluicegate run …"),
    (b"PAR1", "Parquet", "duckdb -c \"COPY (FROM 'FILE') TO '/dev/stdout' (FORMAT json)\" | sluicegate run …"),
    (b"Obj\x01", "Avro", "avro-tools tojson FILE | sluicegate run …"),
    (b"ORC", "ORC", "orc-contents FILE | sluicegate run …"),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "sqlite3 -json FILE 'SELECT * FROM …' | sluicegate run … --input-format array",
    ),
    (b"<?xml", "XML", "yq -p xml -o json -I 0 FILE | sluicegate run …"),
];

/// An input's name as an argument of such a command; empty for standard input.
fn argument(name: &str) -> String {
    if name == STANDARD_INPUT { String::new() } else { format!(" {name}") }
}

/// Detects the format from the first bytes of an input.
///
/// # Errors
/// When the input is in a format that cannot be read; the text says what to do.
pub fn look(head: &[u8], format: Format, name: &str) -> io::Result<Option<Packed>> {
    let packed = match head {
        [0x1F, 0x8B, ..] => Some(Packed::Gzip),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Packed::Zstd),
        _ => None,
    };
    if let Some(packed) = packed {
        if format.decompress {
            return Ok(Some(packed));
        }
        let (what, tool) = match packed {
            Packed::Gzip => ("gzip", "zcat"),
            Packed::Zstd => ("zstd", "zstdcat"),
        };
        let file = argument(name);
        return mistake(format!("it is {what}; use --decompress auto, or {tool}{file} | sluicegate run …"));
    }
    if !format.look {
        return Ok(None);
    }
    if let Some((_, what, tool)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        let file = if name == STANDARD_INPUT { "FILE" } else { name };
        return mistake(format!("it is {what}, not lines of JSON; convert it: {}", tool.replace("FILE", file)));
    }
    match head {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'{' | b'[', 0, ..] | [0, b'{' | b'[', ..] => {
            let file = argument(name);
            return mistake(format!("it is UTF-16, and JSON is UTF-8; convert it: iconv -f UTF-16 -t UTF-8{file}"));
        }
        _ => {}
    }
    if format.input != InputFormat::Lines {
        return Ok(None);
    }
    // Only whole lines are examined.
    let mut lines = head.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let (Some(first), second) = (lines.next(), lines.next().unwrap_or_default()) else { return Ok(None) };
    let (first, second) = (first.trim_ascii(), second.trim_ascii());
    let torn = first.starts_with(b"[{") && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_err();
    if first == b"[" && matches!(second.first(), Some(b'{' | b'[')) || torn && first.ends_with(b",") {
        return mistake(
            "it is one JSON array, not an event on each line; read it with --input-format array".to_owned(),
        );
    }
    if first == b"{" && second.starts_with(b"\"") && second.contains(&b':') {
        return mistake("its JSON goes over several lines; read it with --input-format json".to_owned());
    }
    if is_csv(first, second) {
        return mistake(format!("it is CSV, not JSON; convert it, e.g.: mlr --icsv --ojsonl cat{}", argument(name)));
    }
    Ok(None)
}

fn mistake<T>(text: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// Whether two lines are the header and the first row of a CSV table.
fn is_csv(head: &[u8], row: &[u8]) -> bool {
    let name = |field: &[u8]| {
        let field = field.trim_ascii();
        let field = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")).unwrap_or(field);
        !field.is_empty() && field.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_ .-/()".contains(byte))
    };
    [b',', b';', b'\t'].iter().any(|separator| {
        let fields = head.split(|byte| byte == separator);
        let count = fields.clone().count();
        count > 1
            && fields.clone().all(name)
            && !fields.clone().all(|field| field.iter().all(u8::is_ascii_digit))
            && !row.starts_with(b"{")
            && row.split(|byte| byte == separator).count() >= count
    })
}

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Starts a stream of lines from an input that needs conversion. `head` was read from `file` already.
///
/// # Errors
/// When the pipe, the thread or the decoder cannot be created.
pub fn feed(head: Vec<u8>, file: File, packed: Option<Packed>, format: InputFormat) -> io::Result<Feed> {
    let (reader, mut writer) = io::pipe()?;
    let raw = io::Cursor::new(head).chain(file);
    let mut bytes: Box<dyn Read + Send> = match packed {
        None => Box::new(raw),
        Some(Packed::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        Some(Packed::Zstd) => Box::new(zstd::stream::read::Decoder::new(raw)?),
    };
    let work = move || {
        let done = match format {
            InputFormat::Lines => io::copy(&mut bytes, &mut writer).map(drop),
            InputFormat::Chunks => Chunks::Header(Vec::new()).copy(&mut bytes, &mut writer),
            InputFormat::Array | InputFormat::Json => Values::new(format).copy(&mut bytes, &mut writer),
        };
        done.or_else(|error| match error.kind() {
            // The reader has stopped early, which is allowed.
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

/// Removes the line before each chunk that gives its number of lines: ClickHouse's `send_chunk_header`.
enum Chunks {
    /// The part of a chunk's first line that has been read.
    Header(Vec<u8>),
    /// How many lines of the chunk are left.
    Lines(u64),
}

impl Chunks {
    fn copy(mut self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
        let (mut buffer, mut torn) = (vec![0; 64 << 10], false);
        loop {
            let mut bytes = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => &buffer[..n],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            while !bytes.is_empty() {
                let rest = match &mut self {
                    Self::Header(header) => {
                        let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
                        header.extend_from_slice(&bytes[..end.min(MAX_HEADER)]);
                        if end < bytes.len() || header.len() >= MAX_HEADER {
                            self = Self::Lines(Self::count(header)?).next();
                        }
                        &bytes[bytes.len().min(end + 1)..]
                    }
                    Self::Lines(left) => {
                        let end = memchr::memchr_iter(b'\n', bytes).nth(*left as usize - 1);
                        let (lines, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                        to.write_all(lines)?;
                        *left =
                            if end.is_some() { 0 } else { *left - memchr::memchr_iter(b'\n', lines).count() as u64 };
                        torn = !lines.ends_with(b"\n");
                        self = self.next();
                        rest
                    }
                };
                bytes = rest;
            }
        }
        match self {
            Self::Header(header) if header.is_empty() => Ok(()),
            // The last line of a file may have no line end.
            Self::Lines(1) if torn => Ok(()),
            Self::Header(header) => mistake(format!(
                "it ends in the middle of a chunk's header, after {:?}",
                String::from_utf8_lossy(&header)
            )),
            Self::Lines(left) => mistake(format!("it ends in the middle of a chunk: {left} of its lines are missing")),
        }
    }

    /// After the last line of a chunk comes the next header.
    fn next(self) -> Self {
        if matches!(self, Self::Lines(0)) { Self::Header(Vec::new()) } else { self }
    }

    fn count(header: &[u8]) -> io::Result<u64> {
        let text = String::from_utf8_lossy(header.trim_ascii());
        text.parse().ok().filter(|count| *count <= MAX_LINES).map_or_else(
            || {
                mistake(format!(
                    "a chunk starts with the number of its lines, and this one with {text:?}; is send_chunk_header set, or \
                     should --chunk-header be left out?"
                ))
            },
            Ok,
        )
    }
}

/// The longest line that can be the number of lines in a chunk, in bytes.
const MAX_HEADER: usize = 32;

/// The most lines of a chunk.
const MAX_LINES: u64 = u32::MAX as u64;

/// Writes each value of a stream on a line of its own, using brackets and quotes to find where values end. The reader
/// of the line checks whether it is JSON.
struct Values {
    array: bool,
    /// The number of open brackets, without the array's own.
    depth: usize,
    /// Whether the array's own bracket is open.
    inside: bool,
    /// Whether the array has ended.
    done: bool,
    in_string: bool,
    escaped: bool,
    /// Whether a value has begun on the current line.
    begun: bool,
}

impl Values {
    fn new(format: InputFormat) -> Self {
        let array = format == InputFormat::Array;
        Self { array, depth: 0, inside: false, done: false, in_string: false, escaped: false, begun: false }
    }

    fn copy(mut self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
        let (mut buffer, mut out) = (vec![0; 64 << 10], Vec::new());
        let mut first = true;
        loop {
            let n = match from.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if n == 0 {
                break;
            }
            let bytes =
                if first { buffer[..n].strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&buffer[..n]) } else { &buffer[..n] };
            first = false;
            out.clear();
            for byte in bytes {
                self.byte(*byte, &mut out)?;
            }
            to.write_all(&out)?;
        }
        if self.begun {
            to.write_all(b"\n")?;
        }
        if self.depth > 0 || self.in_string || self.array && self.inside && !self.done {
            return mistake("it ends in the middle of a value".to_owned());
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) -> io::Result<()> {
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
            // No valid string contains a line end; the reader of the line reports the error.
            out.push(if byte == b'\n' { b' ' } else { byte });
            return Ok(());
        }
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        if self.done {
            return if space { Ok(()) } else { mistake("something stands behind the array's end".to_owned()) };
        }
        if self.array && !self.inside {
            return match byte {
                b'[' => {
                    self.inside = true;
                    Ok(())
                }
                _ if space => Ok(()),
                _ => mistake("it is no JSON array; leave --input-format array out".to_owned()),
            };
        }
        if self.depth == 0 {
            match byte {
                b']' if self.array => {
                    self.done = true;
                    self.end(out);
                    return Ok(());
                }
                b',' if self.array => {
                    self.end(out);
                    return Ok(());
                }
                // A value that is not an object ends at white space or where the next value starts.
                _ if space => {
                    self.end(out);
                    return Ok(());
                }
                b'{' | b'[' | b'"' if !self.array => self.end(out),
                _ => {}
            }
        }
        self.begun = true;
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        out.push(if space { b' ' } else { byte });
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.begun) {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { input: InputFormat::Lines, decompress: true, look: true };

    fn lines(text: &str, format: InputFormat) -> Result<String, String> {
        let mut out = Vec::new();
        match Values::new(format).copy(&mut text.as_bytes(), &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn values_become_lines() {
        for (text, expected) in [
            ("[{\"a\":1},\n {\"b\":[\"]\", \"\\\"\"]}\n]\n", "{\"a\":1}\n{\"b\":[\"]\", \"\\\"\"]}\n"),
            ("[]", ""),
            (" [ 1, [2,3] ] ", "1\n[2,3]\n"),
        ] {
            assert_eq!(lines(text, InputFormat::Array).as_deref(), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("{\n  \"a\": 1\n}\n{\n  \"b\": {\r\n\"c\": 2}\n}", "{   \"a\": 1 }\n{   \"b\": {  \"c\": 2} }\n"),
            ("{}{}[1]\n2 3", "{}\n{}\n[1]\n2\n3\n"),
            ("", ""),
        ] {
            assert_eq!(lines(text, InputFormat::Json).as_deref(), Ok(expected), "{text}");
        }
        for (text, format) in [
            ("{}", InputFormat::Array),
            ("[{}", InputFormat::Array),
            ("[{}] x", InputFormat::Array),
            ("{\"a\":", InputFormat::Json),
        ] {
            assert!(lines(text, format).is_err(), "{text}");
        }
    }

    /// The output for a text in chunks, read in pieces of `cut` bytes.
    fn chunks(text: &str, cut: usize) -> Result<String, String> {
        let (start, end) = text.as_bytes().split_at(cut);
        let mut out = Vec::new();
        match Chunks::Header(Vec::new()).copy(&mut start.chain(end), &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn chunks_lose_their_headers() {
        for (text, expected) in [
            ("2\n{\"a\":1}\n{\"b\":2}\n1\n3\n", "{\"a\":1}\n{\"b\":2}\n3\n"),
            ("0\n1\r\n{}\n0\n", "{}\n"),
            ("1\n{}", "{}"),
            ("2\n\n\n", "\n\n"),
            ("", ""),
        ] {
            for cut in 0..=text.len() {
                assert_eq!(chunks(text, cut).as_deref(), Ok(expected), "{text:?} at {cut}");
            }
        }
        for (text, error) in [
            ("{\"a\":1}\n", "this one with \"{\\\"a\\\":1}\""),
            ("2\n{}\n", "1 of its lines are missing"),
            ("2\n{}", "2 of its lines are missing"),
            ("-1\n", "this one with"),
            ("99999999999\n", "this one with"),
            ("1\n{}\n12", "in the middle of a chunk's header"),
        ] {
            for cut in 0..=text.len() {
                let found = chunks(text, cut).unwrap_err();
                assert!(found.contains(error), "{text:?} at {cut}: {found}");
            }
        }
    }

    #[test]
    fn a_look_names_the_mistake() {
        let hint = |head: &[u8]| look(head, FORMAT, "f").err().map(|error| error.to_string()).unwrap_or_default();
        for (head, expected) in [
            (&b"\xFF\xFE{\0"[..], "iconv"),
            (b"{\0\"\0", "iconv"),
            (b"id,name\n1,x\n", "CSV"),
            (b"\"id\";\"name\"\n1;\"x\"\n", "CSV"),
            (b"[\n  {\"a\":1},\n", "--input-format array"),
            (b"[{\"a\":1},\n{\"b\":2}]\n", "--input-format array"),
            (b"{\n  \"a\": 1\n", "--input-format json"),
            (b"BZh91AY&SY", "bzcat f |"),
            (b"\xFD7zXZ\0\0", "xzcat f |"),
            (b"PK\x03\x04\x14", "unzip -p f |"),
            (b"PAR1\x15", "duckdb"),
            (b"SQLite format 3\0\x10", "sqlite3 -json f"),
            (b"<?xml version", "XML"),
        ] {
            assert!(hint(head).contains(expected), "{}", hint(head));
        }
        let unnamed = look(b"id,name\n1,x\n", FORMAT, STANDARD_INPUT).unwrap_err().to_string();
        assert!(unnamed.ends_with("--ojsonl cat"), "{unnamed}");
        for fine in [
            &b"{\"a\":1}\n{\"b\":2}\n"[..],
            b"",
            b"not json, really\n{}\n",
            b"[{\"a\":1},{\"b\":2}]\n",
            b"{\n",
            b"1,2\n3,4\n",
            b"\n\n",
        ] {
            assert_eq!(hint(fine), "", "{}", String::from_utf8_lossy(fine));
        }
        assert_eq!(look(b"\x1F\x8B\x08", FORMAT, "f").unwrap(), Some(Packed::Gzip));
        let never = Format { decompress: false, ..FORMAT };
        assert!(look(b"\x1F\x8B\x08", never, "f").unwrap_err().to_string().contains("zcat f"));
    }
}

//! Detects inputs of other formats from their first bytes, and says how to convert them.

use std::io;

use serde::de::IgnoredAny;

use super::{Format, Packed, mistake};
use crate::config::InputFormat;

/// The number of bytes that are examined before an input is read.
pub const HEAD_LEN: usize = 4096;

/// The name of an input that is not a file.
const STANDARD_INPUT: &str = "standard input";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

const GZIP: &[u8] = b"\x1F\x8B";

const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";

/// What follows the first byte of a skippable zstd frame.
const SKIPPED: &[u8] = b"\x2A\x4D\x18";

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

/// The name of an input in messages, and the compression that was removed before its bytes are examined.
#[derive(Clone, Copy)]
struct Input<'a> {
    name: &'a str,
    packed: Option<Packed>,
}

impl Input<'_> {
    /// Returns the name as a word of a shell command, if the input is a file.
    fn file(self) -> Option<String> {
        (self.name != STANDARD_INPUT).then(|| shell_word(self.name))
    }

    /// Returns the command that converts the input with a tool. The tool reads its file arguments, or standard input.
    fn through(self, tool: &str) -> String {
        match (self.packed.map(unpacker), self.file()) {
            (None, Some(file)) => format!("{tool} {file} | sluicegate run …"),
            (None, None) => format!("… | {tool} | sluicegate run …"),
            (Some(unpack), Some(file)) => format!("{unpack} {file} | {tool} | sluicegate run …"),
            (Some(unpack), None) => format!("… | {unpack} | {tool} | sluicegate run …"),
        }
    }

    /// Returns the command for the input, for a command that names its file as `FILE`.
    fn with_file(self, command: &str) -> String {
        match self.file() {
            // The name would be quoted in SQL that is itself quoted in the shell.
            Some(_) if command.contains("'FILE'") && self.name.contains(['\'', '"', '$', '`', '\\']) => {
                command.to_owned()
            }
            Some(_) if command.contains("'FILE'") => command.replace("FILE", self.name),
            Some(file) if self.packed.is_none() => command.replace("FILE", &file),
            _ => command.to_owned(),
        }
    }
}

/// Returns the program that unpacks a compression format.
const fn unpacker(packed: Packed) -> &'static str {
    match packed {
        Packed::Gzip => "zcat",
        Packed::Zstd => "zstdcat",
    }
}

const fn format_name(packed: Packed) -> &'static str {
    match packed {
        Packed::Gzip => "gzip",
        Packed::Zstd => "zstd",
    }
}

/// Quotes a text as one word of a shell command.
fn shell_word(text: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "_-./+=:@%,".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn packed(head: &[u8]) -> Option<Packed> {
    match head {
        _ if head.starts_with(GZIP) => Some(Packed::Gzip),
        _ if head.starts_with(ZSTD) => Some(Packed::Zstd),
        [0x50..=0x5F, rest @ ..] if rest.starts_with(SKIPPED) => Some(Packed::Zstd),
        _ => None,
    }
}

/// Returns whether more bytes are needed to detect the format, because a magic number or the first line is incomplete.
/// An event never needs more bytes: its host may wait for an answer to it.
pub fn is_undecided(head: &[u8], format: Format) -> bool {
    if head.is_empty() || head.len() >= HEAD_LEN || packed(head).is_some() {
        return false;
    }
    let is_part = |magic: &[u8]| head.len() < magic.len() && magic.starts_with(head);
    let is_part_of_skipped = matches!(head, [0x50..=0x5F, rest @ ..] if SKIPPED.starts_with(rest)) && head.len() < 4;
    if is_part(GZIP) || is_part(ZSTD) || is_part_of_skipped {
        return true;
    }
    if !format.detect {
        return false;
    }
    if OTHERS.iter().any(|(magic, ..)| is_part(magic)) || is_part(BYTE_ORDER_MARK) {
        return true;
    }
    if OTHERS.iter().any(|(magic, ..)| head.starts_with(magic)) || encoding(head).is_some() {
        return false;
    }
    let text = text(head);
    // Only lines are examined further: an array may contain no line end that could be awaited.
    format.input == InputFormat::Lines && !matches!(text.first(), None | Some(b'{')) && !text.contains(&b'\n')
}

/// Removes a byte order mark and blanks. A blank line stays: some hosts send one first, so that any event may follow.
fn text(head: &[u8]) -> &[u8] {
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    &text[text.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(text.len())..]
}

/// Detects the format from the first bytes of an input.
///
/// # Errors
/// When the input is in a format that cannot be read; the text says what to do.
pub fn check_head(head: &[u8], format: Format, name: &str) -> io::Result<Option<Packed>> {
    let input = Input { name, packed: None };
    if let Some(packed) = packed(head) {
        if format.decompress {
            return Ok(Some(packed));
        }
        let (what, command) = (format_name(packed), input.through(unpacker(packed)));
        return mistake(format!("it is {what}; use --decompress auto, or {command}"));
    }
    if format.detect {
        other_formats(head, format.input, input)?;
    }
    Ok(None)
}

/// Examines the start of unpacked data.
///
/// # Errors
/// As for [`check_head`].
pub(super) fn unpacked(head: &[u8], format: Format, name: &str, outer: Packed) -> io::Result<()> {
    if !format.detect {
        return Ok(());
    }
    let input = Input { name, packed: Some(outer) };
    if let Some(inner) = packed(head) {
        let (what, inside) = (format_name(inner), format_name(outer));
        let command = input.through(unpacker(inner));
        return mistake(format!("it is {what} inside {inside}; unpack it twice: {command}"));
    }
    other_formats(head, format.input, input)
}

fn other_formats(head: &[u8], format: InputFormat, input: Input<'_>) -> io::Result<()> {
    if let Some((_, what, tool)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return mistake(format!("it is {what}, not lines of JSON; convert it: {}", input.with_file(tool)));
    }
    if let Some((what, encoding)) = encoding(head) {
        let command = input.through(&format!("iconv -f {encoding} -t UTF-8"));
        return mistake(format!("it is {what}, and JSON is UTF-8; convert it: {command}"));
    }
    if format != InputFormat::Lines {
        return Ok(());
    }
    let text = text(head);
    match across_lines(text, head.len() >= HEAD_LEN) {
        Some(InputFormat::Array) => {
            return mistake(
                "it is one JSON array, not an event on each line; read it with --input-format array".to_owned(),
            );
        }
        Some(_) => return mistake("its JSON goes over several lines; read it with --input-format json".to_owned()),
        None => {}
    }
    let mut lines = whole_lines(text);
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Some(separator) = csv_separator(first, second) {
        let (what, flags) = match separator {
            b'\t' => ("TSV", "--itsv"),
            b';' => ("CSV", "--icsv --ifs ';'"),
            b'|' => ("CSV", "--icsv --ifs '|'"),
            _ => ("CSV", "--icsv"),
        };
        let command = input.through(&format!("mlr {flags} --ojsonl cat"));
        return mistake(format!("it is {what}, not JSON; convert it, e.g.: {command}"));
    }
    Ok(())
}

/// Returns the name of another encoding of JSON, and iconv's name for it.
fn encoding(head: &[u8]) -> Option<(&'static str, &'static str)> {
    Some(match head {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => ("UTF-32", "UTF-32"),
        [b'{' | b'[', 0, 0, 0, ..] => ("UTF-32", "UTF-32LE"),
        [0, 0, 0, b'{' | b'[', ..] => ("UTF-32", "UTF-32BE"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => ("UTF-16", "UTF-16"),
        [b'{' | b'[', 0, ..] => ("UTF-16", "UTF-16LE"),
        [0, b'{' | b'[', ..] => ("UTF-16", "UTF-16BE"),
        _ => return None,
    })
}

/// Returns the lines that have a line end.
fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    lines.map(<[u8]>::trim_ascii)
}

/// Returns the format of a text whose first value does not end in its first line: an array, or another value. `is_cut`
/// says whether the input continues after the text.
fn across_lines(text: &[u8], is_cut: bool) -> Option<InputFormat> {
    let found = match text.first()? {
        b'[' => InputFormat::Array,
        b'{' => InputFormat::Json,
        _ => return None,
    };
    let mut lines = whole_lines(text);
    let Some(first) = lines.next() else {
        // An array of events on one long line.
        let is_array = is_cut && text[1..].trim_ascii_start().starts_with(b"{");
        return (found == InputFormat::Array && is_array).then_some(found);
    };
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    let is_across = match values.next()? {
        Ok(IgnoredAny) => text[..values.byte_offset()].contains(&b'\n'),
        // The text ends inside the value. If the second line is an event, the first line may only be truncated.
        Err(error) if error.is_eof() => match lines.next() {
            Some(second) if first == b"[" => second.starts_with(b"{") || second.starts_with(b"["),
            Some(second) if !second.is_empty() => serde_json::from_slice::<IgnoredAny>(second).is_err(),
            _ => first.starts_with(b"[{") && first.ends_with(b","),
        },
        Err(_) => false,
    };
    is_across.then_some(found)
}

/// Returns the separator of a CSV table, if two lines are its header and its first row.
fn csv_separator(head: &[u8], row: &[u8]) -> Option<u8> {
    let name = |field: &[u8]| {
        let field = field.trim_ascii();
        let field = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")).unwrap_or(field);
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_ .-/()".contains(byte);
        !field.is_empty() && field.iter().all(is_part)
    };
    b",;\t|".iter().copied().find(|separator| {
        let fields = head.split(|byte| byte == separator);
        let count = fields.clone().count();
        count > 1
            && fields.clone().all(name)
            && !fields.clone().all(|field| field.iter().all(u8::is_ascii_digit))
            && !row.starts_with(b"{")
            && row.split(|byte| byte == separator).count() >= count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { input: InputFormat::Lines, decompress: true, detect: true };

    fn hint(head: &[u8], name: &str) -> String {
        check_head(head, FORMAT, name).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_first_bytes_name_the_mistake() {
        for (head, expected) in [
            (&b"\xFF\xFE{\0"[..], "iconv -f UTF-16 -t UTF-8 f | sluicegate run …"),
            (b"{\0\"\0", "iconv -f UTF-16LE "),
            (b"\0{\0\"", "iconv -f UTF-16BE "),
            (b"\xFF\xFE\0\0{\0\0\0", "iconv -f UTF-32 "),
            (b"\0\0\0{", "iconv -f UTF-32BE "),
            (b"id,name\n1,x\n", "it is CSV, not JSON; convert it, e.g.: mlr --icsv --ojsonl cat f | sluicegate run …"),
            (b"\"id\";\"name\"\n1;\"x\"\n", "mlr --icsv --ifs ';' --ojsonl cat f"),
            (b"id\tname\n1\tx\n", "it is TSV, not JSON; convert it, e.g.: mlr --itsv --ojsonl cat f"),
            ("größe|name\n1|x\n".as_bytes(), "--ifs '|'"),
            (b"\xEF\xBB\xBFid,name\n1,x\n", "CSV"),
            (b"[\n  {\"a\":1},\n", "--input-format array"),
            (b"  [\n  {\"a\":1},\n", "--input-format array"),
            (b"\xEF\xBB\xBF[\n  {\"a\":1},\n", "--input-format array"),
            (b"[{\"a\":1},\n{\"b\":2}]\n", "--input-format array"),
            (b"[{\"a\":1},\n", "--input-format array"),
            (b"[\n{\"a\":1}\n,{\"b\":2}\n", "--input-format array"),
            (b"[\n{}\n", "--input-format array"),
            (b"{\n  \"a\": 1\n", "--input-format json"),
            (b"{\"data\":[\n{\"a\":1}\n]}\n", "--input-format json"),
            (b"{\"data\":[\n{\"a\":1},\n{", "--input-format json"),
            (b"BZh91AY&SY", "bzcat f |"),
            (b"\xFD7zXZ\0\0", "xzcat f |"),
            (b"PK\x03\x04\x14", "unzip -p f |"),
            (b"PAR1\x15", "FROM 'f'"),
            (b"SQLite format 3\0\x10", "sqlite3 -json f"),
            (b"<?xml version", "XML"),
        ] {
            assert!(hint(head, "f").contains(expected), "{}", hint(head, "f"));
        }
        let long = [b"[{\"a\":\"", &[b'x'; HEAD_LEN][..]].concat();
        assert!(hint(&long[..HEAD_LEN], "f").contains("--input-format array"));
        for fine in [
            &b"{\"a\":1}\n{\"b\":2}\n"[..],
            b"",
            b"not json, really\n{}\n",
            b"[{\"a\":1},{\"b\":2}]\n",
            b"{\n",
            b"{\"a\":\n{\"b\":2}\n",
            b"{\"a\":\n{\"b\":2}\n{\"c\":3}\n",
            b"{\"a\":1,\n{\"b\":2}\n",
            b"1,2\n3,4\n",
            b"\n\n",
            b"\nid,name\n1,x\n",
            b"\n[\n  {\"a\":1},\n",
        ] {
            assert_eq!(hint(fine, "f"), "", "{}", String::from_utf8_lossy(fine));
        }
    }

    #[test]
    fn commands_can_be_typed() {
        let csv = b"id,name\n1,x\n";
        assert!(hint(csv, STANDARD_INPUT).ends_with("e.g.: … | mlr --icsv --ojsonl cat | sluicegate run …"));
        assert!(hint(csv, "my file's.csv").contains(r"cat 'my file'\''s.csv' |"));
        assert!(hint(b"BZh9", "my file").contains("bzcat 'my file' |"));
        assert!(hint(b"PAR1\x15", "my file").contains("FROM 'my file'"));
        assert!(hint(b"PAR1\x15", "it's").contains("FROM 'FILE'"));
        let inside = |head: &[u8], name: &str| unpacked(head, FORMAT, name, Packed::Gzip).unwrap_err().to_string();
        assert!(inside(csv, "f.gz").contains("zcat f.gz | mlr --icsv --ojsonl cat | sluicegate run …"));
        assert!(
            inside(GZIP, "f.gz").contains("gzip inside gzip; unpack it twice: zcat f.gz | zcat | sluicegate run …")
        );
        assert!(inside(ZSTD, STANDARD_INPUT).contains("… | zcat | zstdcat | sluicegate run …"));
        assert!(inside(b"{\n  \"a\": 1\n", "f.gz").contains("--input-format json"));
        assert!(unpacked(b"{\"a\":1}\n", FORMAT, "f.gz", Packed::Gzip).is_ok());
    }

    #[test]
    fn compressed_data_is_detected() {
        assert_eq!(check_head(b"\x1F\x8B\x08", FORMAT, "f").unwrap(), Some(Packed::Gzip));
        assert_eq!(check_head(ZSTD, FORMAT, "f").unwrap(), Some(Packed::Zstd));
        assert_eq!(check_head(b"\x5A\x2A\x4D\x18\x04", FORMAT, "f").unwrap(), Some(Packed::Zstd));
        let never = Format { decompress: false, ..FORMAT };
        assert!(check_head(b"\x1F\x8B\x08", never, "f").unwrap_err().to_string().contains("zcat f"));
    }

    #[test]
    fn more_is_read_only_where_it_helps() {
        for part in [&b"\x1F"[..], b"\x28\xB5\x2F", b"\x50", b"\x5F\x2A\x4D", b"PK", b"\xEF\xBB", b"id,na", b"[", b"7"]
        {
            assert!(is_undecided(part, FORMAT), "{part:?}");
        }
        for whole in [&b""[..], b"{", b"\n", b"bad\n", b"\x1F\x8B", b"\xEF\xBB\xBF{", b"[1]\n", b"\x5F\x2A\x4D\x18"] {
            assert!(!is_undecided(whole, FORMAT), "{whole:?}");
        }
        assert!(!is_undecided(&[b'x'; HEAD_LEN], FORMAT));
        let array = Format { input: InputFormat::Array, ..FORMAT };
        assert!(!is_undecided(b"[{\"a\":1},", array) && is_undecided(b"\x1F", array));
        assert!(!is_undecided(b"bad", Format { detect: false, ..FORMAT }));
    }
}

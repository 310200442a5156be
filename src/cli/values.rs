//! Parses values: sizes, durations, counts. There is one function per setting for all sources (flag, environment,
//! file), so that a text has the same meaning everywhere and an error has the same message.
//!
//! The bounds are here too. They reject values that can only be mistakes (a heap in which V8 cannot start, a million
//! workers) and accept values that are merely unusual.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use reqwest::Url;

use crate::config::{Choice, Target};
use crate::net::{self, Hosts};
use crate::tally::FailOn;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// V8's longest string has 2^29 - 24 characters; a longer line or output cannot be handled.
const MAX_TEXT_LEN: u64 = 512 * MIB - KIB;

/// The form of a setting's value in `sluicegate.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `"16MiB"` or a whole number of bytes.
    Size,
    /// `"200ms"`.
    Duration,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Switch,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A text of another form, described here.
    Text(&'static str),
    /// The URL of a service.
    Url,
    /// Several texts: a list, or one text with commas. Holds their description.
    List(&'static str),
    /// A path, relative to the file that names it.
    Path,
    /// A path, or `"-"` for standard error.
    Target,
}

impl Kind {
    /// Returns the expected form, for an error message.
    pub fn expects(self) -> String {
        match self {
            Kind::Size => "a size such as \"16MiB\", or a number of bytes".to_owned(),
            Kind::Duration => "a duration such as \"200ms\"".to_owned(),
            Kind::Count => "a whole number".to_owned(),
            Kind::Switch => "true or false".to_owned(),
            Kind::Word(words) => {
                format!("one of {}", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
            }
            Kind::Text(form) | Kind::List(form) => form.to_owned(),
            Kind::Url => "a URL such as \"http://geo.internal:8000\"".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Target => "a path, or \"-\" for standard error".to_owned(),
        }
    }
}

fn size(text: &str, least: u64, most: u64) -> Result<usize, String> {
    let bytes =
        text.trim().parse::<ByteSize>().map_err(|_| "expected a size such as 16MiB, 64KiB or 4096".to_owned())?;
    if bytes.0 < least {
        return Err(format!("the least is {}", show_size(least)));
    }
    if bytes.0 > most {
        return Err(format!("the maximum is {}", show_size(most)));
    }
    usize::try_from(bytes.0).map_err(|_| "too large for this machine".to_owned())
}

fn show_size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= GIB && bytes.is_multiple_of(GIB) => format!("{}GiB", bytes / GIB),
        _ if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        _ if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{}KiB", bytes / KIB),
        1 => "1 byte".to_owned(),
        _ => format!("{bytes} bytes"),
    }
}

/// Parses `--heap-limit`. V8 itself needs a few MiB before it runs any code.
pub fn heap(text: &str) -> Result<usize, String> {
    size(text, 8 * MIB, 64 * GIB)
}

/// Parses `--output-limit` and `--line-limit`.
pub fn text_size(text: &str) -> Result<usize, String> {
    size(text, 1, MAX_TEXT_LEN)
}

/// Parses `--log-limit`.
pub fn log_size(text: &str) -> Result<usize, String> {
    size(text, 1, GIB)
}

/// Parses `--cpu-limit`, `--wall-limit` and `--body-timeout`.
pub fn limit(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text.trim())
        .map_err(|_| "expected a duration with its unit, such as 200ms, 1s or 2m".to_owned())?;
    if duration < Duration::from_millis(1) {
        return Err("the least is 1ms".to_owned());
    }
    if duration > Duration::from_secs(3600) {
        return Err("the maximum is 1h".to_owned());
    }
    Ok(duration)
}

fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

/// Parses `--workers`.
pub fn workers(text: &str) -> Result<usize, String> {
    count(text, 0, 1024)
}

/// Parses `--batch-size`.
pub fn batch_size(text: &str) -> Result<usize, String> {
    count(text, 1, 100_000)
}

/// Parses `--concurrency` and `--requests-per-host`.
pub fn concurrency(text: &str) -> Result<usize, String> {
    count(text, 1, 10_000)
}

/// Parses a percentage with its sign: `--max-regress` and `--min-coverage`.
pub fn percent(text: &str) -> Result<f64, String> {
    text.strip_suffix('%')
        .and_then(|number| number.trim().parse().ok())
        .filter(|percent: &f64| percent.is_finite() && *percent >= 0.0)
        .ok_or_else(|| "expected a percentage such as 5%".to_owned())
}

/// Parses a point in time; returns milliseconds since 1970.
pub fn time(text: &str) -> Result<f64, String> {
    let text = text.trim();
    // A date without a time means midnight.
    let with_time = if text.len() == "2024-02-29".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = humantime::parse_rfc3339_weak(&with_time)
        .map_err(|_| "expected a time such as 2024-02-29T12:00:00Z or 2024-02-29".to_owned())?;
    Ok(millis_since_1970(time))
}

/// Converts a time to milliseconds since 1970, the unit of JavaScript's `Date`.
pub fn millis_since_1970(time: std::time::SystemTime) -> f64 {
    time.duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_millis() as f64)
}

/// Parses `--max-requests`.
pub fn requests(text: &str) -> Result<usize, String> {
    count(text, 1, 100_000)
}

/// Parses `--max-processes`.
pub fn processes(text: &str) -> Result<usize, String> {
    count(text, 1, 10_000)
}

/// Parses `--request-memory`.
pub fn memory(text: &str) -> Result<usize, String> {
    size(text, MIB, 1024 * GIB)
}

/// Parses `--listen`. Names are looked up when the server starts.
pub fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if port { Ok(text.to_owned()) } else { Err("expected an address with a port, such as 127.0.0.1:9090".to_owned()) }
}

/// Parses a token that is sent in a header.
pub fn token(text: &str) -> Result<String, String> {
    let fits = text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("expected 8 or more letters, digits and signs, no spaces".to_owned()) }
}

/// Parses any switch.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// Parses any setting with fixed words.
pub fn word<T: Choice>(text: &str) -> Result<T, String> {
    T::from_word(text.trim()).ok_or_else(|| format!("expected one of {}", T::WORDS.join(", ")))
}

/// Parses `--fail-on`.
pub fn fail_on(text: &str) -> Result<FailOn, String> {
    text.trim().parse()
}

/// Parses `--allow-net`.
pub fn hosts(text: &str) -> Result<Hosts, String> {
    text.parse()
}

/// Parses `--geolocation-url` and `--backend-url`.
pub fn service(text: &str) -> Result<Url, String> {
    net::base_url(text)
}

/// Parses any path.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// Parses `--input-field`.
pub fn field(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected the name of a field".to_owned()) } else { Ok(text.to_owned()) }
}

/// Parses `--errors` and `--logs`.
pub fn target(text: &str) -> Result<Target, String> {
    path(text).map(target_at)
}

/// Converts a path to a target: `-` is standard error.
pub fn target_at(path: PathBuf) -> Target {
    if path.as_os_str() == "-" { Target::Stderr } else { Target::File(path) }
}

/// A library that is given with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The name that an import uses.
    pub handle: String,
    /// Its source.
    pub path: PathBuf,
}

/// Parses `--library HANDLE=PATH`.
pub fn library(text: &str) -> Result<Library, String> {
    match text.split_once('=') {
        Some((handle, path)) if !handle.trim().is_empty() && !path.is_empty() => {
            Ok(Library { handle: handle.trim().to_owned(), path: path.into() })
        }
        _ => Err("expected HANDLE=PATH, such as jsLib1=lib/js-lib-1.js".to_owned()),
    }
}

/// Formats a number with its digits in groups of three, e.g. `41 200`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("16MiB", 16 * MIB),
            ("16 MiB", 16 * MIB),
            ("16mib", 16 * MIB),
            ("1.5KiB", 1536),
            ("1MB", 1_000_000),
            ("4096", 4096),
            (" 1 ", 1),
        ] {
            assert_eq!(text_size(text), Ok(bytes as usize), "{text}");
        }
        for text in ["", "many", "-1", "1 parsec", "NaN", "1e3MiB", "MiB", "١"] {
            assert!(text_size(text).unwrap_err().contains("expected a size"), "{text}");
        }
    }

    #[test]
    fn absurd_values_are_refused_with_the_bound() {
        assert_eq!(heap("7MiB").unwrap_err(), "the least is 8MiB");
        assert_eq!(heap("0").unwrap_err(), "the least is 8MiB");
        assert_eq!(heap("8MiB"), Ok(8 << 20));
        assert_eq!(heap("999999999TiB").unwrap_err(), "the maximum is 64GiB");
        assert_eq!(text_size("0").unwrap_err(), "the least is 1 byte");
        assert_eq!(text_size("1GiB").unwrap_err(), "the maximum is 524287KiB");
        assert_eq!(limit("0s").unwrap_err(), "the least is 1ms");
        assert_eq!(limit("2h").unwrap_err(), "the maximum is 1h");
        assert_eq!(workers("1025").unwrap_err(), "expected a whole number from 0 to 1024");
        assert_eq!(workers("0"), Ok(0));
        assert_eq!(batch_size("0").unwrap_err(), "expected a whole number from 1 to 100000");
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(limit("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(limit("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["5", "", "-1s", "fast", "1.5"] {
            assert!(limit(text).unwrap_err().contains("with its unit"), "{text}");
        }
    }

    #[test]
    fn a_library_has_a_handle_and_a_path() {
        let named = |handle: &str, path: &str| Ok(Library { handle: handle.to_owned(), path: path.into() });
        assert_eq!(library("jsLib1=lib/a.js"), named("jsLib1", "lib/a.js"));
        assert_eq!(library("@rs/hash/v1=h=1.js"), named("@rs/hash/v1", "h=1.js"));
        for text in ["jsLib1", "=a.js", "jsLib1=", ""] {
            assert!(library(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_dash_is_standard_error() {
        assert_eq!(target("-"), Ok(Target::Stderr));
        assert_eq!(target("./-"), Ok(Target::File("./-".into())));
        assert!(target("").is_err());
    }

    #[test]
    fn a_percentage_has_its_sign() {
        assert_eq!(percent("5%"), Ok(5.0));
        assert_eq!(percent("0.5 %"), Ok(0.5));
        assert!(percent("5").is_err() && percent("-1%").is_err() && percent("NaN%").is_err());
    }
}

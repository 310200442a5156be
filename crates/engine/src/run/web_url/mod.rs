//! URLs by the URL standard (<https://url.spec.whatwg.org>), as in browsers: [`Url::parse`], the parts of a URL, and
//! its setters.
//!
//! The crate `url` differs from the standard for `file:` URLs, `^` in paths, opaque paths and international hosts, and
//! fails a twelfth of the Web Platform Tests. So only its host parser is used here, which is most of the work.
//! `scripts/wpt` runs those tests.

mod host;
mod parser;
mod percent;

use parser::State;
use percent::{is_in_userinfo_set, percent_encode};

/// A parsed URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Url {
    scheme: String,
    username: String,
    password: String,
    /// The serialized host; an empty host differs from none.
    host: Option<String>,
    port: Option<u16>,
    path: Path,
    query: Option<String>,
    fragment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    Opaque(String),
    Segments(Vec<String>),
}

impl Default for Path {
    fn default() -> Self {
        Self::Segments(Vec::new())
    }
}

/// The parser rejects the input.
#[derive(Debug)]
pub(crate) struct Failure;

/// The schemes that are special, and their ports.
const SPECIAL: [(&str, Option<u16>); 6] =
    [("ftp", Some(21)), ("file", None), ("http", Some(80)), ("https", Some(443)), ("ws", Some(80)), ("wss", Some(443))];

fn is_special(scheme: &str) -> bool {
    SPECIAL.iter().any(|(special, _)| *special == scheme)
}

fn default_port(scheme: &str) -> Option<u16> {
    SPECIAL.iter().find(|(special, _)| *special == scheme).and_then(|(_, port)| *port)
}

impl Url {
    /// Parses a URL, relative to `base` if there is one.
    pub(crate) fn parse(input: &str, base: Option<&Url>) -> Result<Self, Failure> {
        let mut url = Self::default();
        let input = input.trim_matches(|char: char| char <= ' ');
        parser::run(&mut url, input, base, None)?;
        Ok(url)
    }

    /// Sets a part by the standard's rules. An invalid value changes nothing.
    pub(crate) fn set(&mut self, part: &str, value: &str) {
        let is_opaque = matches!(self.path, Path::Opaque(_));
        let has_no_authority = self.host.as_deref().is_none_or(str::is_empty) || self.scheme == "file";
        // Parts that the parser has set before it fails stay set, as in browsers.
        let mut parse = |value: &str, state| drop(parser::run(self, value, None, Some(state)));
        match part {
            "protocol" => parse(&format!("{value}:"), State::SchemeStart),
            "username" if !has_no_authority => self.username = percent_encode(value, is_in_userinfo_set),
            "password" if !has_no_authority => self.password = percent_encode(value, is_in_userinfo_set),
            "host" if !is_opaque => parse(value, State::Host),
            "hostname" if !is_opaque => parse(value, State::Hostname),
            "port" if has_no_authority => {}
            "port" if value.is_empty() => self.port = None,
            "port" => parse(value, State::Port),
            "pathname" if !is_opaque => {
                self.path = Path::default();
                drop(parser::run(self, value, None, Some(State::PathStart)));
            }
            "search" => {
                self.query = (!value.is_empty()).then(String::new);
                if self.query.is_some() {
                    let value = value.strip_prefix('?').unwrap_or(value);
                    drop(parser::run(self, value, None, Some(State::Query)));
                }
            }
            "hash" => {
                self.fragment = (!value.is_empty()).then(String::new);
                if self.fragment.is_some() {
                    let value = value.strip_prefix('#').unwrap_or(value);
                    drop(parser::run(self, value, None, Some(State::Fragment)));
                }
            }
            _ => {}
        }
    }

    /// Its parts: href, origin, protocol, username, password, host, hostname, port, pathname, search, hash.
    pub(crate) fn parts(&self) -> [String; 11] {
        let part = |sign: &str, part: &Option<String>| match part.as_deref() {
            None | Some("") => String::new(),
            Some(part) => format!("{sign}{part}"),
        };
        [
            self.href(),
            self.origin(),
            format!("{}:", self.scheme),
            self.username.clone(),
            self.password.clone(),
            self.host_and_port(),
            self.host.clone().unwrap_or_default(),
            self.port.map(|port| port.to_string()).unwrap_or_default(),
            self.pathname(),
            part("?", &self.query),
            part("#", &self.fragment),
        ]
    }

    fn href(&self) -> String {
        let mut text = format!("{}:", self.scheme);
        match &self.host {
            Some(_) => {
                text.push_str("//");
                if self.has_credentials() {
                    text.push_str(&self.username);
                    if !self.password.is_empty() {
                        text.push(':');
                        text.push_str(&self.password);
                    }
                    text.push('@');
                }
                text.push_str(&self.host_and_port());
            }
            // Otherwise the path would be read as a host.
            None if matches!(&self.path, Path::Segments(path) if path.len() > 1 && path[0].is_empty()) => {
                text.push_str("/.");
            }
            None => {}
        }
        text.push_str(&self.pathname());
        for (sign, part) in [('?', &self.query), ('#', &self.fragment)] {
            if let Some(part) = part {
                text.push(sign);
                text.push_str(part);
            }
        }
        text
    }

    fn origin(&self) -> String {
        match self.scheme.as_str() {
            "blob" => match (Self::parse(&self.pathname(), None), &self.path) {
                (Ok(inner), Path::Opaque(_)) if matches!(inner.scheme.as_str(), "http" | "https") => inner.origin(),
                _ => "null".to_owned(),
            },
            "file" => "null".to_owned(),
            scheme if is_special(scheme) => format!("{scheme}://{}", self.host_and_port()),
            _ => "null".to_owned(),
        }
    }

    fn host_and_port(&self) -> String {
        let host = self.host.as_deref().unwrap_or_default();
        self.port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn pathname(&self) -> String {
        match &self.path {
            Path::Opaque(path) => path.clone(),
            Path::Segments(path) => path.iter().flat_map(|segment| ["/", segment]).collect(),
        }
    }

    fn has_credentials(&self) -> bool {
        !self.username.is_empty() || !self.password.is_empty()
    }

    /// Removes the last segment of the path, unless it is a drive letter.
    fn shorten_path(&mut self) {
        if let Path::Segments(path) = &mut self.path {
            let is_drive = self.scheme == "file" && path.len() == 1 && parser::is_normal_drive_letter(&path[0]);
            if !is_drive {
                path.pop();
            }
        }
    }

    fn push_segment(&mut self, segment: String) {
        if let Path::Segments(path) = &mut self.path {
            path.push(segment);
        }
    }
}

#[cfg(test)]
mod tests;

//! The standard's parser, with the states under the standard's names: <https://url.spec.whatwg.org/#url-parsing>.

use super::percent::{
    is_in_c0_set, is_in_fragment_set, is_in_path_set, is_in_query_set, is_in_userinfo_set, push_encoded,
};
use super::{Failure, Path, Url, default_port, host, is_special};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    SchemeStart,
    Scheme,
    NoScheme,
    SpecialRelativeOrAuthority,
    PathOrAuthority,
    Relative,
    RelativeSlash,
    SpecialAuthoritySlashes,
    SpecialAuthorityIgnoreSlashes,
    Authority,
    Host,
    Hostname,
    Port,
    File,
    FileSlash,
    FileHost,
    PathStart,
    Path,
    OpaquePath,
    Query,
    Fragment,
}

/// How the parser continues after a code point.
enum Next {
    /// The next code point.
    On,
    /// The same code point again, in the new state.
    Again,
    /// This many code points further.
    Skip(usize),
    /// From this position on.
    From(usize),
    /// The parser is done: it was called to set one part only.
    Done,
}

/// The parser at a code point of its input.
struct Parser<'a> {
    url: &'a mut Url,
    base: Option<&'a Url>,
    input: Vec<char>,
    at: usize,
    /// The start state, if only one part is parsed.
    only: Option<State>,
    state: State,
    buffer: String,
    at_sign_seen: bool,
    in_brackets: bool,
    password_seen: bool,
}

/// Parses `input` into a URL; with `only`, the part that begins in this state.
pub(super) fn run(url: &mut Url, input: &str, base: Option<&Url>, only: Option<State>) -> Result<(), Failure> {
    let input = input.chars().filter(|char| !matches!(char, '\t' | '\n' | '\r')).collect();
    let (state, buffer) = (only.unwrap_or(State::SchemeStart), String::new());
    let mut parser = Parser {
        url,
        base,
        input,
        at: 0,
        only,
        state,
        buffer,
        at_sign_seen: false,
        in_brackets: false,
        password_seen: false,
    };
    loop {
        // After the last code point there is none, and each state handles that too.
        let is_end = parser.at >= parser.input.len();
        match parser.step(parser.input.get(parser.at).copied())? {
            Next::On if is_end => return Ok(()),
            Next::On => parser.at += 1,
            Next::Again => {}
            Next::Skip(count) => parser.at += count,
            Next::From(at) => parser.at = at,
            Next::Done => return Ok(()),
        }
    }
}

impl Parser<'_> {
    fn step(&mut self, char: Option<char>) -> Result<Next, Failure> {
        match self.state {
            State::SchemeStart => self.scheme_start(char),
            State::Scheme => self.scheme(char),
            State::NoScheme => self.no_scheme(char),
            State::SpecialRelativeOrAuthority => Ok(match (char, self.rest().first()) {
                (Some('/'), Some('/')) => self.skip(State::SpecialAuthorityIgnoreSlashes, 2),
                _ => self.again(State::Relative),
            }),
            State::PathOrAuthority => Ok(match char {
                Some('/') => self.go(State::Authority),
                _ => self.again(State::Path),
            }),
            State::Relative => Ok(self.relative(char)),
            State::RelativeSlash => Ok(self.relative_slash(char)),
            State::SpecialAuthoritySlashes => Ok(match (char, self.rest().first()) {
                (Some('/'), Some('/')) => self.skip(State::SpecialAuthorityIgnoreSlashes, 2),
                _ => self.again(State::SpecialAuthorityIgnoreSlashes),
            }),
            State::SpecialAuthorityIgnoreSlashes => Ok(match char {
                Some('/' | '\\') => Next::On,
                _ => self.again(State::Authority),
            }),
            State::Authority => self.authority(char),
            State::Host | State::Hostname => self.host(char),
            State::Port => self.port(char),
            State::File => Ok(self.file(char)),
            State::FileSlash => Ok(self.file_slash(char)),
            State::FileHost => self.file_host(char),
            State::PathStart => Ok(self.path_start(char)),
            State::Path => Ok(self.path(char)),
            State::OpaquePath => Ok(self.opaque_path(char)),
            State::Query => Ok(self.query(char)),
            State::Fragment => {
                let fragment = self.url.fragment.get_or_insert_default();
                char.inspect(|char| push_encoded(fragment, *char, is_in_fragment_set));
                Ok(Next::On)
            }
        }
    }

    fn go(&mut self, state: State) -> Next {
        self.state = state;
        Next::On
    }

    fn again(&mut self, state: State) -> Next {
        self.state = state;
        Next::Again
    }

    fn skip(&mut self, state: State, count: usize) -> Next {
        self.state = state;
        Next::Skip(count)
    }

    /// The input after the code point.
    fn rest(&self) -> &[char] {
        self.input.get(self.at + 1..).unwrap_or_default()
    }

    fn is_special(&self) -> bool {
        is_special(&self.url.scheme)
    }

    /// Whether a code point ends an authority.
    fn ends_authority(&self, char: Option<char>) -> bool {
        matches!(char, None | Some('/' | '?' | '#')) || char == Some('\\') && self.is_special()
    }

    fn begin_query(&mut self) -> Next {
        self.url.query = Some(String::new());
        self.go(State::Query)
    }

    fn begin_fragment(&mut self) -> Next {
        self.url.fragment = Some(String::new());
        self.go(State::Fragment)
    }

    fn scheme_start(&mut self, char: Option<char>) -> Result<Next, Failure> {
        match char {
            Some(char) if char.is_ascii_alphabetic() => {
                self.buffer.push(char.to_ascii_lowercase());
                Ok(self.go(State::Scheme))
            }
            _ if self.only.is_none() => Ok(self.again(State::NoScheme)),
            _ => Err(Failure),
        }
    }

    fn scheme(&mut self, char: Option<char>) -> Result<Next, Failure> {
        match char {
            Some(char) if char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.') => {
                self.buffer.push(char.to_ascii_lowercase());
                return Ok(Next::On);
            }
            Some(':') => {}
            _ if self.only.is_none() => {
                self.buffer.clear();
                self.state = State::NoScheme;
                return Ok(Next::From(0));
            }
            _ => return Err(Failure),
        }
        if self.only.is_some() {
            let url = &self.url;
            let has_authority = url.has_credentials() || url.port.is_some();
            let is_empty_file = url.scheme == "file" && url.host.as_deref().is_none_or(str::is_empty);
            if is_special(&url.scheme) != is_special(&self.buffer)
                || has_authority && self.buffer == "file"
                || is_empty_file
            {
                return Ok(Next::Done);
            }
            self.url.scheme = std::mem::take(&mut self.buffer);
            if self.url.port == default_port(&self.url.scheme) {
                self.url.port = None;
            }
            return Ok(Next::Done);
        }
        self.url.scheme = std::mem::take(&mut self.buffer);
        Ok(if self.url.scheme == "file" {
            self.go(State::File)
        } else if self.is_special() {
            match self.base {
                Some(base) if base.scheme == self.url.scheme => self.go(State::SpecialRelativeOrAuthority),
                _ => self.go(State::SpecialAuthoritySlashes),
            }
        } else if self.rest().first() == Some(&'/') {
            self.skip(State::PathOrAuthority, 2)
        } else {
            self.url.path = Path::Opaque(String::new());
            self.go(State::OpaquePath)
        })
    }

    fn no_scheme(&mut self, char: Option<char>) -> Result<Next, Failure> {
        let Some(base) = self.base else { return Err(Failure) };
        if matches!(base.path, Path::Opaque(_)) {
            if char != Some('#') {
                return Err(Failure);
            }
            *self.url = Url { fragment: None, ..base.clone() };
            return Ok(self.begin_fragment());
        }
        Ok(self.again(if base.scheme == "file" { State::File } else { State::Relative }))
    }

    fn relative(&mut self, char: Option<char>) -> Next {
        let Some(base) = self.base else { return Next::Done };
        self.url.scheme.clone_from(&base.scheme);
        match char {
            Some('/') => return self.go(State::RelativeSlash),
            Some('\\') if self.is_special() => return self.go(State::RelativeSlash),
            _ => {}
        }
        *self.url = Url { fragment: None, ..base.clone() };
        match char {
            Some('?') => self.begin_query(),
            Some('#') => self.begin_fragment(),
            None => Next::On,
            Some(_) => {
                self.url.query = None;
                self.url.shorten_path();
                self.again(State::Path)
            }
        }
    }

    fn relative_slash(&mut self, char: Option<char>) -> Next {
        match char {
            Some('/' | '\\') if self.is_special() => return self.go(State::SpecialAuthorityIgnoreSlashes),
            Some('/') => return self.go(State::Authority),
            _ => {}
        }
        if let Some(base) = self.base {
            let Url { username, password, host, port, .. } = base.clone();
            let url = &mut *self.url;
            (url.username, url.password, url.host, url.port) = (username, password, host, port);
        }
        self.again(State::Path)
    }

    fn authority(&mut self, char: Option<char>) -> Result<Next, Failure> {
        if char == Some('@') {
            if self.at_sign_seen {
                self.buffer.insert_str(0, "%40");
            }
            self.at_sign_seen = true;
            for char in std::mem::take(&mut self.buffer).chars() {
                if char == ':' && !self.password_seen {
                    self.password_seen = true;
                    continue;
                }
                let part = if self.password_seen { &mut self.url.password } else { &mut self.url.username };
                push_encoded(part, char, is_in_userinfo_set);
            }
            return Ok(Next::On);
        }
        if !self.ends_authority(char) {
            self.buffer.extend(char);
            return Ok(Next::On);
        }
        if self.at_sign_seen && self.buffer.is_empty() {
            return Err(Failure);
        }
        let back = self.buffer.chars().count();
        self.buffer.clear();
        self.state = State::Host;
        Ok(Next::From(self.at - back))
    }

    fn host(&mut self, char: Option<char>) -> Result<Next, Failure> {
        if self.only.is_some() && self.url.scheme == "file" {
            return Ok(self.again(State::FileHost));
        }
        if char == Some(':') && !self.in_brackets {
            if self.buffer.is_empty() || self.only == Some(State::Hostname) {
                return Err(Failure);
            }
            self.take_host()?;
            return Ok(self.go(State::Port));
        }
        if self.ends_authority(char) {
            if self.buffer.is_empty() {
                let has_authority = self.url.has_credentials() || self.url.port.is_some();
                if self.is_special() || self.only.is_some() && has_authority {
                    return Err(Failure);
                }
            }
            self.take_host()?;
            return Ok(if self.only.is_some() { Next::Done } else { self.again(State::PathStart) });
        }
        match char {
            Some('[') => self.in_brackets = true,
            Some(']') => self.in_brackets = false,
            _ => {}
        }
        self.buffer.extend(char);
        Ok(Next::On)
    }

    fn take_host(&mut self) -> Result<(), Failure> {
        self.url.host = Some(host::parse(&self.buffer, !self.is_special())?);
        self.buffer.clear();
        Ok(())
    }

    fn port(&mut self, char: Option<char>) -> Result<Next, Failure> {
        if let Some(digit) = char.filter(char::is_ascii_digit) {
            self.buffer.push(digit);
            return Ok(Next::On);
        }
        if !self.ends_authority(char) && self.only.is_none() {
            return Err(Failure);
        }
        if !self.buffer.is_empty() {
            let digits = self.buffer.trim_start_matches('0');
            let port = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| Failure)? };
            self.url.port = Some(port).filter(|port| default_port(&self.url.scheme) != Some(*port));
            self.buffer.clear();
            if self.only.is_some() {
                return Ok(Next::Done);
            }
        }
        if self.only.is_some() {
            return Err(Failure);
        }
        Ok(self.again(State::PathStart))
    }

    fn file(&mut self, char: Option<char>) -> Next {
        self.url.scheme = "file".to_owned();
        self.url.host = Some(String::new());
        if matches!(char, Some('/' | '\\')) {
            return self.go(State::FileSlash);
        }
        let Some(base) = self.base.filter(|base| base.scheme == "file") else { return self.again(State::Path) };
        self.url.host.clone_from(&base.host);
        self.url.path.clone_from(&base.path);
        self.url.query.clone_from(&base.query);
        match char {
            Some('?') => self.begin_query(),
            Some('#') => self.begin_fragment(),
            None => Next::On,
            Some(_) => {
                self.url.query = None;
                if starts_with_drive_letter(&self.input[self.at..]) {
                    self.url.path = Path::default();
                } else {
                    self.url.shorten_path();
                }
                self.again(State::Path)
            }
        }
    }

    fn file_slash(&mut self, char: Option<char>) -> Next {
        if matches!(char, Some('/' | '\\')) {
            return self.go(State::FileHost);
        }
        if let Some(base) = self.base.filter(|base| base.scheme == "file") {
            self.url.host.clone_from(&base.host);
            if let Path::Segments(path) = &base.path
                && let Some(drive) = path.first().filter(|first| is_normal_drive_letter(first))
                && !starts_with_drive_letter(&self.input[self.at.min(self.input.len())..])
            {
                self.url.push_segment(drive.clone());
            }
        }
        self.again(State::Path)
    }

    fn file_host(&mut self, char: Option<char>) -> Result<Next, Failure> {
        if !matches!(char, None | Some('/' | '\\' | '?' | '#')) {
            self.buffer.extend(char);
            return Ok(Next::On);
        }
        if self.only.is_none() && is_drive_letter(&self.buffer) {
            // It is the start of the path.
            return Ok(self.again(State::Path));
        }
        if self.buffer.is_empty() {
            self.url.host = Some(String::new());
        } else {
            self.take_host()?;
            if self.url.host.as_deref() == Some("localhost") {
                self.url.host = Some(String::new());
            }
        }
        Ok(if self.only.is_some() { Next::Done } else { self.again(State::PathStart) })
    }

    fn path_start(&mut self, char: Option<char>) -> Next {
        if self.is_special() {
            let is_slash = matches!(char, Some('/' | '\\'));
            return if is_slash { self.go(State::Path) } else { self.again(State::Path) };
        }
        match char {
            Some('?') if self.only.is_none() => self.begin_query(),
            Some('#') if self.only.is_none() => self.begin_fragment(),
            Some('/') => self.go(State::Path),
            Some(_) => self.again(State::Path),
            None => {
                if self.only.is_some() && self.url.host.is_none() {
                    self.url.push_segment(String::new());
                }
                Next::On
            }
        }
    }

    fn path(&mut self, char: Option<char>) -> Next {
        let is_slash = char == Some('/') || char == Some('\\') && self.is_special();
        let ends = char.is_none() || is_slash || self.only.is_none() && matches!(char, Some('?' | '#'));
        if !ends {
            char.inspect(|char| push_encoded(&mut self.buffer, *char, is_in_path_set));
            return Next::On;
        }
        let mut segment = std::mem::take(&mut self.buffer);
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        match dots.as_str() {
            ".." => {
                self.url.shorten_path();
                if !is_slash {
                    self.url.push_segment(String::new());
                }
            }
            "." if is_slash => {}
            "." => self.url.push_segment(String::new()),
            _ => {
                let is_first = matches!(&self.url.path, Path::Segments(path) if path.is_empty());
                if self.url.scheme == "file" && is_first && is_drive_letter(&segment) {
                    segment.replace_range(1..2, ":");
                }
                self.url.push_segment(segment);
            }
        }
        match char {
            Some('?') if self.only.is_none() => self.begin_query(),
            Some('#') if self.only.is_none() => self.begin_fragment(),
            _ => Next::On,
        }
    }

    fn opaque_path(&mut self, char: Option<char>) -> Next {
        let is_last = matches!(self.rest().first(), Some('?' | '#'));
        match char {
            Some('?') => return self.begin_query(),
            Some('#') => return self.begin_fragment(),
            None => {}
            Some(char) => {
                if let Path::Opaque(path) = &mut self.url.path {
                    push_encoded(path, char, |char| is_in_c0_set(char) || is_last && char == ' ');
                }
            }
        }
        Next::On
    }

    fn query(&mut self, char: Option<char>) -> Next {
        match char {
            Some('#') if self.only.is_none() => self.begin_fragment(),
            None => Next::On,
            Some(char) => {
                let is_special = self.is_special();
                let query = self.url.query.get_or_insert_default();
                push_encoded(query, char, |char| is_in_query_set(char) || is_special && char == '\'');
                Next::On
            }
        }
    }
}

/// A Windows drive letter, with `:` or `|`.
fn is_drive_letter(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':' | b'|'] if letter.is_ascii_alphabetic())
}

pub(super) fn is_normal_drive_letter(text: &str) -> bool {
    is_drive_letter(text) && text.ends_with(':')
}

fn starts_with_drive_letter(input: &[char]) -> bool {
    matches!(input, [letter, ':' | '|', rest @ ..]
        if letter.is_ascii_alphabetic() && matches!(rest.first(), None | Some('/' | '\\' | '?' | '#')))
}

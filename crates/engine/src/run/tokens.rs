//! Splits a module into tokens, as far as that is possible without the full grammar.
//!
//! The tokenizer gives up where a `/` may be a division as well as the start of a regular expression, and at characters
//! that are rare outside of strings and comments.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A name or a keyword.
    Word(&'a str),
    Number,
    /// A string, or a template without expressions.
    Text,
    /// A part of a template with expressions.
    Template,
    Regex,
    Sign(&'a str),
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Whether there is a line terminator between it and the previous token.
    pub(super) on_new_line: bool,
    /// The number of open brackets after it.
    pub(super) depth: usize,
    /// Whether it is a property name after a dot.
    property: bool,
}

impl Token<'_> {
    /// Whether the next token is an operator or nothing, rather than an operand.
    pub(super) fn ends_operand(&self) -> bool {
        match self.kind {
            Kind::Word(word) => self.property || !OPERATORS.contains(&word),
            Kind::Number | Kind::Text | Kind::Regex | Kind::Template => true,
            Kind::Sign(sign) => matches!(sign, ")" | "]" | "}"),
            Kind::End => false,
        }
    }
}

/// Keywords that are followed by an operand.
const OPERATORS: [&str; 12] =
    ["return", "typeof", "instanceof", "in", "new", "delete", "void", "throw", "case", "do", "else", "extends"];

/// Words that are names or keywords depending on context.
const AMBIGUOUS: [&str; 4] = ["of", "yield", "await", "let"];

/// An open bracket.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Round(Head),
    Square,
    Curly,
    /// `${` of a template.
    Template,
}

/// Whether a round bracket contains the head of a statement, after which a statement starts.
#[derive(Clone, Copy, PartialEq)]
enum Head {
    No,
    Yes,
    Unknown,
}

/// The meaning of a `/`.
enum Slash {
    Divides,
    Regex,
    Unknown,
}

pub(super) struct Tokens<'a> {
    code: &'a str,
    at: usize,
    open: Vec<Open>,
    last: Option<Token<'a>>,
    /// The kind of the bracket that `last` has closed.
    closed: Head,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(code: &'a str) -> Self {
        Self { code, at: 0, open: Vec::new(), last: None, closed: Head::No }
    }

    /// The next token; `None` if it can't be determined.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let on_new_line = self.skip_blank()?;
        let property = matches!(self.last, Some(Token { kind: Kind::Sign("." | "?."), .. }));
        let kind = self.kind(on_new_line)?;
        let token = Token { kind, on_new_line, depth: self.open.len(), property };
        self.last = Some(token);
        Some(token)
    }

    fn rest(&self) -> &'a [u8] {
        &self.code.as_bytes()[self.at..]
    }

    /// Skips white space and comments. Returns whether they contain a line terminator.
    fn skip_blank(&mut self) -> Option<bool> {
        let mut lines = false;
        loop {
            match self.rest() {
                [b'\n' | b'\r', ..] => {
                    lines = true;
                    self.at += 1;
                }
                [b' ' | b'\t', ..] => self.at += 1,
                [b'/', b'/', rest @ ..] => {
                    let len = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
                    self.comment(2 + len)?;
                }
                [b'/', b'*', rest @ ..] => {
                    let len = rest.windows(2).position(|two| two == b"*/")?;
                    lines |= rest[..len].iter().any(|byte| matches!(byte, b'\n' | b'\r'));
                    self.comment(len + 4)?;
                }
                _ => return Some(lines),
            }
        }
    }

    /// Skips a comment of this many bytes. `None` if it contains one of the two rare line terminators.
    fn comment(&mut self, len: usize) -> Option<()> {
        let text = &self.code[self.at..self.at + len];
        self.at += len;
        (!text.contains(['\u{2028}', '\u{2029}'])).then_some(())
    }

    fn kind(&mut self, on_new_line: bool) -> Option<Kind<'a>> {
        let Some(&first) = self.rest().first() else {
            return self.open.is_empty().then_some(Kind::End);
        };
        match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | b'#' => {
                // `#!` starts a line that is not code.
                if first == b'#' && !matches!(self.rest(), [_, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$', ..]) {
                    return None;
                }
                Some(Kind::Word(self.word()))
            }
            b'0'..=b'9' => self.number(),
            b'.' if matches!(self.rest(), [_, b'0'..=b'9', ..]) => self.number(),
            b'"' | b'\'' => self.string(first),
            b'`' => {
                self.at += 1;
                self.template()
            }
            b'/' => match self.slash(on_new_line) {
                Slash::Regex => self.regex(),
                Slash::Divides => Some(self.sign()),
                Slash::Unknown => None,
            },
            b'(' => {
                let head = self.head();
                Some(self.opens(Open::Round(head)))
            }
            b'[' => Some(self.opens(Open::Square)),
            b'{' => Some(self.opens(Open::Curly)),
            b')' => match self.open.pop()? {
                Open::Round(head) => {
                    self.closed = head;
                    Some(self.one())
                }
                _ => None,
            },
            b']' => (self.open.pop()? == Open::Square).then(|| self.one()),
            b'}' => match self.open.pop()? {
                Open::Curly => Some(self.one()),
                Open::Template => {
                    self.at += 1;
                    self.template().map(|_| Kind::Template)
                }
                _ => None,
            },
            // A backslash starts an escaped name, which is not supported.
            b'!'..=b'~' if first != b'\\' => Some(self.sign()),
            _ => None,
        }
    }

    fn opens(&mut self, open: Open) -> Kind<'a> {
        self.open.push(open);
        self.one()
    }

    /// A sign of one character.
    fn one(&mut self) -> Kind<'a> {
        let sign = &self.code[self.at..=self.at];
        self.at += 1;
        Kind::Sign(sign)
    }

    fn sign(&mut self) -> Kind<'a> {
        const SIGNS: [&str; 27] = [
            ">>>=", "...", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "??=", "=>", "==", "!=", "<=", ">=",
            "&&", "||", "??", "++", "--", "+=", "-=", "*=", "/=", "**", "?.",
        ];
        let rest = &self.code[self.at..];
        let digit = matches!(rest.as_bytes(), [b'?', b'.', b'0'..=b'9', ..]);
        let found = SIGNS.iter().find(|sign| rest.starts_with(**sign) && !(digit && **sign == "?."));
        let len = found.map_or(1, |sign| sign.len());
        self.at += len;
        Kind::Sign(&rest[..len])
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.rest()[1..];
        let len = rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len());
        let word = &self.code[self.at..=self.at + len];
        self.at += 1 + len;
        word
    }

    /// The text up to and including the last token.
    pub(super) fn so_far(&self) -> &'a str {
        &self.code[..self.at]
    }

    fn number(&mut self) -> Option<Kind<'a>> {
        let rest = self.rest();
        let mut len = 1;
        while len < rest.len() {
            let is_decimal =
                |digits: &[u8]| digits.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'));
            let exponent = matches!(rest[len - 1], b'e' | b'E') && is_decimal(&rest[..len - 1]);
            match rest[len] {
                b'+' | b'-' if exponent => len += 1,
                // A second point, or a point after anything but digits, is followed by a property name.
                b'.' if rest[..len].contains(&b'.') || !is_decimal(&rest[..len]) => return None,
                b'.' => len += 1,
                byte if is_part(byte) => len += 1,
                _ => break,
            }
        }
        self.at += len;
        Some(Kind::Number)
    }

    fn string(&mut self, quote: u8) -> Option<Kind<'a>> {
        self.at += 1;
        loop {
            match *self.rest().first()? {
                b'\\' => self.at += 2,
                byte if byte == quote => break,
                b'\n' | b'\r' => return None,
                _ => self.at += 1,
            }
            if self.at >= self.code.len() {
                return None;
            }
        }
        self.at += 1;
        Some(Kind::Text)
    }

    /// The rest of a template up to its end or its next expression.
    fn template(&mut self) -> Option<Kind<'a>> {
        loop {
            match self.rest() {
                [b'\\', _, ..] => self.at += 2,
                [b'`', ..] => {
                    self.at += 1;
                    return Some(Kind::Text);
                }
                [b'$', b'{', ..] => {
                    self.at += 2;
                    self.open.push(Open::Template);
                    return Some(Kind::Template);
                }
                [_, _, ..] => self.at += 1,
                _ => return None,
            }
        }
    }

    fn regex(&mut self) -> Option<Kind<'a>> {
        self.at += 1;
        let mut in_class = false;
        loop {
            match self.rest() {
                [b'\\', byte, ..] if !matches!(byte, b'\n' | b'\r') => self.at += 2,
                [b'\n' | b'\r' | b'\\', ..] | [] => return None,
                [b'/', ..] if !in_class => break,
                [byte, ..] => {
                    in_class = *byte == b'[' || in_class && *byte != b']';
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        while self.rest().first().is_some_and(|byte| is_part(*byte)) {
            self.at += 1;
        }
        Some(Kind::Regex)
    }

    /// The kind of a round bracket that opens here.
    fn head(&self) -> Head {
        match self.last {
            Some(Token { kind: Kind::Word("if" | "while" | "for" | "with"), property: false, .. }) => Head::Yes,
            Some(Token { kind: Kind::Word("await"), .. }) => Head::Unknown,
            _ => Head::No,
        }
    }

    /// The meaning of a `/` at this position.
    fn slash(&self, on_new_line: bool) -> Slash {
        let Some(last) = self.last else { return Slash::Regex };
        match last.kind {
            Kind::Word(_) if last.property => Slash::Divides,
            Kind::Word(word) if AMBIGUOUS.contains(&word) => Slash::Unknown,
            Kind::Word(word) if OPERATORS.contains(&word) => Slash::Regex,
            // After a `break`, the next line is a new statement.
            Kind::Word(_) if on_new_line => Slash::Unknown,
            Kind::Word(_) | Kind::Number | Kind::Text | Kind::Regex => Slash::Divides,
            Kind::Sign(")") => match self.closed {
                Head::No => Slash::Divides,
                Head::Yes => Slash::Regex,
                Head::Unknown => Slash::Unknown,
            },
            Kind::Sign("]") => Slash::Divides,
            // The end of a template, or the start of an expression in it.
            Kind::Template | Kind::Sign("}" | "++" | "--") => Slash::Unknown,
            Kind::Sign(_) | Kind::End => Slash::Regex,
        }
    }
}

/// Whether a byte can continue a word or a number.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

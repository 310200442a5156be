//! The tokens of a module, as far as they can be told without the rest of the grammar.
//!
//! Where a `/` may divide as well as begin a regular expression, and at what is rare outside of texts and comments, the tokens end
//! with a refusal.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A name or a keyword.
    Word(&'a str),
    Number,
    /// A string, or a template that is only text.
    Text,
    /// A piece of a template with expressions in it.
    Template,
    Regex,
    Sign(&'a str),
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Whether a line ends between it and the token before.
    pub(super) on_new_line: bool,
    /// How many brackets are open behind it.
    pub(super) depth: usize,
    /// Whether it is the name of a property, behind a dot.
    property: bool,
}

impl Token<'_> {
    /// Whether an operator follows, or nothing, rather than an operand.
    pub(super) fn ends_operand(&self) -> bool {
        match self.kind {
            Kind::Word(word) => self.property || !OPERATORS.contains(&word),
            Kind::Number | Kind::Text | Kind::Regex | Kind::Template => true,
            Kind::Sign(sign) => matches!(sign, ")" | "]" | "}"),
            Kind::End => false,
        }
    }
}

/// Keywords that an operand follows.
const OPERATORS: [&str; 12] =
    ["return", "typeof", "instanceof", "in", "new", "delete", "void", "throw", "case", "do", "else", "extends"];

/// Words that are names at one place and keywords at another.
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

/// Whether a round bracket holds the head of a statement, behind which a statement begins.
#[derive(Clone, Copy, PartialEq)]
enum Head {
    No,
    Yes,
    Unknown,
}

/// What a `/` is.
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
    /// What the bracket held that `last` has closed.
    closed: Head,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(code: &'a str) -> Self {
        Self { code, at: 0, open: Vec::new(), last: None, closed: Head::No }
    }

    /// The next token; `None` where it cannot be told.
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

    /// Blanks and comments; whether there is a line end among them.
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

    /// A comment of so many bytes; but two rare characters end lines too.
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
                // `#!` begins a line that is no code.
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
            // With a backslash, names are written that this does not read.
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

    /// The text up to the last token, with it.
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
                // Behind a second point, or one after anything but digits, comes the name of a property.
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

    /// What a round bracket holds that opens here.
    fn head(&self) -> Head {
        match self.last {
            Some(Token { kind: Kind::Word("if" | "while" | "for" | "with"), property: false, .. }) => Head::Yes,
            Some(Token { kind: Kind::Word("await"), .. }) => Head::Unknown,
            _ => Head::No,
        }
    }

    /// What a `/` is here.
    fn slash(&self, on_new_line: bool) -> Slash {
        let Some(last) = self.last else { return Slash::Regex };
        match last.kind {
            Kind::Word(_) if last.property => Slash::Divides,
            Kind::Word(word) if AMBIGUOUS.contains(&word) => Slash::Unknown,
            Kind::Word(word) if OPERATORS.contains(&word) => Slash::Regex,
            // Behind a `break`, a line is a statement of its own.
            Kind::Word(_) if on_new_line => Slash::Unknown,
            Kind::Word(_) | Kind::Number | Kind::Text | Kind::Regex => Slash::Divides,
            Kind::Sign(")") => match self.closed {
                Head::No => Slash::Divides,
                Head::Yes => Slash::Regex,
                Head::Unknown => Slash::Unknown,
            },
            Kind::Sign("]") => Slash::Divides,
            // The end of a template, or the beginning of an expression in it.
            Kind::Template | Kind::Sign("}" | "++" | "--") => Slash::Unknown,
            Kind::Sign(_) | Kind::End => Slash::Regex,
        }
    }
}

/// Whether a byte can go on in a word or a number.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

//! Detects modules that only declare: imports, functions, and constants that are literals or functions.
//!
//! Evaluating such a module runs none of the author's code. So it cannot tell whether the built-ins were frozen before
//! or after, and it gets an isolate in which they are already frozen, see [`crate::run::blank_isolate`].
//!
//! This parses a subset of the language's grammar; anything outside the subset is not a declaration. A false negative
//! costs some startup time, never a result. A positive is right for every text that V8 compiles.

use crate::program::Program;
use crate::run::tokens::{Kind, Token, Tokens};

/// Programs longer than this, in bytes, are not scanned.
const MAX_LEN: usize = 64 << 10;

/// Maximum nesting of brackets.
const MAX_DEPTH: usize = 64;

/// Globals that a declaration may use, so no module may define these names.
const USED: [&str; 5] = ["Map", "Set", "WeakMap", "WeakSet", "Object"];

/// Whether all modules of a program only declare. Shipped libraries are not checked: they change no built-in.
pub(crate) fn only_declares(program: &Program) -> bool {
    let all = || std::iter::once(&program.code).chain(program.libraries.values());
    all().map(String::len).sum::<usize>() <= MAX_LEN && all().all(|code| is_declarative(code))
}

fn is_declarative(code: &str) -> bool {
    let mut reader = Reader { tokens: Tokens::new(code), next: None };
    reader.module().is_some()
}

/// Parses declarations. `None` means anything else.
struct Reader<'a> {
    tokens: Tokens<'a>,
    next: Option<Token<'a>>,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<Token<'a>> {
        if self.next.is_none() {
            self.next = Some(self.tokens.next()?);
        }
        self.next
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.next = None;
        token
    }

    fn is(&mut self, kind: Kind<'_>) -> Option<bool> {
        Some(self.peek()?.kind == kind)
    }

    /// Consumes the next token if it is of this kind.
    fn may(&mut self, kind: Kind<'_>) -> Option<bool> {
        let is = self.is(kind)?;
        if is {
            self.next = None;
        }
        Some(is)
    }

    fn expect(&mut self, kind: Kind<'_>) -> Option<()> {
        self.may(kind)?.then_some(())
    }

    fn module(&mut self) -> Option<()> {
        loop {
            let token = self.take()?;
            match token.kind {
                Kind::End => return Some(()),
                Kind::Sign(";") => {}
                // A directive.
                Kind::Text => self.end()?,
                Kind::Word("import") => self.import()?,
                Kind::Word("export") => self.export()?,
                Kind::Word(word) => self.declaration(word)?,
                _ => return None,
            }
        }
    }

    /// The rest of an import or re-export: names and a module specifier.
    fn import(&mut self) -> Option<()> {
        loop {
            let token = self.take()?;
            match token.kind {
                Kind::Text if token.depth == 0 => return self.end(),
                Kind::Word(word) if !USED.contains(&word) => {}
                Kind::Text | Kind::Sign("{" | "}" | "," | "*") => {}
                _ => return None,
            }
        }
    }

    fn export(&mut self) -> Option<()> {
        let token = self.take()?;
        match token.kind {
            Kind::Sign("{") => {
                self.skip_group(token)?;
                if self.may(Kind::Word("from"))? {
                    self.expect(Kind::Text)?;
                }
                self.end()
            }
            Kind::Sign("*") => self.import(),
            Kind::Word(word) => self.declaration(word),
            _ => None,
        }
    }

    /// A declaration that starts with `word`.
    fn declaration(&mut self, word: &str) -> Option<()> {
        match word {
            "const" | "let" | "var" => loop {
                self.name()?;
                if self.may(Kind::Sign("="))? {
                    self.value()?;
                }
                if !self.may(Kind::Sign(","))? {
                    return self.end();
                }
            },
            "function" => self.function(true),
            "async" => {
                self.function_word()?;
                self.function(true)
            }
            _ => None,
        }
    }

    fn name(&mut self) -> Option<()> {
        matches!(self.take()?.kind, Kind::Word(name) if !USED.contains(&name)).then_some(())
    }

    /// `function` on the same line as the previous token.
    fn function_word(&mut self) -> Option<()> {
        let token = self.take()?;
        (token.kind == Kind::Word("function") && !token.on_new_line).then_some(())
    }

    /// The rest of a function after `function`.
    fn function(&mut self, named: bool) -> Option<()> {
        self.may(Kind::Sign("*"))?;
        if named {
            self.name()?;
        } else if matches!(self.peek()?.kind, Kind::Word(_)) {
            self.take()?;
        }
        self.group("(")?;
        self.group("{")
    }

    /// A group in brackets, with any content.
    fn group(&mut self, open: &str) -> Option<()> {
        let token = self.take()?;
        if token.kind != Kind::Sign(open) {
            return None;
        }
        self.skip_group(token)
    }

    /// The rest of a group that `open` has started.
    fn skip_group(&mut self, open: Token<'_>) -> Option<()> {
        loop {
            let token = self.take()?;
            match token.kind {
                Kind::End => return None,
                _ if token.depth < open.depth => return Some(()),
                _ => {}
            }
        }
    }

    /// The end of a statement: a semicolon, or a new line that starts with a keyword that cannot
    /// continue an expression.
    fn end(&mut self) -> Option<()> {
        let token = self.peek()?;
        match token.kind {
            Kind::Sign(";") => self.take().map(|_| ()),
            Kind::End => Some(()),
            Kind::Word("import" | "export" | "const" | "let" | "var" | "function" | "async") if token.on_new_line => {
                Some(())
            }
            _ => None,
        }
    }

    /// A value that is created without running the author's code, and without a call that another object could handle.
    fn value(&mut self) -> Option<()> {
        let token = self.take()?;
        if token.depth > MAX_DEPTH {
            return None;
        }
        match token.kind {
            Kind::Number | Kind::Text | Kind::Regex | Kind::Word("true" | "false" | "null" | "undefined") => Some(()),
            Kind::Sign("-" | "+") => self.expect(Kind::Number),
            Kind::Sign("(") => {
                self.skip_group(token)?;
                self.arrow()
            }
            Kind::Sign("[") => self.elements(),
            Kind::Sign("{") => self.members(),
            Kind::Word("function") => self.function(false),
            Kind::Word("async") => match self.peek()? {
                Token { on_new_line: true, .. } => None,
                Token { kind: Kind::Word("function"), .. } => {
                    self.take()?;
                    self.function(false)
                }
                Token { kind: Kind::Word(_), .. } => {
                    self.take()?;
                    self.arrow()
                }
                _ => {
                    self.group("(")?;
                    self.arrow()
                }
            },
            Kind::Word("new") => {
                matches!(self.take()?.kind, Kind::Word("Map" | "Set" | "WeakMap" | "WeakSet")).then_some(())?;
                self.arguments()
            }
            Kind::Word("Object") => {
                self.expect(Kind::Sign("."))?;
                self.expect(Kind::Word("freeze"))?;
                self.arguments()
            }
            Kind::Word(_) => self.arrow(),
            _ => None,
        }
    }

    /// No argument or one.
    fn arguments(&mut self) -> Option<()> {
        self.expect(Kind::Sign("("))?;
        if self.may(Kind::Sign(")"))? {
            return Some(());
        }
        self.value()?;
        self.expect(Kind::Sign(")"))
    }

    fn elements(&mut self) -> Option<()> {
        loop {
            if self.may(Kind::Sign("]"))? {
                return Some(());
            }
            self.value()?;
            if !self.may(Kind::Sign(","))? {
                return self.expect(Kind::Sign("]"));
            }
        }
    }

    /// Whether the string just consumed is a plain key: not `__proto__`, and without escapes, which could spell it.
    fn is_plain_key(&self) -> bool {
        let text = self.tokens.so_far();
        let Some((text, quote)) = text.char_indices().next_back().map(|(at, quote)| (&text[..at], quote)) else {
            return false;
        };
        text.rsplit_once(quote)
            .is_some_and(|(before, key)| key != "__proto__" && !key.contains('\\') && !before.ends_with('\\'))
    }

    fn members(&mut self) -> Option<()> {
        loop {
            if self.may(Kind::Sign("}"))? {
                return Some(());
            }
            let key = self.take()?.kind;
            let is_name = match key {
                Kind::Word(name) => name != "__proto__",
                Kind::Text => self.is_plain_key(),
                kind => kind == Kind::Number,
            };
            if !is_name {
                return None;
            }
            if self.may(Kind::Sign(":"))? {
                self.value()?;
            } else if self.is(Kind::Sign("("))? {
                self.group("(")?;
                self.group("{")?;
            } else if !matches!(key, Kind::Word(_)) {
                return None;
            }
            if !self.may(Kind::Sign(","))? {
                return self.expect(Kind::Sign("}"));
            }
        }
    }

    /// The arrow of a function and its body.
    fn arrow(&mut self) -> Option<()> {
        let arrow = self.take()?;
        if arrow.kind != Kind::Sign("=>") || arrow.on_new_line {
            return None;
        }
        if self.is(Kind::Sign("{"))? { self.group("{") } else { self.expression(arrow) }
    }

    /// The expression that follows `before`, up to its end: a comma, a bracket that was opened earlier, a semicolon, or
    /// a new line where the expression cannot continue.
    fn expression(&mut self, before: Token<'a>) -> Option<()> {
        let depth = before.depth;
        let mut last = before;
        loop {
            let token = self.peek()?;
            if last.depth == depth {
                match token.kind {
                    Kind::Sign("," | ";") | Kind::End => return last.ends_operand().then_some(()),
                    Kind::Sign(")" | "]" | "}") => return last.ends_operand().then_some(()),
                    _ if token.on_new_line && ends_line(last, token)? => return Some(()),
                    _ => {}
                }
            }
            last = self.take()?;
        }
    }
}

/// Whether a semicolon is inserted between two tokens of an expression on different lines.
/// `None` if that depends on more context.
fn ends_line(last: Token<'_>, next: Token<'_>) -> Option<bool> {
    match last.kind {
        Kind::Word("async" | "function" | "class" | "yield" | "await" | "of" | "let" | "get" | "set" | "static") => {
            return None;
        }
        Kind::Sign("++" | "--") => return None,
        // The brace may end the body of an arrow function, which cannot be called.
        Kind::Sign("}") if !matches!(next.kind, Kind::Word(_) | Kind::End) => return None,
        _ if !last.ends_operand() => return Some(false),
        _ => {}
    }
    match next.kind {
        Kind::Word("in" | "instanceof") => Some(false),
        Kind::Word(_) | Kind::End => Some(true),
        Kind::Sign("++" | "--" | "{" | "!" | "~" | "@") | Kind::Number | Kind::Text | Kind::Regex => None,
        Kind::Sign(_) | Kind::Template => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yes(code: &str) {
        assert!(only_declares(&Program::new("t.js", code)), "{code}");
    }

    fn no(code: &str) {
        assert!(!only_declares(&Program::new("t.js", code)), "{code}");
    }

    #[test]
    fn declarations() {
        yes("");
        yes("// v1\nexport const transformEvent = (event) => event;");
        yes(
            "import { a, b as c } from 'lib';\nimport * as d from 'd'; import e from \"e\"\nexport { a, c }; export * from 'f';",
        );
        yes(
            "'use strict';\nexport async function transformEvent(event, metadata) { event.x = metadata(event) / 2 / 3; return event }",
        );
        yes("function* a() {} async function* b() {} export async function c() {} const d = async function e() {}");
        yes("const a = 1, b = -2.5e-3, c = 'x', d = `y`, e = /[/]}/gu, f = null, g = 1n; let h; var i = true");
        yes(
            "const LIST = ['a', \"b\", ['c', 1,],]; const TABLE = { a: 1, 'b': [2], 3: { c }, d(x) { return x }, e: () => 1, };",
        );
        yes("const SEEN = new Set(['a', 'b']); const NAMES = new Map(); const ALL = Object.freeze({ a: [1] });");
        yes(
            "const f = async (event) => { return event }\nexport const g = async event => event.a\n  .b\n  && event.c\nconst h = () => 0",
        );
        yes(
            "const f = (a) =>\n  a ?\n  b : c, g = (b) => ({ ...b })\nexport const h = (c) => `${`${c}`}` + /`/.source;",
        );
        yes("function f(a) { if (a) /}/.test(a); return `}${a}}` } const g = (a) => (a + 1) / 2;");
    }

    #[test]
    fn code_that_runs() {
        for code in [
            "Array.prototype.last = function () { return this.at(-1) };",
            "globalThis.x = 1",
            "const a = f();",
            "const a = [f()];",
            "const a = { [f()]: 1 };",
            "const a = { ...f };",
            "const a = { get x() { return 1 } };",
            "const a = `${f()}`;",
            "const a = b;",
            "const a = new Date();",
            "const a = new Set(f());",
            "const a = class { static x = f() };",
            "class A extends f() {}",
            "const { a } = b;",
            "const [a] = b;",
            "if (true) f();",
            "{ f() }",
            "(() => f())();",
            "const a = (() => f())();",
            "const a = function () {}\n(f())",
            "export default f();",
            "await f();",
            "const a = await\nf();",
            "import('x');",
            "const a = import.meta;",
            "'use strict'.x = 1;",
            "let x = 1; x",
            "const f = { valueOf() { return f() } }; const a = 1..e+f;",
            "const a = 1n.e+f;",
            "const a = 0b1.e+f;",
            "const a = 0x1.e+f;",
            "const a = 1e5.e+f;",
            "const a = new Set({ __proto__: [], length: { valueOf() { return f() } } });",
            "const a = new Set({ '__proto__': [] });",
            "const a = new Set({ \"\\x5f_proto__\": [] });",
            "const a = { 'a\\'__proto__': 1 };",
        ] {
            no(code);
        }
        yes("const a = [1.5, .5, 1., 1.e5, 1e+5, 0xe, 0b1, 1_000.5E-7, 1n], b = { 'a b': 1, \"c\": 2, proto: 3 };");
    }

    #[test]
    fn code_that_looks_like_the_end_of_a_function() {
        for code in [
            "const a = (b) => b\nf()",
            "const a = (b) => b;f()",
            "const a = () => () => {}\n(f())",
            "const a = () => () => {}\n[f()]",
            "const a = () => () => {}\n+f()",
            "const a = () => () => {}\n`${f()}`",
            "const a = () => b++\n(f())",
            "const a = () => b++\nf()",
            "const a = () => 1\n++f().x",
            "const a = () => {}\nf()",
            "const a = (b) => b, c = f()",
            "const a = () => b\n{ f() }",
            "const a = () => b\n!f()",
            "const a = () => 'x'\nf()",
            // Whether a regular expression starts here depends on more than the previous token.
            "function a() { {} /}/.test(b) }\nf()",
            "function a() { for (;;) { if (b) break\n/}/.test(b) } }",
            "function a() { b++ /}/ 1 }",
            "function a() { yield /}/ 1 }",
            // Line terminators outside of ASCII.
            "const a = () => b // c\u{2028}f()",
            "const a = () => b\u{2028}f()",
            "const a = () => b\u{a0}",
            "\\u0066()",
            "#!f",
        ] {
            no(code);
        }
    }

    #[test]
    fn other_things_of_the_names_of_globals() {
        no("import { Map } from 'lib'; const a = new Map();");
        no("import { a as Set } from 'lib'; const a = new Set();");
        no("import Object from 'lib'; const a = Object.freeze({});");
        no("const WeakMap = 1;");
        no("function WeakSet() {} const a = new WeakSet();");
    }

    #[test]
    fn what_is_no_module() {
        for code in [
            "(",
            "}",
            "const a = 'b",
            "const a = `b",
            "const a = `${",
            "const a = /b",
            "/*",
            "const a = '\\",
            "`\\",
            "/\\",
        ] {
            no(code);
        }
        no(&format!("const a = {}{};", "[".repeat(10_000), "]".repeat(10_000)));
        no(&format!("// {}", "x".repeat(MAX_LEN)));
        // The parser terminates with a result at every cut.
        let code = "const a = { b: [1, `é${c}`], d: /[é]/ }; // ü\nexport const f = async (x) => x / 2 ?? 'ß\\é';";
        for (at, _) in code.char_indices() {
            is_declarative(&code[..at]);
        }
    }

    #[test]
    fn libraries() {
        let program = Program::new("t.js", "import { a } from 'l';");
        assert!(only_declares(&program.clone().with_library("l", "export const a = 1;")));
        assert!(!only_declares(&program.with_library("l", "export const a = f();")));
    }
}

//! Help for code that does not parse, by V8's message and the line of source.

/// Parts of messages with a single meaning, and what to type.
const KNOWN: &[(&str, &str)] = &[
    ("Unexpected end of input", "a bracket is open at the end: add the `}`, `)` or `]` that is missing"),
    ("Invalid shorthand property initializer", "write `:` between a key and its value, not `=`"),
    ("has already been declared", "leave `let` or `const` out the second time, or take another name"),
    ("Illegal break statement", "`break` stands in a loop or a `switch`; a function is left with `return`"),
    ("Illegal continue statement", "`continue` stands in a loop; a function is left with `return`"),
    ("Illegal return statement", "`return` stands in a function: put it into `transformEvent`"),
    ("'super' keyword unexpected here", "`super` stands in the methods of a class that extends another one"),
    ("may not include a with statement", "write `event.name` in full"),
    ("Decimals with leading zeros", "leave the zero in front out; an octal number is written `0o17`"),
    ("Octal literals are not allowed", "leave the zero in front out; an octal number is written `0o17`"),
    ("Octal escape sequences", "write `\\x00` or `\\u0000`"),
    ("Delete of an unqualified identifier", "a variable can't be deleted: set it to undefined"),
    ("missing ) after argument list", "close the call with `)`, or put a comma between its arguments"),
    ("Unterminated template literal", "close the template with a backtick"),
    ("Unterminated string", "close the text with the quote that it begins with; use backticks for several lines"),
    ("Invalid regular expression: missing /", "close the regular expression with `/`"),
    (
        "Invalid regular expression",
        "put a backslash before the characters `( ) [ ] { } . * + ? ^ $ | \\` that mean themselves",
    ),
    ("Missing catch or finally after try", "add `catch (error) { … }` behind the block"),
    ("Missing initializer in const declaration", "give it a value, `const name = …`, or declare it with `let`"),
    ("Missing initializer in destructuring declaration", "say what to take it from: `const { name } = event`"),
    ("Malformed arrow function parameter list", "write `(a, b) => …`"),
    ("Duplicate export of", "export it once, and leave the other `export` out"),
    ("is not defined in module", "declare it in this file, or leave it out of `export { … }`"),
    ("Duplicate parameter name", "give each parameter a name of its own"),
    ("Rest parameter must be last", "put `...rest` at the end of the parameters"),
    ("Rest element must be last", "put `...rest` at the end"),
    ("Unexpected eval or arguments in strict mode", "take another name: `arguments` and `eval` are taken"),
    ("Unexpected number", "put an operator or a comma before the number"),
    ("Unexpected string", "put `+` or a comma before the text"),
    ("Unexpected template string", "put `+` or a comma before the template"),
    ("Unexpected strict mode reserved word", "take another name: this one is reserved"),
    ("Unexpected reserved word", "take another name: this one is reserved"),
    ("Unexpected token 'else'", "close the block before `else` with `}`, and put no `;` before it"),
    ("Unexpected token 'return'", "open the function's body with `{`"),
    (
        "Unexpected token 'export'",
        "`import` and `export` stand at the top level of the module: close the bracket before with `}`",
    ),
    ("Cannot use import statement", "`import` and `export` stand at the top level of the module"),
    ("Cannot use 'import.meta'", "there is no `import.meta`: leave it out"),
    ("Undefined label", "name a label that stands before a loop around"),
    ("Getter must not have any formal parameters", "write `get name() { … }`"),
    ("Classes may not have", "leave one of the two out"),
    ("Private field", "declare the field in the class: `#name;`"),
    (
        "Lexical declaration cannot appear in a single-statement context",
        "put the declaration into braces: `{ const a = 1; }`",
    ),
    ("Invalid destructuring assignment target", "name a variable or a property there"),
    ("Unexpected identifier", "put an operator, a comma or a `;` before it"),
    ("Invalid left-hand side", "`=` assigns to a variable or a property; compare with `===`"),
    ("Invalid assignment target", "`=` assigns to a variable or a property; compare with `===`"),
];

/// The starts of statements in other languages.
const LANGUAGES: &[(&str, &str)] = &[
    ("def ", "this is Python: write `export function transformEvent(event) { … }`"),
    ("func ", "write `export function transformEvent(event) { … }`"),
    ("fn ", "write `export function transformEvent(event) { … }`"),
    ("function(", "give the function its name: `export function transformEvent(event) { … }`"),
    ("#!", "leave the line away: the code is no script"),
    ("#include", "write `import { name } from 'handle'`"),
    ("from ", "write `import { name } from 'handle'`"),
    ("SELECT ", "this is SQL: write `export function transformEvent(event) { … }`"),
    ("select ", "this is SQL: write `export function transformEvent(event) { … }`"),
    ("<", "take the tags away: only the code between them is wanted"),
    ("# ", "a comment begins with `//`"),
    ("-- ", "a comment begins with `//`"),
    ("elif ", "write `else if (…) { … }`"),
];

/// The help for a syntax error, by V8's message and the line of source.
pub(crate) fn for_syntax(file: &str, message: &str, line: &str, column: u32) -> Option<String> {
    let at = column.saturating_sub(1) as usize;
    let units: Vec<u16> = line.encode_utf16().collect();
    let split = at.min(units.len());
    let (before, rest) = (String::from_utf16_lossy(&units[..split]), String::from_utf16_lossy(&units[split..]));
    let start = line.trim_start();
    let typescript = [".ts", ".mts", ".cts"].iter().any(|end| file.ends_with(end));
    if message.contains("does not provide an export named") {
        return None;
    }
    if rest.starts_with('@') || start.starts_with('@') {
        return Some("decorators are not JavaScript; call the function yourself".to_owned());
    }
    if is_numbered(start, &before) {
        return Some("take the line number away from the start of each line".to_owned());
    }
    if is_jsx(line, start) {
        return Some(
            "JSX is not read: compile it first, `npx esbuild NAME.jsx --format=esm --outfile=NAME.js`, or build the text with a template".to_owned(),
        );
    }
    if start.starts_with("export =") {
        return Some("write `export { transformEvent };`".to_owned());
    }
    if let Some((_, help)) = LANGUAGES.iter().find(|(word, _)| start.starts_with(word)) {
        return Some((*help).to_owned());
    }
    if message.contains("await is only valid") || rest.starts_with("await ") {
        return Some("write `async` before the function".to_owned());
    }
    if start.starts_with('{') && before.trim_start().starts_with("{\"") {
        return Some(
            "this is data and no code: events go behind the transformation, `sluicegate run t.js events.jsonl`"
                .to_owned(),
        );
    }
    if let Some(help) = for_words(start, &before, &rest) {
        return Some(help.to_owned());
    }
    if !typescript && (is_typed(start, &rest) || is_annotated(&rest) || is_modified(&before, &rest)) {
        return Some("these are types of TypeScript: give the file the name *.ts, or take them away".to_owned());
    }
    if message.contains("Invalid left-hand side") && line.contains("?.") {
        return Some("`?.` can't be assigned to: write `if (object) object.name = value`".to_owned());
    }
    if message.contains("Invalid or unexpected token") {
        return Some(for_characters(&rest).to_owned());
    }
    if let Some((_, help)) = KNOWN.iter().find(|(part, _)| message.contains(part)) {
        return Some((*help).to_owned());
    }
    let token = message.split_once("Unexpected token '").and_then(|(_, token)| token.strip_suffix('\''));
    token.map(for_token)
}

/// The help for words of other languages, and for what is missing around words of JavaScript.
fn for_words(start: &str, before: &str, rest: &str) -> Option<&'static str> {
    let quote = before.chars().next_back().filter(|char| matches!(char, '\'' | '"'));
    if quote.is_some() && rest.starts_with(char::is_alphabetic) {
        return Some(
            "the quote ends the text here: put the text into other quotes or backticks, or a backslash before the quote",
        );
    }
    if rest.starts_with("then") {
        return Some("write `condition ? one : other`, or `if (condition) { … }`");
    }
    if ["and ", "or ", "not "].iter().any(|word| rest.starts_with(word)) {
        return Some("write `&&`, `||` and `!` for and, or and not");
    }
    for word in ["if", "while", "for", "switch"] {
        let needs = |text: &str| {
            text.strip_prefix(word).is_some_and(|after| after.starts_with(' ') && !after.trim_start().starts_with('('))
        };
        if needs(start) || needs(start.trim_start_matches("} else ")) {
            return Some("put the condition into parentheses: `if (…) { … }`, `for (const item of list) { … }`");
        }
    }
    None
}

/// The help for characters that cannot start a token, and for strings that do not end.
fn for_characters(rest: &str) -> &'static str {
    match rest.chars().next() {
        Some('\'' | '"') => "a text in quotes ends on its line: close it, or use backticks for several lines",
        Some('\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '\u{ab}' | '\u{bb}') => {
            "write straight quotes, ' or \", not typographic ones"
        }
        Some('\u{2026}') => "write three dots, `...`, not one character",
        Some('\u{2013}' | '\u{2014}' | '\u{2212}') => "write the minus of the keyboard, `-`",
        Some('#') => "a comment begins with `//`",
        Some('0'..='9') => {
            "a name begins with a letter; to call a method of a number, put it into parentheses: `(1).toFixed(2)`"
        }
        Some('\\') => "leave the backslash out: outside of a text it means nothing",
        _ => "take the character away, or put it into a text",
    }
}

fn for_token(token: &str) -> String {
    match token {
        "}" | ")" | "]" => format!(
            "take this `{token}` away if it is one too many; otherwise something is missing before it: a value, a name or an opening bracket"
        ),
        ";" | "," => format!("put a value before the `{token}`, or take it away"),
        "." => "put a name before the dot, and another one behind it".to_owned(),
        "{" => "put `=>`, a `)` or a comma before the brace".to_owned(),
        "=>" => "write `(a, b) => …`, with the parameters in parentheses".to_owned(),
        "=" => "`=` assigns to a variable or a property; compare with `===`".to_owned(),
        ":" => "put a key before the colon, or write `condition ? one : other`".to_owned(),
        token if token.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            format!("end what stands before with `;` or `}}`: `{token}` begins something new and is no name")
        }
        token => format!("put a value before `{token}` and behind it, or take it away"),
    }
}

/// Whether a type follows a name that V8 points at: `const x: string`.
fn is_annotated(rest: &str) -> bool {
    let name = rest.trim_start_matches(|char: char| char.is_alphanumeric() || matches!(char, '_' | '$'));
    name.len() < rest.len() && name.trim_start().starts_with(": ") && !name.contains('?')
}

/// Whether a line starts with its line number, as lines copied from a listing do. `before` ends at the error.
fn is_numbered(start: &str, before: &str) -> bool {
    let is_number = |char: char| char.is_ascii_digit() || matches!(char, ':' | '.' | '|') || char.is_whitespace();
    let code = start.trim_start_matches(is_number);
    let words = [
        "export ",
        "import ",
        "function ",
        "async ",
        "const ",
        "let ",
        "var ",
        "class ",
        "return",
        "if ",
        "for ",
        "while ",
        "try ",
        "}",
        "//",
        "/*",
    ];
    start.starts_with(|char: char| char.is_ascii_digit())
        && before.chars().all(is_number)
        && words.iter().any(|word| code.starts_with(word))
}

/// Whether a rejected line contains a JSX tag. Tags of HTML pages are around code, not in it.
fn is_jsx(line: &str, start: &str) -> bool {
    let is_page =
        ["<script", "</script", "<!", "<html", "<head", "<body", "<style"].iter().any(|tag| start.starts_with(tag));
    let opens = line.match_indices('<').any(|(at, _)| {
        let before = line[..at].trim_end();
        let word = before.rsplit(|char: char| !char.is_alphanumeric()).next().unwrap_or_default();
        let is_operand = before.ends_with(|char: char| char.is_alphanumeric() || matches!(char, '_' | '$' | ')' | ']'))
            && !matches!(word, "return" | "default" | "case");
        !is_operand && line[at + 1..].starts_with(|char: char| char.is_alphabetic() || matches!(char, '>' | '/'))
    });
    let tag = start.trim_start_matches('<');
    let alone = start.starts_with('<') && tag.starts_with(char::is_alphabetic) && tag.trim_end().ends_with('>');
    !is_page && opens && (line.contains("/>") || line.contains("</") || line.contains("<>") || alone)
}

/// Whether a TypeScript keyword precedes a name: `private x`, `import { type A }`. `rest` starts at the error.
fn is_modified(before: &str, rest: &str) -> bool {
    let words = ["private", "public", "protected", "readonly", "abstract", "override", "declare", "type", "implements"];
    let before = before.trim_end();
    let is_word = words.iter().any(|word| {
        before.strip_suffix(word).is_some_and(|start| {
            start.is_empty() || start.ends_with(|char: char| char.is_whitespace() || matches!(char, '{' | '(' | ','))
        })
    });
    is_word && rest.starts_with(|char: char| char.is_alphabetic() || matches!(char, '_' | '$' | '#' | '{' | '['))
        || rest.starts_with("implements ")
        // `new Map<string>()` is two comparisons and a `)`.
        || before.ends_with(">(") && rest.starts_with(')')
        || before.match_indices("new ").any(|(at, _)| {
            let after = before[at + "new ".len()..].trim_start_matches(|char: char| char.is_alphanumeric() || char == '_');
            after.strip_prefix('<').is_some_and(|after| after.starts_with(char::is_alphabetic))
        })
}

/// Whether a line that JavaScript rejects looks like TypeScript. `rest` starts at the error.
fn is_typed(line: &str, rest: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let declares =
        ["interface ", "type ", "enum ", "declare ", "namespace ", "abstract ", "import type ", "const enum "];
    let member = ["private ", "public ", "protected ", "readonly "];
    // A key has a value after its colon; an annotation has a type name.
    let colon = rest.starts_with(": ") || rest.starts_with(":") && rest[1..].starts_with(char::is_alphabetic);
    declares.iter().chain(&member).any(|word| line.starts_with(word))
        || colon
        || rest.starts_with("?:")
        || rest.starts_with("as ")
        || rest.starts_with('<')
        || rest.starts_with("satisfies ")
        || rest.starts_with('!')
}

/// The help for a syntax error in TypeScript, by the parser's message, at a byte of the source.
pub(crate) fn for_typescript(message: &str, source: &str, at: usize) -> String {
    let at = source.floor_char_boundary(at);
    let start = source[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = source[start..].lines().next().unwrap_or_default();
    let column = source[start..at].encode_utf16().count() as u32 + 1;
    let member = ["private ", "public ", "protected ", "readonly "];
    if member.iter().any(|word| line.trim_start().starts_with(word)) {
        return "`private`, `public` and `readonly` stand in classes: declare a variable with `const` or `let`"
            .to_owned();
    }
    // V8's wording of the parser's messages.
    let known = [
        ("Unexpected eof", "Unexpected end of input"),
        ("Unterminated template", "Unterminated template literal"),
        ("Unterminated string", "Unterminated string"),
        ("await isn't allowed", "await is only valid"),
        ("Unexpected character", "Invalid or unexpected token"),
        ("the name `", "has already been declared"),
        ("is not a valid assignment target", "Invalid left-hand side"),
    ];
    let words = known.iter().find(|(theirs, _)| message.contains(theirs)).map_or(message, |(_, ours)| ours);
    let token: String = source[at..].chars().take_while(|char| !char.is_whitespace()).take(1).collect();
    for_syntax(".ts", words, line, column)
        .unwrap_or_else(|| for_syntax(".ts", &format!("Unexpected token '{token}'"), line, column).unwrap_or_default())
}

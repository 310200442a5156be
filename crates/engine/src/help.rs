//! One sentence of help for mistakes that people often make: what to type instead.
//!
//! The text is found by V8's message. Messages that V8 changes some day lose their help, and nothing else.

use crate::program::nearest;

/// Names that other hosts have, and what is here instead.
const MISSING: &[(&[&str], &str)] = &[
    (
        &["module", "exports"],
        "write `export function transformEvent(event, metadata) { … }`: code is an ES module, not CommonJS",
    ),
    (
        &["require"],
        "write `import { name } from 'handle'`: libraries are ES modules, from a folder (-L) or a file (--library)",
    ),
    (&["window", "self", "frames", "top"], "there is no page; write `globalThis`"),
    (
        &["document", "navigator", "location", "history", "localStorage", "sessionStorage", "alert"],
        "there is no page; what the code needs of it is in the event",
    ),
    (
        &["process"],
        "there is no environment; `getCredential('KEY')` gives a secret of --credentials, `metadata(event)` what is known of \
         an event",
    ),
    (&["Buffer"], "write `import { encode, decode } from 'base64'`, or use `TextEncoder` and `TextDecoder`"),
    (
        &[
            "setTimeout",
            "setInterval",
            "setImmediate",
            "clearTimeout",
            "clearInterval",
            "requestAnimationFrame",
            "queueMicrotask",
        ],
        "there are no timers; call the function directly, or `await` what it waits for",
    ),
    (
        &["XMLHttpRequest", "axios", "got", "$", "jQuery", "WebSocket"],
        "write `const answer = await fetchV2(url, options)`",
    ),
    (&["performance"], "write `Date.now()`"),
    (&["__dirname", "__filename", "fs", "path"], "there are no files; put the data into a library, and import it"),
    (
        &["Headers", "Request", "Response", "FormData", "Blob", "AbortController"],
        "`fetchV2(url, { method, headers, body })` takes plain objects and text",
    ),
    (&["_", "lodash"], "write `import { get, pick, merge, equal } from 'objects'`, or bundle lodash as a library"),
    (&["moment", "dayjs"], "use `Date`, `Intl.DateTimeFormat` or `Temporal`, or bundle it as a library"),
    (&["uuidv4", "uuid"], "write `import { v4 } from 'uuid'`, or `crypto.randomUUID()`"),
    (&["md5", "sha1", "sha256", "sha512", "hmac"], "write `import { sha256 } from 'hash'`, or md5, sha1, sha512, hmac"),
    (&["metadata"], "it is the second parameter: `transformEvent(event, metadata)`, and `metadata(event)` calls it"),
    (&["event"], "the event is the parameter of `transformEvent(event, metadata)`; it is not a global"),
    (
        &["SharedArrayBuffer", "Atomics", "WebAssembly"],
        "it is not there: see docs/reference.md for everything that code can call",
    ),
];

/// Globals that a misspelt name may mean.
const GLOBALS: &[&str] = &[
    "Array",
    "BigInt",
    "Boolean",
    "Date",
    "Error",
    "Infinity",
    "Intl",
    "JSON",
    "Map",
    "Math",
    "Number",
    "Object",
    "Promise",
    "RegExp",
    "Set",
    "String",
    "Symbol",
    "TextDecoder",
    "TextEncoder",
    "URL",
    "URLSearchParams",
    "atob",
    "btoa",
    "console",
    "crypto",
    "decodeURIComponent",
    "encodeURIComponent",
    "fetch",
    "fetchV2",
    "geolocation",
    "getCredential",
    "isNaN",
    "log",
    "parseFloat",
    "parseInt",
    "structuredClone",
    "undefined",
];

/// What helps against an exception with this name and message.
pub(crate) fn for_exception(name: Option<&str>, message: &str) -> Option<String> {
    match name? {
        "ReferenceError" => for_missing(message.strip_suffix(" is not defined")?),
        "TypeError" => for_type_error(message),
        _ => None,
    }
}

/// What to write in the place of a name that other hosts have. `None` if it is no such name.
pub fn instead_of(name: &str) -> Option<&'static str> {
    MISSING.iter().find(|(names, _)| names.contains(&name)).map(|(_, help)| *help)
}

/// What helps where a name is not defined.
fn for_missing(name: &str) -> Option<String> {
    if let Some(help) = instead_of(name) {
        return Some(help.to_owned());
    }
    let near =
        |known: &&&str| known.eq_ignore_ascii_case(name) || name.len() > 4 && strsim::osa_distance(known, name) == 1;
    GLOBALS.iter().find(near).map(|known| format!("did you mean `{known}`?"))
}

/// What helps where a library has no export of this name.
pub(crate) fn for_missing_export(file: &str, name: &str, exports: &[String]) -> String {
    if let Some(near) = nearest(name, exports.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let has =
        if exports.is_empty() { "it exports nothing".to_owned() } else { format!("it exports {}", exports.join(", ")) };
    match name {
        "default" => format!("it has no default export; {has}"),
        _ if file.ends_with("ts") => format!("{has}; if {name} is a type, write `import type {{ {name} }}`"),
        _ => has,
    }
}

fn for_type_error(message: &str) -> Option<String> {
    let text = if let Some(rest) = message.strip_suffix(" is not a function") {
        let method = rest.rsplit('.').next().unwrap_or(rest);
        match method {
            "json" | "text" => "the answer of fetchV2 has it parsed as `.body`, and that of fetch is the body itself",
            "map" | "filter" | "forEach" | "reduce" | "find" | "some" | "every" | "join" => {
                "it is not an array; `Array.isArray(value)` tells"
            }
            "toLowerCase" | "toUpperCase" | "trim" | "split" | "replace" | "includes" | "startsWith" | "endsWith" => {
                "it is not a string; `String(value)` makes one"
            }
            "toISOString" | "getTime" | "toJSON" => "it is not a Date; `new Date(value)` makes one",
            _ => return None,
        }
    } else if message.starts_with("Cannot read properties of ") || message.starts_with("Cannot set properties of ") {
        let property = message.split_once("'").and_then(|(_, rest)| rest.split_once('\''))?.0;
        let what = if message.contains(" of null ") { "null" } else { "undefined" };
        let read = if message.contains("(reading ") {
            format!("; `?.{property}` gives undefined instead")
        } else {
            String::new()
        };
        let module = if what == "undefined" { ", as `this` is in a module" } else { "" };
        return Some(format!("what stands before `.{property}` is {what}{module}{read}"));
    } else if message.ends_with("object is not extensible")
        || message.starts_with("Cannot assign to read only property")
    {
        "the object is closed or frozen, as all built-ins are; write a function or a copy of your own instead"
    } else if message.starts_with("Assignment to constant variable") {
        "declare it with `let`"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// What helps against a syntax error, by V8's message and the line of source.
pub(crate) fn for_syntax(file: &str, message: &str, line: &str, column: u32) -> Option<String> {
    let from = line.chars().skip(column.saturating_sub(1) as usize);
    let rest: String = from.collect();
    let start = line.trim_start();
    let typescript = [".ts", ".mts", ".cts"].iter().any(|end| file.ends_with(end));
    if rest.starts_with('@') || start.starts_with('@') {
        return Some("decorators are not JavaScript; call the function yourself".to_owned());
    }
    if message.contains("does not provide an export named") {
        return None;
    }
    if message.contains("await is only valid") || rest.starts_with("await ") {
        return Some("write `async` before the function".to_owned());
    }
    if !typescript && is_typed(start, &rest) {
        return Some("these are types of TypeScript: give the file the name *.ts, or take them away".to_owned());
    }
    if message.contains("Cannot use import statement") || message.contains("Unexpected token 'export'") {
        return Some("`import` and `export` stand at the top level of the module".to_owned());
    }
    None
}

/// Whether a line that JavaScript refuses looks like TypeScript. `rest` is what starts at the error.
fn is_typed(line: &str, rest: &str) -> bool {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let declares =
        ["interface ", "type ", "enum ", "declare ", "namespace ", "abstract ", "import type ", "const enum "];
    let member = ["private ", "public ", "protected ", "readonly "];
    declares.iter().chain(&member).any(|word| line.starts_with(word))
        || rest.starts_with(':')
        || rest.starts_with("?:")
        || rest.starts_with("as ")
        || rest.starts_with('<')
        || rest.starts_with("satisfies ")
        || rest.starts_with('!')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_host_is_told_what_is_here_instead() {
        let help = |name: &str| for_exception(Some("ReferenceError"), &format!("{name} is not defined"));
        for (names, text) in MISSING {
            for name in *names {
                assert_eq!(help(name).as_deref(), Some(*text));
            }
        }
        assert_eq!(help("Json").as_deref(), Some("did you mean `JSON`?"));
        assert_eq!(help("data"), None);
        assert_eq!(help("parseint").as_deref(), Some("did you mean `parseInt`?"));
        assert_eq!(help("somethingOfMyOwn"), None);
    }

    #[test]
    fn frequent_type_errors_say_what_to_type() {
        let help = |message: &str| for_exception(Some("TypeError"), message).unwrap_or_default();
        assert!(help("r.json is not a function").contains(".body"));
        assert!(help("event.items.map is not a function").contains("Array.isArray"));
        assert_eq!(
            help("Cannot read properties of undefined (reading 'email')"),
            "what stands before `.email` is undefined, as `this` is in a module; `?.email` gives undefined instead"
        );
        assert!(help("Cannot set properties of null (setting 'a')").starts_with("what stands before `.a` is null"));
        assert!(help("Cannot add property last, object is not extensible").contains("built-ins"));
        assert_eq!(help("a thing of my own"), "");
    }

    #[test]
    fn types_in_a_javascript_file_are_recognized() {
        let help = |file: &str, line: &str, column| for_syntax(file, "SyntaxError: Unexpected token ':'", line, column);
        assert!(help("a.js", "export function f(e: any) {}", 20).unwrap().contains("*.ts"));
        assert!(help("a.ts", "export function f(e: any) {}", 20).is_none());
        assert!(help("a.js", "interface A { b: string }", 1).unwrap().contains("*.ts"));
        assert!(help("a.js", "@dec class A {}", 1).unwrap().contains("decorators"));
        assert!(help("a.js", "const a = 1 +;", 14).is_none());
    }
}

//! One sentence of help for common mistakes: what to type instead.
//!
//! The help is looked up by V8's message. If V8 changes a message, its help is lost, and nothing else.

mod exceptions;
mod modules;
mod syntax;

pub use exceptions::for_exception;
pub(crate) use exceptions::for_thrown;
pub(crate) use modules::for_module;
pub(crate) use syntax::{for_syntax, for_typescript};

use crate::program::nearest;

/// Names that other hosts define, and their replacement here.
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

/// The names of all globals, separated by spaces.
pub const GLOBALS: &str = "AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array BigUint64Array Boolean Crypto \
    DOMException DataView Date DisposableStack Error EvalError FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity \
    Int16Array Int32Array Int8Array Intl Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError \
    Reflect RegExp Set String SubtleCrypto SuppressedError Symbol SyntaxError Temporal TextDecoder TextEncoder TypeError \
    URIError URL URLSearchParams Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet atob btoa console \
    crypto decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval fetch fetchV2 geolocation getCredential \
    global globalThis isFinite isNaN log parseFloat parseInt structuredClone undefined unescape";

/// Returns what to write instead of a name that other hosts define. `None` if the name is not known.
pub fn instead_of(name: &str) -> Option<&'static str> {
    MISSING.iter().find(|(names, _)| names.contains(&name)).map(|(_, help)| *help)
}

/// Help if the parameters of `transformEvent` are in the wrong order, judging by their names.
pub(crate) fn for_swapped(code: &str) -> Option<&'static str> {
    let word = |text: &str| text.trim_start_matches(|char: char| !char.is_alphanumeric()).to_owned();
    memchr::memmem::find_iter(code.as_bytes(), "transformEvent").find_map(|at| {
        let rest = code.get(at + "transformEvent".len()..)?;
        let rest = rest.get(..rest.floor_char_boundary(80))?;
        let (before, parameters) = rest.split_once('(')?;
        let declares = ["", "=", "= async", "= function", "= async function", "=async", "=function"];
        declares.contains(&before.trim()).then_some(())?;
        let (first, second) = parameters.split_once(')')?.0.split_once(',')?;
        let swapped =
            matches!(word(first).trim(), "metadata" | "meta") && matches!(word(second).trim(), "event" | "evt");
        swapped.then_some("the event comes first: write `transformEvent(event, metadata)`")
    })
}

/// Help for a name that is not defined.
fn for_missing(name: &str) -> Option<String> {
    if let Some(help) = instead_of(name) {
        return Some(help.to_owned());
    }
    let near =
        |known: &&str| known.eq_ignore_ascii_case(name) || name.len() > 4 && strsim::osa_distance(known, name) == 1;
    GLOBALS.split_whitespace().find(near).map(|known| format!("did you mean `{known}`?"))
}

/// Help for a CommonJS library, which fails at `module`, `exports` or `require`.
pub(crate) fn for_common_js_library(message: &str) -> Option<&'static str> {
    match message {
        "module is not defined" | "exports is not defined" => Some(
            "it is CommonJS: write `export const name = …` for `exports.name = …`, and `export default …` for `module.exports = …`",
        ),
        _ => None,
    }
}

/// Whether code exports like CommonJS.
pub(crate) fn is_common_js(code: &str) -> bool {
    ["module.exports", "exports."].iter().any(|word| code.contains(word))
}

/// Help if a library has no export of this name.
pub(crate) fn for_missing_export(file: &str, name: &str, exports: &[String], is_common_js: bool) -> String {
    if let Some(near) = nearest(name, exports.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    if exports.is_empty() && is_common_js {
        return match name {
            "default" => "it is CommonJS: write `export default …` in it for `module.exports = …`".to_owned(),
            _ => format!("it is CommonJS: write `export const {name} = …` in it for `exports.{name} = …`"),
        };
    }
    let has =
        if exports.is_empty() { "it exports nothing".to_owned() } else { format!("it exports {}", exports.join(", ")) };
    match name {
        "default" => format!("it has no default export; {has}"),
        _ if file.ends_with("ts") => format!("{has}; if {name} is a type, write `import type {{ {name} }}`"),
        _ => has,
    }
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
        assert_eq!(help("data").as_deref(), Some("declare it, `const data = …`, or import it from a library"));
        assert_eq!(help("parseint").as_deref(), Some("did you mean `parseInt`?"));
        assert!(help("somethingOfMyOwn").unwrap().starts_with("declare it"));
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
    fn parameters_in_the_wrong_order_are_seen_by_their_names() {
        for code in [
            "export function transformEvent(metadata, event) {}",
            "export const transformEvent = async (meta, event) => event;",
            "export async function transformEvent( metadata , event ) {}",
        ] {
            assert!(for_swapped(code).is_some(), "{code}");
        }
        for code in ["export function transformEvent(event, metadata) {}", "transformEvent(metadata(event), event)"] {
            assert!(for_swapped(code).is_none(), "{code}");
        }
    }

    #[test]
    fn types_in_a_javascript_file_are_recognized() {
        let help = |file: &str, line: &str, column| for_syntax(file, "SyntaxError: Unexpected token ':'", line, column);
        assert!(help("a.js", "export function f(e: any) {}", 20).unwrap().contains("*.ts"));
        assert!(!help("a.ts", "export function f(e: any) {}", 20).unwrap().contains("*.ts"));
        assert!(help("a.js", "interface A { b: string }", 1).unwrap().contains("*.ts"));
        assert!(help("a.js", "@dec class A {}", 1).unwrap().contains("decorators"));
        assert!(!help("a.js", "const a = 1 +;", 14).unwrap().contains("*.ts"));
    }

    #[test]
    fn tags_and_line_numbers_are_told_from_code() {
        let help = |line: &str, column| {
            for_syntax("a.js", "SyntaxError: Unexpected token '<'", line, column).unwrap_or_default()
        };
        for (line, column) in [
            ("  return <div/>;", 10),
            ("<Card name={a} />", 1),
            ("  <div className='a'>", 3),
            ("const a = ok ? <b>1</b> : null;", 16),
            ("f(<>1</>)", 3),
        ] {
            assert!(help(line, column).starts_with("JSX"), "{line}: {}", help(line, column));
        }
        for (line, column) in
            [("<script>", 1), ("</script>", 1), ("if (a < b && c > ) {", 18), ("a < /b/;", 5), ("f(a<b/>c)", 7)]
        {
            assert!(!help(line, column).starts_with("JSX"), "{line}: {}", help(line, column));
        }
        for (line, column) in
            [("1 export const a = 1;", 3), ("12: const a = 1;", 3), (" 3|   return a;", 3), ("4 }", 3)]
        {
            assert!(help(line, column).contains("line number"), "{line}: {}", help(line, column));
        }
        for (line, column) in [("1 + ;", 5), ("10 (a)", 4), ("1 a", 3)] {
            assert!(!help(line, column).contains("line number"), "{line}: {}", help(line, column));
        }
    }

    #[test]
    fn a_common_js_library_is_told_how_to_export() {
        let help = |name: &str| for_missing_export("t.js", name, &[], true);
        assert_eq!(help("default"), "it is CommonJS: write `export default …` in it for `module.exports = …`");
        assert_eq!(help("round"), "it is CommonJS: write `export const round = …` in it for `exports.round = …`");
        assert_eq!(for_missing_export("t.js", "round", &[], false), "it exports nothing");
    }
}

//! Help for exceptions: what to type, by the error's name and V8's message.

use super::for_missing;
use crate::program::nearest;

/// Messages with a single meaning: the error's name, a part of its message, and what to type.
const KNOWN: &[(&str, &str, &str)] = &[
    // Values of another type than the code expects.
    (
        "TypeError",
        "Cannot mix BigInt and other types",
        "make one of the two like the other: `BigInt(number)` or `Number(bigint)`",
    ),
    (
        "TypeError",
        "Cannot convert undefined or null to object",
        "give an object where there may be none: `value ?? {}`",
    ),
    (
        "TypeError",
        "Cannot use 'in' operator to search for",
        "`in` asks objects only; of a text, write `text.includes(part)`",
    ),
    ("TypeError", "Cannot convert a Symbol value to a", "write `symbol.description`"),
    ("TypeError", "Cannot convert a BigInt value to a number", "write `Number(bigint)` first"),
    ("TypeError", "Do not know how to serialize a BigInt", "write `String(bigint)`"),
    (
        "TypeError",
        "Converting circular structure to JSON",
        "leave the property out that leads back: `const { parent, ...rest } = object`, or `delete object.parent`",
    ),
    ("TypeError", "Promise resolver", "write `new Promise((resolve, reject) => { … })`, or `Promise.resolve(value)`"),
    ("TypeError", "cannot be invoked without 'new'", "write `new` before it"),
    ("TypeError", "requires 'new'", "write `new` before it"),
    (
        "TypeError",
        "Reduce of empty array with no initial value",
        "give a first value: `.reduce((sum, item) => sum + item, 0)`",
    ),
    ("TypeError", "called with a non-global RegExp argument", "add the flag g: `/…/g`"),
    ("TypeError", "is not an entry object", "give pairs: `[[key, value], …]`, as `Object.entries(object)` makes them"),
    ("TypeError", "Key should be valid and defined", "name the key: `getCredential('apiKey')`"),
    (
        "TypeError",
        "Invalid URL",
        "give the whole address, `new URL(path, 'https://example.com')`; `URL.canParse(text)` tells beforehand",
    ),
    (
        "TypeError",
        "Right-hand side of 'instanceof' is not",
        "name a class behind `instanceof`, such as `value instanceof Date`",
    ),
    ("TypeError", "Class extends value", "name a class behind `extends`; is it imported, and declared before?"),
    ("TypeError", "Dynamic import is not available", "write `import { name } from 'handle'` at the top of the file"),
    ("TypeError", "Reflect.", "give an object, not a simple value"),
    ("TypeError", "Invalid value used as weak map key", "use a `Map` for keys that are texts or numbers"),
    ("TypeError", "Invalid value used in weak set", "use a `Set` for texts and numbers"),
    (
        "TypeError",
        "Cannot delete property",
        "the object is closed or frozen, as all built-ins are; make a copy without the property instead: `const { name, ...rest } = object`",
    ),
    ("TypeError", "object is not extensible", CLOSED),
    (
        "TypeError",
        "Cannot assign to read only property 'length' of object '[object Object]'",
        "the object is frozen, or inherits from `Array.prototype`, where `length` is read-only: write `class … extends Array`",
    ),
    ("TypeError", "Cannot assign to read only property", CLOSED),
    ("TypeError", "Cannot redefine property", CLOSED),
    (
        "TypeError",
        "which has only a getter",
        "it has only a getter and can't be set: change what the getter reads, or set a property of another name",
    ),
    ("TypeError", "Cannot change '", CLOSED),
    ("TypeError", "Assignment to constant variable", "declare it with `let`"),
    ("TypeError", "not a valid Temporal", "write `Temporal.Instant.from('2024-01-02T03:04:05Z')`, with the whole date"),
    // Numbers out of range.
    ("RangeError", "Invalid time value", "the date is none: look first, `if (!Number.isNaN(date.getTime())) …`"),
    (
        "RangeError",
        "Maximum call stack size exceeded",
        "a function calls itself without end, or the data is nested too deep: return before the call, or write a loop",
    ),
    ("RangeError", "Invalid array length", "give a whole number from 0: `Array.from({ length: Math.max(0, n) })`"),
    ("RangeError", "Invalid count value", "give a number from 0: `text.repeat(Math.max(0, n))`"),
    ("RangeError", "Invalid string length", "the text becomes longer than JavaScript can hold: build less of it"),
    ("RangeError", "digits argument must be between", "give a number of digits from 0 to 100"),
    ("RangeError", "precision", "give a number of digits from 1 to 100"),
    ("RangeError", "radix must be between", "give a base from 2 to 36: `number.toString(16)`"),
    ("RangeError", "Invalid language tag", "give a tag such as 'en-US' or 'de'"),
    ("RangeError", "Incorrect locale information", "give a tag such as 'en-US' or 'de'"),
    ("RangeError", "Invalid time zone specified", "give a name such as 'Europe/Berlin' or 'UTC'"),
    ("RangeError", "Invalid currency code", "give three letters, such as 'EUR'"),
    (
        "RangeError",
        "cannot be converted to a BigInt because it is not an integer",
        "round it first: `BigInt(Math.round(number))`",
    ),
    ("RangeError", "Invalid code point", "give a number from 0 to 0x10ffff"),
    ("RangeError", "Value undefined out of range", "give one of the words that the option takes"),
    // Texts with other contents than the code expects.
    ("SyntaxError", "\"[object Object]\" is not valid JSON", "it is an object already: leave `JSON.parse` out"),
    ("SyntaxError", "\"undefined\" is not valid JSON", "there is no text: `JSON.parse(text ?? 'null')`"),
    ("SyntaxError", "is not valid JSON", NOT_JSON),
    ("SyntaxError", "in JSON at position", NOT_JSON),
    ("SyntaxError", "Unexpected end of JSON input", NOT_JSON),
    ("SyntaxError", "to a BigInt", "a BigInt takes whole numbers only: `BigInt(Math.round(Number(text)))`"),
    (
        "SyntaxError",
        "Invalid regular expression",
        "put a backslash before the characters `( ) [ ] { } . * + ? ^ $ | \\` that mean themselves; in a text, two",
    ),
    ("SyntaxError", "Invalid flags supplied to RegExp", "the flags are d, g, i, m, s, u, v and y, each once"),
    (
        "URIError",
        "URI malformed",
        "a `%` that stands for itself is written `%25`: catch what is not encoded, `try { decodeURIComponent(text) } catch { … }`",
    ),
    (
        "EvalError",
        "",
        "code is not made of text here: write the code itself, or look functions up in an object, `actions[name](event)`",
    ),
    (
        "InvalidCharacterError",
        "base64",
        "catch what is not base64, `try { atob(text) } catch { … }`; of base64url, put `+` for `-` and `/` for `_` first",
    ),
    ("InvalidCharacterError", "Latin1", "make bytes of it first: `import { encode } from 'base64'` takes any text"),
    ("DataCloneError", "", "leave functions, symbols and promises out; `structuredClone` copies data only"),
    ("ReferenceError", "Must call super constructor", "call `super()` first in the constructor"),
    // Messages of the host's functions.
    ("Error", "ip address is required", "give an address: `await geolocation(event.context.ip)`"),
    ("Error", "invalid ip address", "give an address such as '203.0.113.7'"),
    ("Error", "geolocation is not available right now", "name the service that answers: `--geolocation-url URL`"),
    ("Error", "network access is off", "name the host when you start: `--allow-net HOST`"),
    ("Error", "is not among the hosts of --allow-net", "add the host: `--allow-net HOST,HOST`"),
];

const CLOSED: &str =
    "the object is closed or frozen, as all built-ins are; write a function or a copy of your own instead";
const NOT_JSON: &str =
    "the text is no JSON: look at it with `log(text)`, or catch it, `try { JSON.parse(text) } catch { … }`";

/// Methods that people try on the wrong type, and the types that have them.
const METHODS: &[(&str, &[&str])] = &[
    (
        "it is not an array; `Array.isArray(value)` tells",
        &[
            "map",
            "filter",
            "forEach",
            "reduce",
            "find",
            "findIndex",
            "some",
            "every",
            "join",
            "push",
            "pop",
            "shift",
            "unshift",
            "splice",
            "sort",
            "reverse",
            "flat",
            "flatMap",
            "fill",
            "reduceRight",
            "findLast",
        ],
    ),
    (
        "it is not a string; `String(value)` makes one",
        &[
            "toLowerCase",
            "toUpperCase",
            "trim",
            "split",
            "replace",
            "replaceAll",
            "startsWith",
            "endsWith",
            "includes",
            "indexOf",
            "slice",
            "substring",
            "substr",
            "match",
            "matchAll",
            "padStart",
            "padEnd",
            "charAt",
            "charCodeAt",
            "concat",
            "repeat",
            "trimStart",
            "trimEnd",
            "localeCompare",
            "normalize",
            "at",
            "search",
        ],
    ),
    (
        "it is not a Date; `new Date(value)` makes one",
        &[
            "toISOString",
            "getTime",
            "toJSON",
            "getFullYear",
            "getMonth",
            "getDate",
            "getDay",
            "getHours",
            "getMinutes",
            "toLocaleDateString",
            "toLocaleTimeString",
            "toUTCString",
            "toDateString",
            "setDate",
            "setHours",
        ],
    ),
    ("it is not a number; `Number(value)` makes one", &["toFixed", "toPrecision", "toExponential"]),
    (
        "it is no Map or Set; of an object, read `object[key]`, and `key in object` tells",
        &["get", "set", "has", "add", "clear", "entries", "keys", "values", "delete"],
    ),
    ("it is no promise: use the value as it is, or `await` it", &["then", "catch", "finally"]),
];

/// Names from other languages and libraries, and their replacement here.
const INSTEAD: &[(&[&str], &str)] = &[
    (&["json", "text"], "the answer of fetchV2 has it parsed as `.body`, and that of fetch is the body itself"),
    (&["lowercase", "lower", "toLower", "tolowercase", "downcase"], "write `.toLowerCase()`"),
    (&["uppercase", "upper", "toUpper", "touppercase", "upcase"], "write `.toUpperCase()`"),
    (&["contains", "include", "has_key", "hasKey"], "write `.includes(part)`, and of an object `key in object`"),
    (&["length", "size", "count", "len"], "it is a number and no function: write `.length`, without `()`"),
    (&["append"], "write `.push(item)` for an array, and `+` for a text"),
    (&["strip"], "write `.trim()`"),
    (&["hasOwnProperty", "has_own", "hasOwn"], "write `Object.hasOwn(object, key)`"),
    (&["format"], "write `date.toISOString().slice(0, 10)`, or `new Intl.DateTimeFormat('en-US').format(date)`"),
    (&["createHash", "createHmac"], "write `import { sha256, hmac } from 'hash'`"),
    (&["randomBytes"], "write `crypto.getRandomValues(new Uint8Array(n))`"),
    (&["uuidv4", "uuid"], "write `crypto.randomUUID()`"),
    (
        &["metadata"],
        "the event comes first, and `metadata(event)` calls the second parameter: `transformEvent(event, metadata)`",
    ),
    (&["each", "foreach", "ForEach"], "write `.forEach((item) => { … })`"),
    (&["extend", "merge"], "write `{ ...one, ...other }`, or `import { merge } from 'objects'`"),
    (&["isEmpty"], "write `Object.keys(value).length === 0`"),
    (&["remove"], "write `delete object[key]`, and of an array `.filter((item) => …)`"),
    (&["first", "last"], "write `list[0]` or `list.at(-1)`"),
];

/// The help for an exception with this name and message.
pub fn for_exception(name: Option<&str>, message: &str) -> Option<String> {
    let name = name?;
    if name == "ReferenceError"
        && let Some(missing) = message.strip_suffix(" is not defined")
    {
        return Some(
            for_missing(missing)
                .unwrap_or_else(|| format!("declare it, `const {missing} = …`, or import it from a library")),
        );
    }
    if name == "ReferenceError"
        && let Some(early) = quoted(message).filter(|_| message.ends_with("before initialization"))
    {
        return Some(format!("move the declaration of `{early}` above the line that uses it"));
    }
    if name == "TypeError"
        && let Some(help) = for_type_error(message)
    {
        return Some(help);
    }
    let known = KNOWN.iter().find(|(of, part, _)| *of == name && message.contains(part));
    known.map(|(_, _, help)| (*help).to_owned())
}

/// The first quoted text in a message.
fn quoted(message: &str) -> Option<&str> {
    Some(message.split_once('\'')?.1.split_once('\'')?.0)
}

fn for_type_error(message: &str) -> Option<String> {
    if let Some(what) = message.strip_suffix(" is not a function").filter(|what| !what.starts_with("Promise resolver"))
    {
        return Some(for_no_function(what));
    }
    if let Some(what) = message.strip_suffix(" is not a constructor") {
        return Some(format!("leave `new` out, or make `{what}` a class"));
    }
    if message.starts_with("Cannot read properties of ") || message.starts_with("Cannot set properties of ") {
        return for_nothing(message);
    }
    if message.starts_with("Cannot destructure ") {
        let property = quoted(message).unwrap_or("name");
        return Some(format!("give an object where there may be none: `const {{ {property} }} = value ?? {{}}`"));
    }
    if message.starts_with("Cannot create property ") {
        let property = quoted(message).unwrap_or("name");
        return Some(format!(
            "it is a simple value and can't have properties; make an object of it first: `{{ {property}: … }}`"
        ));
    }
    if message.contains("is not iterable") {
        let help = "of an object, go through `Object.entries(object)` or `Object.values(object)`; where there may be none, `list ?? []`";
        return Some(help.to_owned());
    }
    if let Some(at) =
        message.strip_prefix("Converting circular structure to JSON: ").and_then(|at| at.split_once(" is "))
    {
        return Some(format!("leave `{}` out of what is returned, or copy only what is needed of it", at.0));
    }
    None
}

/// The help for a call of `what`, which is not a function.
fn for_no_function(what: &str) -> String {
    let method = what.rsplit('.').next().unwrap_or(what);
    if what.starts_with("console.") {
        return "write `console.log(…)`".to_owned();
    }
    if what == "\"\"" {
        return "take the lines with ``` away, which are not code".to_owned();
    }
    if let Some((_, help)) = INSTEAD.iter().find(|(names, _)| names.contains(&method)) {
        return (*help).to_owned();
    }
    if let Some((help, _)) = METHODS.iter().find(|(_, methods)| methods.contains(&method)) {
        return (*help).to_owned();
    }
    let all = || METHODS.iter().flat_map(|(_, methods)| methods.iter().copied());
    if what.contains('.')
        && let Some(near) = nearest(method, all()).filter(|near| strsim::osa_distance(near, method) <= 2)
    {
        return format!("did you mean `.{near}(…)`?");
    }
    match what {
        "(intermediate value)" => "put a `;` at the end of the line before, or call a function".to_owned(),
        _ => format!("call a function: `typeof {what}` is another thing here; `?.()` calls it only if it is there"),
    }
}

/// The help for a property read of undefined or null.
fn for_nothing(message: &str) -> Option<String> {
    let property = quoted(message)?;
    let what = if message.contains(" of null ") { "null" } else { "undefined" };
    let is_read = message.contains("(reading ");
    Some(match (what, is_read) {
        ("null", true) => format!("what stands before `.{property}` is null; `?.{property}` gives undefined instead"),
        (_, true) => format!(
            "what stands before `.{property}` is undefined, as `this` is in a module; `?.{property}` gives undefined instead"
        ),
        ("null", false) => format!(
            "what stands before `.{property}` is null; make the object first: `parent ??= {{}}`, then set `.{property}`"
        ),
        (_, false) => format!(
            "what stands before `.{property}` is undefined: if it is `this`, write `globalThis` for it; otherwise make the object first: `parent ??= {{}}`, then set `.{property}`"
        ),
    })
}

/// The help for a thrown value that is not an error.
pub(crate) fn for_thrown(text: &str) -> String {
    match text {
        "undefined" => {
            "nothing was given as the reason: write `throw new Error('why')`, or `Promise.reject(new Error('why'))`"
                .to_owned()
        }
        _ => "throw an error, which says where: `throw new Error(text)`".to_owned(),
    }
}

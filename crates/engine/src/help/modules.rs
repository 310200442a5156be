//! Help for imports that name no known module.

use crate::program::{handle_of, nearest};

/// Modules of Node and packages of npm, and their replacement here.
const MODULES: &[(&[&str], &str)] = &[
    (
        &["fs", "fs/promises", "path", "os", "child_process"],
        "there are no files: put the data into a library, `export const data = { … }`, and import it",
    ),
    (&["crypto"], "`crypto` is there without an import; hashes are in `import { sha256, hmac } from 'hash'`"),
    (&["buffer"], "write `import { encode, decode } from 'base64'`, or use `TextEncoder` and `TextDecoder`"),
    (&["url", "whatwg-url"], "`URL` and `URLSearchParams` are there: leave the import out"),
    (&["querystring", "qs"], "`URLSearchParams` is there: leave the import out"),
    (&["util"], "`structuredClone`, `TextEncoder` and `TextDecoder` are there: leave the import out"),
    (&["process"], "there is no environment; `getCredential('KEY')` gives a secret of --credentials"),
    (&["timers", "timers/promises"], "there are no timers; call the function directly, or `await` what it waits for"),
    (
        &["http", "https", "net", "axios", "node-fetch", "got", "request", "superagent", "cross-fetch", "undici"],
        "leave the import out and write `const answer = await fetchV2(url, options)`",
    ),
    (
        &["events", "stream", "zlib", "worker_threads", "cluster", "dns", "tls", "assert", "vm", "http2", "readline"],
        "Node's modules are not here: leave the import out, and see docs/reference.md for what there is",
    ),
    (&["uuid", "nanoid"], "write `import { v4 } from 'uuid'`, or `crypto.randomUUID()`"),
    (
        &["md5", "sha1", "js-sha256", "crypto-js", "blueimp-md5", "object-hash"],
        "write `import { md5, sha256 } from 'hash'`",
    ),
    (&["js-base64", "base-64", "base64-js"], "write `import { encode, decode } from 'base64'`"),
    (
        &["moment", "dayjs", "date-fns", "luxon"],
        "use `Date`, `Intl.DateTimeFormat` or `Temporal`, or bundle it into a library: `npx esbuild NAME --bundle --format=esm --outfile=lib/NAME.js`, then -L lib",
    ),
    (
        &["lodash", "lodash-es", "underscore", "ramda"],
        "write `import { get, pick, merge, equal } from 'objects'`, or bundle it into a library: `npx esbuild NAME --bundle --format=esm --outfile=lib/NAME.js`, then -L lib",
    ),
];

/// The help for a `specifier` that is not one of the libraries with these `handles`.
pub(crate) fn for_module<'a>(specifier: &str, handles: impl Iterator<Item = &'a str> + Clone) -> String {
    let is_path = specifier.starts_with('.') || specifier.starts_with('/');
    let plain = specifier.strip_prefix("node:").unwrap_or(specifier);
    let of_node = specifier.starts_with("node:");
    let find = |name: &str| MODULES.iter().find(|(names, _)| names.contains(&name));
    let package = plain.split('/').next().unwrap_or(plain);
    if !is_path
        && let Some((_, help)) = find(plain).or_else(|| find(package).filter(|_| of_node || plain != package))
        && (of_node || !handles.clone().any(|handle| handle == package))
    {
        return help.replace("NAME", package);
    }
    if of_node {
        return "Node's modules are not here: leave the import out, and see docs/reference.md for what there is"
            .to_owned();
    }
    if specifier.contains("://") {
        return "nothing is loaded from the network: save the file into a library folder (-L), and import it by its handle".to_owned();
    }
    if !is_path && let Some(near) = nearest(specifier, handles.clone()) {
        return format!("did you mean `{near}`?");
    }
    if is_path {
        let file = specifier.rsplit('/').next().unwrap_or("");
        let (name, end) = file.split_once('.').unwrap_or((file, ""));
        if end == "json" {
            return format!(
                "make a module of the data, `export default {{ … }}` in {name}.js, put it into a library folder (-L), and import it as '{}'",
                handle_of(name)
            );
        }
        let handle = handle_of(name);
        if handles.clone().any(|known| known == handle) {
            return format!("libraries are imported by their handle, not by a path: write '{handle}'");
        }
        return format!(
            "libraries are imported by their handle, not by a path: put the file into a library folder (-L) and import it as '{handle}'"
        );
    }
    let known: Vec<&str> = handles.collect();
    format!(
        "known libraries: {}; add a folder of them with -L, or one with --library {specifier}=FILE; a package of npm is bundled into a library first, `npx esbuild {specifier} --bundle --format=esm --outfile=lib/{}.js`",
        known.join(", "),
        handle_of(package)
    )
}

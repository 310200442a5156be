//! `sluicegate types`: the declarations of everything that code can call, including libraries. Each import name becomes
//! a module with the exports of the library's file, so that their types come from that file.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use super::args::Global;
use super::config::for_transformation;
use super::program;
use super::setting_sources::Env;
use super::settings::Settings;
use crate::parser_process::{ModuleExport, exports};

/// Returns the declarations, including the libraries that flags and `sluicegate.toml` name.
///
/// # Errors
/// When the settings cannot be resolved, or a library cannot be read.
pub fn types(global: &Global) -> anyhow::Result<String> {
    declarations(Path::new(""), global.typed.clone(), global)
}

/// Returns the declarations for a project in another folder, whose libraries are in `lib`.
///
/// # Errors
/// As above.
pub fn for_project(dir: &Path, global: &Global) -> anyhow::Result<String> {
    let mut settings = global.typed.clone();
    settings.libraries.library_dir = Some(vec![dir.join("lib")]);
    declarations(dir, settings, global)
}

fn declarations(dir: &Path, settings: Settings, global: &Global) -> anyhow::Result<String> {
    // Uses the settings of a transformation in that folder, including its `sluicegate.toml`.
    let (sources, _) = for_transformation(settings, global, &dir.join("transformation.js"), Env::here())?;
    let (_, paths) = program::read_libraries(&sources)?;
    let mut out = sluicegate_engine::DECLARATIONS.to_owned();
    if !paths.is_empty() {
        out.push_str("\n// --- libraries of this project ");
        out.push_str(&"-".repeat(87));
        out.push('\n');
    }
    for (handle, path) in &paths {
        let source = std::fs::read_to_string(path).unwrap_or_default();
        out.push_str(&module(handle, &from(dir, path), &exports(&source).unwrap_or_default()));
    }
    Ok(out)
}

/// Returns a library's path as the declaration file must write it: relative to that file's
/// folder, with `/` and the extension of JavaScript, which TypeScript accepts in every mode.
fn from(dir: &Path, path: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (dir, path) = (absolute(if dir.as_os_str().is_empty() { Path::new(".") } else { dir }), absolute(path));
    let path = path.with_extension(match path.extension().and_then(|extension| extension.to_str()) {
        Some("mts" | "mjs") => "mjs",
        _ => "js",
    });
    let (dir, path): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (dir.components().collect(), path.components().collect());
    let same = dir.iter().zip(&path).take_while(|(one, other)| one == other).count();
    let up = "../".repeat(dir.len() - same);
    let down: PathBuf = path[same..].iter().collect();
    let down = down.to_string_lossy();
    if up.is_empty() { format!("./{down}") } else { format!("{up}{down}") }
}

/// Returns the declaration of one module.
fn module(handle: &str, path: &str, exports: &[ModuleExport]) -> String {
    let mut out = format!("\ndeclare module '{handle}' {{\n");
    let file = format!("import('{path}')");
    let mut renamed = String::new();
    for (index, export) in exports.iter().enumerate() {
        match export {
            ModuleExport::Value(name) if name == "default" => {
                let _ = writeln!(out, "  const value: (typeof {file})['default'];\n  export default value;");
            }
            ModuleExport::Value(name) if is_identifier(name) => {
                let _ = writeln!(out, "  export const {name}: (typeof {file})['{name}'];");
            }
            ModuleExport::Value(name) => {
                let _ = writeln!(out, "  const value{index}: (typeof {file})['{name}'];");
                let _ = writeln!(renamed, "  export {{ value{index} as '{name}' }};");
            }
            ModuleExport::Class(name) => {
                let _ = writeln!(out, "  export const {name}: (typeof {file})['{name}'];");
                let _ = writeln!(out, "  export type {name} = {file}.{name};");
            }
            ModuleExport::Type { name, parameters, arguments } => {
                let _ = writeln!(out, "  export type {name}{parameters} = {file}.{name}{arguments};");
            }
        }
    }
    out.push_str(&renamed);
    // Without any export, TypeScript would treat all names as exported.
    if exports.is_empty() {
        out.push_str("  export {};\n");
    }
    out.push_str("}\n");
    out
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|char| char.is_alphabetic() || char == '_' || char == '$')
        && chars.all(|char| char.is_alphanumeric() || char == '_' || char == '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_a_module_with_the_types_of_its_file() {
        let source = "export const round = (n: number) => n;\nexport class Money {}\nexport interface Rate { n: number }\n\
                      export type Pair<A extends string, B = A> = [A, B];\nfunction f() {}\nexport { f as g };\n\
                      export default f;\nexport function* each() {}\nexport const { a, b: [c] } = x;\n";
        let text = module("js-lib", "./lib/js-lib.js", &exports(source).unwrap());
        for line in [
            "declare module 'js-lib' {",
            "  export const round: (typeof import('./lib/js-lib.js'))['round'];",
            "  export type Money = import('./lib/js-lib.js').Money;",
            "  export type Rate = import('./lib/js-lib.js').Rate;",
            "  export type Pair<A extends string, B = A> = import('./lib/js-lib.js').Pair<A, B>;",
            "  export const g: (typeof import('./lib/js-lib.js'))['g'];",
            "  export const each: (typeof import('./lib/js-lib.js'))['each'];",
            "  export const a: (typeof import('./lib/js-lib.js'))['a'];",
            "  export const c: (typeof import('./lib/js-lib.js'))['c'];",
            "  export default value;",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }

    #[test]
    fn paths_start_where_the_declarations_are() {
        assert_eq!(from(Path::new(""), Path::new("lib/a.ts")), "./lib/a.js");
        assert_eq!(from(Path::new("p"), Path::new("lib/a.mts")), "../lib/a.mjs");
        assert_eq!(from(Path::new("p"), Path::new("p/lib/a.js")), "./lib/a.js");
    }
}

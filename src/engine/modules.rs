//! The author's modules: compiled, linked by handle, evaluated.
//!
//! Nothing is ever looked up outside the [`Program`]: an import names a library by its handle, or it fails. Libraries
//! that nobody imports are not compiled.

use std::collections::HashMap;

use deno_core::v8;

use super::diagnostic::{LoadError, LoadErrorKind};
use super::program::{Program, nearest};
use crate::verdict::Position;

/// The compiled modules, by handle; lives in a slot of the isolate while they are linked.
#[derive(Default)]
struct Linked(HashMap<String, v8::Global<v8::Module>>);

/// How a module is called in stack traces.
pub(super) fn display_name(handle: &str) -> String {
    format!("library {handle}")
}

/// Compiles and links the transformation with all that it imports, and says which libraries these are. Nothing is
/// evaluated yet.
pub(super) fn link<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    program: &Program,
) -> Result<(v8::Local<'s, v8::Module>, Vec<String>), LoadError> {
    scope.set_slot(Linked::default());
    let linked = compile(scope, program, None, &program.code).and_then(|module| {
        v8::tc_scope!(let scope, scope);
        match module.instantiate_module(scope, resolve) {
            Some(true) => Ok(module),
            _ => Err(missing_export(scope, program)),
        }
    });
    let compiled = scope.remove_slot::<Linked>().unwrap_or_default();
    let mut libraries: Vec<String> = compiled.0.into_keys().collect();
    libraries.sort_unstable();
    linked.map(|module| (module, libraries))
}

/// Compiles one module, the library with this handle or the transformation, and, depth first, those that it imports.
fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    program: &Program,
    handle: Option<&str>,
    code: &str,
) -> Result<v8::Local<'s, v8::Module>, LoadError> {
    let name = &handle.map_or_else(|| program.name.clone(), display_name);
    let too_large = || LoadError::new(LoadErrorKind::Syntax, format!("{name} is larger than V8 can hold"));
    let source = v8::String::new(scope, code).ok_or_else(too_large)?;
    let resource = v8::String::new(scope, name).ok_or_else(too_large)?;
    let origin = v8::ScriptOrigin::new(scope, resource.into(), 0, 0, false, 0, None, false, false, true, None);
    let module = {
        v8::tc_scope!(let scope, scope);
        let mut source = v8::script_compiler::Source::new(source, Some(&origin));
        match v8::script_compiler::compile_module(scope, &mut source) {
            Some(module) => module,
            None => return Err(from_message(scope, LoadErrorKind::Syntax)),
        }
    };
    // Before its imports are followed: libraries may import each other in a circle.
    if let Some(handle) = handle {
        let global = v8::Global::new(scope, module);
        if let Some(linked) = scope.get_slot_mut::<Linked>() {
            linked.0.insert(handle.to_owned(), global);
        }
    }
    let requests = module.get_module_requests();
    for index in 0..requests.length() {
        let request = requests.get(scope, index).expect("an index below the length");
        let request: v8::Local<v8::ModuleRequest> = request.cast();
        let specifier = request.get_specifier().to_rust_string_lossy(scope);
        let known = scope.get_slot::<Linked>().is_some_and(|linked| linked.0.contains_key(&specifier));
        if known {
            continue;
        }
        let Some(library) = program.library(&specifier) else {
            let at = module.source_offset_to_location(request.get_source_offset());
            let (line, column) = (at.get_line_number() as u32 + 1, at.get_column_number() as u32 + 1);
            return Err(module_not_found(program, name, code, &specifier, line, column));
        };
        let library = library.to_owned();
        compile(scope, program, Some(&specifier), &library)?;
    }
    Ok(module)
}

fn resolve<'s>(
    context: v8::Local<'s, v8::Context>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
    _referrer: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    v8::callback_scope!(unsafe scope, context);
    let specifier = specifier.to_rust_string_lossy(scope);
    let module = scope.get_slot::<Linked>()?.0.get(&specifier)?.clone();
    Some(v8::Local::new(scope, &module))
}

fn module_not_found(
    program: &Program,
    importer: &str,
    code: &str,
    specifier: &str,
    line: u32,
    column: u32,
) -> LoadError {
    let help = match nearest(specifier, program.handles()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if specifier.starts_with('.') || specifier.starts_with('/') => format!(
            "libraries are imported by their handle, not by a path: put the file into a library folder (-L) and \
             import it as '{}'",
            super::program::handle_of(specifier.rsplit('/').next().unwrap_or("").split('.').next().unwrap_or(""))
        ),
        None => format!(
            "known libraries: {}; add a folder of them with -L, or one with --library {specifier}=FILE",
            program.handles().join(", ")
        ),
    };
    let source_line = code.lines().nth(line as usize - 1).unwrap_or_default().to_owned();
    LoadError {
        // V8's column is that of the whole import; the caret belongs under the name that nobody knows.
        end_column: column + specifier.encode_utf16().count() as u32 + 2,
        position: Some(Position { file: importer.to_owned(), line, column }),
        source_line: Some(source_line),
        ..LoadError::new(LoadErrorKind::Import, format!("import from {specifier} failed. Module not found.")).help(help)
    }
}

/// An import of a name that the library does not export.
fn missing_export(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>,
    program: &Program,
) -> LoadError {
    let error = from_message(scope, LoadErrorKind::Import);
    let help = format!("known libraries: {}", program.handles().join(", "));
    if error.position.is_some() { error } else { error.help(help) }
}

/// What V8 says of the exception that was just caught: its text, its place and the line of source.
pub(super) fn from_message(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>,
    kind: LoadErrorKind,
) -> LoadError {
    let Some(message) = scope.message() else {
        return LoadError::new(kind, "the code could not be loaded");
    };
    let text = message.get(scope).to_rust_string_lossy(scope);
    let text = text.strip_prefix("Uncaught ").unwrap_or(&text).to_owned();
    let position = message.get_line_number(scope).map(|line| Position {
        file: message.get_script_resource_name(scope).map(|name| name.to_rust_string_lossy(scope)).unwrap_or_default(),
        line: line as u32,
        column: message.get_start_column() as u32 + 1,
    });
    let source_line = message.get_source_line(scope).map(|line| line.to_rust_string_lossy(scope));
    LoadError { end_column: message.get_end_column() as u32 + 1, position, source_line, ..LoadError::new(kind, text) }
}

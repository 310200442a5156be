//! Compiles, links and evaluates the author's modules. One mechanism serves a transformation with its libraries and a
//! test file with its imports; the caller decides what an import means.

use std::collections::{HashMap, HashSet};

use deno_core::v8;

use crate::help;
use crate::load_error::{LoadError, LoadErrorKind};
use crate::module_id::ModuleId;
use crate::program::Program;
use crate::v8::errors;
use crate::verdict::{FailureKind, Position};

/// A module.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Module {
    /// Its name in stack traces; the same module always has the same name.
    pub name: String,
    /// Its source.
    pub code: String,
}

/// Why an import cannot be resolved.
pub(crate) struct NotFound {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Resolves a specifier of an importer to a module. The third argument is the type of the import, if it has one.
pub(crate) type Find<'a> = dyn FnMut(&mut v8::Isolate, &str, Option<&str>, &Module) -> Result<Module, NotFound> + 'a;

/// Compiled modules by name, and the name that each import resolves to; in a slot of the isolate during linking.
#[derive(Default)]
struct Linked {
    modules: HashMap<String, v8::Global<v8::Module>>,
    imports: HashMap<(i32, String), String>,
    /// The modules that seem to be CommonJS.
    common_js: HashSet<String>,
}

/// A linked module, ready to be evaluated, with all its imports.
pub(crate) struct Ready<'s> {
    pub(crate) module: v8::Local<'s, v8::Module>,
    /// All of these modules by name, including `module`.
    pub(crate) modules: Vec<(String, v8::Local<'s, v8::Module>)>,
}

/// The name of a library in stack traces.
pub(crate) fn display_name(handle: &str) -> String {
    ModuleId::Library(handle).to_string()
}

/// Compiles and links a module with all its imports. Nothing is evaluated yet.
pub(crate) fn link<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    root: &Module,
    find: &mut Find<'_>,
) -> Result<Ready<'s>, LoadError> {
    scope.set_slot(Linked::default());
    let linked = compile(scope, root, find).and_then(|module| {
        v8::tc_scope!(let scope, scope);
        match module.instantiate_module(scope, resolve) {
            Some(true) => Ok(module),
            _ => {
                let error = from_message(scope, LoadErrorKind::Import);
                scope.reset();
                Err(with_exports(scope, error, &root.name))
            }
        }
    });
    let compiled = scope.remove_slot::<Linked>().unwrap_or_default();
    let module = linked?;
    let mut modules: Vec<_> =
        compiled.modules.iter().map(|(name, module)| (name.clone(), v8::Local::new(scope, module))).collect();
    modules.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(Ready { module, modules })
}

/// Adds help to an error: if a library lacks a name, lists the names that the library exports.
fn with_exports(scope: &mut v8::PinScope<'_, '_>, error: LoadError, root: &str) -> LoadError {
    let mut quoted = error.message.split('\'');
    let (_, Some(specifier), Some(" does not provide an export named "), Some(name)) =
        (quoted.next(), quoted.next(), quoted.next(), quoted.next())
    else {
        return error;
    };
    let file = error.position.as_ref().map_or(root, |at| &at.file);
    let module = display_name(specifier);
    let is_common_js = scope.get_slot::<Linked>().is_some_and(|linked| linked.common_js.contains(&module));
    match exports(scope, &module) {
        Some(names) => {
            let help = help::for_missing_export(file, name, &names, is_common_js);
            error.help(help)
        }
        None => error,
    }
}

/// The names that a compiled module exports.
fn exports(scope: &mut v8::PinScope<'_, '_>, module: &str) -> Option<Vec<String>> {
    let module = scope.get_slot::<Linked>()?.modules.get(module)?.clone();
    let module = v8::Local::new(scope, module);
    module.instantiate_module(scope, resolve)?;
    let namespace: v8::Local<v8::Object> = module.get_module_namespace().cast();
    // Without a filter for enumerable names: that would read bindings that are not initialized yet.
    let names = v8::GetPropertyNamesArgs { property_filter: v8::PropertyFilter::SKIP_SYMBOLS, ..Default::default() };
    let names = namespace.get_own_property_names(scope, names)?;
    Some((0..names.length()).filter_map(|n| Some(names.get_index(scope, n)?.to_rust_string_lossy(scope))).collect())
}

/// Compiles one module and, depth first, its imports.
fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    of: &Module,
    find: &mut Find<'_>,
) -> Result<v8::Local<'s, v8::Module>, LoadError> {
    let too_large = || LoadError::new(LoadErrorKind::Syntax, format!("{} is larger than V8 can hold", of.name));
    let source = v8::String::new(scope, &of.code).ok_or_else(too_large)?;
    let resource = v8::String::new(scope, &of.name).ok_or_else(too_large)?;
    let origin = v8::ScriptOrigin::new(scope, resource.into(), 0, 0, false, 0, None, false, false, true, None);
    let module = {
        v8::tc_scope!(let scope, scope);
        let mut source = v8::script_compiler::Source::new(source, Some(&origin));
        match v8::script_compiler::compile_module(scope, &mut source) {
            Some(module) => module,
            None => {
                let error = from_message(scope, LoadErrorKind::Syntax);
                let column = error.position.as_ref().map_or(0, |at| at.column);
                let line = error.source_line.as_deref().unwrap_or_default();
                let help = help::for_syntax(&of.name, &error.message, line, column);
                return Err(LoadError { help, ..error });
            }
        }
    };
    // Registered before its imports are compiled, because modules may import each other in a cycle.
    let global = v8::Global::new(scope, module);
    if let Some(linked) = scope.get_slot_mut::<Linked>() {
        linked.modules.insert(of.name.clone(), global);
        if help::is_common_js(&of.code) {
            linked.common_js.insert(of.name.clone());
        }
    }
    let requests = module.get_module_requests();
    for index in 0..requests.length() {
        let request = requests.get(scope, index).expect("an index below the length");
        let request: v8::Local<v8::ModuleRequest> = request.cast();
        let specifier = request.get_specifier().to_rust_string_lossy(scope);
        let form = type_attribute(scope, request);
        let imported = find(scope, &specifier, form.as_deref(), of).map_err(|NotFound { message, help }| {
            let at = module.source_offset_to_location(request.get_source_offset());
            let (line, column) = (at.get_line_number() as u32 + 1, at.get_column_number() as u32 + 1);
            LoadError {
                // V8's column is that of the whole import. The caret must be under the unknown specifier.
                end_column: column + specifier.encode_utf16().count() as u32 + 2,
                position: Some(Position { file: of.name.clone(), line, column }),
                source_line: of.code.lines().nth(line as usize - 1).map(str::to_owned),
                help,
                ..LoadError::new(LoadErrorKind::Import, message)
            }
        })?;
        let key = (module.get_identity_hash().get(), specifier);
        let known = scope.get_slot_mut::<Linked>().is_some_and(|linked| {
            linked.imports.insert(key, imported.name.clone());
            linked.modules.contains_key(&imported.name)
        });
        if !known {
            compile(scope, &imported, find)?;
        }
    }
    Ok(module)
}

/// The `type` in `import x from '…' with { type: 'json' }`.
fn type_attribute(scope: &mut v8::PinScope<'_, '_>, request: v8::Local<'_, v8::ModuleRequest>) -> Option<String> {
    let attributes = request.get_import_attributes();
    // Three entries each: key, value, and position.
    (0..attributes.length()).step_by(3).find_map(|index| {
        let text = |index| -> Option<String> {
            let entry = attributes.get(scope, index)?;
            Some(v8::Local::<v8::Value>::try_from(entry).ok()?.to_rust_string_lossy(scope))
        };
        (text(index)? == "type").then(|| text(index + 1)).flatten()
    })
}

fn resolve<'s>(
    context: v8::Local<'s, v8::Context>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
    referrer: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    v8::callback_scope!(unsafe scope, context);
    let key = (referrer.get_identity_hash().get(), specifier.to_rust_string_lossy(scope));
    let linked = scope.get_slot::<Linked>()?;
    let module = linked.modules.get(linked.imports.get(&key)?)?.clone();
    Some(v8::Local::new(scope, &module))
}

/// Describes the author's code, for errors during evaluation.
pub(crate) struct Author<'a> {
    /// Whether a file, as stack traces call it, is the author's.
    pub(crate) is_source: &'a dyn Fn(&str) -> bool,
    /// The line of source at a position.
    pub(crate) line: &'a dyn Fn(&Position) -> Option<String>,
    /// When an error was thrown, e.g. `while loading`.
    pub(crate) when: &'a str,
}

/// Runs the top level of a linked module. `describe` converts a thrown value to text.
pub(crate) fn evaluate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    module: v8::Local<'s, v8::Module>,
    describe: v8::Local<'s, v8::Function>,
    author: &Author<'_>,
) -> Result<(), LoadError> {
    v8::tc_scope!(let scope, scope);
    let promise = module.evaluate(scope).and_then(|value| v8::Local::<v8::Promise>::try_from(value).ok());
    scope.perform_microtask_checkpoint();
    let Some(promise) = promise else { return Err(from_message(scope, LoadErrorKind::Threw)) };
    match promise.state() {
        v8::PromiseState::Fulfilled => Ok(()),
        v8::PromiseState::Rejected => {
            promise.mark_as_handled();
            let thrown = promise.result(scope);
            let failure = errors::describe(scope, describe, thrown, FailureKind::Exception, author.is_source);
            let in_library = failure.position.as_ref().is_some_and(|at| ModuleId::parse(&at.file).library().is_some());
            let common_js = help::for_common_js_library(&failure.message).filter(|_| in_library);
            let message = match &failure.name {
                Some(name) => format!("{name}: {}", failure.message),
                None => failure.message,
            };
            Err(LoadError {
                end_column: failure.position.as_ref().map_or(0, |at| at.column + 1),
                source_line: failure.position.as_ref().and_then(author.line),
                position: failure.position,
                stack: failure.stack,
                help: common_js.map(str::to_owned).or(failure.help),
                ..LoadError::new(LoadErrorKind::Threw, format!("{message}, thrown {}", author.when))
            })
        }
        v8::PromiseState::Pending => {
            let mut error = LoadError::new(LoadErrorKind::TopLevelAwait, "a top-level await can never settle");
            let stalled = module.get_stalled_top_level_await_message(scope);
            if let Some((_, message)) = stalled.first() {
                error.position = position(scope, *message);
                error.end_column = message.get_end_column() as u32 + 1;
                error.source_line = message.get_source_line(scope).map(|line| line.to_rust_string_lossy(scope));
            }
            Err(error.help("nothing outside the module can settle a promise while it loads; await inside the function"))
        }
    }
}

/// Finds the library of the program that a specifier names. Nothing outside the program is searched.
pub(crate) fn library(program: &Program, specifier: &str) -> Result<Module, NotFound> {
    if let Some(code) = program.library(specifier) {
        return Ok(Module { name: display_name(specifier), code: code.to_owned() });
    }
    let help = help::for_module(specifier, program.handles().into_iter());
    Err(NotFound { message: format!("import from {specifier} failed. Module not found."), help: Some(help) })
}

fn position(scope: &mut v8::PinScope<'_, '_>, message: v8::Local<'_, v8::Message>) -> Option<Position> {
    message.get_line_number(scope).map(|line| Position {
        file: message.get_script_resource_name(scope).map(|name| name.to_rust_string_lossy(scope)).unwrap_or_default(),
        line: line as u32,
        column: message.get_start_column() as u32 + 1,
    })
}

/// V8's message for the exception that was just caught: its text, its place and the line of source.
pub(crate) fn from_message(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>,
    kind: LoadErrorKind,
) -> LoadError {
    let Some(message) = scope.message() else {
        return LoadError::new(kind, "the code could not be loaded");
    };
    let text = message.get(scope).to_rust_string_lossy(scope);
    let text = text.strip_prefix("Uncaught ").unwrap_or(&text).to_owned();
    let source_line = message.get_source_line(scope).map(|line| line.to_rust_string_lossy(scope));
    let position = position(scope, message);
    LoadError { end_column: message.get_end_column() as u32 + 1, position, source_line, ..LoadError::new(kind, text) }
}

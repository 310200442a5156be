//! The modules of a test file: compiled, linked by what [`super::World`] says they mean, evaluated.

use std::collections::HashMap;

use deno_core::v8;

use super::super::diagnostic::{LoadError, LoadErrorKind};
use super::super::fault;
use super::super::modules::from_message;
use super::{Module, Outside};
use crate::verdict::{FailureKind, Position};

/// The module that offers the test API to those who prefer imports to globals.
const API: &str =
    "export const { test, it, describe, beforeEach, afterEach, beforeAll, afterAll, expect, transform } = globalThis;";

/// Modules by name, and which name each import means; lives in a slot of the isolate.
#[derive(Default)]
struct Linked {
    modules: HashMap<String, v8::Global<v8::Module>>,
    imports: HashMap<(i32, String), String>,
}

/// Compiles, links and evaluates a test file with all that it imports.
pub(super) fn evaluate<'s>(
    scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, 's, v8::HandleScope<'_>>>,
    module: &Module,
    describe: v8::Local<'s, v8::Function>,
) -> Result<(), LoadError> {
    scope.set_slot(Linked::default());
    let root = compile(scope, module)?;
    if root.instantiate_module(scope, resolve) != Some(true) {
        return Err(from_message(scope, LoadErrorKind::Import));
    }
    let promise = root.evaluate(scope).and_then(|value| v8::Local::<v8::Promise>::try_from(value).ok());
    scope.perform_microtask_checkpoint();
    let Some(promise) = promise else { return Err(from_message(scope, LoadErrorKind::Threw)) };
    match promise.state() {
        v8::PromiseState::Fulfilled => Ok(()),
        v8::PromiseState::Pending => {
            Err(LoadError::new(LoadErrorKind::TopLevelAwait, "a top-level await can never settle"))
        }
        v8::PromiseState::Rejected => {
            promise.mark_as_handled();
            let thrown = promise.result(scope);
            let is_author = |file: &str| !file.starts_with("sluicegate:");
            let failure = fault::describe(scope, describe, thrown, FailureKind::Exception, &is_author);
            let message = match &failure.name {
                Some(name) => format!("{name}: {}", failure.message),
                None => failure.message.clone(),
            };
            let line = failure.position.as_ref().filter(|at| at.file == module.name);
            let source_line = line.and_then(|at| module.code.lines().nth(at.line as usize - 1)).map(str::to_owned);
            Err(LoadError {
                end_column: failure.position.as_ref().map_or(0, |at| at.column + 1),
                position: failure.position,
                source_line,
                stack: failure.stack,
                ..LoadError::new(LoadErrorKind::Threw, format!("{message}, thrown while the tests were loaded"))
            })
        }
    }
}

/// Compiles a module and, depth first, those that it imports.
fn compile<'s>(scope: &mut v8::PinScope<'s, '_>, of: &Module) -> Result<v8::Local<'s, v8::Module>, LoadError> {
    let too_large = || LoadError::new(LoadErrorKind::Syntax, format!("{} is larger than V8 can hold", of.name));
    let source = v8::String::new(scope, &of.code).ok_or_else(too_large)?;
    let resource = v8::String::new(scope, &of.name).ok_or_else(too_large)?;
    let origin = v8::ScriptOrigin::new(scope, resource.into(), 0, 0, false, 0, None, false, false, true, None);
    let module = {
        v8::tc_scope!(let scope, scope);
        let mut source = v8::script_compiler::Source::new(source, Some(&origin));
        match v8::script_compiler::compile_module(scope, &mut source) {
            Some(module) => module,
            None => return Err(from_message(scope, LoadErrorKind::Syntax)),
        }
    };
    let global = v8::Global::new(scope, module);
    if let Some(linked) = scope.get_slot_mut::<Linked>() {
        linked.modules.insert(of.name.clone(), global);
    }
    let requests = module.get_module_requests();
    for index in 0..requests.length() {
        let request = requests.get(scope, index).expect("an index below the length");
        let request: v8::Local<v8::ModuleRequest> = request.cast();
        let specifier = request.get_specifier().to_rust_string_lossy(scope);
        let found = if specifier == "sluicegate" {
            Ok(Module { name: "sluicegate:api".to_owned(), code: API.to_owned() })
        } else {
            let world = scope.get_slot_mut::<Outside>().and_then(Option::as_mut);
            world.expect("only taken while tests run").module(&specifier, &of.name)
        };
        let imported = found.map_err(|message| {
            let at = module.source_offset_to_location(request.get_source_offset());
            let (line, column) = (at.get_line_number() as u32 + 1, at.get_column_number() as u32 + 1);
            LoadError {
                end_column: column + specifier.encode_utf16().count() as u32 + 2,
                position: Some(Position { file: of.name.clone(), line, column }),
                source_line: of.code.lines().nth(line as usize - 1).map(str::to_owned),
                ..LoadError::new(LoadErrorKind::Import, message)
            }
        })?;
        let key = (module.get_identity_hash().get(), specifier);
        let known = scope.get_slot_mut::<Linked>().is_some_and(|linked| {
            linked.imports.insert(key, imported.name.clone());
            linked.modules.contains_key(&imported.name)
        });
        if !known {
            compile(scope, &imported)?;
        }
    }
    Ok(module)
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

//! A fast path for the shipped library `warehouseActionsUtils`: builds the object of a row that is a JSON text
//! of pairs. The pairs are rewritten as the text of an object, which V8 parses without creating an array per
//! pair, into objects with fast properties.
//!
//! The library finds the function in its `import.meta`, which no other module can access. The function gives the same
//! result as the library's own code, or declines.

use std::cell::RefCell;
use std::rc::Rc;

use deno_core::v8;

use crate::module_id::ModuleId;
use crate::program::Program;
use sluicegate_json::pairs::object_of_pairs;

/// The library, and the function's name in its `import.meta`.
const LIBRARY: &str = "warehouseActionsUtils";
const NAME: &str = "rowObject";

/// Texts longer than this, in characters, are declined: nothing can interrupt this function.
const MAX_LEN: usize = 64 << 10;

/// The last row, kept in an isolate slot. If a row has not changed, its two truths are the same text.
#[derive(Default)]
struct LastRow {
    text: Vec<u8>,
    /// The text of its object; empty if there is none.
    object: Vec<u8>,
    /// The text of the object, if the row has characters outside of Latin-1.
    wide: Vec<u16>,
}

type Shared = Rc<RefCell<LastRow>>;

/// The library's module, by its identity hash.
struct LibraryModule(i32);

/// Makes the function available to the library, if the program uses it and it is not the author's own version.
pub(crate) fn prepare(
    scope: &mut v8::PinScope<'_, '_>,
    program: &Program,
    modules: &[(String, v8::Local<'_, v8::Module>)],
) {
    let library = modules.iter().find(|(name, _)| ModuleId::parse(name).library() == Some(LIBRARY));
    if let Some((_, module)) = library
        && !program.libraries.contains_key(LIBRARY)
    {
        scope.set_slot(LibraryModule(module.get_identity_hash().get()));
        scope.set_slot(Shared::default());
        scope.set_host_initialize_import_meta_object_callback(put_function);
    }
}

unsafe extern "C" fn put_function(
    context: v8::Local<v8::Context>,
    module: v8::Local<v8::Module>,
    meta: v8::Local<v8::Object>,
) {
    v8::callback_scope!(unsafe scope, context);
    let hash = module.get_identity_hash().get();
    if scope.get_slot::<LibraryModule>().is_some_and(|library| library.0 == hash)
        && let Some(function) = v8::Function::new(scope, row_object)
        && let Some(name) = v8::String::new(scope, NAME)
    {
        meta.create_data_property(scope, name.into(), function.into());
    }
}

/// `rowObject(text)`: returns the object, or undefined if the library has to make it.
fn row_object(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments,
    mut answer: v8::ReturnValue<v8::Value>,
) {
    let Ok(text) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    if text.length() > MAX_LEN {
        return;
    }
    let Some(shared) = scope.get_slot::<Shared>().cloned() else { return };
    let object = {
        let last = &mut *shared.borrow_mut();
        if last.read(scope, text) {
            v8::String::new_from_one_byte(scope, &last.object, v8::NewStringType::Normal)
        } else if !last.wide.is_empty() {
            v8::String::new_from_two_byte(scope, &last.wide, v8::NewStringType::Normal)
        } else {
            None
        }
    };
    let Some(object) = object else { return };
    v8::tc_scope!(let scope, scope);
    match v8::json::parse(scope, object) {
        Some(object) => answer.set(object),
        // The library reports what is wrong with the text.
        None if !scope.has_terminated() => scope.reset(),
        None => {}
    }
}

impl LastRow {
    /// Reads a text. Returns whether there is an object in Latin-1; if not, `wide` may contain one.
    fn read(&mut self, isolate: &mut v8::Isolate, text: v8::Local<v8::String>) -> bool {
        self.wide.clear();
        match v8::ValueView::new(isolate, text).data() {
            v8::ValueViewData::OneByte(bytes) => {
                if self.text != bytes || self.object.is_empty() {
                    self.text.clear();
                    self.text.extend_from_slice(bytes);
                    if !object_of_pairs(bytes, &mut self.object) {
                        self.object.clear();
                    }
                }
                !self.object.is_empty()
            }
            v8::ValueViewData::TwoByte(units) => {
                if !object_of_pairs(units, &mut self.wide) {
                    self.wide.clear();
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::LIBRARY;
    use crate::{Engine, Event, Options, OutputFraming, Program, SHIPPED_LIBRARIES};

    const CODE: &str = "
        import { rebuild_object, compare_truths } from 'warehouseActionsUtils';
        export function transformEvent({ texts }) {
          const answers = texts.map((text) => {
            try { return rebuild_object(text); } catch (error) { return `${error}`; }
          });
          const of = (n) => (typeof answers[n] === 'object' ? answers[n] : {});
          const changed = [compare_truths(of(0), of(1)), compare_truths(of(1), of(2))];
          // Each call makes an object of its own, which is like any other.
          const twice = texts.map((text, n) => {
            if (typeof answers[n] !== 'object') return;
            answers[n].added = 1;
            return [rebuild_object(text), Object.getPrototypeOf(answers[n]) === Object.prototype];
          });
          return { answers, changed, twice };
        }";

    fn engine(own: bool) -> Engine {
        let mut program = Program::new("t.js", CODE);
        if own {
            // The author's own copy of the library, which has no access to the engine.
            let shipped = SHIPPED_LIBRARIES.iter().find(|(name, _)| *name == LIBRARY);
            program = program.with_library(LIBRARY, shipped.expect("it is shipped").1);
        }
        Engine::new(program, Options { logs: true, ..Options::default() }).unwrap()
    }

    fn answer(engine: &mut Engine, texts: &[String]) -> String {
        let event = format!("{{\"texts\":{}}}", serde_json::to_string(texts).unwrap());
        let mut out = Vec::new();
        let event = Event { json: event.as_bytes(), metadata: None };
        let verdict = engine.transform_event(event, &OutputFraming::LINES, &mut out);
        format!("{verdict:?} {} {:?}", String::from_utf8(out).unwrap(), engine.logs())
    }

    #[test]
    fn the_library_gives_the_same_with_the_engine_and_without() {
        let engines = RefCell::new([engine(false), engine(true)]);
        let text = prop_oneof![
            prop::collection::vec(pair(), 0..6).prop_map(|pairs| format!("[{}]", pairs.join(","))),
            prop::collection::vec(piece(), 0..8).prop_map(|pieces| format!("[{}]", pieces.concat())),
        ];
        proptest!(|(texts in prop::collection::vec(text, 2))| {
            // The two truths of an unchanged row, and one of another row.
            let all = [texts[0].clone(), texts[0].clone(), texts[1].clone()];
            let [with, without] = &mut *engines.borrow_mut();
            prop_assert_eq!(answer(with, &all), answer(without, &all));
        });
    }

    fn pair() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            r#""a""#,
            r#""name""#,
            r#""é""#,
            r#""日""#,
            r#""__proto__""#,
            r#""constructor""#,
            r#""1""#,
            r#""\u0061""#,
            "7",
            r#""toString""#,
        ]);
        let value = prop::sample::select(vec![
            "1",
            "0",
            "-0",
            "1e400",
            "1e-400",
            "9007199254740993",
            "0.10",
            "null",
            "true",
            "false",
            r#""""#,
            r#""text""#,
            r#""日本\n""#,
            r#""\ud800""#,
            r#"{"x":1}"#,
            "[1]",
        ]);
        (key, value).prop_map(|(key, value)| format!("[{key},{value}]"))
    }

    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            r#"["a",1]"#,
            r#"["a"]"#,
            ",",
            " ",
            "[]",
            "[",
            "]",
            "1",
            r#"["b",00]"#,
            r#"["b",0.]"#,
            "[\"\t\"]",
            "[\"a\",\"\t\"]",
            r#"["a",1,2]"#,
        ])
    }
}

//! V8's own view of an isolate, through its inspector: how often code ran, and the values of top-level variables.
//!
//! For tests only. An isolate that is not observed has no inspector. Observed code cannot detect it: nothing is added
//! to the global object.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use deno_core::v8;
use deno_core::v8::inspector::{
    Channel, ChannelImpl, StringBuffer, StringView, V8Inspector, V8InspectorClient, V8InspectorClientImpl,
    V8InspectorClientTrustLevel, V8InspectorSession,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What to observe while code runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObserverOptions {
    /// Counts how often code ran.
    pub coverage: bool,
    /// The variables at the top level of the author's modules, see [`crate::Engine::variables`].
    pub variables: bool,
}

/// How often the code of one script ran, in one isolate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptCoverage {
    /// The script's name, as stack traces call it.
    #[serde(rename = "url")]
    pub name: String,
    /// Its functions, outer ones before those inside them; the first is the script itself.
    pub functions: Vec<FunctionCoverage>,
}

/// How often the code of one function ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCoverage {
    /// Its name; empty where it has none.
    #[serde(rename = "functionName")]
    pub name: String,
    /// The range of the function itself, then the nested ranges with a different count, outer ones first.
    pub ranges: Vec<RangeCoverage>,
}

/// How often a range of code ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RangeCoverage {
    /// Start, in UTF-16 code units from the start of the script.
    pub start_offset: u32,
    /// End, in the same units.
    pub end_offset: u32,
    /// Number of times it ran.
    pub count: u64,
}

/// What to observe, and the results from isolates that have ended. The isolates of one test share it.
#[derive(Debug, Default)]
pub struct RunObserver {
    options: ObserverOptions,
    seen: RefCell<Vec<ScriptCoverage>>,
}

impl RunObserver {
    /// Observes what `options` says.
    pub fn new(options: ObserverOptions) -> Rc<Self> {
        Rc::new(Self { options, seen: RefCell::default() })
    }

    /// The coverage of all isolates that have ended.
    pub fn take_coverage(&self) -> Vec<ScriptCoverage> {
        self.seen.take()
    }
}

/// V8's inspector on one isolate. Dropped while the isolate is entered; see [`Inspector::close`].
pub(crate) struct Inspector {
    // Fields are dropped in this order.
    session: V8InspectorSession,
    _inspector: V8Inspector,
    answer: Rc<RefCell<Option<String>>>,
    number: Cell<i32>,
    observer: Rc<RunObserver>,
}

struct Answers(Rc<RefCell<Option<String>>>);

impl ChannelImpl for Answers {
    fn send_response(&self, _: i32, message: v8::UniquePtr<StringBuffer>) {
        *self.0.borrow_mut() = message.as_ref().map(|message| message.string().to_string());
    }

    fn send_notification(&self, _: v8::UniquePtr<StringBuffer>) {}

    fn flush_protocol_notifications(&self) {}
}

struct Client;

impl V8InspectorClientImpl for Client {}

/// The inspector's name for all observed contexts: there is one per isolate.
const GROUP: i32 = 1;

impl Inspector {
    /// Observes a context from here on; call it before anything is compiled in the context. `None` if there is nothing
    /// to observe.
    pub(crate) fn open(
        scope: &mut v8::PinScope<'_, '_>,
        context: v8::Local<'_, v8::Context>,
        observer: Option<&Rc<RunObserver>>,
    ) -> Option<Self> {
        let observer = observer.filter(|observer| observer.options != ObserverOptions::default())?.clone();
        let inspector = V8Inspector::create(scope, V8InspectorClient::new(Box::new(Client)));
        let answer = Rc::new(RefCell::new(None));
        let channel = Channel::new(Box::new(Answers(answer.clone())));
        let trusted = V8InspectorClientTrustLevel::FullyTrusted;
        let session = inspector.connect(GROUP, channel, StringView::empty(), trusted);
        inspector.context_created(context, GROUP, StringView::empty(), StringView::empty());
        let this = Self { session, _inspector: inspector, answer, number: Cell::new(0), observer };
        if this.observer.options.coverage {
            this.call("Profiler.enable", &json!({}));
            this.call("Profiler.startPreciseCoverage", &json!({ "callCount": true, "detailed": true }));
        }
        Some(this)
    }

    /// One call of the inspector's protocol. The isolate must be entered.
    fn call(&self, method: &str, params: &Value) -> Option<Value> {
        self.number.set(self.number.get() + 1);
        let message = json!({ "id": self.number.get(), "method": method, "params": params }).to_string();
        let units: Vec<u16> = message.encode_utf16().collect();
        self.answer.borrow_mut().take();
        self.session.dispatch_protocol_message(StringView::from(&units[..]));
        let answer = self.answer.borrow_mut().take()?;
        let mut answer: Value = serde_json::from_str(&answer).ok()?;
        Some(answer.get_mut("result")?.take())
    }

    /// Stops observing and stores the results. The isolate must be entered; it may have hit a limit.
    pub(crate) fn close(self, isolate: &mut v8::Isolate) {
        if !self.observer.options.coverage {
            return;
        }
        isolate.cancel_terminate_execution();
        let Some(mut answer) = self.call("Profiler.takePreciseCoverage", &json!({})) else { return };
        let scripts: Vec<ScriptCoverage> = serde_json::from_value(answer["result"].take()).unwrap_or_default();
        let authors = |script: &ScriptCoverage| !script.name.is_empty() && !script.name.starts_with("sluicegate:");
        self.observer.seen.borrow_mut().extend(scripts.into_iter().filter(authors));
    }

    /// Returns the values of variables: those at the top level of the author's modules, and those in
    /// the scopes of functions. `roots` are the objects to search per file: its exports, or its
    /// functions. The isolate must be entered.
    pub(crate) fn variables<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        roots: &[(String, v8::Local<'s, v8::Value>)],
    ) -> Variables {
        let mut found = Variables::default();
        if !self.observer.options.variables {
            return found;
        }
        for (name, text) in self.print(scope, None) {
            found.insert(Variable { file: None, name }, text);
        }
        for (file, root) in roots {
            let mut functions = self.functions_of(self.handle(scope, *root));
            let mut seen = HashSet::new();
            // The list grows during the loop: functions in the found scopes have scopes, too.
            let mut next = 0;
            while next < functions.len() && next < MAX_FUNCTIONS {
                let function = functions[next].clone();
                next += 1;
                for held in self.scopes(&function) {
                    let Some(handle) = held["value"]["objectId"].as_str().map(str::to_owned) else { continue };
                    let kind = held["value"]["description"].as_str().unwrap_or_default();
                    if kind.starts_with("Global") || kind.starts_with("Script") {
                        continue;
                    }
                    let is_module = kind.starts_with("Module");
                    if is_module && !seen.insert(kind.to_owned()) {
                        continue;
                    }
                    for (name, text) in self.print(scope, Some(&handle)) {
                        found.insert(Variable { file: Some(file.clone()), name }, text);
                    }
                    if is_module {
                        functions.extend(self.functions_of(Some(handle)));
                    }
                }
            }
        }
        self.call("Runtime.releaseObjectGroup", &json!({ "objectGroup": HANDLES }));
        found
    }

    /// Returns the inspector's handle for a value.
    fn handle<'s>(&self, scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Option<String> {
        // The protocol can only read a value from a global. No other code runs while this global exists.
        let global = scope.get_current_context().global(scope);
        let key = v8::String::new(scope, DOOR)?.into();
        global.create_data_property(scope, key, value)?;
        let expression = format!("globalThis['{DOOR}']");
        // An inspector numbers its contexts, and there is one.
        let call = json!({ "expression": expression, "objectGroup": HANDLES, "contextId": 1 });
        let answer = self.call("Runtime.evaluate", &call);
        global.delete(scope, key.into());
        Some(answer?["result"]["objectId"].as_str()?.to_owned())
    }

    /// The functions among an object's own properties.
    fn functions_of(&self, handle: Option<String>) -> Vec<String> {
        let Some(handle) = handle else { return Vec::new() };
        let answer = self.call("Runtime.getProperties", &json!({ "objectId": handle, "ownProperties": true }));
        let answer = answer.unwrap_or_default();
        let properties = answer["result"].as_array().into_iter().flatten();
        properties
            .filter(|property| property["value"]["type"] == "function")
            .filter_map(|property| Some(property["value"]["objectId"].as_str()?.to_owned()))
            .collect()
    }

    /// The scopes in which a function was created, innermost first.
    fn scopes(&self, function: &str) -> Vec<Value> {
        let properties = |handle: &str| {
            self.call("Runtime.getProperties", &json!({ "objectId": handle, "ownProperties": true }))
                .unwrap_or_default()
        };
        let answer = properties(function);
        let internal = answer["internalProperties"].as_array().into_iter().flatten();
        let scopes = internal.into_iter().find(|property| property["name"] == "[[Scopes]]");
        let Some(handle) = scopes.and_then(|scopes| scopes["value"]["objectId"].as_str()) else { return Vec::new() };
        properties(handle)["result"].as_array().cloned().unwrap_or_default()
    }

    /// Prints the values of an object's properties. Without an object, those of the properties
    /// added to the global object.
    fn print(&self, scope: &mut v8::PinScope<'_, '_>, handle: Option<&str>) -> BTreeMap<String, String> {
        let global;
        let handle = match handle {
            Some(handle) => handle,
            None => {
                let object = scope.get_current_context().global(scope);
                let Some(found) = self.handle(scope, object.into()) else { return BTreeMap::new() };
                global = found;
                &global
            }
        };
        let call =
            json!({ "objectId": handle, "functionDeclaration": PRINT, "returnByValue": true, "objectGroup": HANDLES });
        let answer = self.call("Runtime.callFunctionOn", &call).unwrap_or_default();
        serde_json::from_value(answer["result"]["value"].clone()).unwrap_or_default()
    }
}

/// The name of a temporary global.
const DOOR: &str = "sluicegate:inspect";

/// The inspector's name for the group of requested values.
const HANDLES: &str = "variables";

/// Maximum number of functions per file whose variables are read.
const MAX_FUNCTIONS: usize = 500;

/// Prints the values of an object's properties.
const PRINT: &str = include_str!("../../js/testing/variables.js");

/// A variable that outlives a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Variable {
    /// The file, as stack traces name it; `None` for a property of the global object.
    pub file: Option<String>,
    /// Its name.
    pub name: String,
}

/// Variables and their values as text.
pub type Variables = BTreeMap<Variable, String>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Options, Program};

    #[test]
    fn variables_are_those_that_outlive_an_event() {
        let code = "import { count, next } from 'lib';
            let last; const seen = new Map(); const pattern = /a/g;
            const counter = (() => { let inner = 0; return () => (inner += 1); })();
            export function transformEvent(event) {
              last = event; seen.set(event.id, 1); pattern.test('a'); counter(); next(); globalThis.made = event.id;
              return event;
            }";
        let lib = "export let count = 0; export function next() { count += 1; }";
        let observer = RunObserver::new(ObserverOptions { coverage: false, variables: true });
        let program = Program::new("t.js", code).with_library("lib", lib);
        let mut engine = Engine::observed(program, Options::default(), &observer).unwrap();
        let before = engine.variables();
        engine.transform(br#"{"id":7}"#, &mut Vec::new());
        let after = engine.variables();
        let changed: Vec<String> = after
            .iter()
            .filter(|(variable, text)| before.get(variable) != Some(text))
            .map(|(variable, text)| format!("{} {} {text}", variable.file.as_deref().unwrap_or("-"), variable.name))
            .collect();
        let expected = [
            "- made 7",
            "library lib count 1",
            "t.js count 1",
            "t.js inner 1",
            "t.js last {id: 7}",
            "t.js pattern {/a/g at 1}",
            "t.js seen {7 => 1}",
        ];
        assert_eq!(changed, expected, "{after:#?}");
    }
}

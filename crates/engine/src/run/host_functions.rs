//! The few things of the host that the scripts in the isolate can reach: where log lines go, and the metadata of the
//! event in hand. Nothing else exists.

use deno_core::v8;
use serde::{Deserialize, Serialize};

use crate::lazy;
use crate::lazy::Laziness;
use crate::run::fetch::{self, Access, Requests};
use crate::run::web;
use crate::v8::v8_string;

/// One line that the author's code logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `log`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The arguments, joined with spaces.
    pub message: String,
}

/// What the callbacks share with the engine; lives in a slot of the isolate.
pub(crate) struct State {
    /// What the event in hand has logged.
    pub(crate) logs: Vec<LogLine>,
    logged: usize,
    limit: usize,
    metadata: lazy::SharedMetadata,
    pub(crate) requests: Requests,
}

impl State {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            logs: Vec::new(),
            logged: 0,
            limit,
            metadata: lazy::SharedMetadata::default(),
            requests: Requests::default(),
        }
    }

    /// Makes ready for the next event.
    pub(crate) fn clear(&mut self) {
        if self.logged > 0 {
            self.logs.clear();
            self.logged = 0;
        }
        self.requests.clear();
    }

    /// The metadata of the one event in hand; whether what the code asks of it may be lazy.
    pub(crate) fn set_metadata(&mut self, metadata: Option<&[u8]>, laziness: Laziness) {
        let mut state = self.metadata.borrow_mut();
        state.laziness = laziness;
        state.set(metadata);
    }

    /// The metadata of the next event of a batch.
    pub(crate) fn add_metadata(&mut self, metadata: Option<&[u8]>) {
        self.metadata.borrow_mut().add(metadata);
    }

    fn log(&mut self, level: String, mut message: String) {
        if self.logged > self.limit {
            return;
        }
        let room = self.limit - self.logged;
        // An empty line costs something too, or an endless loop of them would not.
        self.logged += message.len().max(1);
        if message.len() > room {
            message.truncate(message.floor_char_boundary(room));
            message.push_str("… (the log limit of this event is reached)");
            self.logged = self.limit + 1;
        }
        self.logs.push(LogLine { level, message });
    }
}

/// The `host` object that the scripts of `js/runtime` are given.
pub(crate) fn object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    default_metadata: Option<&str>,
    logs: bool,
    access: Access,
) -> Option<v8::Local<'s, v8::Object>> {
    let host = v8::Object::new(scope);
    // Two numbers that the driver writes and the lazy values' getter reads, without a call in between.
    let probe = v8::ArrayBuffer::new(scope, size_of::<[u32; 2]>());
    let memory = probe.get_backing_store().data()?.as_ptr().cast::<[u32; 2]>();
    let probe = v8::Uint32Array::new(scope, probe, 0, 2)?;
    let lazy = lazy::State::new(scope, memory)?;
    scope.set_slot(lazy::Shared::new(lazy.into()));
    let lazy_part = v8::Function::new(scope, lazy::part)?;
    let write = v8::Function::new(scope, write_log)?;
    let shared = lazy::SharedMetadata::new(lazy::Metadata::new(default_metadata).into());
    if let Some(state) = scope.get_slot_mut::<State>() {
        state.metadata = shared.clone();
    }
    scope.set_slot(shared);
    let documented = v8::Function::new(scope, lazy::documented)?;
    let lazy_metadata = v8::Function::new(scope, lazy::lazy_metadata)?;
    let metadata = v8::Function::new(scope, lazy::metadata_of)?;
    let logs = v8::Boolean::new(scope, logs);
    let request = v8::Function::new(scope, fetch::request)?;
    let web_group = v8::Function::new(scope, web::group)?;
    let web_native = v8::Function::new(scope, web::native)?;
    let access = deno_core::serde_v8::to_v8(scope, access).ok()?;
    let defaults: v8::Local<v8::Value> = match default_metadata {
        Some(text) => v8::String::new(scope, text)?.into(),
        None => v8::undefined(scope).into(),
    };
    for (name, value) in [
        ("write", write.into()),
        ("documented", documented.into()),
        ("lazyMetadata", lazy_metadata.into()),
        ("metadataOf", metadata.into()),
        ("probe", probe.into()),
        ("lazyPart", lazy_part.into()),
        ("logs", logs.into()),
        ("request", request.into()),
        ("webGroup", web_group.into()),
        ("webNative", web_native.into()),
        ("access", access),
        ("defaultMetadata", defaults),
    ] {
        let key = v8::String::new(scope, name)?;
        host.set(scope, key.into(), value)?;
    }
    Some(host)
}

/// `write(level, message)`.
fn write_log(scope: &mut v8::PinScope<'_, '_>, args: v8::FunctionCallbackArguments, _: v8::ReturnValue<v8::Value>) {
    let text = |scope: &mut v8::PinScope<'_, '_>, index| {
        v8::Local::<v8::String>::try_from(args.get(index)).map(|text| v8_string::to_string(scope, text))
    };
    if let (Ok(level), Ok(message)) = (text(scope, 0), text(scope, 1))
        && let Some(state) = scope.get_slot_mut::<State>()
    {
        state.log(level, message);
    }
}

//! `transformBatch`: several events in one call.
//!
//! Outputs belong to the input that is the same object, else to the one with the same `messageId`, else to the input of
//! the output before. When the call as a whole fails, each event is tried alone, so that one event's fault stays its own.

use deno_core::v8;

use crate::run::event::{self, Settled, settled};
use crate::run::fetch;
use crate::run::output::{Print, bad_return};
use crate::run::state::State;
use crate::run::ticket::Ticket;
use crate::run::transform_isolate::{self, Overrides};
use crate::run::window;
use crate::v8::{errors, event_number};
use crate::verdict::{Failure, FailureKind, Verdict};
use crate::{Attempt, Engine, Event, LogLine, OutputFraming};
use sluicegate_json::canonical;
use sluicegate_json::roundtrip;

/// The result of each event of a batch, in order: the verdict, its outputs rendered, and what was logged. An event that
/// failed has outputs only where its rendering asks for them, see [`OutputFraming::keep_partial_output`].
pub type OnVerdict<'a> = dyn FnMut(Verdict, Vec<u8>, &[LogLine]) + 'a;

/// A batch's verdicts, each with its rendered outputs.
enum Batched {
    Verdicts(Vec<(Verdict, Vec<u8>)>),
    Failed(Failure),
}

impl Batched {
    /// Whether one of them failed for want of overrides.
    fn wants_overrides(&self) -> bool {
        let wants = |verdict: &Verdict| matches!(verdict, Verdict::Failed(failure) if Overrides::were_wanted(failure));
        match self {
            Batched::Verdicts(verdicts) => verdicts.iter().any(|(verdict, _)| wants(verdict)),
            Batched::Failed(failure) => Overrides::were_wanted(failure),
        }
    }
}

impl From<Failure> for Batched {
    fn from(failure: Failure) -> Self {
        Batched::Failed(failure)
    }
}

/// What a promise is settled with, when all answers have come that could settle it.
fn settled_at_last<'s>(scope: &mut v8::PinScope<'s, '_>, promise: v8::Local<'s, v8::Promise>) -> Settled<'s> {
    match settled(scope, promise) {
        Settled::Waits if fetch::drive(scope, promise) => settled(scope, promise),
        Settled::Waits => Settled::Never,
        settled => settled,
    }
}

impl Engine {
    /// Transforms `events` in one call and tells `on_verdict` of each, in order.
    pub fn transform_batch<'a>(
        &mut self,
        events: &[Event<'a>],
        rendering: &mut dyn FnMut(usize) -> OutputFraming<'a>,
        on_verdict: &mut OnVerdict<'_>,
    ) {
        if events.is_empty() {
            return;
        }
        match self.retrying(|engine| engine.attempt_batch(events, rendering)) {
            Batched::Verdicts(verdicts) => {
                let logs = std::mem::take(&mut self.logs);
                for (index, (verdict, text)) in verdicts.into_iter().enumerate() {
                    on_verdict(verdict, text, if index == 0 { &logs } else { &[] });
                }
                self.logs = logs;
            }
            Batched::Failed(failure) if events.len() == 1 => {
                on_verdict(failure.into(), Vec::new(), &self.logs);
            }
            Batched::Failed(_) => {
                for (index, event) in events.iter().enumerate() {
                    self.transform_batch(&[*event], &mut |_| rendering(index), on_verdict);
                }
            }
        }
    }

    fn attempt_batch<'a>(
        &mut self,
        events: &[Event<'a>],
        rendering: &mut dyn FnMut(usize) -> OutputFraming<'a>,
    ) -> Attempt<Batched> {
        let Some(isolate) = self.isolate.as_mut() else { return Attempt::OutOfMemory };
        let entered = isolate.enter();
        let (context, function, driver) = entered.handles;
        self.logs.clear();
        let is_source = |file: &str| transform_isolate::is_source(&self.program, file);
        let mut in_time = true;
        let batched = 'batch: {
            v8::scope_with_context!(scope, &mut *entered.isolate, context);
            v8::tc_scope!(let scope, scope);
            let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
            if let Some(state) = scope.get_slot_mut::<State>() {
                let number = state.start(Ticket::default());
                state.set_metadata(None, self.laziness);
                if let Some(number) = number {
                    event_number::set(scope, number);
                }
            }
            // Lines that are no events get their verdict at once and are not part of the call.
            let mut verdicts: Vec<(Verdict, Vec<u8>)> = Vec::with_capacity(events.len());
            let mut present = Vec::with_capacity(events.len());
            let mut inputs = Vec::with_capacity(events.len());
            for (index, event) in events.iter().enumerate() {
                let clean = canonical::round_trips(event.json);
                window::no_code!(scope);
                let verdict = match event::parse(scope, driver, event.json, clean.is_some(), &mut self.scratch) {
                    Ok(input) => {
                        let lossy = clean.is_none() && roundtrip::may_hold_lossy(event.json);
                        if lossy {
                            event::carry(scope, driver, input, event.json, &mut self.validator, &mut self.scratch);
                        }
                        present.push((index, clean, lossy));
                        inputs.push(input);
                        if let Some(state) = scope.get_slot_mut::<State>() {
                            state.add_metadata(event.metadata);
                        }
                        Verdict::Dropped
                    }
                    Err(failure) => failure.into(),
                };
                verdicts.push((verdict, Vec::new()));
            }
            if present.is_empty() {
                break 'batch Some(Batched::Verdicts(verdicts));
            }
            let inputs = v8::Array::new_with_elements(scope, &inputs).into();

            self.watch.begin();
            // It reads the events' ids, and a prototype may have one.
            let open = v8::Local::new(scope, &driver.open_batch);
            if open.call(scope, undefined, &[inputs]).is_none() {
                in_time = self.watch.end();
                break 'batch None;
            }
            let transform = v8::Local::new(scope, function);
            let metadata = v8::Local::new(scope, &driver.metadata);
            let mut result = transform.call(scope, undefined, &[inputs, metadata.into()]);
            if result.is_some() {
                scope.perform_microtask_checkpoint();
            }
            let mut failed = None;
            if let Some(promise) = result.and_then(|value| v8::Local::<v8::Promise>::try_from(value).ok()) {
                let describe = v8::Local::new(scope, &driver.describe);
                match settled_at_last(scope, promise) {
                    Settled::Fulfilled(value) => result = Some(value),
                    Settled::Rejected(thrown) => {
                        failed = Some(errors::describe(scope, describe, thrown, FailureKind::Exception, &is_source));
                    }
                    Settled::Waits | Settled::Never => failed = Some(event::never_settles("transformBatch")),
                }
            }
            let mut grouped = None;
            if failed.is_none()
                && let Some(result) = result
            {
                let finish = v8::Local::new(scope, &driver.finish_batch);
                let count = v8::Integer::new(scope, present.len() as i32);
                let lossy = present.iter().any(|(.., lossy)| *lossy);
                let lossy = v8::Boolean::new(scope, lossy);
                grouped = finish.call(scope, undefined, &[result, count.into(), lossy.into()]);
            }
            if grouped.is_none()
                && failed.is_none()
                && !scope.has_terminated()
                && let Some(thrown) = scope.exception()
            {
                scope.reset();
                let describe = v8::Local::new(scope, &driver.describe);
                failed = Some(errors::describe(scope, describe, thrown, FailureKind::Exception, &is_source));
            }
            let whole = window::drain(scope);
            let close = v8::Local::new(scope, &driver.close_batch);
            close.call(scope, undefined, &[]);
            in_time = self.watch.end();
            if !in_time || !whole {
                break 'batch None;
            }
            window::no_code!(scope);
            if let Some(failure) = failed {
                break 'batch Some(Batched::Failed(failure));
            }
            let Some(grouped) = grouped else { break 'batch None };
            // A number may have moved from one event to another.
            let lossy = present.iter().any(|(.., lossy)| *lossy);
            fn array<'s>(value: Option<v8::Local<'s, v8::Value>>) -> Option<v8::Local<'s, v8::Array>> {
                value?.try_cast().ok()
            }
            let Some(pair) = array(Some(grouped)) else {
                let code = grouped.number_value(scope).unwrap_or_default();
                break 'batch Some(Batched::Failed(bad_return(code, "transformBatch")));
            };
            let (Some(groups), Some(faults)) = (array(pair.get_index(scope, 0)), array(pair.get_index(scope, 1)))
            else {
                break 'batch None;
            };
            for (group, (index, clean, _)) in present.iter().enumerate() {
                let (Some(texts), Some(fault)) =
                    (groups.get_index(scope, group as u32), faults.get_index(scope, group as u32))
                else {
                    break 'batch None;
                };
                let rendering = rendering(*index);
                let mut print = Print {
                    line: events[*index].json,
                    // The driver's marks are taken out where the text is compared with the line.
                    clean: clean.filter(|_| !lossy),
                    lossy,
                    is_read: false,
                    validator: &mut self.validator,
                    rendering: &rendering,
                    limit: self.options.limits.output,
                    used: 0,
                    text: &mut self.text,
                };
                let (verdict, out) = &mut verdicts[*index];
                *verdict = print.all(scope, texts, "transformBatch", out);
                let printed = matches!(verdict, Verdict::Ok { .. });
                if fault.is_object() {
                    *verdict = errors::thrown(scope, fault, &is_source).into();
                } else if let Some(code) = fault.is_number().then(|| fault.number_value(scope)).flatten() {
                    *verdict = bad_return(code, "transformBatch").into();
                }
                if !printed || !rendering.keep_partial_output && !matches!(verdict, Verdict::Ok { .. }) {
                    out.clear();
                }
            }
            Some(Batched::Verdicts(verdicts))
        };
        if self.options.logs
            && let Some(state) = entered.isolate.get_slot_mut::<State>()
        {
            state.swap_logs(&mut self.logs);
        }
        drop(entered);
        let out_of_memory = isolate.heap_was_hit();
        match batched {
            _ if !in_time => Attempt::OutOfTime,
            Some(batched) if self.overrides != Overrides::All && batched.wants_overrides() => Attempt::WantsOverrides,
            Some(mut batched) if !out_of_memory => {
                match &mut batched {
                    Batched::Verdicts(verdicts) => {
                        verdicts.iter_mut().for_each(|(verdict, _)| self.mask_everything(Some(verdict)));
                    }
                    Batched::Failed(failure) => self.mask_failure(failure),
                }
                Attempt::Done(batched)
            }
            _ => Attempt::OutOfMemory,
        }
    }
}

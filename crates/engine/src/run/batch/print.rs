//! Prints the result of a batch: the outputs of each event.

use deno_core::v8;

use super::call::Scope;
use super::{Batched, FramingOf, Verdicts};
use crate::Event;
use crate::run::output::{BadReturn, Print};
use crate::v8::errors;
use crate::verdict::{Failure, Verdict};
use sluicegate_json::roundtrip;
use sluicegate_json::validator::Validator;

/// What printing needs to know about an input event.
#[derive(Clone, Copy)]
pub(super) struct Input {
    /// Its index in the batch.
    pub(super) index: usize,
    pub(super) clean: Option<usize>,
    pub(super) lossy: bool,
}

/// The engine's state that printing uses.
pub(super) struct Printer<'p> {
    pub(super) validator: &'p mut Validator,
    pub(super) text: &'p mut Vec<u8>,
    pub(super) limit: usize,
    /// Whether any line has a number that may lose value in JavaScript. The code may have moved it to another event.
    pub(super) lossy: bool,
}

/// Prints the outputs of each input.
pub(super) fn print_groups<'s, 'a>(
    scope: &mut Scope<'_, '_, '_, 's>,
    grouped: v8::Local<'s, v8::Value>,
    (events, present): (&[Event<'a>], &[Input]),
    framing: &mut FramingOf<'_, 'a>,
    printer: Printer<'_>,
    mut verdicts: Verdicts,
    is_source: &dyn Fn(&str) -> bool,
) -> Option<Batched> {
    let array = |value: v8::Local<'s, v8::Value>| value.try_cast::<v8::Array>().ok();
    let pair = array(grouped)?;
    // An output may contain numbers of other events.
    let lossy = present.iter().filter(|input| input.lossy).map(|input| events[input.index].json);
    let elsewhere = lossy.flat_map(roundtrip::unsafe_number_texts).map(<[u8]>::to_vec);
    printer.validator.restorer.elsewhere = elsewhere.collect();
    let groups = array(pair.get_index(scope, 0)?)?;
    let faults = array(pair.get_index(scope, 1)?)?;
    for (group, input) in present.iter().enumerate() {
        let texts = groups.get_index(scope, group as u32)?;
        let fault = faults.get_index(scope, group as u32)?;
        let framing = framing(input.index);
        // The driver's markers are removed where the text is compared with the line.
        let loss = (input.clean.filter(|_| !printer.lossy), printer.lossy);
        let mut print = Print::new(
            events[input.index].json,
            loss,
            &framing,
            printer.limit,
            &mut *printer.validator,
            &mut *printer.text,
        );
        let (verdict, out) = &mut verdicts[input.index];
        *verdict = print.all(scope, texts, "transformBatch", out);
        let printed = matches!(verdict, Verdict::Ok { .. });
        if fault.is_object() {
            *verdict = errors::thrown(scope, fault, is_source).into();
        } else if let Some(failure) = BadReturn::from_driver(fault, "transformBatch") {
            *verdict = failure.into();
        }
        if !printed || !framing.keep_partial_output && !matches!(verdict, Verdict::Ok { .. }) {
            out.clear();
        }
    }
    printer.validator.restorer.elsewhere.clear();
    Some(Batched::Verdicts(verdicts))
}

/// Fails the events whose code read an unsafe number, by index. Their outputs are discarded.
pub(super) fn put_failures(batched: &mut Option<Batched>, failures: impl Iterator<Item = (usize, Failure)>) {
    let Some(Batched::Verdicts(verdicts)) = batched else { return };
    for (place, failure) in failures {
        if let Some((verdict, text)) = verdicts.get_mut(place)
            && !matches!(verdict, Verdict::Failed(_))
        {
            *verdict = failure.into();
            text.clear();
        }
    }
}

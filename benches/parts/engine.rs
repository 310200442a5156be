//! One event through the isolate, by kind of event and by transformation.

use criterion::{Criterion, Throughput};
use sluicegate::bench::generate::{Events, Workload};
use sluicegate::engine::{Engine, Laziness, Options, Program};

const IDENTITY: &str = "export function transformEvent(event) { return event; }";
const DROP: &str = "export function transformEvent(event) { return null; }";
const TOUCH: &str = "export function transformEvent(event) {
  const traits = event.traits ?? event.context.traits;
  traits.name = (traits.firstName ?? traits.familyName) + ' ' + (traits.lastName ?? traits.givenName);
  traits.age = Number(traits.age ?? traits.loyaltyPoints);
  delete traits.plan;
  return event;
}";
const THROW: &str = "export function transformEvent(event) { throw new TypeError('no'); }";
const ASYNC: &str = "export async function transformEvent(event) { await null; return event; }";
const TRUTHS: &str = include_str!("../../examples/warehouse-actions/transform.js");

/// The number of different events, so that the branch predictor cannot learn a single event.
const DIFFERENT: usize = 256;

pub fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one event");
    let ways = [("", Laziness::Auto), (", parsed in full", Laziness::Never)];
    let kinds = [
        ("small, identity", Workload::Small, IDENTITY),
        ("small, touched", Workload::Small, TOUCH),
        ("small, dropped", Workload::Small, DROP),
        ("small, async", Workload::Small, ASYNC),
        ("small, throws", Workload::Small, THROW),
        ("truths, warehouse actions", Workload::Truths, TRUTHS),
        ("wide, identity", Workload::Wide, IDENTITY),
        ("wide, touched", Workload::Wide, TOUCH),
        ("wide, dropped", Workload::Wide, DROP),
        ("cjk, identity", Workload::Cjk, IDENTITY),
        ("cjk, touched", Workload::Cjk, TOUCH),
    ];
    // The two ways of each event run one after the other, because the machine's speed changes from minute to minute.
    for ((name, workload, code), (how, laziness)) in kinds.into_iter().flat_map(|kind| ways.map(|way| (kind, way))) {
        let mut events = Events::new(workload, 1);
        let lines: Vec<String> = (0..DIFFERENT)
            .map(|_| {
                let mut line = String::new();
                events.next_into(&mut line);
                line.truncate(line.trim_end().len());
                line
            })
            .collect();
        let mut engine = Engine::new(Program::new("t.js", code), Options::default()).unwrap();
        engine.set_laziness(laziness);
        let mut out = Vec::new();
        let mut next = lines.iter().cycle();
        let bytes: usize = lines.iter().map(String::len).sum();
        group.throughput(Throughput::Bytes((bytes / DIFFERENT) as u64));
        group.bench_function(format!("{name}{how}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                engine.transform(next.next().expect("it cycles").as_bytes(), &mut out)
            });
        });
    }
    group.finish();
}

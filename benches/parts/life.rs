//! The time to start an isolate and a worker, and to recover after a kill.

use std::time::{Duration, Instant};

use criterion::Criterion;
use sluicegate::engine::{Engine, Limits, Options, Program};
use sluicegate::verdict::{FailureKind, Verdict};
use sluicegate::workers;

const CODE: &str = "export function transformEvent(event) {
  if (event.loop) for (;;);
  if (event.grow) for (const all = []; ; ) all.push(new Array(1000).fill(event));
  return event;
}";
const LIMIT: Duration = Duration::from_millis(100);

pub fn benches(criterion: &mut Criterion) {
    // Starts have the default limits: on a busy machine, loading may exceed a short CPU limit.
    let options = Options::default();
    let program = Program::new("t.js", CODE);
    let mut group = criterion.benchmark_group("life");
    group.sample_size(10);

    group.bench_function("isolate start", |bencher| {
        bencher.iter_with_large_drop(|| Engine::new(program.clone(), options.clone()).unwrap());
    });

    // Starts a process and its isolate, waits until it is ready, and ends it.
    group.bench_function("worker start", |bencher| {
        bencher.iter(|| workers::check(&program, &options, workers::Sandbox::default()).unwrap());
    });

    let limits = Limits { cpu: LIMIT, ..Limits::default() };
    let mut engine = Engine::new(program.clone(), Options { limits, ..Options::default() }).unwrap();
    let mut out = Vec::new();
    group.bench_function("kill: how long beyond the limit of 100 ms", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    engine.transform(b"{}", &mut out);
                    let started = Instant::now();
                    expect(&engine.transform(br#"{"loop":true}"#, &mut out), FailureKind::Timeout);
                    started.elapsed().saturating_sub(LIMIT)
                })
                .sum()
        });
    });

    group.bench_function("recovery: the event after a kill", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    // Workers call this when they have no event.
                    engine.idle();
                    expect(&engine.transform(br#"{"loop":true}"#, &mut out), FailureKind::Timeout);
                    let started = Instant::now();
                    assert_eq!(engine.transform(b"{}", &mut out), Verdict::Ok { outputs: 1 });
                    out.clear();
                    started.elapsed()
                })
                .sum()
        });
    });

    // This fills the heap twice, because an event fails by `memory` only in a fresh isolate, and replaces the isolate
    // in between.
    let limits = Limits { heap: 32 << 20, ..Limits::default() };
    let mut engine = Engine::new(program, Options { limits, ..Options::default() }).unwrap();
    group.bench_function("an event that fills a heap of 32 MiB, and the next one", |bencher| {
        bencher.iter(|| {
            expect(&engine.transform(br#"{"grow":true}"#, &mut out), FailureKind::Memory);
            engine.transform(b"{}", &mut out);
            out.clear();
        });
    });
    group.finish();
}

fn expect(verdict: &Verdict, kind: FailureKind) {
    assert!(matches!(verdict, Verdict::Failed(failure) if failure.kind == kind), "{verdict:?}");
}

//! The line reader and the frames.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use rustix::event::{EventfdFlags, eventfd};
use sluicegate::bench::generate::{Events, Workload};
use sluicegate::wire::frame::{self, HEADER, LineFailure, Part, Work};
use sluicegate::wire::input::Open;
use sluicegate::wire::lines::{Reader, slot_len};
use sluicegate::wire::shared;

pub fn benches(criterion: &mut Criterion) {
    lines(criterion);
    frames(criterion);
}

/// Reads a file of some megabytes from the page cache.
fn lines(criterion: &mut Criterion) {
    const SLOTS: usize = 6;
    let mut group = criterion.benchmark_group("line reader");
    for (name, workload, count) in [("small", Workload::Small, 10_000), ("wide", Workload::Wide, 1000)] {
        let mut events = Events::new(workload, 1);
        let mut text = String::new();
        (0..count).for_each(|_| events.next_into(&mut text));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let slot = slot_len(16 << 20);
        let (_fd, memory) = shared::create("bench", slot * SLOTS, true).unwrap();
        let memory = Arc::new(memory);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let stop = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
                let reader = Reader::new(memory.clone(), slot, SLOTS, stop);
                let input = Open::lines(name.to_owned(), File::open(file.path()).unwrap());
                reader.run(vec![input], &mut |piece| {
                    black_box(&piece);
                    true
                })
            });
        });
    }
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    let failed = |line| LineFailure { line, output_at: u64::from(line), failure: vec![b'x'; 300] };
    let part = |failures: u32| Part {
        unit: 7,
        lines: 500 + failures,
        ok: 500,
        events_out: 500,
        bytes: 250_000,
        failures: (0..failures).map(failed).collect(),
        ..Part::default()
    };
    let work = Work { unit: 7, offset: 1 << 20, len: 250_000, first_line: 1 };
    let mut out = Vec::new();
    group.bench_function("work, there and back", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&work).put(&mut out);
            Work::get(&out[HEADER..])
        });
    });
    for (name, part) in [("part, there and back", part(0)), ("part with 50 failures", part(50))] {
        let mut payload = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(&part).put(&mut out);
                frame::read(&mut out.as_slice(), &mut payload).unwrap();
                Part::get(&payload)
            });
        });
    }
    group.finish();
}

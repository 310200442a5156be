//! Benchmarks of single parts: `cargo bench -p sluicegate-parts --bench parts [FILTER]`. One program for all
//! benchmarks, so that V8 is linked once.
//!
//! They show how a change affects one part. `sluicegate bench` measures a whole run, and `benches/compare/run` compares
//! it with other programs.

mod engine;
mod life;
mod wire;

use criterion::Criterion;

fn main() {
    // The pool starts this program as its workers.
    if std::env::args().nth(1).as_deref() == Some("worker") {
        std::process::exit(sluicegate::workers::worker_main().into());
    }
    let mut criterion = Criterion::default().configure_from_args();
    wire::benches(&mut criterion);
    engine::benches(&mut criterion);
    life::benches(&mut criterion);
    criterion.final_summary();
}

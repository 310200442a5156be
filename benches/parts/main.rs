//! The parts, each alone: `cargo bench -p sluicegate-parts --bench parts [FILTER]`. One program for all, so that V8 is linked once.
//!
//! What a whole run costs is `sluicegate bench`'s business, and how it compares with others that of
//! `benches/compare/run`; these are for finding out what a change did to one part.

mod engine;
mod life;
mod wire;

use criterion::Criterion;

fn main() {
    // The pool starts this very program as its workers.
    if std::env::args().nth(1).as_deref() == Some("worker") {
        std::process::exit(sluicegate::workers::worker_main().into());
    }
    let mut criterion = Criterion::default().configure_from_args();
    wire::benches(&mut criterion);
    engine::benches(&mut criterion);
    life::benches(&mut criterion);
    criterion.final_summary();
}

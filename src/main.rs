use sluicegate::{config::*, engine::*, pool::*, verdict::FailOn};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a[1] == "worker" { std::process::exit(worker_main().into()) }
    let mut options = Options::default();
    let env = |k: &str| std::env::var(k).ok();
    if let Some(ms) = env("CPU") { options.limits.cpu = std::time::Duration::from_millis(ms.parse().unwrap()); }
    let job = Job { program: Program::new(&a[2], std::fs::read_to_string(&a[2]).unwrap()), options, workers: env("J").map_or(2, |j| j.parse().unwrap()),
        emit: if env("V").is_some() { Emit::Verdicts } else { Emit::Events }, envelope: env("E").is_some(),
        on_error: match env("ON").as_deref() { Some("stop") => OnError::Stop, Some("pass") => OnError::Pass, _ => OnError::DeadLetter }, errors: env("ERR").map_or(Target::Stderr, |f| Target::File(f.into())), logs: None, unordered: false, line_buffered: false, batch_size: 200 };
    let inputs: Vec<Input> = if a.len() > 3 { a[3..].iter().map(|f| Input::File(f.into())).collect() } else { vec![Input::Stdin] };
    let (s, r) = run(job, open(&inputs).unwrap(), &mut |_| {});
    eprintln!("{} {:?} deaths {} hangs {} {:?}", s.tally, s.elapsed, s.deaths, s.hangs, s.ended);
    if let Err(e) = r { eprintln!("error: {e}"); }
    std::process::exit(s.tally.exit_code(FailOn::Error).into());
}

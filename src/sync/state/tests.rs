use std::sync::Arc;

use super::*;

fn config(dir: &Path) -> Config {
    let text = "[source]\nstdin = true\nkey = \"id\"\n[[sink]]\nname = \"a\"\nkind = \"file\"\npath = \"a\"\n\
                [[sink]]\nname = \"b\"\nkind = \"file\"\npath = \"b\"\n";
    Config::parse(text, &dir.join("s.toml")).unwrap()
}

fn settled(sink: i64, fingerprint: u8) -> Change {
    settled_as(Settlement::Sent, sink, fingerprint)
}

fn settled_as(how: Settlement, sink: i64, fingerprint: u8) -> Change {
    let row = Some(Arc::from(vec![fingerprint]));
    Change { key: "k".into(), sink, kind: ChangeKind::Settled { fingerprint: [fingerprint; 16], how, row } }
}

#[test]
fn a_version_is_kept_as_long_as_a_sink_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut state = State::open(&config).unwrap();
    let sinks = state.sinks(&config).unwrap();
    state.commit(&[settled(sinks[0], 1), settled(sinks[1], 1)], 1, "c").unwrap();
    state.commit(&[settled(sinks[0], 2)], 2, "c").unwrap();
    assert_eq!(state.version("k", &[1; 16]).unwrap(), Some(vec![1]));
    assert_eq!(state.version("k", &[2; 16]).unwrap(), Some(vec![2]));
    state.commit(&[settled(sinks[1], 2)], 2, "c").unwrap();
    assert_eq!(state.version("k", &[1; 16]).unwrap(), None);
    let gone = |sink| Change { key: "k".into(), sink, kind: ChangeKind::Gone };
    state.commit(&[gone(sinks[0]), gone(sinks[1])], 3, "c").unwrap();
    assert_eq!((state.known().unwrap(), state.version("k", &[2; 16]).unwrap()), (0, None));
}

#[test]
fn a_row_that_is_dropped_is_settled_and_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut state = State::open(&config).unwrap();
    let sink = state.sinks(&config).unwrap()[0];
    let mut after = |how, fingerprint: u8| {
        state.commit(&[settled_as(how, sink, fingerprint)], 1, "c").unwrap();
        let mut found = Vec::new();
        state.settled("k", &mut found).unwrap();
        assert_eq!(found[0].fingerprint, [fingerprint; 16]);
        let mut keys = Vec::new();
        let take = |_: &str, was_sent| {
            keys.push(was_sent);
            Ok(())
        };
        state.keys(&[sink], take).unwrap();
        assert_eq!(keys, [found[0].acknowledged.is_some()]);
        let kept = |fingerprint| state.version("k", &[fingerprint; 16]).unwrap().is_some();
        (found[0].acknowledged.map(|fingerprint| fingerprint[0]), kept(1), kept(2), kept(3))
    };
    assert_eq!(after(Settlement::Dropped, 1), (None, false, false, false));
    assert_eq!(after(Settlement::Sent, 2), (Some(2), false, true, false));
    assert_eq!(after(Settlement::Dropped, 3), (Some(2), false, true, false));
    assert_eq!(after(Settlement::NotForSink, 1), (Some(2), false, true, false));
    assert_eq!(after(Settlement::Sent, 3), (Some(3), false, false, true));
}

#[test]
fn tries_are_of_one_row_with_one_code() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut state = State::open(&config).unwrap();
    let problem = |fingerprint: u8, failed| Change {
        key: "k".into(),
        sink: 1,
        kind: ChangeKind::Problem {
            fingerprint: Some([fingerprint; 16]),
            failed,
            sure: false,
            stage: "destination",
            reason: "no".into(),
            answer: None,
        },
    };
    let mut tries = |fingerprint, failed, code| {
        state.commit(&[problem(fingerprint, failed)], 1, code).unwrap();
        state.problems(Some("k"), 9).unwrap()[0].tries
    };
    assert_eq!(tries(1, true, "c"), 1);
    assert_eq!(tries(1, true, "c"), 2);
    assert_eq!(tries(1, false, "c"), 2, "a row that waits was not tried");
    assert_eq!(tries(1, true, "d"), 1);
    assert_eq!(tries(2, true, "d"), 1);
    state.commit(&[settled(1, 2)], 2, "d").unwrap();
    assert!(state.problems(None, 9).unwrap().is_empty());
}

//! `sluicegate.toml`: any text is either accepted, or rejected with a message that can be printed.

use std::path::Path;

use sluicegate::cli::config_file;

/// Reads the bytes as a config file.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("conf/sluicegate.toml");
    let Err(error) = config_file::parse(text, path, config_file::Writer::Operator) else { return };
    assert!(!error.message.is_empty());
    let place = error.place.as_ref().expect("an error in a file has a place");
    assert!(place.line >= 1 && place.line as usize <= text.split('\n').count());
    assert!(place.columns.start >= 1 && place.columns.start < place.columns.end);
    for color in [false, true] {
        let shown = error.render(color);
        let control = |c: char| c.is_control() && c != '\n' && !(color && c == '\u{1b}');
        assert!(!shown.contains(control), "a control character reaches the terminal: {shown:?}");
    }
    assert!(error.to_string().starts_with("conf/sluicegate.toml:"));
}

//! `init`, and `types` with libraries. `tests/scripts/editors.sh` runs tsc and ESLint on the results.

use std::fs;

use crate::support::Dir;

#[test]
fn a_new_project_passes_everything() {
    for (flags, end) in [(vec![], "js"), (vec!["--ts"], "ts")] {
        let dir = Dir::new();
        let done = dir.run(&[&["init"], &flags[..]].concat(), "");
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.text().contains(&format!("src/orders.{end}\n")) && done.text().contains("sluicegate.d.ts\n"));
        let tested = dir.run(&["test", "--coverage"], "");
        assert_eq!(tested.code, 0, "{}{}", tested.text(), tested.err);
        assert!(tested.text().contains("6 passed in 2 files"), "{}", tested.text());
        let checked = dir.run(&["check"], "");
        assert_eq!(
            (checked.code, checked.text()),
            (0, format!("src/orders.{end}: ok: exports transformEvent; imports money\n").as_str())
        );
        let ran = dir.run(&["run", &format!("src/orders.{end}"), "events.jsonl"], "");
        assert!(ran.code == 0 && ran.text().contains("\"total\":7.5") && ran.lines().len() == 2, "{}", ran.text());
        // The declarations are those that `types` writes.
        assert_eq!(dir.run(&["types"], "").text(), dir.read("sluicegate.d.ts"));
        assert!(dir.read("sluicegate.d.ts").contains("declare module 'money' {"));
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = Dir::new();
    dir.file("p/package.json", "mine");
    let done = dir.run(&["init", "p"], "");
    assert!(done.code == 2 && done.err.contains("package.json is in p already; nothing was written"), "{}", done.err);
    assert_eq!(dir.read("p/package.json"), "mine");
    assert_eq!(fs::read_dir(dir.path().join("p")).unwrap().count(), 1);
}

/// The page shows exactly the files that `init` writes.
#[test]
fn the_page_on_editors_shows_the_files_of_a_project() {
    let page = fs::read_to_string("docs/editors.md").unwrap();
    for file in ["tsconfig.json", "eslint.config.js", "eslint.config.ts.js"] {
        let text = fs::read_to_string(format!("js/init/{file}")).unwrap();
        assert!(page.contains(&text), "{file} is another one in docs/editors.md");
    }
}

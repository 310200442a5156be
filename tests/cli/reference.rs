//! `docs/reference.md`: every example has the result that the page shows.

use std::fmt::Write;

use crate::support::Dir;

#[test]
fn every_example_of_the_reference_gives_what_it_says() {
    let page = std::fs::read_to_string("docs/reference.md").unwrap();
    let (mut imports, mut checks, mut wanted) = (String::new(), String::new(), Vec::new());
    for block in page.split("```js example\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        for line in block.lines() {
            match line.split_once("// → ") {
                Some((code, result)) => {
                    writeln!(checks, "  results.push({});", code.trim()).unwrap();
                    wanted.push((code.trim(), serde_json::from_str::<serde_json::Value>(result).unwrap()));
                }
                None => writeln!(imports, "{line}").unwrap(),
            }
        }
    }
    assert!(wanted.len() >= 20, "only {} examples were found", wanted.len());
    let code = format!(
        "{imports}export async function transformEvent() {{\n  const results = [];\n{checks}  return {{ results }};\n}}"
    );
    let done = Dir::with(&code).run(&["run", "t.js", "-q"], "{}\n");
    let out: serde_json::Value = serde_json::from_str(done.text()).unwrap_or_else(|_| panic!("{}", done.err));
    for ((code, wanted), got) in wanted.iter().zip(out["results"].as_array().unwrap()) {
        assert_eq!(got, wanted, "{code}");
    }
}

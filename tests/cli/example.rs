//! The example's tests are effective: if any rule of its code is broken, a test fails and names the field. This holds
//! for both forms of tests, JavaScript and data.

use std::fs;

use crate::support::{Dir, Done};

const EXAMPLE: &str = "examples/warehouse-actions";

/// The text in `transform.js`, its replacement, and the text that the failing test must contain.
const BROKEN: &[(&str, &str, &str)] = &[
    ("if (!compare_truths(newTruth, oldTruth)) return null;", "", "events"),
    ("compare_truths(newTruth, oldTruth)", "compare_truths(oldTruth, newTruth)", "events"),
    ("rebuild_object(traits.new_truth)", "rebuild_object(traits.old_truth)", "events"),
    ("rebuild_object(traits.old_truth)", "rebuild_object(traits.new_truth)", "events"),
    ("if (traits.sfdc_id) {", "if (true) {", "externalId"),
    ("if (traits.sfdc_id) {", "if (false) {", "externalId"),
    ("(event.context ??= {})", "(event.context = {})", "context"),
    ("(context.externalId ??= [])", "(context.externalId = [])", "externalId"),
    (".push(", ".unshift(", "externalId"),
    ("type: 'Salesforce-Account'", "type: 'Salesforce-account'", "externalId"),
    ("id: traits.sfdc_id", "id: event.userId", "externalId"),
    ("{ ...event.integrations, ", "{ ", "integrations"),
    ("Salesforce: true, ", "", "integrations"),
    (", All: true", "", "integrations"),
    (
        "{ ...event.integrations, Salesforce: true, All: true }",
        "{ All: true, Salesforce: true, ...event.integrations }",
        "integrations",
    ),
    ("event.type = 'group';", "", "type"),
    ("event.groupId = newTruth.group_id;", "", "groupId"),
    ("event.groupId = newTruth.group_id;", "event.groupId = oldTruth.group_id;", "groupId"),
    ("event.traits = newTruth;", "", "traits"),
    ("event.traits = newTruth;", "event.traits = oldTruth;", "traits"),
    ("delete event.messageId;", "", "messageId"),
    ("return event;", "return null;", "events"),
];

fn copy() -> Dir {
    let dir = Dir::new();
    for name in ["transform.js", "transform.test.js"] {
        dir.file(name, fs::read(format!("{EXAMPLE}/{name}")).unwrap());
    }
    for case in fs::read_dir(format!("{EXAMPLE}/cases")).unwrap() {
        let case = case.unwrap();
        dir.file(&format!("cases/{}", case.file_name().to_str().unwrap()), fs::read(case.path()).unwrap());
    }
    dir
}

#[test]
fn whichever_rule_is_broken_a_test_names_the_field() {
    let code = fs::read_to_string(format!("{EXAMPLE}/transform.js")).unwrap();
    let dir = copy();
    let mut wrong = String::new();
    for (rule, instead, field) in BROKEN {
        assert_eq!(code.matches(rule).count(), 1, "{rule}");
        dir.file("transform.js", code.replace(rule, instead));
        for form in ["transform.test.js", "cases"] {
            let done: Done = dir.run(&["test", "-j", "1", form], "");
            // A separate line with the path to the field, or the matcher's sentence about the field.
            let named = done.text().lines().any(|line| {
                let line = line.trim();
                let path = line.strip_prefix("events[0].").unwrap_or(line);
                line.contains(field)
                    && (line.starts_with(field)
                        || path.starts_with(field)
                        || path.contains(&format!(".{field}"))
                        || line.contains("has the property"))
            });
            if done.code != 1 || !named {
                wrong.push_str(&format!("── {rule} → {instead}: {form}: code {}\n{}\n", done.code, done.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn both_forms_run_every_line() {
    for form in ["transform.test.js", "cases"] {
        let path = format!("{EXAMPLE}/{form}");
        let done = Dir::new();
        let lib = if form == "cases" { vec![] } else { vec!["-L", "js/lib"] };
        let output = done
            .command(&[&["test", &path, "--min-coverage", "100%"][..], &lib].concat())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let done: Done = output.into();
        assert_eq!(done.code, 0, "{form}: {}{}", done.text(), done.err);
        assert!(done.text().contains("transform.js") && done.text().contains("100% (15/15)"), "{}", done.text());
    }
}

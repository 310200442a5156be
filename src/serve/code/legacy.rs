//! Code of version 0: a global function `transform(events)` instead of an export.

/// What stands behind the code, whose lines stay where they are: all events of a group go to it together.
const EXPORT: &str = "\nexport const transformBatch = (events) => transform(events);\n";

/// The same for code that calls `metadata(event)`, which was global then.
const EXPORT_WITH_METADATA: &str = "\nvar metadata;\nexport const transformBatch = (events, ofEvent) => { metadata = \
                                    ofEvent; return transform(events); };\n";

/// The code as a module of version 1.
pub fn as_module(code: &str) -> String {
    // Code that has a `metadata` of its own keeps it.
    let declares = ["const", "let", "class", "function"].iter().any(|word| code.contains(&format!("{word} metadata")));
    let export = if code.contains("metadata(") && !declares { EXPORT_WITH_METADATA } else { EXPORT };
    format!("{code}{export}")
}

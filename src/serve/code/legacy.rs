//! Code of version 0: a global function `transform(events)` instead of an export.

/// Appended to the code, so that line numbers stay the same. All events of a group go to `transform` together.
const EXPORT: &str = "\nexport const transformBatch = (events) => transform(events);\n";

/// Appended to code that calls `metadata(event)`, which was a global function in version 0.
const EXPORT_WITH_METADATA: &str = "\nvar metadata;\nexport const transformBatch = (events, ofEvent) => { metadata = \
                                    ofEvent; return transform(events); };\n";

/// Turns the code into a module of version 1.
pub fn as_module(code: &str) -> String {
    // Code that declares its own `metadata` keeps it.
    let declares = ["const", "let", "class", "function"].iter().any(|word| code.contains(&format!("{word} metadata")));
    let export = if code.contains("metadata(") && !declares { EXPORT_WITH_METADATA } else { EXPORT };
    format!("{code}{export}")
}

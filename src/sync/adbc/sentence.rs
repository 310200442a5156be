//! Shortens a driver's message to one sentence, without the query, which the user knows, and without a position in it.

/// The most characters of a sentence.
const MAX: usize = 400;

/// Prefixes that drivers add to the database's message, the outermost first.
const STARTS: [&str; 8] = [
    "[libpq] ",
    "[SQLite] ",
    "Failed to prepare query: ",
    "Failed to execute query: ",
    "could not begin COPY: ",
    "Execution error [PGRES_FATAL_ERROR]: ",
    "ERROR: ",
    "FATAL: ",
];

/// Returns a driver's message as one line.
pub(super) fn sentence(text: &str) -> String {
    let mut text = text.trim();
    // DuckDB and Postgres show a position in the query on lines of their own, and drivers repeat the query.
    for end in ["\nLINE ", "\nQuery was: ", "\nquery: ", "\nDETAIL: ", "\n\n"] {
        text = text.split(end).next().unwrap_or_default();
    }
    if let Some((_, said)) = text.split_once("Producer error: ") {
        text = said;
    }
    // The caller already says what failed.
    for start in STARTS {
        text = text.strip_prefix(start).unwrap_or(text);
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn what_a_driver_says_is_one_line() {
        for (said, expected) in [
            (
                "Failed to prepare query: ERROR:  relation \"t\" does not exist\nLINE 1: select * from t\n          ^\n\nQuery was: select * from t. SQLSTATE: 42P01",
                "relation \"t\" does not exist",
            ),
            (
                "Cannot get next batch from input stream. Error code: 5. Producer error: [libpq] Execution error [PGRES_FATAL_ERROR]: ERROR:  division by zero\n",
                "division by zero",
            ),
            ("[SQLite] Failed to prepare query: no such table: t\nquery: select * from t", "no such table: t"),
            (
                "Catalog Error: Table with name t does not exist!\n\nLINE 1: select",
                "Catalog Error: Table with name t does not exist!",
            ),
            (
                "server closed the connection unexpectedly\n\tThis probably means it died.\n",
                "server closed the connection unexpectedly This probably means it died",
            ),
        ] {
            assert_eq!(sentence(said), expected);
        }
        assert_eq!(sentence(&"é".repeat(500)).chars().count(), 401);
    }
}

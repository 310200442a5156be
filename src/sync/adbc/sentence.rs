//! One sentence of what a driver says: without the query, which the user knows, and without its own place in it.

/// The most characters of a sentence.
const MAX: usize = 400;

/// What a driver says, as one line.
pub(super) fn sentence(text: &str) -> String {
    let mut text = text.trim();
    // DuckDB and Postgres point into the query on lines of their own, and drivers repeat it.
    for end in ["\nLINE ", "\nQuery was: ", "\nquery: ", "\nDETAIL: ", "\n\n"] {
        text = text.split(end).next().unwrap_or_default();
    }
    // What failed is said where this is shown.
    for start in
        ["[libpq] ", "[SQLite] ", "Failed to prepare query: ", "Failed to execute query: ", "could not begin COPY: "]
    {
        text = text.strip_prefix(start).unwrap_or(text);
    }
    let text = text.strip_prefix("ERROR: ").unwrap_or(text);
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

//! Finds the end of a query. A query in parentheses must not end with a semicolon, which may be followed by a comment.

/// The syntax of a database beyond plain SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Postgres and DuckDB: comments nest, and strings may be dollar-quoted or have the prefix E.
    Postgres,
    /// SQLite: names may be in square brackets.
    Sqlite,
}

/// Returns a query without the semicolons and comments at its
/// end. It can be put in parentheses, if a line end follows it.
pub fn inner(sql: &str, reads: Reads) -> &str {
    let bytes = sql.as_bytes();
    let (mut at, mut end) = (0, 0);
    while at < bytes.len() {
        let next = match &bytes[at..] {
            [b'-', b'-', ..] => {
                at = after(bytes, at, b"\n");
                continue;
            }
            [b'/', b'*', ..] => {
                at = comment(bytes, at, reads);
                continue;
            }
            [b';', ..] => {
                at += 1;
                continue;
            }
            [space, ..] if space.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            [b'\'', ..] if reads == Reads::Postgres && is_escaping(bytes, at) => escaping(bytes, at),
            // A doubled quote is read as the end of one string and the start of the next.
            [quote @ (b'\'' | b'"' | b'`'), ..] => after(bytes, at + 1, &[*quote]),
            [b'[', ..] if reads == Reads::Sqlite => after(bytes, at + 1, b"]"),
            [b'$', ..] if reads == Reads::Postgres && !is_word(bytes, at) => dollars(bytes, at),
            _ => at + 1,
        };
        (at, end) = (next, next);
    }
    &sql[..end]
}

/// Returns the position after the next `what`; the end if there is none.
fn after(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    memchr::memmem::find(&bytes[from..], what).map_or(bytes.len(), |found| from + found + what.len())
}

/// Returns the position after a comment.
fn comment(bytes: &[u8], at: usize, reads: Reads) -> usize {
    let (mut at, mut depth) = (at + 2, 1);
    while at < bytes.len() && depth > 0 {
        match &bytes[at..] {
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            [b'/', b'*', ..] if reads == Reads::Postgres => (at, depth) = (at + 2, depth + 1),
            _ => at += 1,
        }
    }
    at
}

/// Returns whether the byte before this position is part of a word.
fn is_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_' || !bytes[at - 1].is_ascii())
}

/// Returns whether the string that begins here has backslash escapes: `e'it\'s'`.
fn is_escaping(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1].eq_ignore_ascii_case(&b'e') && !is_word(bytes, at - 1)
}

/// Returns the position after a string with backslash escapes.
fn escaping(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Returns the position after a dollar-quoted string, `$$…$$` or
/// `$tag$…$tag$`; after the dollar if there is no such string.
fn dollars(bytes: &[u8], at: usize) -> usize {
    let is_tag = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let tag = bytes[at + 1..].iter().take_while(|byte| is_tag(byte)).count();
    let is_number = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    match bytes.get(at + 1 + tag) {
        Some(b'$') if !is_number => after(bytes, at + tag + 2, &bytes[at..at + tag + 2]),
        _ => at + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_ends_before_its_last_semicolon() {
        use Reads::{Postgres, Sqlite};
        for (sql, reads, expected) in [
            ("select 1", Sqlite, "select 1"),
            (" select 1 ; ", Sqlite, " select 1"),
            ("select 1; -- one", Sqlite, "select 1"),
            ("select 1; /* one; */ ; -- 'two\n\n", Sqlite, "select 1"),
            ("select 1 -- one\n, 2; -- two", Sqlite, "select 1 -- one\n, 2"),
            ("select 'it''s; -- no'; --", Sqlite, "select 'it''s; -- no'"),
            ("select \";--\", `;--`, [;--'] from t;", Sqlite, "select \";--\", `;--`, [;--'] from t"),
            ("select 1; /* a /* b */", Sqlite, "select 1"),
            ("select 1; /* a /* b */ c */", Postgres, "select 1"),
            ("select array[1, '--]'];", Postgres, "select array[1, '--]']"),
            (r"select e'it\'s; -- no', 'a\' ; --'", Postgres, r"select e'it\'s; -- no', 'a\'"),
            ("select $$;--'$$, $a$ $$;--$a$, x$y, $1; --", Postgres, "select $$;--'$$, $a$ $$;--$a$, x$y, $1"),
            ("select 'é' as é;", Postgres, "select 'é' as é"),
            // The database has to refuse two queries, and a string without an end.
            ("select 1; select 2;", Sqlite, "select 1; select 2"),
            ("select '; -- one", Postgres, "select '; -- one"),
            (r"select e'\", Postgres, r"select e'\"),
            ("-- nothing", Postgres, ""),
        ] {
            assert_eq!(inner(sql, reads), expected, "{sql}");
        }
    }
}

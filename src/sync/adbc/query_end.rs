//! Where a query ends: what is put between brackets must not end with a semicolon, and one may have a comment after it.

/// How a database reads what is no plain SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// As Postgres and DuckDB: comments nest, and dollars and a letter E before a quote have a meaning.
    Postgres,
    /// As SQLite: names may stand in square brackets.
    Sqlite,
}

/// A query without the semicolons and comments at its end. It can stand between brackets, if a line end comes after it.
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
            // A quote that is doubled is two texts, side by side.
            [quote @ (b'\'' | b'"' | b'`'), ..] => after(bytes, at + 1, &[*quote]),
            [b'[', ..] if reads == Reads::Sqlite => after(bytes, at + 1, b"]"),
            [b'$', ..] if reads == Reads::Postgres && !is_word(bytes, at) => dollars(bytes, at),
            _ => at + 1,
        };
        (at, end) = (next, next);
    }
    &sql[..end]
}

/// The place after the next of this; the end if there is none.
fn after(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    memchr::memmem::find(&bytes[from..], what).map_or(bytes.len(), |found| from + found + what.len())
}

/// The place after a comment.
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

/// Whether a word goes on here.
fn is_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_' || !bytes[at - 1].is_ascii())
}

/// Whether backslashes have a meaning in the text that begins here: `e'it\'s'`.
fn is_escaping(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1].eq_ignore_ascii_case(&b'e') && !is_word(bytes, at - 1)
}

/// The place after such a text.
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

/// The place after a text between dollars, `$$…$$` or `$tag$…$tag$`; after the dollar, if it is none.
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
            // Two queries are for the database to refuse, as is a text without an end.
            ("select 1; select 2;", Sqlite, "select 1; select 2"),
            ("select '; -- one", Postgres, "select '; -- one"),
            (r"select e'\", Postgres, r"select e'\"),
            ("-- nothing", Postgres, ""),
        ] {
            assert_eq!(inner(sql, reads), expected, "{sql}");
        }
    }
}

//! Prepares the engine's own scripts for V8 at compile time: removes comment lines and indentation. V8 reads scripts
//! byte by byte, so comments would cost as much as code.

/// A script made of these texts, as an external string, which V8 does not copy.
macro_rules! own_script {
    ($($text:expr),+ $(,)?) => {{
        const WRITTEN: &str = concat!($($text),+);
        static READ: ([u8; WRITTEN.len() + 1], usize) = $crate::v8::own_script::without_comments(WRITTEN);
        deno_core::v8::String::create_external_onebyte_const(READ.0.split_at(READ.1).0)
    }};
}
pub(crate) use own_script;

/// Returns the text without comments and indentation, and its length. Line numbers do not change.
pub(crate) const fn without_comments<const N: usize>(written: &str) -> ([u8; N], usize) {
    let written = written.as_bytes();
    let (mut read, mut len) = ([0; N], 0);
    let (mut at, mut in_comment) = (0, false);
    while at < written.len() {
        while at < written.len() && written[at] == b' ' {
            at += 1;
        }
        let start = at;
        while at < written.len() && written[at] != b'\n' {
            at += 1;
        }
        in_comment = in_comment || is_at(written, start, b"/*");
        if !in_comment && !is_at(written, start, b"//") {
            let mut from = start;
            while from < at {
                read[len] = written[from];
                (len, from) = (len + 1, from + 1);
            }
        }
        read[len] = b'\n';
        len += 1;
        in_comment = in_comment && !(at >= start + 2 && is_at(written, at - 2, b"*/"));
        at += 1;
    }
    (read, len)
}

const fn is_at(text: &[u8], at: usize, mark: &[u8; 2]) -> bool {
    at + 1 < text.len() && text[at] == mark[0] && text[at + 1] == mark[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_comments_and_indentation_are_left_out() {
        const WRITTEN: &str =
            "(\n  // why\n  /** what */\n  /**\n   * more\n   */\n  const a = 1; // here\n  return a;\n)(b)";
        let (read, len) = without_comments::<{ WRITTEN.len() + 1 }>(WRITTEN);
        assert_eq!(&read[..len], b"(\n\n\n\n\n\nconst a = 1; // here\nreturn a;\n)(b)\n");
    }
}

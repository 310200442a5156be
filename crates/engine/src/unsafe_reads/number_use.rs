//! Guesses from the line of code what it does with a number that it reads.

/// What code does with a number that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberUse {
    Digits,
    /// It copies the object or array that the number is in.
    Copies,
    /// It only checks whether there is a value.
    Nothing,
}

impl NumberUse {
    /// What code does with the property `key` that it reads at this column (in UTF-16 units, from 1), judged by its
    /// line.
    pub(super) fn at(line: &str, column: usize, key: &str) -> Self {
        let units = line.encode_utf16().collect::<Vec<_>>();
        let at = column.saturating_sub(1).min(units.len());
        let (before, after) = (String::from_utf16_lossy(&units[..at]), String::from_utf16_lossy(&units[at..]));
        let is_name = |char: char| char.is_alphanumeric() || matches!(char, '_' | '$');
        // V8 gives the column of the property: `id` in `event.id`, `[` in `event['id']`. For a copy, it is that of the
        // call or the statement.
        let name = &after[..after.find(|char| !is_name(char)).unwrap_or(after.len())];
        let rest = match after.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(_, after)| after),
            None => &after[name.len()..],
        };
        if !after.starts_with('[') && name != key {
            // `const { id: x, ...rest } = event` reads the number itself, and copies the others into `rest`.
            let is_renamed =
                before.trim_end().ends_with(':') && rest.trim_start().starts_with([',', '}', '=', '.', '[']);
            if !name.is_empty() && is_renamed || before.ends_with("Math.") {
                return Self::Digits;
            }
            let copies = ["assign", "structuredClone", "slice", "concat", "reverse", "toReversed", "splice", "flat"];
            return if copies.contains(&name) || after.contains("...") { Self::Copies } else { Self::Digits };
        }
        let comparison: String = rest.chars().filter(|char| *char != ' ').take(20).collect();
        let compared = comparison.trim_start_matches(['=', '!']);
        let asks = |word: &&str| compared.strip_prefix(*word).is_some_and(|rest| !rest.starts_with(is_name));
        if compared.len() < comparison.len() && ["null", "undefined", "void0"].iter().any(asks) {
            return Self::Nothing;
        }
        // The expression before it: `event.traits.`, `events[0].`. `const { id } = event` has none.
        let head = before.trim_end_matches(|char| is_name(char) || matches!(char, '.' | '?' | '[' | ']'));
        if head.len() == before.len() {
            return Self::Digits;
        }
        let (head, rest) = (head.trim_end(), rest.trim_start());
        let truth =
            rest.starts_with("&&") || rest.starts_with('?') && !rest.starts_with("??") && !rest.starts_with("?.");
        let negated = head.ends_with('!') || head.ends_with("typeof");
        let asked = rest.starts_with(')') && (head.ends_with("if (") || head.ends_with("if("));
        if truth || negated || asked { Self::Nothing } else { Self::Digits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(line: &str) -> NumberUse {
        let at = line.find('^').unwrap();
        NumberUse::at(&line.replace('^', ""), at + 1, "id")
    }

    #[test]
    fn what_asks_only_whether_there_is_a_number_does_not_see_its_digits() {
        for line in [
            "  if (event.^id) {",
            "if (!event.^id) return;",
            "x = event.^id ? 1 : 2;",
            "if (event.^id && event.name) {",
            "if (event.^id == null) {",
            "if(event.^id===void 0){",
            "if (event.traits.^id !== undefined) {",
            "if (event^['id'] !== undefined) {",
            "if (event^[key] === null) delete event[key];",
            "if (typeof event.^id === 'number') {",
            "if (!event?.^id) {",
        ] {
            assert_eq!(uses(line), NumberUse::Nothing, "{line}");
        }
    }

    #[test]
    fn what_copies_an_object_is_known_by_its_line() {
        for line in [
            "  ^event = { ...event };",
            "^return {...event, seen: true};",
            "x = Object.^assign({}, event);",
            "x = ^structuredClone(event);",
            "x = event.ids.^slice(1);",
        ] {
            assert_eq!(uses(line), NumberUse::Copies, "{line}");
        }
        for line in [
            "return String(event.^id);",
            "const id = event.^id;",
            "const key = `${event.^id}`;",
            "if (event.^id > 5) {",
            "if (known.has(event.^id)) {",
            "const { ^id } = event;",
            "const { id: ^x, ...rest } = event;",
            "const { id: ^x = 5, ...rest } = event;",
            "const { user: { id: ^x }, ...rest } = event;",
            "if (event.^id === nullId) {",
            "if (event.^id != undefinedId) {",
            "x = Math.^max(...event.ids);",
            "if (event.^id === other) {",
            "x = event.^id ?? 0;",
            "x = event.^id?.toString();",
            "x = JSON.^stringify(event);",
            "x = event.ids.^map(String);",
        ] {
            assert_eq!(uses(line), NumberUse::Digits, "{line}");
        }
    }
}

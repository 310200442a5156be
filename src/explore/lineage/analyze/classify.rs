//! Classifies how an output depends on an input, from the outputs for changed inputs.

use serde_json::Value;

use super::super::compare::same;
use super::super::literals::Literals;
use super::super::variations::Class;

/// One change of an input, and the resulting value of the output.
pub(super) struct Observation<'a> {
    pub(super) class: Class,
    pub(super) input: Option<&'a Value>,
    pub(super) output: Option<&'a Value>,
}

/// How the input determines the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Influence {
    /// The output is the input's value.
    Copied,
    /// The output is computed from the value.
    Computed,
    /// The value selects one of several outputs and is not part of them.
    Conditional,
}

/// Returns the influence that these observations show. In all of them the event ends with the same verdict.
/// `is_invented` marks a boolean that an earlier change put in the place of another type. If its opposite
/// has the opposite effect, it is still not a copy: the code may only ask whether there is a value.
pub(super) fn influence(
    before: [Option<&Value>; 2],
    is_invented: bool,
    seen: &[Observation<'_>],
    code: &Literals,
) -> Influence {
    let [input, output] = before;
    let alike: Vec<&Observation<'_>> = seen.iter().filter(|one| one.class != Class::Other).collect();
    let changed = |one: &Observation<'_>| !equal(one.output, output);
    let exact = |one: &Observation<'_>| one.input.is_some() && equal(one.input, one.output);
    let was_equal = match input {
        None | Some(Value::Null) => true,
        Some(_) => equal(input, output),
    };
    let marker = alike.iter().any(|one| one.class == Class::Marker && changed(one) && exact(one));
    let is_bool = !is_invented && input.is_some_and(Value::is_boolean);
    // For a boolean: the opposite value, or a text in its place, reaches the output.
    let flipped =
        is_bool && seen.iter().any(|one| one.input.is_some_and(|value| !value.is_null()) && changed(one) && exact(one));
    let remade = alike.iter().any(|one| !exact(one) && one.class == Class::Marker && is_made_of(one.output, one.input));
    if was_equal && (marker || flipped) && !remade {
        return Influence::Copied;
    }
    // A literal of the code may look like an input value.
    let said = |one: &Observation<'_>| one.class != Class::Marker && one.output.is_some_and(|value| code.know(value));
    if alike.iter().any(|one| changed(one) && !said(one) && is_made_of(one.output, one.input)) {
        return Influence::Computed;
    }
    // If two unique values have the same effect and only values of other events have a
    // different one, the code compares the value with something else in the event. Values
    // that are literals in the code are an exception: the code may have a table of them.
    let mut markers = alike.iter().filter(|one| one.class == Class::Marker).map(|one| one.output);
    let compares = markers.next().is_some_and(|first| {
        let rest: Vec<_> = markers.collect();
        !rest.is_empty() && rest.into_iter().all(|other| equal(first, other))
    });
    let mut different: Vec<Option<&Value>> = vec![output];
    for one in &alike {
        if compares && one.class == Class::Same && !one.input.is_some_and(|value| code.know(value)) {
            continue;
        }
        if !different.iter().any(|known| equal(*known, one.output)) {
            different.push(one.output);
        }
    }
    let of_booleans = is_bool && different.iter().flatten().all(|value| value.is_boolean());
    match different.len() {
        // The opposite boolean.
        2 if of_booleans && different.iter().all(Option::is_some) => Influence::Computed,
        // Only the presence of a value matters, or which of two groups it belongs to.
        1 | 2 => Influence::Conditional,
        _ => Influence::Computed,
    }
}

fn equal(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Returns whether the output contains the input, perhaps trimmed or cut.
pub(super) fn is_made_of(output: Option<&Value>, input: Option<&Value>) -> bool {
    match (output, input) {
        (Some(output), Some(Value::String(input))) => {
            let plain = |text: &str| -> String {
                text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
            };
            let (output, input) = (plain(&output.to_string()), plain(input));
            let short = output.len().min(input.len());
            short >= 3 && (output.contains(&input) || input.contains(&output))
        }
        (Some(Value::Number(output)), Some(Value::Number(input))) => {
            let (output, input) = (output.as_f64().unwrap_or_default(), input.as_f64().unwrap_or_default());
            // Rounded.
            (output - input).abs() < 1.0
        }
        (Some(Value::String(output)), Some(Value::Number(input))) => output.contains(&input.to_string()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(before: [Value; 2], seen: &[(Class, Value, Value)]) -> Influence {
        of_value(before, false, seen)
    }

    fn of_value(before: [Value; 2], is_invented: bool, seen: &[(Class, Value, Value)]) -> Influence {
        let value = |value: &'_ Value| (!value.is_null()).then(|| value.clone());
        let owned: Vec<_> = seen.iter().map(|(class, a, b)| (*class, value(a), value(b))).collect();
        let seen: Vec<Observation<'_>> = owned
            .iter()
            .map(|(class, a, b)| Observation { class: *class, input: a.as_ref(), output: b.as_ref() })
            .collect();
        let before = [value(&before[0]), value(&before[1])];
        let code = Literals::of(["const table = { de: 'Germany', fr: 'France' }; const said = ['view', 'yes'];"]);
        influence([before[0].as_ref(), before[1].as_ref()], is_invented, &seen, &code)
    }

    #[test]
    fn what_the_code_says_is_no_copy_and_what_it_compares_no_part() {
        use Class::{Marker, Same};
        let chosen = [(Marker, json!("Qz1"), Value::Null), (Same, json!("Product view"), json!("view"))];
        assert_eq!(of([json!("a"), json!("buy")], &chosen), Influence::Computed, "three values");
        assert_eq!(of([json!("a"), Value::Null], &chosen), Influence::Conditional, "two");
        // The number of equal elements.
        let grouped =
            [(Marker, json!("Qz1"), json!(5)), (Marker, json!(" Qz "), json!(5)), (Same, json!("b"), json!(8))];
        assert_eq!(of([json!("a"), json!(6)], &grouped), Influence::Conditional);
        let table =
            [(Marker, json!("Qz1"), json!(5)), (Marker, json!(" Qz "), json!(5)), (Same, json!("fr"), json!(8))];
        assert_eq!(of([json!("de"), json!(6)], &table), Influence::Computed);
    }

    #[test]
    fn a_copy_is_exact_for_every_text() {
        use Class::{Marker, Other, Same};
        let copy = [(Marker, json!("Qz1"), json!("Qz1")), (Marker, json!(" Qz "), json!(" Qz "))];
        assert_eq!(of([json!("a"), json!("a")], &copy), Influence::Copied);
        let trimmed = [(Marker, json!("qz1"), json!("qz1")), (Marker, json!(" QzV "), json!("qzv"))];
        assert_eq!(of([json!("a"), json!("a")], &trimmed), Influence::Computed);
        let rounded = [(Marker, json!(1008), json!(1008)), (Marker, json!(1.37), json!(1))];
        assert_eq!(of([json!(2), json!(2)], &rounded), Influence::Computed);
        let compared = [
            (Marker, json!("Qz1"), json!("no")),
            (Marker, json!("Qz2"), json!("no")),
            (Same, json!("pro"), json!("yes")),
            (Other, Value::Null, json!("no")),
        ];
        assert_eq!(of([json!("pro"), json!("yes")], &compared), Influence::Conditional);
        let table = [(Marker, json!("Qz1"), Value::Null), (Same, json!("fr"), json!("France"))];
        assert_eq!(of([json!("de"), json!("Germany")], &table), Influence::Computed);
        assert_eq!(of([json!(true), json!(false)], &[(Same, json!(false), json!(true))]), Influence::Computed);
        assert_eq!(of([json!(true), json!(true)], &[(Same, json!(false), json!(false))]), Influence::Copied);
        let if_true = [(Same, json!(false), Value::Null), (Other, json!("Qz1"), json!("Qz1"))];
        assert_eq!(of([json!(true), json!(true)], &if_true), Influence::Copied);
        let if_any = [(Same, json!(false), json!(false)), (Other, json!("Qz1"), json!(true))];
        assert_eq!(of([json!(true), json!(true)], &if_any), Influence::Copied);
        assert_eq!(of_value([json!(true), json!(true)], true, &if_any), Influence::Conditional);
        assert_eq!(of([json!(true), json!("on")], &[(Same, json!(false), json!("off"))]), Influence::Conditional);
    }
}

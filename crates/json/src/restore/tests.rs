use super::*;

/// Nesting that would overflow the stack if each level used some of it.
const DEEP: usize = if cfg!(miri) { 1_000 } else { 200_000 };

fn restored(line: &str, text: &str) -> String {
    let mut restorer = Restorer::default();
    let mut out = Vec::new();
    restorer.start(line.as_bytes());
    restorer.restore(line.as_bytes(), text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

fn check(cases: &[(&str, &str, &str)]) {
    for (line, text, expected) in cases {
        assert_eq!(restored(line, text), *expected, "{line} {text}");
    }
}

#[test]
fn what_means_the_same_leaves_as_the_line() {
    for (line, text) in [
        (r#" { "a" : "\u00e9", "b": [1.0, -0] } "#, r#"{"a":"é","b":[1,0]}"#),
        (r#"{"b":1,"1":2}"#, r#"{"1":2,"b":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":1,"b":0,"a":1e20}"#, r#"{"a":100000000000000000000,"b":0}"#),
        (r#"{"\u0031":[],"a":{}}"#, r#"{"1":[],"a":{}}"#),
        (r#"{"a":1e400,"b":9007199254740993}"#, r#"{"a":1e+0999,"b":9007199254740992}"#),
        ("{}", "{}"),
    ] {
        assert_eq!(restored(line, text), line);
    }
}

#[test]
fn untouched_parts_of_a_changed_output_leave_as_they_came() {
    check(&[
        (r#"{"a": {"b" : "\u00e9\/"},"n":1}"#, r#"{"a":{"b":"é/"},"n":2}"#, r#"{"a":{"b" : "\u00e9\/"},"n":2}"#),
        (
            r#"{"a": {"b" : "\u00e9" , "c" : [ ]}}"#,
            r#"{"a":{"b":"é","c":[],"d":1}}"#,
            r#"{"a":{"b":"\u00e9","c":[ ],"d":1}}"#,
        ),
        (r#"{"list":[ 1.0 , { } ],"b":1}"#, r#"{"list":[1,{},2],"b":1}"#, r#"{"list":[1.0,{ },2],"b":1}"#),
        (r#"{"a":{"b":1,"0" : 2.0}}"#, r#"{"a":{"0":2,"b":1},"n":1}"#, r#"{"a":{"b":1,"0" : 2.0},"n":1}"#),
        // An object with another order is another object.
        (r#"{"a":{"b": 1,"c":2.0},"d":1}"#, r#"{"a":{"c":2,"b":1},"d":1}"#, r#"{"a":{"c":2.0,"b":1},"d":1}"#),
        // At another place, values are as V8 prints them.
        (r#"{"a":{"b":"\u00e9","c":1.0}}"#, r#"{"x":{"b":"é","c":1}}"#, r#"{"x":{"b":"é","c":1}}"#),
    ]);
}

#[test]
fn of_equal_keys_the_last_one_leaves() {
    check(&[
        (
            r#"{"u":{"role":"admin","role":"guest"},"n":1}"#,
            r#"{"u":{"role":"guest"},"n":2}"#,
            r#"{"u":{"role":"guest"},"n":2}"#,
        ),
        (r#"{"a":1,"a":2.0}"#, r#"{"a":2,"x":1}"#, r#"{"a":2.0,"x":1}"#),
        (r#"{"l":[ {"a":1,"\u0061":{"x": 1}} ]}"#, r#"{"l":[{"a":{"x":1}}],"x":1}"#, r#"{"l":[{"a":{"x": 1}}],"x":1}"#),
        (r#"{"a":{"x":1.0},"a":{"y":2.0}}"#, r#"{"a":{"y":2},"z":0}"#, r#"{"a":{"y":2.0},"z":0}"#),
    ]);
}

#[test]
fn a_number_of_the_code_takes_no_spelling_of_the_line() {
    check(&[
        (
            r#"{"amount":1.000000000000000000,"qty":1}"#,
            r#"{"amount":1,"version":1,"q":1}"#,
            r#"{"amount":1.000000000000000000,"version":1,"q":1}"#,
        ),
        (r#"{"a":1,"b":1.00000000000000000001}"#, r#"{"a":1,"b":2,"c":1}"#, r#"{"a":1,"b":2,"c":1}"#),
        (r#"{"a":1.0,"b":1e400}"#, r#"{"a":2,"b":-1e+0999}"#, r#"{"a":2,"b":null}"#),
        (r#"{"a":9007199254740992.0}"#, r#"{"b":9007199254740992}"#, r#"{"b":9007199254740992}"#),
        // A BigInt, which the driver marks.
        (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992e0}"#, r#"{"a":9007199254740992}"#),
    ]);
}

#[test]
fn digits_follow_a_number_that_was_moved() {
    let line = r#"{"id":9007199254740993,"price":1.0}"#;
    let twins = r#"{"a":9007199254740993,"b":9007199254740992}"#;
    let list = r#"{"l":[{"id":9007199254740993,"n":"x"},{"id":9007199254740992,"n":"y"}]}"#;
    check(&[
        (line, r#"{"user":{"id":9007199254740992},"p":1}"#, r#"{"user":{"id":9007199254740993},"p":1}"#),
        // The text doesn't tell which of the two it is.
        (twins, r#"{"c":9007199254740992}"#, r#"{"c":9007199254740992}"#),
        // Digits that the driver knows are not changed again.
        (twins, r#"{"a":9007199254740992e0,"b":9007199254740993}"#, r#"{"a":9007199254740992,"b":9007199254740993}"#),
        (twins, r#"{"a":9007199254740993,"b":9007199254740992e0}"#, twins),
        // A copy of a list is recognized by its other items.
        (
            r#"{"ids":[9007199254740995,1],"m":9007199254740997}"#,
            r#"{"copy":[9007199254740996,1]}"#,
            r#"{"copy":[9007199254740995,1]}"#,
        ),
        // A copy is similar to its original.
        (
            list,
            r#"{"m":[{"id":9007199254740992,"n":"y"},{"id":9007199254740992,"n":"x","o":1}]}"#,
            r#"{"m":[{"id":9007199254740992,"n":"y"},{"id":9007199254740993,"n":"x","o":1}]}"#,
        ),
    ]);
}

#[test]
fn digits_follow_an_infinite_number_that_was_moved() {
    let twins = r#"{"a":{"n":1e400,"x":1},"b":{"n":1E401,"x":2}}"#;
    check(&[
        (r#"{"n":1e400}"#, r#"{"x":1e+0999}"#, r#"{"x":1e400}"#),
        (r#"{"n":-1e400,"m":1e999}"#, r#"{"x":[1e+0999,-1e+0999]}"#, r#"{"x":[1e999,-1e400]}"#),
        (r#"{"n":1e400,"m":10e399}"#, r#"{"x":1e+0999}"#, r#"{"x":10e399}"#),
        // Only the object around it tells which of the two it is.
        (twins, r#"{"x":1e+0999}"#, r#"{"x":null}"#),
        (twins, r#"{"c":{"n":1e+0999,"x":2}}"#, r#"{"c":{"n":1E401,"x":2}}"#),
        // Digits that the driver knows, and a value that is not from any number of the line.
        (twins, r#"{"a":1E401}"#, r#"{"a":1E401}"#),
        (r#"{"n":1e400,"i":9007199254740993}"#, r#"{"x":-1e+0999}"#, r#"{"x":null}"#),
    ]);
    let mut restorer = Restorer { elsewhere: vec![b"1e400".to_vec()], ..Restorer::default() };
    let (mut out, line) = (Vec::new(), br#"{"a":1}"#);
    restorer.start(line);
    restorer.restore(line, br#"{"a":1e+0999}"#, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":1e400}"#);
}

#[test]
fn what_is_copied_has_no_key_twice() {
    for (value, expected) in [
        (r#"{"role": "admin","role": "guest"}"#, r#"{"role":"guest"}"#),
        (r#"{ "a" : { "b" : 1.0 } }"#, r#"{ "a" : { "b" : 1.0 } }"#),
        (
            r#"[ {"x": 1}, {"b":[ 1 ],"1":2.0,"\u0062\"":"\u0041","0":3,"b":{ }} ]"#,
            r#"[{"x": 1},{"0":3,"1":2.0,"b":{ },"b\"":"\u0041"}]"#,
        ),
        (r#"{"a":{"b":1,"b":{"c":2,"c": 3}},"\ud800":1}"#, r#"{"a":{"b":{"c":3}},"\ud800":1}"#),
        ("1.0", "1.0"),
    ] {
        let mut out = Vec::new();
        Restorer::default().without_duplicates(value.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn only_array_indices_come_first() {
    for (key, index) in
        [("0", true), ("10", true), ("01", false), ("4294967294", true), ("4294967295", false), ("", false)]
    {
        assert_eq!(is_index(key.as_bytes()), index, "{key}");
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{}1.0{}", "[".repeat(DEEP), "]".repeat(DEEP));
    assert_eq!(restored(&deep, &deep.replace("1.0", "1")), deep);
}

use super::*;

fn href(input: &str, base: Option<&str>) -> Option<String> {
    let base = base.map(|base| Url::parse(base, None).unwrap());
    Url::parse(input, base.as_ref()).ok().map(|url| url.href())
}

/// One example for each kind of Web Platform Test; `scripts/wpt` runs all of them.
#[test]
fn urls_are_read_as_browsers_read_them() {
    for (input, base, expected) in [
        (" HTTP://EXAMPLE.com:80/a/../b?q#f ", None, Some("http://example.com/b?q#f")),
        ("http://user:p@ss@host:8080", None, Some("http://user:p%40ss@host:8080/")),
        ("http:\\\\x\\y", None, Some("http://x/y")),
        ("../c?d", Some("https://h/a/b/"), Some("https://h/a/c?d")),
        ("//h2/x", Some("https://h/a"), Some("https://h2/x")),
        ("///test", Some("http://example.org/"), Some("http://test/")),
        ("#f", Some("mailto:a@b"), Some("mailto:a@b#f")),
        ("x", Some("mailto:a@b"), None),
        ("x", None, None),
        ("https://a b/", None, None),
        ("https://", None, None),
        ("https://h:99999/", None, None),
        ("http://0x7f.1/", None, Some("http://127.0.0.1/")),
        ("http://[::1]:443/", None, Some("http://[::1]:443/")),
        ("http://faß.de/ü^{}", None, Some("http://xn--fa-hia.de/%C3%BC%5E%7B%7D")),
        ("http://a.xn--pokxncvks/", None, Some("http://a.xn--pokxncvks/")),
        ("file:///w|/m", None, Some("file:///w:/m")),
        ("/", Some("file://h/C:/a/b"), Some("file://h/C:/")),
        ("file:\\\\localhost//x", None, Some("file:////x")),
        ("C|/", Some("file://host/dir/file"), Some("file://host/C:/")),
        ("web+demo:/.//not-a-host/", None, Some("web+demo:/.//not-a-host/")),
        ("non-special:opaque  ?hi", None, Some("non-special:opaque %20?hi")),
        ("data:text/plain,a b", None, Some("data:text/plain,a b")),
        ("ht\ntp://h/\ta", None, Some("http://h/a")),
    ] {
        assert_eq!(href(input, base).as_deref(), expected, "{input}");
    }
}

#[test]
fn setters_keep_to_the_standards_rules() {
    for (from, part, value, expected) in [
        ("https://h:8080/", "protocol", "http", "http://h:8080/"),
        ("https://h/", "protocol", "mailto", "https://h/"),
        ("https://h/", "host", "x.y:443", "https://x.y/"),
        ("https://h/", "hostname", "x.y:8080", "https://h/"),
        ("https://h:8080/", "port", "", "https://h/"),
        ("https://h/", "port", "8a", "https://h:8/"),
        ("https://h/", "username", "a@b", "https://a%40b@h/"),
        ("file:///x", "username", "a", "file:///x"),
        ("https://h/a", "pathname", "b?c", "https://h/b%3Fc"),
        ("https://h/?a", "search", "", "https://h/"),
        ("https://h/", "search", "?x='y'", "https://h/?x=%27y%27"),
        ("https://h/", "hash", "#a b", "https://h/#a%20b"),
        ("mailto:a", "pathname", "b", "mailto:a"),
        ("mailto:a", "host", "b", "mailto:a"),
    ] {
        let mut url = Url::parse(from, None).unwrap();
        url.set(part, value);
        assert_eq!(url.href(), expected, "{from} {part} {value}");
    }
}

#[test]
fn an_origin_is_that_of_a_host_or_null() {
    for (href, origin) in [
        ("https://h:8443/x", "https://h:8443"),
        ("blob:https://h/id", "https://h"),
        ("blob:ftp://h/id", "null"),
        ("file:///x", "null"),
        ("mailto:a", "null"),
    ] {
        assert_eq!(Url::parse(href, None).unwrap().origin(), origin, "{href}");
    }
}

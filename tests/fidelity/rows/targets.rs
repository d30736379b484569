//! The request target stays what it is, byte for byte.

use crate::fidelity::row::{PLAIN, Place, Request, Row, Version};

const GROUP: &str = "Targets";

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(spellings());
    rows.extend(slashes());
    rows.extend(forms());
    rows.extend(paths());
    rows
}

fn asks(name: &str, target: impl AsRef<[u8]>) -> Row {
    Row::asks(GROUP, name, Request::get(target))
}

fn spellings() -> Vec<Row> {
    let long = format!("/proxy/{}", "x".repeat(8000 - "/proxy/".len()));
    let long_query = format!("/proxy/?{}", "y=%41&".repeat(1300));
    vec![
        asks("`//` within the path", "/proxy//x///y"),
        asks("dot segments", "/proxy/a/../b/./c"),
        asks("percent-encoding kept as spelt", "/proxy/%41%7e%2B%c3%A9?%41=%7E"),
        asks("an empty query", "/proxy/x?"),
        asks("`?` within the query", "/proxy/x?a=b?c"),
        asks("`|`", "/proxy/a|b?c|d").answered(200),
        asks("raw UTF-8 bytes", "/proxy/\u{e9}\u{4e16}?\u{1f600}"),
        asks("raw bytes that are no UTF-8", b"/proxy/\xff\xfe?\x80".as_slice()),
        asks("`\"`, `<>`", "/proxy/\"a\"<b>?\"c\"<d>"),
        asks("`{}`", "/proxy/{a}?{b}"),
        asks("`^`, `` ` ``, `\\`", "/proxy/x?a^b`c\\d"),
        asks("`[]`", "/proxy/a[0]?b[]=1"),
        asks("`;`, `,`, `=`, `@`, `!`, `$`, `'`, `()`, `*`, `:`", "/proxy/a;b=c,d@e!f$g'(h)*:i"),
        asks("`+` and `%20`", "/proxy/a+b%20c?d+e%20f"),
        asks("8,000 bytes of path", long),
        asks("7,800 bytes of query", long_query),
        asks("a path that is not UTF-8 when decoded", "/proxy/%ff%fe"),
    ]
}

fn slashes() -> Vec<Row> {
    let at = |name: &str, target: &str, host: &str| {
        Row::asks(GROUP, name, Request::get(target).host(host))
    };
    vec![
        at("`%2F` under `AllowEncodedSlashes On`", "/a%2Fb%2fc", "slashes-on.example.com"),
        at("`%2F` under `AllowEncodedSlashes NoDecode`", "/a%2Fb%2fc", "slashes-kept.example.com"),
        asks("`%2F` under `AllowEncodedSlashes Off`", "/proxy/a%2Fb")
            .answered(404)
            .not_copied("not_copyable")
            .note(
                "answered before httpd looks at `<Location>` sections: copied only where no section has \
                 directives of this module",
            ),
        at("`%2F` under `AllowEncodedSlashes Off`, and no such section", "/a%2Fb", "cached.example.com")
            .answered(404),
        at("`//x` under `MergeSlashes Off`", "//x//y", "apart.example.com"),
        asks("`//x` at the root", "//proxy//x"),
    ]
}

fn forms() -> Vec<Row> {
    let absolute = |name: &str, target: &str| {
        asks(name, target)
            .note("the copy's target is in origin-form: an absolute one would name production")
    };
    vec![
        absolute("absolute-form", "http://www.example.com/proxy/x?y=z"),
        Row::sends(
            GROUP,
            "a later minor version",
            "GET /proxy/x HTTP/1.9\r\nHost: www.example.com\r\n\r\n",
        )
        .note("copies are always HTTP/1.1"),
        absolute(
            "absolute-form, with an authority that `Host` does not repeat",
            "http://other.example.com:8080/proxy/x",
        )
        .note("`Host` is that of the target, as httpd sets it (RFC 9112 section 3.2.2)"),
        absolute("absolute-form without a path", "http://www.example.com").answered(404),
        absolute("absolute-form of a query alone", "http://www.example.com?x=y").answered(404),
        Row::asks(GROUP, "`OPTIONS *`", Request::new("OPTIONS", "*")),
        asks("a target that has a URL in its query", "/proxy/x?to=http://other.example.com/y"),
        asks("a target that has `://` in its path", "/proxy/http://other.example.com/y"),
    ]
}

fn paths() -> Vec<Row> {
    let prefix = Place { path: "/v1", ..PLAIN };
    let slash = Place { path: "/v1/", ..PLAIN };
    let replace = Place { path: "/sink", replace: true, ..PLAIN };
    let root = Place { path: "/", replace: true, ..PLAIN };
    let only = |row: Row| row.only(&[Version::Http11]);
    vec![
        asks("a URL with a path: `/v1`", "/proxy/to/prefix/x?y=z").at(prefix),
        asks("a URL with a path that ends in a slash: `/v1/`", "/proxy/to/slash//x?y").at(slash),
        asks("`path=replace`", "/proxy/to/replace/x?y=z?").at(replace),
        asks("`path=replace` without a query", "/proxy/to/replace/x").at(replace),
        asks("`path=replace` with a URL that has no path", "/proxy/to/root/x?y").at(root),
        only(
            asks("absolute-form and a URL with a path", "http://www.example.com/proxy/to/prefix/x")
                .at(prefix),
        ),
    ]
}

use super::super::difference::{Change, Differences, LISTED};
use super::super::rules::Rules;
use super::*;

fn rules(words: &[&str]) -> Rules {
    let mut rules = Rules::default();
    words.iter().for_each(|word| rules.ignore(word).unwrap());
    rules
}

fn differences(one: &str, other: &str, words: &[&str]) -> Differences {
    compare(one.as_bytes(), other.as_bytes(), &rules(words)).unwrap()
}

fn found_under(one: &str, other: &str, words: &[&str]) -> Vec<(String, Change, u64)> {
    let found = differences(one, other, words);
    found.list().iter().map(|found| (found.path.clone(), found.change, found.count)).collect()
}

fn found(one: &str, other: &str) -> Vec<(String, Change, u64)> {
    found_under(one, other, &[])
}

fn is(path: &str, change: Change, count: u64) -> (String, Change, u64) {
    (path.to_owned(), change, count)
}

#[test]
fn texts_of_the_same_value_do_not_differ() {
    for (one, other) in [
        ("{}", " { } "),
        (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true , null ] ,\n \"a\" : 1.0e0 }"),
        (r#"{"é":"\/"}"#, r#"{"\u00e9":"/"}"#),
        ("[1, 20, 3]", "[1.0, 2e1, 3]"),
        ("[12345678901234567890123]", "[12345678901234567890123.0]"),
        (r#"{"a":{"x":1,"y":2},"b":{"x":1}}"#, r#"{"b":{"x":1},"a":{"y":2,"x":1}}"#),
        ("1", "1 "),
        ("not json", "not json"),
    ] {
        assert_eq!(found(one, other), [], "{one} {other}");
        assert_eq!(found(other, one), [], "{other} {one}");
    }
}

#[test]
fn each_difference_is_told_by_its_path_and_manner() {
    for (one, other, path, change) in [
        (r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#, "$.a.b", Change::Value),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, "$.a", Change::Type),
        (r#"{"a":{}}"#, r#"{"a":[]}"#, "$.a", Change::Type),
        (r#"{"a":null}"#, r#"{"a":false}"#, "$.a", Change::Type),
        (r#"{"a":true}"#, r#"{"a":false}"#, "$.a", Change::Value),
        (r#"{"a":1,"b":2}"#, r#"{"a":1}"#, "$.b", Change::Missing),
        (r#"{"b":2}"#, r#"{"a":1,"b":2}"#, "$.a", Change::Extra),
        (r#"{"a":1}"#, "{}", "$.a", Change::Missing),
        ("{}", r#"{"a":1}"#, "$.a", Change::Extra),
        ("1", "2", "$", Change::Value),
        ("12", "123", "$", Change::Value),
        (r#""ab""#, r#""abc""#, "$", Change::Value),
        ("[1]", "[1,2]", "$[*]", Change::Extra),
        ("[1]", "[]", "$[*]", Change::Missing),
        (
            r#"{"users":{"17":{"x":1}}}"#,
            r#"{"users":{"17":{"x":2}}}"#,
            "$.users.{n}.x",
            Change::Value,
        ),
        (r#"{"a b":1}"#, r#"{"a b":2}"#, "$['a b']", Change::Value),
    ] {
        assert_eq!(found(one, other), [is(path, change, 1)], "{one} {other}");
    }
}

#[test]
fn differences_in_the_elements_of_an_array_are_counted_together() {
    let (one, other) =
        (r#"{"i":[{"p":1},{"p":2},{"p":3,"q":1}]}"#, r#"{"i":[{"p":9},{"p":2},{"p":8}]}"#);
    let expected = [is("$.i[*].p", Change::Value, 2), is("$.i[*].q", Change::Missing, 1)];
    assert_eq!(found(one, other), expected);
    assert_eq!(found("[1,2,3]", "[1]"), [is("$[*]", Change::Missing, 2)]);
    assert_eq!(found("[]", "[1,[2],{}]"), [is("$[*]", Change::Extra, 3)]);
}

#[test]
fn members_in_another_order_are_compared_by_name() {
    let (one, other) =
        (r#"{"a":1,"b":{"c":2,"d":3},"e":4}"#, r#"{"e":5,"b":{"d":3,"c":9},"a":1,"f":0}"#);
    let mut expected =
        [is("$.b.c", Change::Value, 1), is("$.e", Change::Value, 1), is("$.f", Change::Extra, 1)];
    let mut found = found(one, other);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_name_that_comes_twice_is_compared_in_its_turn() {
    assert_eq!(found(r#"{"a":1,"b":0,"a":2}"#, r#"{"b":0,"a":1,"a":2}"#), []);
    assert_eq!(found(r#"{"a":1,"a":2}"#, r#"{"a":2}"#).len(), 2);
    assert_eq!(found(r#"{"a":1,"a":2}"#, r#"{"a":1}"#), [is("$.a", Change::Missing, 1)]);
}

#[test]
fn what_a_rule_ignores_does_not_differ_wherever_it_is() {
    let (one, other) = (
        r#"{"t":1,"i":[{"t":1,"p":1},{"p":1}],"x":{"t":{"a":1}}}"#,
        r#"{"t":2,"i":[{"t":2,"p":2},{"p":1,"t":0}],"x":{}}"#,
    );
    assert_eq!(found_under(one, other, &["json:$..t"]), [is("$.i[*].p", Change::Value, 1)]);
    let found = found_under(one, other, &["json:$.t", "json:$.i", "json:$.x.t"]);
    assert_eq!(found, []);
    assert_eq!(found_under(one, other, &["json:$"]), []);
}

#[test]
fn an_expression_is_asked_about_values_unescaped_and_without_quotes() {
    let (one, other) = (r#"{"a":"built \u0031"}"#, r#"{"a":"built 27"}"#);
    assert_eq!(found_under(one, other, &[r"regex:^built \d+$"]), []);
    assert_eq!(found(one, other).len(), 1);
}

#[test]
fn elements_are_compared_in_any_order_where_a_rule_says_so() {
    let (one, other) =
        (r#"{"a":[1,{"x":[1,2],"y":0},"s",1]}"#, r#"{"a":["\u0073",1.0,1e0,{"y":0,"x":[1,2]}]}"#);
    for rule in ["order:*", "order:$.a", "order:$..a"] {
        assert_eq!(found_under(one, other, &[rule]), [], "{rule}");
    }
    assert_ne!(found_under(one, other, &["order:$.b"]), []);
    let inner = other.replace("[1,2]", "[2,1]");
    assert_eq!(found_under(one, &inner, &["order:*"]), []);
    assert_eq!(found_under(one, &inner, &["order:$.a"]), [is("$.a[*].x[*]", Change::Value, 2)]);
    let more = other.replace("1e0", "1e0,7,8");
    assert_eq!(found_under(one, &more, &["order:*"]), [is("$.a[*]", Change::Extra, 2)]);
}

#[test]
fn what_a_rule_ignores_does_not_keep_elements_from_being_matched() {
    let (one, other) = (r#"[{"id":1,"t":5},{"id":2,"t":6}]"#, r#"[{"id":2},{"id":1}]"#);
    assert_eq!(found_under(one, other, &["order:*", "json:$[*].t"]), []);
    let (one, other) = (r#"["at 1 ms",1,"b"]"#, r#"["b","at 2 ms",1.0]"#);
    assert_eq!(found_under(one, other, &["order:*", r"regex:\d+ ms"]), []);
}

#[test]
fn what_is_no_json_or_too_deep_is_told() {
    for (one, other) in [
        ("{}", "{"),
        ("[1", "[2]"),
        ("{\"a\":1}", "{\"a\":1,}"),
        ("1", "x"),
        ("", "1"),
        ("[1] x", "[2]"),
    ] {
        assert_eq!(
            compare(one.as_bytes(), other.as_bytes(), &Rules::default()).err(),
            Some(NotJson),
            "{one} {other}"
        );
        assert_eq!(
            compare(other.as_bytes(), one.as_bytes(), &Rules::default()).err(),
            Some(NotJson),
            "{other} {one}"
        );
    }
    let deep = |depth, inside| format!("{}{inside}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(
        compare(deep(DEPTH, 1).as_bytes(), deep(DEPTH, 2).as_bytes(), &Rules::default()).is_ok()
    );
    let deeper = DEPTH + 1;
    assert!(
        compare(deep(deeper, 1).as_bytes(), deep(deeper, 2).as_bytes(), &Rules::default()).is_err()
    );
}

#[test]
fn differences_beyond_the_list_are_counted() {
    let text = |value: u8| {
        let members: Vec<_> =
            (0..LISTED + 3).map(|index| format!("\"{}\":{value}", "k".repeat(index + 1))).collect();
        format!("{{{}}}", members.join(","))
    };
    let found = differences(&text(1), &text(2), &[]);
    assert!(found.list().len() == LISTED && found.unlisted() > 0);
}

#[test]
fn an_example_shows_both_values() {
    let found = differences(r#"{"a":"x"}"#, r#"{"a":"y"}"#, &[]);
    let example = found.list()[0].example.clone().unwrap();
    assert_eq!((example.production.as_str(), example.staging.as_str()), ("\"x\"", "\"y\""));
}

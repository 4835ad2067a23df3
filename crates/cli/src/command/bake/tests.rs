//! What buildx 0.29 prints of the same files (`cases/`), and what hako does.

use super::*;
use crate::flags;

/// What `hako bake --print` prints, or why it does not.
fn printed(files: &[&str], words: &[&str]) -> String {
    let place = |name: &&str| format!("--file={}/src/command/bake/cases/{name}", env!("CARGO_MANIFEST_DIR"));
    let words: Vec<String> = files.iter().map(place).chain(words.iter().map(|&word| word.to_owned())).collect();
    let found = flags::parse(BAKE.flags, true, &words).unwrap();
    plan(&found).map_or_else(|error| format!("ERROR: {error}"), |plan| plan.print())
}

fn check(files: &[&str], cases: &str) {
    for case in cases.split("=== ").skip(1) {
        let (line, expect) = case.split_once('\n').unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(printed(files, &words), expect.trim_end(), "{files:?} {line}");
    }
}

#[test]
fn files_mean_what_they_mean_to_buildx() {
    check(&["many.hcl"], include_str!("cases/many.txt"));
    check(&["json.json", "json.override.json"], include_str!("cases/json.txt"));
    check(&["values.hcl"], include_str!("cases/values.txt"));
}

#[test]
fn a_push_is_printed_as_buildx_prints_it() {
    let text = printed(&["values.hcl"], &["--push"]);
    assert!(text.contains("\"push\": \"true\",\n          \"type\": \"image\""), "{text}");
}

#[test]
fn files_from_elsewhere_are_refused_by_name() {
    for words in [["https://example.com/r.git#v1"], ["--file=git@example.com:a/b.git"]] {
        let said = printed(&["values.hcl"], &words);
        assert!(said.contains("bake files from elsewhere are not supported"), "{words:?}: {said}");
    }
}

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Definition, String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    language::read(vec![language::parse("f", text, false)?], &environment)
}

#[test]
fn variables_come_from_the_environment() {
    let text = "variable \"N\" {\n default = 3\n validation {\n condition = N > 1\n error_message = \"too few\"\n }\n}\n\
                variable \"ON\" { default = false }\nvariable \"L\" { default = [\"a\"] }\n\
                target \"default\" {\n args = { N = N + 1, ON = ON ? \"yes\" : \"no\", L = join(\"-\", L) }\n}\n";
    let args = |environment: &[(&str, &str)]| read(text, environment).map(|read| read.targets["default"].args.clone());
    let expect = |n: &str, on: &str, l: &str| {
        let pairs = [("N", n), ("ON", on), ("L", l)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(BTreeMap::from(pairs))
    };
    assert_eq!(args(&[]), expect("4", "no", "a"));
    assert_eq!(args(&[("N", "7"), ("ON", "true"), ("L", "x,y")]), expect("8", "yes", "x-y"));
    assert_eq!(args(&[("N", "0")]), Err("variable N: too few".to_owned()));
    assert_eq!(args(&[("N", "many")]), Err("variable N: \"many\" is no number".to_owned()));
}

#[test]
fn functions_of_the_standard_library() {
    let table = [
        ("format(\"%s-%03d|%q|%%\", \"a\", 7, \"b\")", "a-007|\"b\"|%"),
        ("substr(\"hello\", 1, 3)", "ell"),
        ("join(\",\", reverselist([\"a\", \"b\"]))", "b,a"),
        ("join(\",\", flatten([[\"a\"], [[\"b\"]]]))", "a,b"),
        ("lookup({a = \"x\"}, \"b\", \"y\")", "y"),
        ("length({a = 1})", "1"),
        ("divide(7, 2)", "3.5"),
        ("max(1, 3, 2)", "3"),
        ("title(\"an app\")", "An App"),
        ("trimprefix(\"v1.2\", \"v\")", "1.2"),
        ("sha256(\"a\")", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("base64decode(base64encode(\"x\"))", "x"),
        ("regex(\"v(\\\\d+)\", \"v12\")[0]", "12"),
        ("join(\",\", [for n in range(3) : \"${n}\"])", "0,1,2"),
        ("jsondecode(\"{\\\"a\\\":[1,2]}\").a[1]", "2"),
        ("sanitize(\"a/b.c\")", "a_b_c"),
        ("element([\"a\", \"b\"], 3)", "b"),
        ("parseint(\"ff\", 16)", "255"),
        ("indent(2, \"a\\nb\")", "a\n  b"),
    ];
    for (expression, expect) in table {
        let read = read(&format!("target \"t\" {{\n args = {{ V = {expression} }}\n}}\n"), &[]);
        assert_eq!(read.map(|read| read.targets["t"].args["V"].clone()), Ok(expect.to_owned()), "{expression}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = |text: &str| read(text, &[]).map(|_| ()).unwrap_err();
    assert!(wrong("target \"t\" { args = { A = UNKNOWN } }").contains("target t: "));
    assert!(wrong("target \"t\" { args = { A = UNKNOWN } }").contains("UNKNOWN"));
    assert_eq!(wrong("target \"t\" { nonsense = 1 }"), "target t: unknown key: nonsense");
    assert!(wrong("target \"t\" { matrix = { a = [1] } }").contains("needs a name"));
    assert!(wrong("variable \"a\" { default = b }\nvariable \"b\" { default = a }").starts_with("variable "));
    assert_eq!(wrong("other \"t\" {}"), "unsupported block type \"other\"");
    assert!(wrong("target {").starts_with("f: "));
}

//! What buildx 0.29 prints of the same files (`cases/`), and what hako does.

use super::target::Value;
use super::*;
use crate::flags;

/// What `hako bake --print` prints, or why it does not.
fn printed(files: &[&str], words: &[&str]) -> String {
    let place = |name: &&str| format!("{}/src/command/bake/cases/{name}", env!("CARGO_MANIFEST_DIR"));
    let places: Vec<String> = files.iter().map(place).collect();
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let found = flags::parse(BAKE.flags, true, &words).unwrap();
    let texts = local(&places.iter().map(String::as_str).collect::<Vec<_>>());
    let plan = texts.and_then(|texts| Plan::make(&gather(&texts, HERE)?, found.words(), &changes(&found)?));
    plan.map_or_else(|error| format!("ERROR: {error}"), |plan| plan.print())
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
fn an_address_comes_first() {
    let asked = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let asked = Asked::of(&words);
        (asked.address.map(str::to_owned), asked.directory.to_owned(), asked.targets.to_vec())
    };
    let (git, other) = ("git://host/a.git#v1", "https://host/b.git");
    assert_eq!(asked(&[]), (None, HERE.to_owned(), vec![]));
    assert_eq!(asked(&["app"]), (None, HERE.to_owned(), vec!["app".to_owned()]));
    assert_eq!(asked(&[git]), (Some(git.to_owned()), HERE.to_owned(), vec![]));
    let all = (Some(git.to_owned()), other.to_owned(), vec!["app".to_owned()]);
    assert_eq!(asked(&[git, other, "app"]), all);
    assert_eq!(asked(&["app", git]), (None, HERE.to_owned(), vec!["app".to_owned(), git.to_owned()]));
}

/// Files that are wrong, and what buildx 0.29 says of them: a line `=== NAME`, the file, a line `---`, the message.
#[test]
fn what_is_wrong_is_said_as_buildx_says_it() {
    let cases = include_str!("cases/wrong.txt");
    for case in cases.split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (text, expect) = rest.split_once("---\n").unwrap();
        let definition = page::parse(name, text, name.ends_with("json"))
            .and_then(|page| language::read(vec![page], &[], &BTreeMap::new()));
        let made = definition.and_then(|definition| Plan::make(&definition, &["t".to_owned()], &[]));
        let said = made.map_or_else(
            |why| if why.contains("\nERROR: ") { why } else { format!("ERROR: {why}") },
            |plan| plan.print(),
        );
        assert_eq!(said, expect.trim_end(), "{name}");
    }
}

#[test]
fn rights_are_wanted_and_granted() {
    let house = tempfile::tempdir().unwrap();
    let (here, other) = (house.path().join("here"), house.path().join("other"));
    std::fs::create_dir_all(&here).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    let missing = |set: &[(&str, Value)], allow: &[&str]| {
        let mut target = Target::default();
        for (key, value) in set {
            target.set(key, value).unwrap();
        }
        target.normalise();
        let allowed = Rights::allowed(allow, &here).unwrap();
        let refusal = allowed.missing([&target].into_iter(), &here, true).refusal(&here, &["app".to_owned()]);
        let lines =
            |text: String| text.lines().filter(|line| line.starts_with(" - ")).map(str::to_owned).collect::<Vec<_>>();
        refusal.map(lines).unwrap_or_default()
    };
    let none: Vec<String> = Vec::new();
    let host = ("network", Value::from("host"));
    assert_eq!(missing(std::slice::from_ref(&host), &[]), [" - Running build containers that can access host network"]);
    assert_eq!(missing(&[host], &["network.host"]), none);
    let files = [
        ("output", Value::from("../other/new/deep")),
        ("contexts", Value::Object([("x".to_owned(), "../other".into())].into_iter().collect())),
    ];
    assert_eq!(missing(&files, &[]), [" - Read and write access to path ../other"]);
    assert_eq!(missing(&files, &["fs.read=../other"]), [" - Write access to path ../other"]);
    assert_eq!(missing(&files, &["fs=../other"]), none);
    assert_eq!(missing(&files, &["fs=*"]), none);
    assert_eq!(missing(&[("context", Value::from("deep")), ("output", Value::from("out"))], &[]), none);
    assert_eq!(missing(&[("context", Value::from("https://host/x.git"))], &[]), none);
    assert_eq!(Rights::allowed(&["bogus"], &here), Err("unknown entitlement key \"bogus\"".to_owned()));
}

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Definition, String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    language::read(vec![page::parse("f", text, false)?], &[], &environment)
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
    assert_eq!(args(&[("N", "7"), ("ON", "true")]), expect("8", "yes", "a"));
    let wrong = |environment: &[(&str, &str)]| {
        let error = args(environment).unwrap_err();
        error.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(wrong(&[("N", "0")]), "ERROR: f:4,14-19: Validation failed; too few");
    let float = "Invalid value; failed to parse N as number: strconv.ParseFloat: parsing \"many\": invalid syntax";
    assert_eq!(wrong(&[("N", "many")]), format!("ERROR: f:1,14-14: {float}"));
    assert_eq!(wrong(&[("L", "x,y")]), "ERROR: f:9,14-14: Invalid value; unsupported type tuple for variable L");
    let typed = "variable \"L\" {\n type = list(number)\n}\nvariable \"M\" {\n type = map(string)\n}\n\
                 target \"t\" {\n args = { L = jsonencode(L), M = jsonencode(M) }\n}\n";
    let value = |environment: &[(&str, &str)], key: &str| {
        read(typed, environment)
            .map(|read| read.targets["t"].args[key].clone())
            .map_err(|error| error.lines().last().unwrap_or_default().to_owned())
    };
    assert_eq!(value(&[("L", "1,2")], "L").as_deref(), Ok("[1,2]"));
    assert_eq!(value(&[("L_JSON", "[3]")], "L").as_deref(), Ok("[3]"));
    assert_eq!(value(&[("M", "a:b,c:d")], "M").as_deref(), Ok("{\"a\":\"b\",\"c\":\"d\"}"));
    let pieces = "ERROR: f:4,14-14: Invalid value; failed to convert variable M from CSV: expected one k/v pair but got 1 pieces from a=b";
    assert_eq!(value(&[("M", "a=b")], "M"), Err(pieces.to_owned()));
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
        ("md5(\"a\")", "0cc175b9c0f1b6a831c399e269772661"),
        ("sha1(\"a\")", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ("uuidv5(\"dns\", \"x.org\")", "8d26f658-f938-53f9-ad17-67ca11d6fed8"),
        ("strlen(uuidv4())", "36"),
        ("timeadd(\"2020-01-01T00:00:00Z\", \"1h30m\")", "2020-01-01T01:30:00Z"),
        (
            "formatdate(\"EEE, DD MMM YY HH:mm AA ZZZ ZZZZZ\", \"2020-02-03T14:05:06+02:00\")",
            "Mon, 03 Feb 20 02:05 PM +0200 +02:00",
        ),
        ("urlencode(\"a b/c\")", "a+b%2Fc"),
        ("log(8, 2)", "3"),
        ("join(\"\", setunion([\"b\"], [\"a\"]))", "ab"),
        ("join(\"\", setintersection([\"a\", \"b\"], [\"b\"]))", "b"),
        ("join(\"\", setsymmetricdifference([\"a\", \"b\"], [\"b\", \"c\"]))", "ac"),
        ("jsonencode(setproduct([\"a\", \"b\"], [\"c\"]))", "[[\"a\",\"c\"],[\"b\",\"c\"]]"),
        ("jsonencode(csvdecode(\"a,b\\n1,2\\n\"))", "[{\"a\":\"1\",\"b\":\"2\"}]"),
        ("jsonencode(\"<&>\")", "\"\\u003c\\u0026\\u003e\""),
        ("jsonencode(formatlist(\"%s-x\", [\"a\", \"b\"]))", "[\"a-x\",\"b-x\"]"),
        (
            "format(\"%5.2f|%-5s|%x|%v|%#v|%t|%q\", 3.14159, \"a\", 255, [\"a\"], {a = 1}, true, \"q\")",
            " 3.14|a    |ff|[\"a\"]|{\"a\":1}|true|\"q\"",
        ),
        (
            "format(\"%05d|%+d|%e|%g|%b|%o|%X\", 42, 42, 1234.5, 0.00001, 5, 8, 255)",
            "00042|+42|1.234500e+03|1e-05|101|10|FF",
        ),
        ("format(\"%[2]s %[1]s\", \"a\", \"b\")", "b a"),
        ("cidrhost(\"10.0.0.0/8\", 1)", "10.0.0.1"),
        ("cidrnetmask(\"10.0.0.0/8\")", "255.0.0.0"),
        ("cidrsubnet(\"10.0.0.0/8\", 8, 1)", "10.1.0.0/16"),
        ("jsonencode(cidrsubnets(\"10.0.0.0/8\", 8, 8))", "[\"10.0.0.0/16\",\"10.1.0.0/16\"]"),
        ("jsonencode(regex(\"(?P<a>\\\\d+)-(?P<b>\\\\d+)\", \"12-34\"))", "{\"a\":\"12\",\"b\":\"34\"}"),
        ("try(UNKNOWN, \"else\")", "else"),
        ("can(UNKNOWN)", "false"),
        ("0.1 + 0.2", "0.3"),
        ("1e30", "1000000000000000000000000000000"),
        ("dirname(\"/\")", "/"),
        ("jsonencode(range(0, 1, 0.5))", "[0,0.5]"),
    ];
    for (expression, expect) in table {
        let read = read(&format!("target \"t\" {{\n args = {{ V = {expression} }}\n}}\n"), &[]);
        assert_eq!(read.map(|read| read.targets["t"].args["V"].clone()), Ok(expect.to_owned()), "{expression}");
    }
}

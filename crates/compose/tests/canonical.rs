//! What `config` prints is what docker compose 2.40.3 prints, byte for byte; and what is wrong is told with its place.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hako_compose::{Error, Options, Project, load, service_hash};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn options(directory: PathBuf) -> Options {
    let mut options = Options::new(directory);
    options.environment = vec![("HOME".to_owned(), "/home/me".to_owned())];
    options.project_name = Some("case".to_owned());
    options
}

fn check(case: &str, file: &str, change: impl Fn(&mut Options), show: impl Fn(&Project) -> String) {
    let mut options = options(cases().join(case));
    change(&mut options);
    let mut project = load(&options).unwrap_or_else(|error| panic!("{case}: {error}"));
    if options.interpolate {
        project.drop_unused();
    }
    let shown = show(&project).replace(cases().to_str().expect("a plain path"), "/CASES");
    let wanted = std::fs::read_to_string(cases().join(case).join(file)).expect("the answer");
    assert_eq!(shown.trim_end(), wanted.trim_end(), "{case}/{file}");
}

#[test]
fn every_case_is_written_as_compose_writes_it() {
    for case in ["shapes", "mounts", "merging", "including"] {
        check(case, "expect.yaml", |_| {}, |project| project.to_yaml(true));
        check(case, "expect.json", |_| {}, |project| project.to_json(true));
        let raw = |options: &mut Options| (options.interpolate, options.consistent) = (false, false);
        check(case, "expect.raw.yaml", raw, Project::to_raw_yaml);
    }
}

#[test]
fn hashes_are_composes() {
    let hashes = |project: &Project| {
        let mut names: Vec<&String> = project.services.keys().collect();
        names.sort();
        names.into_iter().fold(String::new(), |mut out, name| {
            let _ = writeln!(out, "{name} {}", service_hash(&project.services[name]));
            out
        })
    };
    check("shapes", "expect.hash", |options| options.resolve_environment = false, hashes);
}

fn refusal(text: &str) -> String {
    let mut options = options("/project".into());
    options.files = vec!["-".into()];
    options.stdin = Some(text.to_owned());
    match load(&options) {
        Err(error @ Error::Invalid { .. }) => error.to_string(),
        Err(other) => other.to_string(),
        Ok(_) => panic!("accepted: {text}"),
    }
}

#[test]
fn mistakes_are_told_with_file_line_and_key() {
    let check = |text: &str, wanted: &str| {
        let told = refusal(text);
        assert!(told.contains(wanted), "{text}\n{told}");
    };
    check(
        "services:\n  s:\n    image: x\n    enviroment: {}\n",
        "-:4:5: services.s additional properties 'enviroment' not allowed; did you mean \"environment\"?",
    );
    check("services:\n  s:\n    image: [x]\n", "-:3:5: services.s.image must be a string");
    check("services:\n  s: {image: x, cpus: many}\n", "services.s.cpus failed to cast");
    check(
        "services:\n  s: {image: x, healthcheck: {interval: soon}}\n",
        "services.s.healthcheck.interval invalid duration \"soon\"",
    );
    check("services:\n  s: {image: x, mem_limit: 5x}\n", "services.s.mem_limit invalid suffix: 'x'");
    check("services:\n  s: {image: x, image: y}\n", "mapping key \"image\" already defined at line 2");
    check("services:\n  s: {image: \"${A\"}\n", "invalid interpolation format for services.s.image");
    check("services:\n  s: {image: \"x:${R:?set R}\"}\n", "required variable R is missing a value: set R");
    check("services:\n  s: {command: [boo]}\n", "service \"s\" has neither an image nor a build context specified");
    check("services:\n  s: {image: x, secrets: [w]}\n", "service \"s\" refers to undefined secret w");
    check(
        "services:\n  s: {image: x, networks: [n], network_mode: host}\n",
        "mutually exclusive `network_mode` and `networks`",
    );
    check("services:\n  s: {image: x, depends_on: [t]}\n", "service \"s\" depends on undefined service \"t\"");
    check(
        "services:\n  s: {image: x, depends_on: [t]}\n  t: {image: x, depends_on: [s]}\n",
        "dependency cycle detected: s -> t -> s",
    );
    check("services:\n  s: {extends: t}\n  t: {extends: s}\n", "extends cycle detected");
    check(
        "services:\n  s: {image: x, depends_on: {t: {condition: foo}}}\n",
        "value must be one of 'service_started', 'service_healthy'",
    );
    check("services:\n  s: {image: x, ports: [\"a\"]}\n", "Invalid containerPort: a");
    check("services:\n  s: {image: x, environment: {D: 2001-01-01}}\n", "put it in quotes");
    check("services:\n  s: {image: x, container_name: ab, scale: 2}\n", "container name must be unique");
    check("services: []\n", "services must be a mapping");
    check("services:\n  s:\n    image: x\n   bad: indent\n", "yaml: line 4");
    check("", "empty compose file");
}

#[test]
fn a_bomb_is_refused_at_once() {
    let mut text = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..15 {
        let before = vec![format!("*x{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "x{level}: &x{level} [{before}]");
    }
    let begun = std::time::Instant::now();
    assert!(refusal(&text).contains("beyond the limit"));
    assert!(begun.elapsed().as_secs() < 10);
}

#[test]
fn a_missing_variable_is_a_warning() {
    let mut options = options("/project".into());
    options.files = vec!["-".into()];
    options.stdin = Some("services:\n  s: {image: \"x${NOPE}\"}\n".to_owned());
    let project = load(&options).expect("a project");
    assert_eq!(project.warnings, ["The \"NOPE\" variable is not set. Defaulting to a blank string."]);
}

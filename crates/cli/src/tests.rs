//! The tables as a whole: every command, every flag, every help text.

use std::collections::HashSet;

use super::*;

fn visit(nodes: &'static [Node], path: &str, each: &mut dyn FnMut(&str, &'static Command)) {
    for node in nodes {
        let path = format!("{path} {}", node.name);
        match &node.body {
            Body::Command(command) => each(&path, command),
            Body::Group(group) => visit(group.nodes, &path, each),
            Body::Absent(_) => {}
        }
    }
}

fn all(mut each: impl FnMut(&str, &'static Command)) {
    visit(command::NODES, "hako", &mut each);
}

#[test]
fn no_flag_is_declared_twice() {
    all(|path, command| {
        let (mut longs, mut shorts) = (HashSet::new(), HashSet::new());
        for flag in command.flags.iter().flat_map(|group| group.iter()) {
            assert!(longs.insert(flag.long), "{path} --{}", flag.long);
            assert!(flag.short.is_none_or(|letter| shorts.insert(letter)), "{path} -{:?}", flag.short);
        }
    });
}

#[test]
fn every_help_fits_eighty_columns() {
    all(|path, command| {
        for line in help::command(path, command, 80).lines().filter(|line| line.starts_with("   ")) {
            assert!(line.chars().count() <= 100, "{path}: {line}");
        }
        let options = help::command(path, command, 80);
        let options = options.split("\nOptions:\n").nth(1).unwrap_or_default();
        for line in options.split("\nExamples:").next().unwrap_or_default().lines() {
            assert!(line.chars().count() <= 80, "{path}: {line}");
        }
    });
    for line in help::program(command::NODES, GLOBALS, 80).lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn every_alias_leads_to_its_command() {
    all(|path, command| {
        for alias in command.aliases {
            let mut found = None;
            let mut nodes = command::NODES;
            for word in alias.split(' ').skip(1) {
                match nodes.iter().find(|node| node.is(word)).map(|node| &node.body) {
                    Some(Body::Group(group)) => nodes = group.nodes,
                    Some(Body::Command(command)) => found = Some(*command),
                    _ => panic!("{path}: {alias} leads nowhere"),
                }
            }
            assert!(found.is_some_and(|found| std::ptr::eq(found, command)), "{path}: {alias}");
        }
    });
}

fn refusal(line: &str) -> (String, u8) {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let failure = dispatch(flags::parse(&[GLOBALS], false, &words)).expect_err(line);
    (failure.to_string(), failure.code())
}

#[test]
fn refusals_speak_docker() {
    let usage = "Usage:  hako run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n";
    let cases = [
        ("run --foo", format!("unknown flag: --foo\n\n{usage}Run 'hako run --help' for more information"), 125),
        ("run -Z", format!("unknown shorthand flag: 'Z' in -Z\n\n{usage}Run 'hako run --help' for more information"), 125),
        (
            "run",
            format!("hako: 'hako run' requires at least 1 argument\n\n{usage}See 'hako run --help' for more information"),
            1,
        ),
        (
            "ps a",
            "hako: 'hako ps' accepts no arguments\n\nUsage:  hako ps [OPTIONS]\n\nRun 'hako ps --help' for more information"
                .to_owned(),
            1,
        ),
        (
            "zzz",
            "hako: unknown command: hako zzz\n\nRun 'hako --help' for more information".to_owned(),
            1,
        ),
        ("plugin", "hako: 'plugin' is not supported yet: plugins are not part of hako".to_owned(), 125),
        (
            "run --pull foo x",
            "hako: invalid pull option: 'foo': must be one of \"always\", \"missing\" or \"never\"\n\nRun 'hako run --help' for more information".to_owned(),
            125,
        ),
    ];
    for (line, text, code) in cases {
        assert_eq!(refusal(line), (text, code), "{line}");
    }
}

#[test]
fn a_near_miss_is_helped() {
    assert!(refusal("imagse").0.contains("Did you mean 'hako images'?"));
}

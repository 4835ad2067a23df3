//! The language by tables.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(text.as_bytes()).unwrap()
}

fn kinds(text: &str) -> Vec<Kind> {
    let file = parse(&format!("FROM x\n{text}"));
    file.stages[0].instructions.iter().map(|instruction| instruction.kind.clone()).collect()
}

fn refused(text: &str) -> (String, Option<usize>) {
    let error = Dockerfile::parse(text.as_bytes()).unwrap_err();
    (error.message, error.lines.map(|lines| lines.first))
}

fn pairs(list: &[(&str, &str)]) -> Vec<Text> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn shell(line: &str) -> Command {
    Command { words: vec![line.to_owned()], shell: true }
}

#[test]
fn lines_are_joined_and_comments_left_out() {
    let file =
        parse("\u{feff}# comment\n\n  FROM a AS One\n  # indented\nrun echo \\\n  # inside\n\n  two \\  \n three\n");
    assert_eq!(file.stages[0].from.name.as_deref(), Some("one"));
    let run = &file.stages[0].instructions[0];
    assert_eq!(run.lines, Lines { first: 5, last: 9 });
    assert!(matches!(&run.kind, Kind::Run(run) if run.command == shell("echo   two  three")), "{run:?}");
    assert_eq!(kinds("RUN a\\\\\nENV A=1").len(), 2);
    assert_eq!(parse("FROM a\r\nENV A=b\r\n").stages[0].instructions[0].kind, Kind::Env(pairs(&[("A", "b")])));
}

#[test]
fn directives_stand_first() {
    let file = parse("# syntax = docker/dockerfile:1\n# escape=`\n# check=skip=all\nFROM a\nRUN a `\n b");
    assert_eq!(file.directives.escape, '`');
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.directives.check.as_deref(), Some("skip=all"));
    assert_eq!(file.stages[0].instructions.len(), 1);
    assert_eq!(parse("# plain comment\n# escape=`\nFROM a").directives.escape, '\\');
    assert_eq!(refused("# escape=x\nFROM a").0, "invalid escape token 'x' does not match ` or \\");
    assert_eq!(
        refused("#escape=`\n#Escape=`\nFROM a"),
        ("only one escape parser directive can be used".into(), Some(2))
    );
}

#[test]
fn pairs_have_two_forms() {
    assert_eq!(
        kinds(r#"ENV ONE=1 TWO="two words" THREE=a\ b"#),
        [Kind::Env(pairs(&[("ONE", "1"), ("TWO", "\"two words\""), ("THREE", "a\\ b")]))]
    );
    assert_eq!(kinds("ENV OLD the  rest = x"), [Kind::Env(pairs(&[("OLD", "the  rest = x")]))]);
    assert_eq!(
        kinds("ARG A=1 B C="),
        [Kind::Arg(vec![("A".into(), Some("1".into())), ("B".into(), None), ("C".into(), Some(String::new()))])]
    );
}

#[test]
fn commands_have_two_forms() {
    let json = Command { words: vec!["a".into(), "b c".into()], shell: false };
    assert_eq!(kinds(r#"CMD ["a", "b c"]"#), [Kind::Cmd(json.clone())]);
    assert_eq!(kinds("CMD ['a', 'b']"), [Kind::Cmd(shell("['a', 'b']"))]);
    assert_eq!(json.with_shell(&["sh".into()]), ["a", "b c"]);
    assert_eq!(shell("x y").with_shell(&["sh".into(), "-c".into()]), ["sh", "-c", "x y"]);
}

#[test]
fn here_documents_come_along() {
    let found = kinds(
        "RUN cat <<EOF > /a && cat <<-'TWO'\n$A\nEOF\n\tx\n\tTWO\nCOPY --chmod=755 <<a <<\"b\" /d/\none\na\ntwo\nb\nUSER u",
    );
    let Kind::Run(run) = &found[0] else { panic!("{found:?}") };
    assert_eq!(run.heredocs.len(), 2);
    assert_eq!((run.heredocs[0].content.as_str(), run.heredocs[0].expand), ("$A\n", true));
    assert_eq!((run.heredocs[1].text().as_str(), run.heredocs[1].expand), ("x\n", false));
    let Kind::Copy(copy) = &found[1] else { panic!("{found:?}") };
    let inline: Vec<_> = copy.inline.iter().map(|i| (i.name.as_str(), i.content.as_str(), i.expand)).collect();
    assert_eq!(inline, [("a", "one\n", true), ("b", "two\n", false)]);
    assert_eq!((copy.chmod.as_deref(), copy.destination.as_str()), (Some("755"), "/d/"));
    assert_eq!(found[2], Kind::User("u".into()));
    assert_eq!(refused("FROM a\nRUN <<EOF\nx"), ("unterminated heredoc".into(), Some(2)));
    assert_eq!(kinds("RUN [\"a\", \"<<EOF\"]\nUSER u").len(), 2);
}

#[test]
fn flags_stand_before_arguments() {
    let Kind::Copy(copy) = &kinds("COPY --from=one --chown='a b:c' --link --exclude=*.md --exclude=x a b /c/")[0]
    else {
        panic!()
    };
    assert_eq!((copy.from.as_deref(), copy.chown.as_deref(), copy.link), (Some("one"), Some("a b:c"), true));
    assert_eq!(
        (copy.exclude.as_slice(), copy.sources.as_slice()),
        (&["*.md".into(), "x".into()][..], &["a".into(), "b".into()][..])
    );
    let Kind::Run(run) = &kinds("RUN --network=none --mount=type=tmpfs,target=/t -- true")[0] else { panic!() };
    assert_eq!((run.network.as_deref(), run.command.words[0].as_str()), (Some("none"), "true"));
}

#[test]
fn health_checks() {
    let Kind::Healthcheck(check) = &kinds("HEALTHCHECK --interval=5s --retries=2 cmd [\"a\"]")[0] else { panic!() };
    assert_eq!((check.interval, check.retries, check.test.join(" ")), (5_000_000_000, 2, "CMD a".into()));
    let Kind::Healthcheck(check) = &kinds("HEALTHCHECK NONE")[0] else { panic!() };
    assert_eq!(check.test, ["NONE"]);
}

#[test]
fn flags_of_run_are_refused_in_buildkits_words() {
    for (text, message) in [
        ("RUN --network=bogus true", "invalid network mode \"bogus\""),
        ("RUN --network= true", "invalid network mode \"\""),
        ("RUN --network true", "missing a value on flag: --network"),
    ] {
        let expected = format!("dockerfile parse error on line 2: {message}");
        assert_eq!(refused(&format!("FROM x\n{text}")), (expected, Some(2)), "{text}");
    }
}

#[test]
fn errors_are_buildkits() {
    for (text, message, line) in [
        ("", "file with no instructions", None),
        ("# only\n", "file with no instructions", None),
        ("ARG A", "dockerfile contains no stages to build", None),
        ("ENV A=b\nFROM x", "dockerfile parse error on line 1: no build stage in current context", Some(1)),
        ("FROM x\nRUNN y", "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)", Some(2)),
        (
            "FROM x AS 9a",
            "dockerfile parse error on line 1: invalid name for build stage: \"9a\", name can't start with a number or contain symbols",
            Some(1),
        ),
        ("FROM x y", "dockerfile parse error on line 1: FROM requires either one or three arguments", Some(1)),
        (
            "FROM x\nCOPY a",
            "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
            Some(2),
        ),
        (
            "FROM x\nCOPY --form=a a b",
            "dockerfile parse error on line 2: unknown flag: --form (did you mean from?)",
            Some(2),
        ),
        (
            "FROM x\nCOPY --link=maybe a b",
            "dockerfile parse error on line 2: expecting boolean value for flag link, not: maybe",
            Some(2),
        ),
        (
            "FROM x\nSHELL /bin/sh",
            "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form",
            Some(2),
        ),
        ("FROM x\nWORKDIR", "dockerfile parse error on line 2: WORKDIR requires exactly one argument", Some(2)),
        (
            "FROM x\nHEALTHCHECK MAYBE true",
            "dockerfile parse error on line 2: unknown type \"MAYBE\" in HEALTHCHECK (try CMD)",
            Some(2),
        ),
        (
            "FROM x\nONBUILD FROM y",
            "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger",
            Some(2),
        ),
        (
            "FROM x\nONBUILD ONBUILD RUN y",
            "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
            Some(2),
        ),
        ("FROM x\nENV A", "dockerfile parse error on line 2: ENV must have two arguments", Some(2)),
        (
            "FROM x\nENV A=1 B",
            "dockerfile parse error on line 2: Syntax error - can't find = in \"B\". Must be of the form: name=value",
            Some(2),
        ),
        (
            "FROM x\nCMD [1]",
            "dockerfile parse error on line 2: when using JSON array syntax, arrays must be comprised of strings only",
            Some(2),
        ),
        (
            "FROM x\nRUN --mount=type=bond,target=/x y",
            "dockerfile parse error on line 2: unsupported mount type \"bond\" (did you mean bind?)",
            Some(2),
        ),
        ("# check=skip=A;foo=bar\nFROM x", "failed to parse check options: invalid check option \"foo\"", None),
        (
            "# check=error=maybe\nFROM x",
            "failed to parse check options: failed to parse check option \"error=maybe\": \
             strconv.ParseBool: parsing \"maybe\": invalid syntax",
            None,
        ),
        ("FROM x\nRUN --mount=type=bind y", "dockerfile parse error on line 2: target is required", Some(2)),
    ] {
        assert_eq!(refused(text), (message.to_owned(), line), "{text}");
    }
}

#[test]
fn mounts() {
    let bind = mount::parse("from=st,source=/data,dst=/d,rw").unwrap();
    assert_eq!(bind.kind, mount::Kind::Bind { from: Some("st".into()), source: "/data".into() });
    assert_eq!((bind.target.as_deref(), bind.read_only), (Some("/d"), false));
    assert!(mount::parse("target=/d").unwrap().read_only);
    let tmpfs = mount::parse("type=tmpfs,target=/t,size=1m").unwrap();
    assert_eq!(tmpfs.kind, mount::Kind::Tmpfs { size: Some(1 << 20) });
    let cache = mount::parse("type=cache,target=/c,sharing=locked,mode=0700,uid=5").unwrap();
    let mount::Kind::Cache(cache) = cache.kind else { panic!() };
    assert_eq!((cache.sharing, cache.owner.mode, cache.owner.uid), (mount::Sharing::Locked, Some(0o700), 5));
    let secret = mount::parse("type=secret,id=a,env=B,required").unwrap();
    let mount::Kind::Secret(secret) = secret.kind else { panic!() };
    assert!(secret.required && secret.env.as_deref() == Some("B"));
    assert_eq!(
        mount::parse("type=bind,target=/x,sourse=y").unwrap_err(),
        "unexpected key 'sourse' in 'sourse=y' (did you mean source?)"
    );
}

#[test]
fn stages_are_found_by_name_and_number() {
    let file = parse("ARG V=1\nFROM a AS one\nFROM b\nFROM one AS two");
    assert_eq!(file.arguments.len(), 1);
    assert_eq!(
        (file.find("ONE", 3), file.find("1", 3), file.find("2", 2), file.find("x", 3)),
        (Some(0), Some(1), None, None)
    );
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(text in "(FROM|RUN|COPY|ENV|ARG|<<E|E|\\\\|\"|'|\\[|\\]|--|=|\\$|#| |\n|[a-z]){0,40}") {
        let _ = Dockerfile::parse(text.as_bytes());
    }
}

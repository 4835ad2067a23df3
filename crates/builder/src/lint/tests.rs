//! What BuildKit 0.25 says of the same files.

use super::*;

fn found(text: &str) -> Vec<String> {
    found_beside(text, "", "linux/amd64")
}

fn found_beside(text: &str, ignore: &str, platform: &str) -> Vec<String> {
    let file = Dockerfile::parse(text.as_bytes()).unwrap();
    let stages = (0..file.stages.len()).collect();
    let amd64 = Platform::parse("linux/amd64").unwrap();
    let known = Base { env: vec!["HOME=/".to_owned()], platform: amd64 };
    let base = |base: &str, _: &Platform| (base == "busybox").then(|| known.clone());
    let ignore = Ignore::parse(ignore).unwrap();
    let platform = Platform::parse(platform).unwrap();
    let subject = Subject { file: &file, text, stages, base: &base, ignore: Some(&ignore), platform, options: None };
    let findings = check(&subject);
    findings.warnings.iter().map(Warning::line).collect()
}

#[test]
fn the_same_findings_as_buildkit() {
    let text = "from busybox as one
RUN echo before; \\
 exit 3
MAINTAINER x
CMD echo hi
ARG SECRET_TOKEN=x
ENV a b
WORKDIR rel
EXPOSE 80/TCP
FROM --platform=linux/amd64 busybox AS Two
COPY --from=one /x $UNDEF
ENTRYPOINT x y
FROM scratch AS one
FROM busybox AS context
CMD a
CMD b
";
    let expect = [
        "ConsistentInstructionCasing: Command 'from' should match the case of the command majority (uppercase) (line 1)",
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 4)",
        "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 5)",
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"SECRET_TOKEN\") (line 6)",
        "LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format (line 7)",
        "WorkdirRelativePath: Relative workdir \"rel\" can have unexpected results if the base image changes (line 8)",
        "ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (line 9)",
        "StageNameCasing: Stage name 'Two' should be lowercase (line 10)",
        "FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\" (line 10)",
        "UndefinedVar: Usage of undefined variable '$UNDEF' (line 11)",
        "JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals (line 12)",
        "DuplicateStageName: Duplicate stage name \"one\", stage names should be unique (line 13)",
        "ReservedStageName: Stage name should not use the same name as reserved stage \"context\" (line 14)",
        "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 15)",
        "MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used (line 15)",
        "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 16)",
    ];
    assert_eq!(found(text), expect);
}

#[test]
fn single_rules() {
    let table = [
        (
            "FROM busybox\nARG A\nENV B=$A PATH=$PATH:/x\nUSER ${C:-d}\n",
            "UndefinedVar: Usage of undefined variable '$C' (did you mean $B?) (line 4)",
        ),
        (
            "ARG V=1\nFROM busybox:$V\nFROM busybox$VV\n",
            "UndefinedArgInFrom: FROM argument 'VV' is not declared (did you mean V?) (line 3)",
        ),
        (
            "ARG V\nFROM busybox:$V\n",
            "InvalidDefaultArgInFrom: Default value for ARG busybox:$V results in empty or invalid base image name (line 2)",
        ),
        (
            "FROM --platform=$TARGETPLATFORM busybox\n",
            "RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (line 1)",
        ),
        (
            "FROM busybox\nCOPY <<EOT /x\n$UNDEFINED\nEOT\nCOPY <<'EOT' /y\n$QUOTED\nEOT\n",
            "UndefinedVar: Usage of undefined variable '$UNDEFINED' (line 2)",
        ),
        ("FROM busybox as x\n", "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)"),
        ("FROM busybox\nRUN a \\\n\n b\n", "NoEmptyContinuation: Empty continuation line (line 4)"),
        (
            "FROM busybox\nEXPOSE 127.0.0.1:80:80\n",
            "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80' (line 2)",
        ),
        (
            "FROM busybox\nENV HOSE=1\nUSER $HOUSE\n",
            "UndefinedVar: Usage of undefined variable '$HOUSE' (did you mean $HOSE?) (line 3)",
        ),
    ];
    for (text, expect) in table {
        assert_eq!(found(text), [expect], "{text}");
    }
}

#[test]
fn what_is_meant_is_not_found() {
    let clean = [
        "FROM busybox\nARG A\nENV B=$A PATH=$PATH:/x\nWORKDIR /a\nWORKDIR b\nUSER $A\nLABEL e='$F' g=\\$H\nRUN echo $I\n",
        "FROM unknown\nUSER $X\n",
        "FROM --platform=linux/amd64 busybox AS build-amd64\n",
        "FROM busybox\nSHELL [\"/bin/sh\", \"-c\"]\nCMD a\n",
        "FROM busybox\nENV PUBLIC_KEY=x\nARG keyboard\n",
        "FROM busybox AS a\nARG X=1\nFROM a\nUSER $X\n",
        "# check=skip=MaintainerDeprecated\nFROM busybox\nMAINTAINER x\n",
        "# check=skip=all\nFROM busybox\nMAINTAINER x\nCMD a\n",
    ];
    for text in clean {
        assert_eq!(found(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn findings_fail_a_build_that_wants_it() {
    let text = "# check=error=true\nFROM busybox\nMAINTAINER x\n";
    let file = Dockerfile::parse(text.as_bytes()).unwrap();
    let subject = |options| Subject {
        file: &file,
        text,
        stages: vec![0],
        base: &|_, _| None,
        ignore: None,
        platform: Platform::host(),
        options,
    };
    assert!(check(&subject(None)).fail);
    assert!(!check(&subject(Some("error=false".to_owned()))).fail);
    assert!(!check(&subject(Some("skip=MaintainerDeprecated;error=true".to_owned()))).fail);
}

#[test]
fn stages_are_reached_by_names() {
    let text = "FROM busybox AS a\nFROM a AS b\nFROM busybox AS c\nFROM busybox\nCOPY --from=b / /\nRUN --mount=from=2,target=/x true\n";
    let file = Dockerfile::parse(text.as_bytes()).unwrap();
    assert_eq!(reachable(&file, ""), [3, 1, 2, 0]);
    assert_eq!(reachable(&file, "B"), [1, 0]);
    assert_eq!(reachable(&file, "unknown"), Vec::<usize>::new());
}

#[test]
fn files_that_are_left_out_of_the_context() {
    let text = "# check=experimental=CopyIgnoredFile
FROM busybox AS base
ARG MODE
COPY secret.txt a/b.log ok.txt /x/
ADD *.md ignored/dir ./secret.txt https://x.y/secret.txt /y/
COPY . /z
COPY --from=base /secret.txt /q
ENV A=secret.txt
COPY $A /b
";
    let ignore = "secret.txt\n**/*.log\nignored\n*.md\n";
    let expect = [
        "CopyIgnoredFile: Attempting to Copy file \"secret.txt\" that is excluded by .dockerignore (line 4)",
        "CopyIgnoredFile: Attempting to Copy file \"a/b.log\" that is excluded by .dockerignore (line 4)",
        "CopyIgnoredFile: Attempting to Add file \"*.md\" that is excluded by .dockerignore (line 5)",
        "CopyIgnoredFile: Attempting to Add file \"ignored/dir\" that is excluded by .dockerignore (line 5)",
        "CopyIgnoredFile: Attempting to Add file \"secret.txt\" that is excluded by .dockerignore (line 5)",
        "CopyIgnoredFile: Attempting to Copy file \"secret.txt\" that is excluded by .dockerignore (line 9)",
    ];
    assert_eq!(found_beside(text, ignore, "linux/amd64"), expect);
    let unasked = text.split_once('\n').unwrap().1;
    assert_eq!(found_beside(unasked, ignore, "linux/amd64"), [""; 0]);
    assert_eq!(found_beside(text, "*\n!ok.txt\n", "linux/amd64"), [""; 0]);
}

#[test]
fn comments_describe_what_they_stand_before() {
    let text = "# check=experimental=all
# MODE how fast it is
ARG MODE=fast
# wrong description
ARG OTHER
# base the base of all
FROM busybox AS base
# not described
ARG VERSION=1 X=2
# build stage that builds
# two lines
FROM base AS build

# detached

FROM base AS build3
   # indented here
FROM base
   # VERSION indented here
ARG VERSION
# MODE
ARG MODE
";
    let expect = [("ARG", "OTHER", 5), ("ARG", "<arg_key>", 9), ("FROM", "build", 12), ("FROM", "build3", 16)];
    let expect = expect.into_iter().chain([("ARG", "VERSION", 20)]).map(|(word, name, line)| {
        let rule = "InvalidDefinitionDescription";
        format!("{rule}: Comment for {word} should follow the format: `# {name} <description>` (line {line})")
    });
    assert_eq!(found(text), expect.collect::<Vec<_>>());
    assert_eq!(description(text, 3, "MODE"), Some("how fast it is"));
    assert_eq!(description(text, 12, "build"), Some("stage that builds"));
    assert_eq!(description(text, 20, "VERSION"), None);
    assert_eq!(description(text, 22, "MODE"), None);
}

#[test]
fn images_for_another_platform() {
    let what = "InvalidBaseImagePlatform: Base image busybox was pulled with platform \"linux/amd64\", expected";
    let expect = format!("{what} \"linux/arm64\" for current build (line 1)");
    assert_eq!(found_beside("FROM busybox\nFROM scratch\n", "", "linux/arm64"), [expect]);
    assert_eq!(found_beside("FROM busybox\n", "", "linux/amd64"), [""; 0]);
}

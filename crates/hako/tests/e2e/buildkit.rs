//! The stock docker CLI with buildx and compose, as they are, on hako's socket: BuildKit's own protocol.

use std::path::PathBuf;
use std::process::Stdio;

use crate::builds;
use crate::house::{Ended, House, await_that, finish};

/// A directory below the house, with these files.
fn folder(house: &House, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = house.path().join(name);
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// Runs the docker CLI in a directory; none when there is no such CLI.
fn docker(house: &House, dir: &std::path::Path, args: &[&str]) -> Option<Ended> {
    Some(finish(house.clients()?.args(args).current_dir(dir).output().expect("the docker CLI")))
}

/// The same, asserting that it succeeds; what it said.
fn said(house: &House, dir: &std::path::Path, args: &[&str]) -> Option<String> {
    let ended = docker(house, dir, args)?;
    assert_eq!(ended.code, 0, "docker {args:?}\n{}{}", ended.stdout, ended.stderr);
    Some(ended.stdout + &ended.stderr)
}

const FILE: &str = "# syntax=docker/dockerfile:1
FROM busybox AS make
COPY src /src
RUN mkdir /out && cat /src/hello > /out/greeting && echo spoken
FROM busybox
COPY --from=make /out /out
CMD [\"cat\", \"/out/greeting\"]
";

#[test]
fn docker_build_makes_an_image_and_does_nothing_twice() {
    let house = House::new();
    let big = "x".repeat(300_000);
    let dir = folder(
        &house,
        "app",
        &[
            ("Dockerfile", FILE),
            ("src/hello", "hello\n"),
            ("src/no.log", &big),
            ("big", &big),
            (".dockerignore", "**/*.log\n"),
        ],
    );
    let Some(first) = said(&house, &dir, &["build", "-t", "greet", "--label", "l=1", "."]) else { return };
    for part in [
        "[internal] load build definition from Dockerfile",
        "[internal] load metadata for docker.io/library/busybox:latest",
        "[internal] load build context",
        "transferring context: 6B",
        // Two stages begin with it; either may be first.
        " 1/",
        "] FROM docker.io/library/busybox:latest",
        "[make 2/3] COPY src /src",
        "[make 3/3] RUN mkdir /out",
        " spoken\n",
        "[stage-1 2/2] COPY --from=make /out /out",
        "exporting to image",
        "writing image sha256:",
        "naming to docker.io/library/greet",
    ] {
        assert!(first.contains(part), "{part:?} in:\n{first}");
    }
    assert_eq!(house.ok(["run", "--rm", "greet"]), "hello");
    assert_eq!(house.inspect("greet", "{{.Config.Labels.l}}"), "1");
    let id = house.inspect("greet", "{{.Id}}");
    let again = said(&house, &dir, &["buildx", "build", "-t", "greet", "--label", "l=1", "."]).unwrap();
    assert_eq!(again.matches("CACHED").count(), 3, "{again}");
    assert_eq!(house.inspect("greet", "{{.Id}}"), id, "nothing new was made");
    assert!(!again.contains("transferring context: 6B"), "the file is here already: {again}");

    std::fs::write(dir.join("src/hello"), "good day\n").unwrap();
    let changed = said(&house, &dir, &["build", "-t", "greet", "."]).unwrap();
    assert!(changed.contains("transferring context: 9B") && !changed.contains("CACHED"), "{changed}");
    assert_eq!(house.ok(["run", "--rm", "greet"]), "good day");
    let fresh = said(&house, &dir, &["build", "--no-cache", "--target", "make", "-q", "."]).unwrap();
    assert!(fresh.starts_with("sha256:"), "{fresh}");
}

#[test]
fn a_failing_step_shows_its_place_and_output() {
    let house = House::new();
    let file = "FROM busybox\nRUN echo before; \\\n  exit 3\nRUN never\n";
    let dir = folder(&house, "app", &[("Dockerfile", file)]);
    let Some(ended) = docker(&house, &dir, &["build", "."]) else { return };
    assert_eq!(ended.code, 1);
    for part in [
        "------\n > [2/3] RUN echo before;",
        " before\n",
        "Dockerfile:2\n--------------------\n   1 |     FROM busybox\n   2 | >>> RUN echo before; \\\n   3 | >>>   exit 3\n",
        "failed to solve: process \"/bin/sh -c echo before;   exit 3\" did not complete successfully: exit code: 3",
    ] {
        assert!(ended.stderr.contains(part), "{part:?} in:\n{}", ended.stderr);
    }
    let missing = docker(&house, &dir, &["build", "-f", "absent", "."]).unwrap();
    assert!(missing.stderr.contains("failed to read dockerfile: open absent: no such file or directory"));
    let syntax = docker(&house, &folder(&house, "typo", &[("Dockerfile", "FORM busybox\n")]), &["build", "."]).unwrap();
    assert!(syntax.stderr.contains("Dockerfile:1\n") && syntax.stderr.contains("unknown instruction: FORM"));
    let fine = folder(&house, "fine", &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    let told = said(&house, &fine, &["build", "--cache-from", "no/such", "--cache-to", "type=inline", "."]).unwrap();
    assert!(told.contains("cache docker.io/no/such") || told.contains("cache no/such"), "{told}");
    let refused = docker(&house, &fine, &["buildx", "build", "--load", "--annotation", "index:a=b", "."]).unwrap();
    assert!(refused.stderr.contains("index annotations not supported"), "{}", refused.stderr);
}

#[test]
fn checks_outlines_and_targets() {
    let house = House::new();
    let file =
        "ARG G=1\nFROM busybox as one\nARG G\nMAINTAINER x\nRUN --mount=type=secret,id=s true\nFROM one\nCMD a\n";
    let dir = folder(&house, "app", &[("Dockerfile", file)]);
    let Some(built) = said(&house, &dir, &["build", "."]) else { return };
    for part in [
        "WARN: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 4)",
        "3 warnings found",
        " - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)",
    ] {
        assert!(built.contains(part), "{part:?} in:\n{built}");
    }
    let checked = docker(&house, &dir, &["build", "--check", "."]).unwrap();
    assert_eq!(checked.code, 1);
    let place = "Dockerfile:7\n--------------------\n   5 |     RUN --mount=type=secret,id=s true\n   6 |     FROM one\n   7 | >>> CMD a\n";
    assert!(checked.stdout.contains("Check complete, 3 warnings have been found!"), "{}", checked.stdout);
    assert!(checked.stdout.contains(place), "{}", checked.stdout);
    let outline = said(&house, &dir, &["build", "--call", "outline", "."]).unwrap();
    assert!(outline.contains("G           1") && outline.contains("SECRET"), "{outline}");
    assert!(said(&house, &dir, &["build", "--call", "targets", "."]).unwrap().contains("(default)"));
    let strict = folder(&house, "strict", &[("Dockerfile", "# check=error=true\nFROM busybox\nMAINTAINER x\n")]);
    let ended = docker(&house, &strict, &["build", "."]).unwrap();
    assert!(ended.stderr.contains("lint violation found for rules: MaintainerDeprecated"), "{}", ended.stderr);
    assert_eq!(house.ok(["images", "-q"]).lines().count(), 2, "busybox and the first build");
}

#[test]
fn secrets_and_agents_are_asked_for_and_kept_nowhere() {
    let house = House::new();
    let file = "FROM busybox
RUN --mount=type=secret,id=word test $(wc -c < /run/secrets/word) = 8
RUN --mount=type=secret,id=word,env=WORD test ${#WORD} = 8
RUN --mount=type=secret,id=other test ! -e /run/secrets/other
COPY keys /
RUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && /keys $SSH_AUTH_SOCK > /answer
RUN test -z \"$SSH_AUTH_SOCK\" && test ! -e /run/buildkit
";
    let dir = folder(&house, "app", &[("Dockerfile", file)]);
    let secret = house.path().join("secret");
    std::fs::write(&secret, "hunter2!").unwrap();
    let agent = house.path().join("agent");
    builds::agent(&agent);
    builds::keys(&dir);
    let (secret, agent) = (format!("id=word,src={}", secret.display()), format!("default={}", agent.display()));
    let flags = ["build", "-t", "s", "--secret", &secret, "--ssh", &agent, "."];
    if said(&house, &dir, &flags).is_none() {
        return;
    }
    assert_eq!(house.ok(["run", "--rm", "s", "cat", "/answer"]), builds::ANSWER);
    let found = std::process::Command::new("grep").args(["-rl", "hunter2!"]).arg(house.data()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the secret is on the disk");
    assert!(!house.ok(["history", "--no-trunc", "s"]).contains("hunter2!"));
    let required = folder(
        &house,
        "required",
        &[("Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=x,required=true true\n")],
    );
    let ended = docker(&house, &required, &["build", "."]).unwrap();
    assert!(ended.stderr.contains("secret x: not found"), "{}", ended.stderr);
    let required =
        folder(&house, "agentless", &[("Dockerfile", "FROM busybox\nRUN --mount=type=ssh,required=true true\n")]);
    let ended = docker(&house, &required, &["build", "."]).unwrap();
    assert!(ended.stderr.contains("unset ssh forward key default"), "{}", ended.stderr);
}

#[test]
fn outputs_and_inputs_of_every_kind() {
    let house = House::new();
    let file = "FROM busybox AS make
RUN mkdir -p /out/deep && echo made > /out/deep/file && ln -s deep/file /out/link && chmod 4755 /out/deep/file
FROM scratch
COPY --from=make /out /
COPY --from=extra word /word
";
    let dir = folder(&house, "app", &[("Dockerfile", file)]);
    folder(&house, "extra", &[("word", "named\n")]);
    let output = ["build", "--build-context", "extra=../extra", "-o", "type=local,dest=out", "."];
    if said(&house, &dir, &output).is_none() {
        return;
    }
    assert_eq!(std::fs::read_to_string(dir.join("out/deep/file")).unwrap(), "made\n");
    assert_eq!(std::fs::read_link(dir.join("out/link")).unwrap(), PathBuf::from("deep/file"));
    assert_eq!(std::fs::read_to_string(dir.join("out/word")).unwrap(), "named\n");
    said(&house, &dir, &["build", "--build-context", "extra=../extra", "-o", "type=tar,dest=out.tar", "."]).unwrap();
    let listed = crate::house::run_tool("tar", ["-tf", dir.join("out.tar").to_str().unwrap()]);
    assert!(listed.contains("deep/file") && listed.contains("word"), "{listed}");

    let files = [
        "build",
        "-q",
        "--iidfile",
        "id",
        "--metadata-file",
        "about.json",
        "-t",
        "one",
        "-t",
        "two:2",
        "-f",
        "other",
        ".",
    ];
    folder(&house, "app", &[("other", "FROM base\nCOPY other /\n")]);
    said(&house, &dir, &[&files[..1], &["--build-context", "base=docker-image://busybox"], &files[1..]].concat())
        .unwrap();
    let id = house.inspect("one", "{{.Id}}");
    assert_eq!(std::fs::read_to_string(dir.join("id")).unwrap(), id);
    assert_eq!(house.inspect("two:2", "{{.Id}}"), id);
    let about = std::fs::read_to_string(dir.join("about.json")).unwrap();
    for part in
        [&format!("\"containerimage.config.digest\": \"{id}\""), "docker.io/library/one,docker.io/library/two:2"]
    {
        assert!(about.contains(part), "{part} in {about}");
    }

    let piped = |args: &[&str], input: Stdio| {
        let mut command = house.clients().unwrap();
        let ended = finish(command.args(args).current_dir(&dir).stdin(input).output().unwrap());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    };
    std::fs::write(dir.join("plain"), "FROM busybox\nRUN true\n").unwrap();
    piped(&["build", "-t", "from-stdin", "-"], std::fs::File::open(dir.join("plain")).unwrap().into());
    let tar = house.path().join("context.tar");
    crate::house::run_tool("tar", ["-C", dir.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "other"]);
    let archive = ["build", "--build-context", "base=docker-image://busybox", "-f", "other", "-t", "from-tar", "-"];
    piped(&archive, std::fs::File::open(&tar).unwrap().into());
    house.ok(["run", "--rm", "from-tar", "test", "-e", "/other"]);
}

#[test]
fn a_client_that_vanishes_takes_its_build_along() {
    let house = House::new();
    let dir = folder(&house, "app", &[("Dockerfile", "FROM busybox\nRUN echo going; sleep 3600\n")]);
    let Some(mut command) = house.clients() else { return };
    let mut child =
        command.args(["build", "."]).current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let steps = house.data().join("build/steps");
    let running = || std::fs::read_dir(&steps).map_or(0, Iterator::count);
    await_that("the step to run", || running() == 1);
    // The plugin is a process of its own and goes with the one that began it.
    crate::house::signal(i32::try_from(child.id()).unwrap(), "TERM");
    await_that("the step to be ended", || running() == 0);
    child.wait().unwrap();
    assert_eq!(house.ok(["version", "--format", "{{.Server.Os}}"]), "linux", "the daemon is well");
}

#[test]
fn compose_and_bake_build_too() {
    let house = House::new();
    let dir = folder(
        &house,
        "project",
        &[
            ("web/Dockerfile", "FROM busybox\nARG WORD\nRUN echo $WORD > /word\nCMD cat /word\n"),
            ("compose.yaml", "services:\n  web:\n    image: web\n    build: {context: web, args: {WORD: composed}}\n"),
            (
                "docker-bake.hcl",
                "target \"default\" {\n  context = \"web\"\n  tags = [\"baked\"]\n  args = { WORD = \"baked\" }\n}\n",
            ),
        ],
    );
    if said(&house, &dir, &["compose", "build"]).is_none() {
        return;
    }
    assert_eq!(house.ok(["run", "--rm", "web"]), "composed");
    said(&house, &dir, &["buildx", "bake", "-f", "docker-bake.hcl"]).unwrap();
    assert_eq!(house.ok(["run", "--rm", "baked"]), "baked");
    let usage = said(&house, &dir, &["buildx", "du"]).unwrap();
    assert!(usage.contains("Reclaimable:") && usage.contains("Total:"), "{usage}");
    let df = said(&house, &dir, &["system", "df", "-v"]).unwrap();
    assert!(df.contains("source.local") && df.contains("regular"), "{df}");
    assert!(house.ok(["system", "df", "-v"]).contains("source.local"));
    said(&house, &dir, &["builder", "prune", "-af"]).unwrap();
    let usage = said(&house, &dir, &["buildx", "du"]).unwrap();
    assert!(usage.contains("Total:\t\t0B"), "{usage}");
}

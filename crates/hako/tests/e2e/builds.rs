//! Building images: what comes out, what is reused, what is said, and what is left when something goes wrong.

use std::path::{Path, PathBuf};

use crate::house::{House, await_that, run_tool};

/// A build context below the house, with these files.
pub(crate) fn context(house: &House, files: &[(&str, &str)]) -> PathBuf {
    let dir = house.path().join(format!("context-{}", std::fs::read_dir(house.path()).unwrap().count()));
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// Builds; gives what was said.
fn build(house: &House, dir: &Path, flags: &[&str]) -> String {
    let mut args = vec!["build", "--progress", "plain"];
    args.extend(flags);
    args.push(dir.to_str().unwrap());
    let ended = house.run(&args);
    assert_eq!(ended.code, 0, "hako {args:?}\n{}{}", ended.stdout, ended.stderr);
    ended.stderr
}

const STAGES: &str = "FROM busybox AS make
ARG WHO=nobody
WORKDIR /src
COPY . .
RUN mkdir /out && cat hello.txt > /out/greeting && echo \"for $WHO\" >> /out/greeting
FROM busybox AS unneeded
RUN exit 9
FROM busybox
COPY --from=make /out /out
ENV GREETED=yes
CMD [\"cat\", \"/out/greeting\"]
";

#[test]
fn stages_make_an_image_and_nothing_is_done_twice() {
    let house = House::new();
    let dir = context(
        &house,
        &[("Dockerfile", STAGES), ("hello.txt", "hello\n"), ("no.log", ""), (".dockerignore", "*.log\n")],
    );
    let first = build(&house, &dir, &["-t", "greet", "--build-arg", "WHO=you", "--label", "l=1"]);
    assert!(first.contains("[make 4/4] RUN") && !first.contains("exit 9") && !first.contains("CACHED"), "{first}");
    assert_eq!(house.ok(["run", "--rm", "greet"]), "hello\nfor you");
    assert_eq!(house.inspect("greet", "{{.Config.Labels.l}} {{index .Config.Env 1}}"), "1 GREETED=yes");
    let id = house.inspect("greet", "{{.Id}}");
    let again = build(&house, &dir, &["-t", "greet", "--build-arg", "WHO=you", "--label", "l=1"]);
    assert_eq!(again.matches("CACHED").count(), 4, "{again}");
    assert_eq!(house.inspect("greet", "{{.Id}}"), id, "nothing new was made");
    std::fs::write(dir.join("no.log"), "ignored").unwrap();
    assert_eq!(build(&house, &dir, &["--build-arg", "WHO=you"]).matches("CACHED").count(), 4);
    std::fs::write(dir.join("hello.txt"), "good day\n").unwrap();
    let why = build(&house, &dir, &["-t", "greet", "--why", "--build-arg", "WHO=you"]);
    assert!(why.contains("why: the files changed") && why.contains("why: the layer below changed"), "{why}");
    let why = build(&house, &dir, &["--why", "--build-arg", "WHO=them"]);
    assert!(why.contains("why: variable WHO changed from \"you\" to \"them\""), "{why}");
    assert_eq!(house.ok(["run", "--rm", "greet"]), "good day\nfor you");
}

#[test]
fn stages_run_side_by_side() {
    // The first containers of a daemon meet at the default bridge, whose subnet nobody has chosen yet.
    let house = House::new();
    let stage = |name: &str| format!("FROM busybox AS {name}\nRUN ip addr show eth0 && echo {name} > /f\n");
    let copies = ["a", "b", "c", "d"].map(|name| format!("COPY --from={name} /f /{name}\n"));
    let stages: String = ["a", "b", "c", "d"].map(stage).concat();
    let dir = context(
        &house,
        &[("Dockerfile", &format!("{stages}FROM busybox\n{}RUN cat /a /b /c /d > /all\n", copies.concat()))],
    );
    build(&house, &dir, &["-t", "beside"]);
    assert_eq!(house.ok(["run", "--rm", "beside", "cat", "/all"]), "a\nb\nc\nd");
}

#[test]
fn a_failed_step_says_where_and_what() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nRUN echo before; \\\n  exit 3\n")]);
    let said = house.fails(1, ["build", dir.to_str().unwrap()]);
    for part in [
        "------\n > [2/2] RUN echo before;",
        "before\n------\nDockerfile:2:1\n",
        "   2 | >>> RUN echo before; \\\n   3 | >>>   exit 3\n",
        "failed to solve: process \"/bin/sh -c echo before;   exit 3\" did not complete successfully: exit code: 3",
    ] {
        assert!(said.contains(part), "{part:?} in:\n{said}");
    }
    assert_eq!(leftovers(&house), Vec::<String>::new());
}

#[test]
fn what_a_failed_step_left_is_kept_for_who_asks() {
    let house = House::new();
    let file = "FROM busybox
ENV GREETING=hello
WORKDIR /work
RUN --mount=type=secret,id=s,env=SECRET echo $GREETING > half && false
";
    let dir = context(&house, &[("Dockerfile", file)]);
    let secret = house.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let secret = format!("id=s,src={}", secret.display());
    let said = house.fails(1, ["build", "--debug", "--secret", &secret, dir.to_str().unwrap()]);
    let (_, rest) = said.split_once("The failed step left the image sha256:").unwrap_or_else(|| panic!("{said}"));
    assert!(said.contains("exit code: 1"), "{said}");
    let image = &rest[..12];
    assert!(rest.contains(&format!("`hako run -it --rm {image}`")), "{said}");
    assert_eq!(house.ok(["run", "--rm", image, "sh", "-c", "pwd; cat half; echo $GREETING"]), "/work\nhello\nhello");
    assert!(!house.ok(["inspect", image]).contains("hunter2"));
    assert_eq!(house.inspect(image, "{{.Config.Cmd}}"), "[/bin/sh]");
    house.ok(["rmi", image]);
    let plain = house.fails(1, ["build", "--secret", &secret, dir.to_str().unwrap()]);
    assert!(!plain.contains("The failed step left"), "{plain}");
    assert_eq!(leftovers(&house), Vec::<String>::new());
}

/// What steps may have left: directories, processes' groups.
pub(crate) fn leftovers(house: &House) -> Vec<String> {
    let list = |path: PathBuf| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let mut left = list(house.data().join("build/steps"));
    left.extend(list(house.data().join("tmp")));
    left
}

#[test]
fn secrets_are_seen_by_their_step_and_nobody_else() {
    let house = House::new();
    let file = "FROM busybox
RUN --mount=type=secret,id=a grep -c hunter /run/secrets/a && stat -c %a /run/secrets/a
RUN --mount=type=secret,id=a,target=/tmp/x,mode=0444,uid=7 stat -c '%a %u' /tmp/x
RUN --mount=type=secret,id=a,env=WORD test ${#WORD} = 9
RUN test ! -e /run/secrets/a && test -z \"$WORD\" && mount | grep -c secret || true
";
    let dir = context(&house, &[("Dockerfile", file)]);
    let secret = house.path().join("secret");
    std::fs::write(&secret, "hunter2!\n").unwrap();
    let said = build(&house, &dir, &["-t", "s", "--secret", &format!("id=a,src={}", secret.display())]);
    assert!(said.contains("444 7"), "{said}");
    let found = std::process::Command::new("grep").args(["-rl", "hunter2!"]).arg(house.data()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the secret is on the disk");
    assert!(!house.ok(["history", "--no-trunc", "s"]).contains("hunter2"));
    let left = std::fs::read_dir("/dev/shm")
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("hako-"));
    assert_eq!(left.count(), 0);
    let said = house.fails(1, ["build", "--no-cache", "-f", "-", dir.to_str().unwrap()]);
    assert!(said.contains("file with no instructions"), "{said}");
}

#[test]
fn caches_stay_and_are_locked() {
    let house = House::new();
    let file = "FROM busybox
RUN --mount=type=cache,target=/c,sharing=locked echo one >> /c/log; cp /c/log /seen
";
    let dir = context(&house, &[("Dockerfile", file)]);
    build(&house, &dir, &["-t", "c"]);
    build(&house, &dir, &["-t", "c", "--no-cache"]);
    assert_eq!(house.ok(["run", "--rm", "c", "cat", "/seen"]), "one\none");
    house.ok(["run", "--rm", "c", "test", "!", "-e", "/c"]);
    let pruned = house.ok(["builder", "--builder", "default", "prune", "-af", "--verbose"]);
    assert!(pruned.contains("Type:\t\texec.cachemount") && pruned.contains("Total reclaimed space"), "{pruned}");
    let unknown = house.run(["builder", "prune", "--builder", "other", "-f"]);
    assert!(unknown.code != 0 && unknown.stderr.contains("no builder \"other\" found"), "{}", unknown.stderr);
    build(&house, &dir, &["-t", "c"]);
    assert_eq!(house.ok(["run", "--rm", "c", "cat", "/seen"]), "one");
}

#[test]
fn the_same_inputs_make_the_same_image() {
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let house = House::new();
            let file = "FROM scratch\nCOPY . /d/\nWORKDIR /e/f\nENV A=b\n";
            let dir = context(&house, &[("Dockerfile", file), ("sub/a", "a"), ("b", "b")]);
            build(&house, &dir, &["-t", "r", "--build-arg", "SOURCE_DATE_EPOCH=1000000000"]);
            house.inspect("r", "{{.Id}} {{.Created}}")
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].ends_with("2001-09-09T01:46:40Z"), "{ids:?}");
}

#[test]
fn two_builds_are_compared() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nRUN mkdir /d; echo a > /d/f\n")]);
    let epoch = ["--verify", "--build-arg", "SOURCE_DATE_EPOCH=1000000000", dir.to_str().unwrap()];
    assert_eq!(house.ok(["build", "-q"].iter().chain(&epoch)), "both builds made the same files");
    std::fs::write(dir.join("Dockerfile"), "FROM busybox\nRUN mkdir /d; cat /proc/uptime > /d/f\n").unwrap();
    let said = house.fails(1, ["build", "-q"].iter().chain(&epoch));
    assert!(said.contains("the builds differ: d/f: its content differs"), "{said}");
}

#[test]
fn results_go_where_they_are_wanted() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM scratch\nCOPY d /\n"), ("d/x/f", "text")]);
    let out = house.path().join("out");
    build(&house, &dir, &["-o", out.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(out.join("x/f")).unwrap(), "text");
    assert_eq!(house.ok(["images", "-q"]).lines().count(), 1, "busybox alone");
    let tar = house.path().join("out.tar");
    build(&house, &dir, &["-o", &format!("type=tar,dest={}", tar.display())]);
    assert!(run_tool("tar", ["-tf", tar.to_str().unwrap()]).contains("x/f"));
    let oci = house.path().join("oci.tar");
    build(&house, &dir, &["-t", "o", "-o", &format!("type=oci,dest={}", oci.display())]);
    assert!(run_tool("tar", ["-tf", oci.to_str().unwrap()]).contains("oci-layout"));
    let iid = house.path().join("iid");
    build(&house, &dir, &["--iidfile", iid.to_str().unwrap(), "-q"]);
    assert!(std::fs::read_to_string(iid).unwrap().starts_with("sha256:"));
}

#[test]
fn the_hosts_network_is_for_steps_that_are_allowed_it() {
    let house = House::new();
    run_tool("ip", ["link", "add", "only-here", "type", "bridge"]);
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nRUN --network=host ip link show only-here\n")]);
    let path = dir.to_str().unwrap();
    let said = house.fails(1, ["build", path]);
    assert!(said.contains("network.host is not allowed") && said.contains("--allow network.host"), "{said}");
    build(&house, &dir, &["--allow", "network.host"]);
    let said = house.fails(1, ["build", "--allow", "security.insecure", path]);
    assert!(said.contains("no more privileges than containers"), "{said}");
    run_tool("ip", ["link", "del", "only-here"]);
}

#[test]
fn contexts_come_from_standard_input_too() {
    let house = House::new();
    let said = house.run_with_input(["build", "-t", "i", "-"], b"FROM busybox\nRUN echo in > /f\n");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(house.ok(["run", "--rm", "i", "cat", "/f"]), "in");
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nCOPY big /big\n"), ("big", &"x".repeat(100_000))]);
    let tar = house.path().join("c.tar.gz");
    run_tool("tar", ["-czf", tar.to_str().unwrap(), "-C", dir.to_str().unwrap(), "."]);
    let said = house.run_with_input(["build", "-t", "z", "-"], &std::fs::read(tar).unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(house.ok(["run", "--rm", "z", "wc", "-c", "/big"]), "100000 /big");
}

#[test]
fn a_client_that_leaves_takes_its_step_along() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nRUN echo begun; sleep 600\n")]);
    let mut client = house.spawn(["build", dir.to_str().unwrap()]);
    await_that("the step to run", || !leftovers(&house).is_empty());
    client.kill().unwrap();
    client.wait().unwrap();
    await_that("the step to be gone", || leftovers(&house).is_empty());
}

#[test]
fn a_daemon_that_dies_leaves_nothing_for_long() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nRUN sleep ${T:-600}\n")]);
    let mut client = house.spawn(["build", dir.to_str().unwrap()]);
    await_that("the step to run", || house.daemon_pid().is_some() && !leftovers(&house).is_empty());
    let pid = rustix::process::Pid::from_raw(house.daemon_pid().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(!client.wait().unwrap().success());
    house.ok(["version"]);
    await_that("the step to be gone", || leftovers(&house).is_empty());
    std::fs::write(dir.join("Dockerfile"), "FROM busybox\nRUN echo fine > /f\n").unwrap();
    build(&house, &dir, &["-t", "after"]);
    assert_eq!(house.ok(["run", "--rm", "after", "cat", "/f"]), "fine");
}

#[test]
fn nothing_leads_out_of_a_context() {
    let house = House::new();
    std::fs::write(house.path().join("canary"), "canary").unwrap();
    for (line, part) in [
        ("COPY ../canary /x", "not found"),
        ("COPY up /x", "not found"),
        ("COPY --from=busybox ../../../../../../etc/shadow /x", "not found"),
        ("RUN --mount=type=bind,source=../canary,target=/x cat /x", "not found"),
        ("RUN --mount=type=bind,target=../../../proc/x true", "proc"),
        ("ADD https://user@127.0.0.1/x /x", "address"),
        ("ADD git@host:--upload-pack=x#-x /x", "invalid git"),
    ] {
        let dir = context(&house, &[("Dockerfile", &format!("FROM busybox\n{line}\n"))]);
        std::os::unix::fs::symlink("../canary", dir.join("up")).unwrap();
        let said = house.fails(1, ["build", dir.to_str().unwrap()]);
        assert!(said.contains(part) && !said.contains("canary\n"), "{line}: {said}");
        assert!(said.contains("Dockerfile:2"), "{line}: {said}");
    }
}

#[test]
fn the_docker_cli_builds_with_the_classic_builder() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", STAGES), ("hello.txt", "hello\n")]);
    house.ok(["version"]);
    let docker = |args: &[&str]| {
        let mut command = std::process::Command::new("docker");
        command.args(args).env("DOCKER_HOST", format!("unix://{}", house.socket().display()));
        house.at_home(&mut command);
        let ended = command.env("DOCKER_BUILDKIT", "0").output().expect("the docker CLI");
        (
            ended.status.code(),
            String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr),
        )
    };
    let (code, said) = docker(&["build", "-t", "greet:1", "--build-arg", "WHO=you", dir.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Step 1/11 : FROM busybox AS make") && said.contains("Successfully tagged greet:1"),
        "{said}"
    );
    assert_eq!(docker(&["run", "--rm", "greet:1"]).1, "hello\nfor you\n");
    let (_, said) = docker(&["build", "-t", "greet:1", "--build-arg", "WHO=you", dir.to_str().unwrap()]);
    assert!(said.contains(" ---> Using cache"), "{said}");
    std::fs::write(dir.join("Dockerfile"), "FROM busybox\nRUN exit 4\n").unwrap();
    let (code, said) = docker(&["build", dir.to_str().unwrap()]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("The command '/bin/sh -c exit 4' returned a non-zero code: 4"), "{said}");
    let (code, said) = docker(&["builder", "prune", "-f"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn docker_py_builds() {
    let house = House::new();
    house.ok(["version"]);
    let program = r#"
import docker, sys, io
c = docker.DockerClient(base_url='unix://' + sys.argv[1], timeout=60)
image, told = c.images.build(fileobj=io.BytesIO(b'FROM busybox\nRUN echo hi > /f\nCMD cat /f\n'), tag='py:1', rm=True)
assert 'py:1' in image.tags, image.tags
assert any('Step 2/3' in line.get('stream', '') for line in told)
assert c.containers.run('py:1', remove=True) == b'hi\n'
try:
    c.images.build(fileobj=io.BytesIO(b'FROM busybox\nRUN false\n')); raise SystemExit('no error')
except docker.errors.BuildError as e:
    assert 'non-zero code: 1' in str(e), e
print('done')
"#;
    let said = run_tool(&crate::house::python(), ["-c", program, house.socket().to_str().unwrap()]);
    assert_eq!(said.trim(), "done");
}

/// An SSH agent without keys.
pub(crate) fn agent(path: &Path) {
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let mut question = [0; 5];
                while stream.read_exact(&mut question).is_ok() {
                    if stream.write_all(NO_KEYS).is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// What such an agent says.
const NO_KEYS: &[u8] = &[0, 0, 0, 5, 12, 0, 0, 0, 0];

/// The same as the program that asks for it prints it.
pub(crate) const ANSWER: &str = "000000050c00000000";

/// Puts the program that asks an agent for its keys into a directory.
pub(crate) fn keys(dir: &Path) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/probe/keys.c");
    run_tool("cc", ["-O1", "-static", "-o", dir.join("keys").to_str().unwrap(), source]);
}

#[test]
fn an_agent_is_lent_to_its_step_and_nobody_else() {
    let house = House::new();
    let file = "FROM busybox
COPY keys /
RUN --mount=type=ssh /keys $SSH_AUTH_SOCK > /answer
RUN --mount=type=ssh,id=other,target=/agent /keys /agent >> /answer
RUN test -z \"$SSH_AUTH_SOCK\" && test ! -e /agent
";
    let dir = context(&house, &[("Dockerfile", file)]);
    keys(&dir);
    let (one, other) = (house.path().join("one"), house.path().join("other"));
    agent(&one);
    agent(&other);
    let flags = [format!("default={}", one.display()), format!("other={}", other.display())];
    build(&house, &dir, &["-t", "a", "--ssh", &flags[0], "--ssh", &flags[1]]);
    assert_eq!(house.ok(["run", "--rm", "a", "cat", "/answer"]), format!("{ANSWER}\n{ANSWER}"));
    let flag = format!("default={}", dir.display());
    let said = house.fails(1, ["build", "--no-cache", "--ssh", &flag, dir.to_str().unwrap()]);
    assert!(said.contains("it is no socket"), "{said}");
    let needed = context(&house, &[("Dockerfile", "FROM busybox\nRUN --mount=type=ssh,required=true true\n")]);
    assert!(house.fails(1, ["build", needed.to_str().unwrap()]).contains("unset ssh forward key default"));
}

#[test]
fn checks_find_what_is_probably_not_meant() {
    let house = House::new();
    let dir = context(&house, &[("Dockerfile", "FROM busybox as one\nMAINTAINER x\n")]);
    let said = build(&house, &dir, &["-t", "a"]);
    assert!(said.contains("2 warnings found") && said.contains(" - FromAsCasing: "), "{said}");
    let ended = house.run(["build", "--check", dir.to_str().unwrap()]);
    assert_eq!(ended.code, 1);
    for part in [
        "Check complete, 2 warnings have been found!",
        "WARNING: MaintainerDeprecated - https://",
        "   2 | >>> MAINTAINER x",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} in:\n{}", ended.stdout);
    }
    let clean = context(&house, &[("Dockerfile", "FROM busybox\nRUN exit 1\n")]);
    assert_eq!(house.ok(["build", "--check", clean.to_str().unwrap()]), "Check complete, no warnings found.");
    let strict = context(&house, &[("Dockerfile", "# check=error=true\nFROM busybox\nMAINTAINER x\n")]);
    let said = house.fails(1, ["build", strict.to_str().unwrap()]);
    assert!(said.contains("lint violation found for rules: MaintainerDeprecated"), "{said}");
    let left_out = "# check=experimental=CopyIgnoredFile\nFROM busybox\nCOPY secret.txt /\n";
    let left_out = context(&house, &[("Dockerfile", left_out), (".dockerignore", "secret.txt\n")]);
    let found = house.run(["build", "--call", "check,format=json,ignorestatus=true", left_out.to_str().unwrap()]);
    assert!(found.code == 0 && found.stdout.contains("\"ruleName\": \"CopyIgnoredFile\""), "{}", found.stdout);
}

#[test]
fn questions_about_a_dockerfile_are_answered() {
    let house = House::new();
    let text = "# MODE how fast\nARG MODE=fast\n# base what all have\nFROM busybox AS base\nARG MODE\n\
                RUN --mount=type=secret,id=token,required=true true\nFROM base\n";
    let dir = context(&house, &[("Dockerfile", text)]);
    let ask = |call: &str, more: &[&str]| {
        let words = ["build", "--call", call].into_iter().chain(more.iter().copied()).chain([dir.to_str().unwrap()]);
        house.run(words).stdout
    };
    let head = "TARGET:      base\nDESCRIPTION: what all have\n\n";
    let rest = "BUILD ARG   VALUE   DESCRIPTION\nMODE        slow    how fast\n\nSECRET   REQUIRED\ntoken    true\n\n";
    assert_eq!(ask("outline", &["--target", "base", "--build-arg", "MODE=slow"]), format!("{head}{rest}"));
    let targets = "TARGET    DESCRIPTION\nbase      what all have\n(default) \n";
    assert_eq!(ask("targets", &[]), targets);
    assert!(ask("targets,format=json", &[]).contains("\"base\": \"busybox\""));
    let said = house.fails(1, ["build", "--call", "outline", "--target", "nope", dir.to_str().unwrap()]);
    assert!(said.contains("target stage \"nope\" could not be found"), "{said}");
}

#[test]
fn archives_are_unpacked_however_they_are_packed() {
    let house = House::new();
    let dir = context(
        &house,
        &[("Dockerfile", "FROM busybox\nADD a.tar.xz b.tar.bz2 /\nRUN cat /a /b > /all\n"), ("a", "a\n"), ("b", "b\n")],
    );
    for (flag, archive, file) in [("-cJf", "a.tar.xz", "a"), ("-cjf", "b.tar.bz2", "b")] {
        run_tool("tar", ["-C", dir.to_str().unwrap(), flag, dir.join(archive).to_str().unwrap(), file]);
    }
    build(&house, &dir, &["-t", "a"]);
    assert_eq!(house.ok(["run", "--rm", "a", "cat", "/all"]), "a\nb");
}

#[test]
fn histories_and_rare_forms_are_buildkits() {
    let house = House::new();
    let text = "FROM busybox\n\
        ARG V=1\n\
        ENV V=2\n\
        RUN echo $V; env > /variables\n\
        SHELL [\"/bin/sh\", \"-e\", \"-c\"]\n\
        CMD say \"it\"\n\
        ENTRYPOINT [\"a\", \"b c\"]\n\
        HEALTHCHECK --interval=5s --start-period=1m --retries=4 CMD curl x\n\
        ONBUILD RUN later\n\
        COPY --chown=1:2 --chmod=640 one /x\n\
        STOPSIGNAL term\n\
        COPY one two /dst\n\
        RUN\n";
    let dir = context(&house, &[("Dockerfile", text), ("one", "1"), ("two", "2")]);
    build(&house, &dir, &["-t", "rare"]);
    let shown = house.ok(["history", "--no-trunc", "--format", "{{.CreatedBy}}", "rare"]);
    // As docker 28.5 shows them for the same file.
    let wanted = [
        "RUN |1 V=2 /bin/sh -e -c  # buildkit",
        "COPY one two /dst # buildkit",
        "STOPSIGNAL term",
        "COPY --chown=1:2 --chmod=640 one /x # buildkit",
        r#"HEALTHCHECK &{["CMD-SHELL" "curl x"] "5s" "0s" "1m0s" "0s" '\x04'}"#,
        r#"ENTRYPOINT ["a" "b c"]"#,
        r#"CMD ["/bin/sh" "-e" "-c" "say \"it\""]"#,
        "SHELL [/bin/sh -e -c]",
        "RUN |1 V=2 /bin/sh -c echo $V; env > /variables # buildkit",
        "ENV V=2",
        "ARG V=1",
    ];
    assert_eq!(shown.lines().take(wanted.len()).collect::<Vec<_>>(), wanted);
    // The last of several sources is what a destination becomes that is not said to be a folder.
    assert_eq!(house.ok(["run", "--rm", "--entrypoint", "cat", "rare", "/dst"]), "2");
    let variables = house.ok(["run", "--rm", "--entrypoint", "cat", "rare", "/variables"]);
    assert!(variables.contains("V=2") && !variables.contains("HOSTNAME"), "{variables}");
    let dir = context(&house, &[("Dockerfile", "FROM busybox\nSTOPSIGNAL FOO\n")]);
    let ended = house.run(["build", dir.to_str().unwrap()]);
    assert!(ended.code != 0 && ended.stderr.contains("invalid signal: FOO"), "{}", ended.stderr);
    let text = "FROM busybox\nRUN --mount=type=ssh,required true\n";
    let dir = context(&house, &[("Dockerfile", &text.replace(",required", ""))]);
    build(&house, &dir, &[]);
    let dir = context(&house, &[("Dockerfile", text)]);
    let ended = house.run(["build", dir.to_str().unwrap()]);
    assert!(ended.code != 0 && ended.stderr.contains("unset ssh forward key default"), "{}", ended.stderr);
}

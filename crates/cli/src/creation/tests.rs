//! Whole command lines, and the request or the refusal they lead to.

use super::*;
use crate::flags::parse;

const GROUPS: &[&[crate::flags::Flag]] = &[CONTAINER, CARE];

fn create(line: &str) -> Result<CreateBody, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let found = parse(GROUPS, false, &words).map_err(|fault| format!("{fault:?}"))?;
    assemble(&found, found.word(0), &found.words()[1..])
}

fn refusal(line: &str) -> String {
    create(line).expect_err(line)
}

#[test]
fn refused_before_anything_is_asked() {
    let cases = [
        ("--memory-swappiness 101 a", "invalid value: 101. Valid memory swappiness range is 0-100"),
        ("--env-file /nonexistent a", "open /nonexistent: no such file or directory"),
        ("--restart on-failure:x a", "invalid restart policy format: maximum retry count must be an integer"),
        ("--pid foo a", "--pid: invalid PID mode"),
        ("--uts foo a", "--uts: invalid UTS mode"),
        ("--userns foo a", "--userns: invalid USER mode"),
        ("--cgroupns foo a", "--cgroupns: invalid CGROUP mode"),
        ("--health-retries -1 a", "--health-retries cannot be negative"),
        ("--health-interval -1s a", "--health-interval cannot be negative"),
        ("--no-healthcheck --health-cmd x a", "--no-healthcheck conflicts with --health-* options"),
        ("--rm --restart always a", "conflicting options: cannot specify both --restart and --rm"),
        ("--storage-opt x a", "invalid storage option"),
        ("--security-opt x a", "Invalid --security-opt: \"x\""),
        (
            "--security-opt seccomp=/nonexistent a",
            "opening seccomp profile (/nonexistent) failed: open /nonexistent: no such file or directory",
        ),
        (
            "--network container:x --network y a",
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ),
        ("--net=host --network-alias x a", "network-scoped aliases are only supported for user-defined networks"),
        ("--mac-address x a", "x is not a valid mac address"),
        ("--device a:b:c:d a", "invalid device specification: a:b:c:d"),
    ];
    for (line, expect) in cases {
        assert_eq!(refusal(line), expect, "{line}");
    }
}

#[test]
fn a_plain_container_says_what_docker_says() {
    let body = create("alpine echo hi").unwrap();
    let config = body.config;
    assert_eq!(config.image, "alpine");
    assert_eq!(config.cmd.unwrap(), ["echo", "hi"]);
    assert_eq!((config.attach_stdin, config.attach_stdout, config.attach_stderr), (false, true, true));
    assert_eq!(config.entrypoint, None);
    let host = body.host_config.unwrap();
    assert_eq!(host.network_mode, "default");
    assert_eq!(host.restart_policy.name, RestartName::No);
    assert_eq!(host.resources.memory_swappiness, Some(-1));
    assert_eq!((host.binds, host.masked_paths, host.init), (None, None, None));
}

#[test]
fn flags_reach_their_fields() {
    let line = "-it --rm -e A=1 -l k=v -m 64m --cpus 1.5 --entrypoint sh -w /w -u 1:2 --tmpfs /t:size=1m --init \
                --health-cmd true --health-interval 5s --ulimit nofile=5:6 --security-opt systempaths=unconfined \
                -v data:/d -v /only --restart no --cap-add NET_ADMIN alpine";
    let body = create(line).unwrap();
    let config = body.config;
    assert!(config.tty && config.open_stdin && config.stdin_once && config.attach_stdin);
    assert_eq!(config.env.unwrap(), ["A=1"]);
    assert_eq!(config.labels.unwrap()["k"], "v");
    assert_eq!(config.entrypoint.unwrap(), ["sh"]);
    assert!(config.volumes.unwrap().contains_key("/only"));
    let check = config.healthcheck.unwrap();
    assert_eq!((check.test, check.interval), (vec!["CMD-SHELL".to_owned(), "true".to_owned()], 5_000_000_000));
    let host = body.host_config.unwrap();
    assert_eq!(host.resources.memory, 64 << 20);
    assert_eq!(host.resources.nano_cpus, 1_500_000_000);
    assert_eq!(host.tmpfs.unwrap()["/t"], "size=1m");
    assert_eq!(host.binds.unwrap(), ["data:/d"]);
    assert_eq!(host.masked_paths, Some(vec![]));
    assert_eq!((host.init, host.auto_remove), (Some(true), true));
}

#[test]
fn attaching_one_stream_leaves_the_others() {
    let config = create("-a stdout alpine").unwrap().config;
    assert_eq!((config.attach_stdin, config.attach_stdout, config.attach_stderr), (false, true, false));
}

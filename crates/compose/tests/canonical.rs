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
        let mut names: Vec<&str> = project.services.keys().map(|name| name.as_str()).collect();
        names.sort();
        names.into_iter().fold(String::new(), |mut out, name| {
            let _ = writeln!(out, "{name} {}", service_hash(project.service(name).unwrap()));
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
fn files_in_repositories_need_a_way_there() {
    for file in ["https://example.com/r.git", "git@example.com:a/b.git"] {
        let mut options = options("/project".into());
        options.files = vec![file.into()];
        let said = load(&options).expect_err(file).to_string();
        assert!(said.contains("example.com") && said.contains("no way there from here"), "{said}");
    }
}

/// A service of one attribute, as Compose would print it.
fn shown(attribute: &str) -> Result<String, String> {
    let mut options = options("/project".into());
    options.files = vec!["-".into()];
    options.stdin = Some(format!("services: {{s: {{image: x, {attribute}}}}}\n"));
    load(&options).map(|project| project.to_yaml(true)).map_err(|error| error.to_string())
}

#[test]
fn values_are_refused_where_compose_refuses_them() {
    let refused = [
        // Texts are decimal numbers, and switches only in words.
        "scale: \"0x1F\"",
        "scale: \"1_000\"",
        "cpus: \" 1 \"",
        "tty: \"1\"",
        "use_api_socket: \"true\"",
        "networks: {default: {priority: \"1\"}}",
        "networks: {default: {aliases: a}}",
        "blkio_config: {weight: \"1\"}",
        "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: \"1777\"}}]",
        // What is out of bounds.
        "oom_score_adj: 2000",
        "cpu_percent: 101",
        "cpu_percent: 1.5",
        "cpu_count: -1",
        "mem_limit: \"-1\"",
        "deploy: {update_config: {parallelism: -1}}",
        "deploy: {restart_policy: {max_attempts: -1}}",
        "deploy: {resources: {limits: {memory: 512}}}",
        // Lists hold texts, mappings what they are said to.
        "dns: [1]",
        "cap_add: [1]",
        "expose: [1.5]",
        "group_add: [1.5]",
        "security_opt: [a, a]",
        "gpus: [{capabilities: [a, a]}]",
        "extra_hosts: {a: 1}",
        "build: {context: ., tags: [1]}",
        "build: {context: ., ssh: [key]}",
        "build: {context: ., additional_contexts: [a]}",
        "build: {context: ., additional_contexts: {a: 1}}",
        "ulimits: {nofile: 1e3}",
        "depends_on: {s: ~}",
        "networks: {default: {driver_opts: {a: ~}}}",
        "provider: {type: t, options: {a: ~}}",
        "ports: [{target: 80, published: 1.5}]",
        "ports: [{target: 80, host_ip: \"\"}]",
        "container_name: \"\"",
        "pull_policy: \"\"",
        "develop: {watch: [{path: \"\", action: rebuild}]}",
        "develop: {watch: [{path: a, action: sync, target: /b, initial_sync: \"yes\"}]}",
    ];
    for attribute in refused {
        assert!(shown(attribute).is_err(), "{attribute}");
    }
}

#[test]
fn values_are_written_as_compose_writes_them() {
    let check = |attribute: &str, wanted: &str| {
        let told = shown(attribute).unwrap_or_else(|error| panic!("{attribute}: {error}"));
        let squeezed = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(wanted), "{attribute}\n{told}");
    };
    check("scale: \"017\"", "scale: 17");
    check("scale: 017", "scale: 15");
    check("cpu_shares: 1.5", "cpu_shares: 1");
    check("pids_limit: 1.9", "pids_limit: 1");
    check("healthcheck: {test: x, retries: 2.5}", "retries: 2");
    check("networks: {default: {priority: 1.5}}", "priority: 1");
    check("cpus: 1234567.5", "cpus: 1.2345675e+06");
    check("labels: {a: 1e6, b: 123456.5, c: .inf}", "a: \"1e+06\" b: \"123456.5\" c: +Inf");
    check("tty: \"Yes\"", "tty: true");
    check("mem_limit: 1e9, tty: true", "networks: default: null tty: true");
    check("cap_add: [a=b, c, a=d]", "cap_add: - a=d - c");
    check("ulimits: {nofile: 0}", "nofile: soft: 0 hard: 0");
    check("expose: [1, \"2\"]", "expose: - \"1\" - \"2\"");
    check("blkio_config: {device_read_bps: [{rate: 1}]}", "device_read_bps: - path: \"\" rate: \"1\"");
    check("blkio_config: {weight_device: [{path: a}]}", "- path: a weight: 0");
    let reserved = |what: &str| format!("deploy: {{resources: {{reservations: {{{what}}}}}}}");
    check(&reserved("devices: [{capabilities: [a]}]"), "capabilities: - a count: -1");
    check(&reserved("generic_resources: [{discrete_resource_spec: {kind: a}}]"), "kind: a value: 0");
    check("build: {context: \"x:y\"}", "context: /project/x:y");
}

#[test]
fn what_the_lists_of_two_files_say_twice_is_refused() {
    let mut options = options(std::env::temp_dir());
    let document = "services: {s: {image: x, security_opt: [a]}}\n";
    options.files = vec!["-".into()];
    options.stdin = Some(format!("{document}---\n{document}"));
    assert!(load(&options).expect_err("twice").to_string().contains("stands twice"));
}

#[test]
fn old_switches_are_remarked_upon() {
    let mut options = options("/project".into());
    options.files = vec!["-".into()];
    options.stdin = Some("services: {s: {image: x, tty: yes, init: \"OFF\", privileged: \"true\"}}\n".to_owned());
    let project = load(&options).expect("a project");
    let remark =
        |word: &str, better: bool| format!("{word:?} for boolean is not supported by YAML 1.2, please use `{better}`");
    assert_eq!(project.warnings, [remark("yes", true), remark("OFF", false)]);
}

#[test]
fn a_missing_variable_is_a_warning() {
    let mut options = options("/project".into());
    options.files = vec!["-".into()];
    options.stdin = Some("services:\n  s: {image: \"x${NOPE}\"}\n".to_owned());
    let project = load(&options).expect("a project");
    assert_eq!(project.warnings, ["The \"NOPE\" variable is not set. Defaulting to a blank string."]);
}

fn project(text: &str) -> Project {
    let mut options = options("/project".into());
    options.files = vec!["-".into()];
    options.stdin = Some(text.to_owned());
    load(&options).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn what_compose_refuses_in_a_service_is_refused() {
    let table = [
        ("environment:", "services.s.environment must be a mapping or a list"),
        ("networks:", "services.s.networks must be a mapping"),
        ("ports:", "services.s.ports must be a list"),
        ("labels:", "services.s.labels must be a mapping or a list"),
        ("build: {args: }", "services.s.build.args must be a mapping or a list"),
        ("build: {context: true}", "services.s.build.context must be a string"),
        ("cap_add: ALL", "services.s.cap_add must be a list"),
        ("security_opt: [a, a]", "services.s.security_opt.1 \"a\" stands twice"),
        ("networks: [a, a]", "services.s.networks.1 \"a\" stands twice"),
        ("depends_on: [t, t]", "services.s.depends_on.1 \"t\" stands twice"),
        ("log_driver: x", "additional properties 'log_driver' not allowed"),
        ("pull_policy: sometimes", "services.s.pull_policy value must be one of 'always'"),
        ("mem_limit: '-7'", "services.s.mem_limit invalid size"),
        ("healthcheck: {test: [curl]}", "services.s.healthcheck.test must start either by \"CMD\""),
        ("healthcheck: {retries: -1}", "healthcheck.retries: must be greater than or equal to 0"),
        ("ports: [{published: 5}]", "services.s.ports.0 is missing a target port"),
        ("ports: [{target: 80, host_ip: bad}]", "services.s.ports.0: invalid ip address: bad"),
        ("volumes: [{type: bind, target: /x}]", "field Source must not be empty"),
        ("volumes: [{type: bind, source: /x}]", "services.s.volumes.0 is missing a mount target"),
        ("develop: {watch: [{path: ., action: sync}]}", "target is required for action sync"),
        ("scale: -1", "services.s.scale: must be greater than or equal to 0"),
        ("models: [m]", "service \"s\" refers to undefined model m"),
        ("logging: {options: {a: true}}", "services.s.logging.options.a must be a string or a number"),
        (
            "{build: {context: ., platforms: [linux/amd64]}, platform: linux/arm64}",
            "service.build.platforms MUST include service.platform \"linux/arm64\"",
        ),
        (
            "{cpus: 1, deploy: {resources: {limits: {cpus: '2'}}}}",
            "can't set distinct values on 'cpus' and 'deploy.resources.limits.cpus'",
        ),
        ("deploy: {resources: {reservations: {devices: [{count: 1}]}}}", "missing property 'capabilities'"),
        (
            "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1, device_ids: [a]}]}}}",
            "exclude each other",
        ),
    ];
    for (attributes, wanted) in table {
        // Several are written as one mapping.
        let inner = attributes.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(attributes);
        let told = refusal(&format!("services: {{s: {{image: x, {inner}}}, t: {{image: y}}}}\n"));
        assert!(told.contains(wanted), "{attributes}\n{told}");
    }
}

#[test]
fn what_compose_lets_pass_passes() {
    for text in [
        "services: {s: {image: x, deploy: , develop: , command: }}",
        "secrets: {e: {external: true, file: f}}\nservices: {s: {image: x, secrets: [e]}}",
        "networks: {n: {external: true, internal: true}}\nservices: {s: {image: x, networks: [n]}}",
        "networks: {a b: }\nservices: {s: {image: x}}",
        "services: {s: {image: x, profiles: [\"\"]}}",
        "services: {s: {image: x, gpus: [{count: 1}]}}",
    ] {
        assert!(project(text).services.contains_key("s"), "{text}");
    }
    let mut options = options("/project".into());
    (options.files, options.project_name) = (vec!["-".into()], None);
    options.stdin = Some("name: A b!c\nservices: {s: {image: x}}\n".to_owned());
    assert_eq!(load(&options).expect("a project").name, "abc");
}

#[test]
fn files_of_variables_and_labels_count_for_the_hash_as_with_compose() {
    use sha2::Digest as _;
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().display().to_string();
    std::fs::write(directory.path().join("file"), "k=v\n").expect("a file");
    let check = |attributes: &str, resolve: bool, wanted: &str| {
        let mut options = options(directory.path().to_owned());
        (options.files, options.resolve_environment) = (vec!["-".into()], resolve);
        options.stdin = Some(format!("services: {{s: {{image: x, {attributes}}}}}\n"));
        let project = load(&options).expect("a project");
        let text = format!(
            "{{\"command\":null,\"entrypoint\":null,{}\"networks\":{{\"default\":null}}}}",
            wanted.replace("HOME", &home)
        );
        let hash: String = sha2::Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(service_hash(project.service("s").unwrap()), hash, "{attributes}: {text}");
    };
    // Read off the hashes of Compose 2.40.3: of containers it made, and of `config --hash`.
    check(
        "label_file: file, labels: {z: 1}",
        true,
        "\"image\":\"x\",\"labels\":{\"k\":\"v\",\"z\":\"1\"},\"label_file\":[\"HOME/file\"],",
    );
    check("env_file: file", true, "\"environment\":{\"k\":\"v\"},\"image\":\"x\",");
    check("env_file: file", false, "\"env_file\":[\"HOME/file\"],\"image\":\"x\",");
    check(
        "env_file: [file, {path: none, required: false}]",
        false,
        "\"env_file\":[\"HOME/file\",{\"path\":\"HOME/none\",\"required\":false}],\"image\":\"x\",",
    );
}

#[test]
fn paths_of_included_files_lead_where_they_were_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    write("compose.yaml", "include: [{path: part/part.yml, project_directory: other}]\nservices: {a: {image: x}}\n");
    write("part/part.yml", "services: {b: {build: {target: t}, env_file: e, volumes: [\"./v:/v\"]}}\n");
    write("other/e", "K=1\n");
    let mut options = options(directory.path().to_owned());
    let service = |options: &Options| load(options).expect("a project").service("b").unwrap().clone();
    let home = directory.path().display();
    assert_eq!(service(&options).get("build").expect("a build").text("context"), format!("{home}/other"));
    options.resolve_paths = false;
    let service = service(&options);
    assert_eq!(service.get("build").expect("a build").text("context"), "other");
    assert_eq!(service.list("volumes")[0].text("source"), "other/v");
    assert_eq!(service.get("environment").expect("variables").text("K"), "1");
}

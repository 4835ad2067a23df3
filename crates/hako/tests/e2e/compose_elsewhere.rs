//! Projects in repositories of git: read where they lie, and of hostile ones nothing but their files.

use std::path::{Path, PathBuf};

use crate::baking::{repository, serve_git};
use crate::compose::Described;
use crate::house::{Ended, House, finish, run_tool};

const SHOP: &str = "\
services:
  web: {image: busybox, command: 'sleep 600', stop_grace_period: 0s, env_file: [web.env], volumes: ['./data:/data:ro']}
  who: {image: \"busybox:${TAG:-none}\", profiles: [never]}
";

/// A repository of a shop on branch `main`, another on `feature/main`, and its address.
fn shop(house: &House) -> (PathBuf, String) {
    let base = house.path().join("served");
    let repo = base.join("repo");
    let files = [
        ("compose.yaml", SHOP),
        ("web.env", "FROM=repository\n"),
        (".env", "TAG=theirs\n"),
        ("data/word", "kept\n"),
        ("sub/compose.yml", "services: {part: {image: busybox, volumes: ['./x:/x']}}\n"),
        ("other.yaml", "services: {base: {image: busybox, build: ./base}}\n"),
    ];
    repository(&repo, &files);
    git(&repo, &["checkout", "-q", "-b", "feature/main"]);
    repository(&repo, &[("compose.yaml", "services: {feature: {image: busybox}}\n")]);
    git(&repo, &["tag", "-a", "-m", "a tag of its own", "v2"]);
    git(&repo, &["checkout", "-q", "main"]);
    (repo, format!("git://127.0.0.1:{}/repo", serve_git(&base)))
}

fn git(repo: &Path, words: &[&str]) -> String {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
    run_tool("git", ["-C", repo.to_str().unwrap()].into_iter().chain(who).chain(words.iter().copied()))
}

/// Runs compose with a cache of the house's own.
fn run(here: &Described<'_>, cache: &Path, variables: &[(&str, &str)], args: &[&str]) -> Ended {
    let mut command = here.command(args);
    command.env("XDG_CACHE_HOME", cache).envs(variables.iter().copied());
    finish(command.output().expect("the hako binary"))
}

#[test]
fn a_project_in_a_repository_comes_up() {
    let house = House::new();
    let (repo, address) = shop(&house);
    let here = Described::new(&house, "services: {}\n");
    std::fs::write(here.directory.join(".env"), "TAG=mine\n").unwrap();
    let cache = house.path().join("cache");
    let ok = |args: &[&str]| {
        let ended = run(&here, &cache, &[], args);
        assert_eq!(ended.code, 0, "{args:?}\n{}{}", ended.stdout, ended.stderr);
        ended.stdout.trim_end().to_owned()
    };
    ok(&["-f", &address, "up", "-d", "-y"]);
    assert_eq!(house.ok(["ps", "--format", "{{.Names}}"]), "shop-web-1", "it is called after the caller's directory");
    let within = |words: &[&str]| ok(&[&["-f", &address, "exec", "-T", "web"], words].concat());
    assert_eq!(within(&["cat", "/data/word"]), "kept");
    assert_eq!(within(&["sh", "-c", "echo $FROM"]), "repository");
    let all = ok(&["-f", &address, "--profile", "never", "config"]);
    assert!(all.contains("image: busybox:mine"), "variables are the caller's: {all}");
    ok(&["-f", &address, "down"]);

    let services = |address: &str| ok(&["-f", address, "config", "--services"]);
    assert_eq!(services(&format!("{address}#:sub")), "part");
    assert_eq!(services(&format!("{address}?subdir=sub/compose.yml")), "part");
    assert_eq!(services(&format!("{address}#main")), "web", "feature/main ends alike");
    assert_eq!(services(&format!("{address}#feature/main")), "feature");
    assert_eq!(services(&format!("{address}#v2")), "feature");
    let commit = git(&repo, &["rev-parse", "main"]).trim().to_owned();
    let checkouts = std::fs::read_dir(cache.join("docker-compose")).unwrap().count();
    assert_eq!(checkouts, 3, "one for each commit, and one for the tag");
    std::fs::rename(&repo, repo.with_extension("gone")).unwrap();
    assert_eq!(services(&format!("{address}#{commit}")), "web", "what is in the cache needs nobody");
}

#[test]
fn repositories_are_included_and_extended() {
    let house = House::new();
    let (repo, address) = shop(&house);
    let text = format!(
        "include: ['{address}#main:sub']\nservices: {{own: {{extends: {{file: '{address}#:other.yaml', service: base}}}}}}\n"
    );
    let here = Described::new(&house, &text);
    let cache = house.path().join("cache");
    let shown = run(&here, &cache, &[], &["config"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let commit = git(&repo, &["rev-parse", "main"]).trim().to_owned();
    let checkout = cache.join("docker-compose").join(commit);
    for path in ["sub/x", "base"] {
        assert!(shown.stdout.contains(&format!(": {}\n", checkout.join(path).display())), "{}", shown.stdout);
    }
    let off = [("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "false")];
    let said = run(&here, &cache, &off, &["config"]);
    assert!(said.code == 1 && said.stderr.contains("git remote resource is disabled by"), "{}", said.stderr);
    let odd = [("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "maybe")];
    let said = run(&here, &cache, &odd, &["config"]);
    assert!(said.code == 1 && said.stderr.contains("expects boolean value"), "{}", said.stderr);
    let off = [("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "0")];
    let said = run(&here, &cache, &off, &["-f", "oci://127.0.0.1:1/x", "config"]);
    assert!(said.code == 1 && said.stderr.contains("OCI remote resource is disabled by"), "{}", said.stderr);
}

#[test]
fn hostile_repositories_and_addresses_lead_nowhere() {
    let house = House::new();
    let (repo, address) = shop(&house);
    let outside = house.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("compose.yaml"), "services: {stolen: {image: busybox}}\n").unwrap();
    std::os::unix::fs::symlink(&outside, repo.join("way")).unwrap();
    std::fs::create_dir_all(repo.join("file")).unwrap();
    std::os::unix::fs::symlink(outside.join("compose.yaml"), repo.join("file/compose.yaml")).unwrap();
    std::fs::create_dir_all(repo.join("own")).unwrap();
    std::os::unix::fs::symlink("../.git/config", repo.join("own/compose.yaml")).unwrap();
    // A submodule by a way that runs programs is not even looked at.
    let marker = house.path().join("marker");
    let module = format!("[submodule \"m\"]\n\tpath = m\n\turl = ext::sh -c 'touch {}'\n", marker.display());
    std::fs::write(repo.join(".gitmodules"), module).unwrap();
    let commit = git(&repo, &["rev-parse", "main"]).trim().to_owned();
    git(&repo, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},m")]);
    repository(&repo, &[]);
    let here = Described::new(&house, "services: {}\n");
    let cache = house.path().join("cache");
    let upload = format!("--upload-pack=touch {}", marker.display());
    let refused = [
        ("#:way", "leads out of its repository"),
        ("#:way/compose.yaml", "leads out of its repository"),
        ("#:file", "leads out of its repository"),
        ("#:own", "leads out of its repository"),
        ("#:.git/config", "leads out of its repository"),
        ("#:../x", "git subdirectory path traversal detected"),
        ("#:sub/../../x", "git subdirectory path traversal detected"),
        ("#:/etc", "git subdirectory must be relative"),
        ("#:none", "no such file or directory"),
        ("#none", "repository does not contain ref"),
        (&format!("#{upload}"), "invalid git reference"),
        ("#main..x", "invalid git reference"),
        ("#0000000000000000000000000000000000000000", "failed to fetch"),
    ];
    for (rest, why) in refused {
        let said = run(&here, &cache, &[], &["-f", &format!("{address}{rest}"), "config"]);
        assert!(said.code == 1 && said.stderr.contains(why), "{rest}: {}{}", said.stdout, said.stderr);
    }
    for file in ["ssh://-oProxyCommand=x/y.git", "ext::sh -c x", "file:///x/y.git"] {
        let said = run(&here, &cache, &[], &["-f", file, "config"]);
        assert!(said.code != 0 && said.stderr.contains("no such file or directory"), "{file}: {}", said.stderr);
    }
    let said = run(&here, &cache, &[("GIT_DIR", "/nowhere")], &["-f", &address, "config", "--services"]);
    assert_eq!((said.code, said.stdout.trim()), (0, "web"), "{}", said.stderr);
    assert!(!marker.exists(), "nothing of an address or a repository was run");
    let names = std::fs::read_dir(cache.join("docker-compose")).unwrap();
    assert!(names.flatten().all(|entry| entry.file_name().len() == 40), "nothing half done is left");
}

//! The tutorial's chapters and the page about builds, typed against a real registry, with `hako` and with the stock
//! docker CLI.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::house::{House, run_tool};
use crate::registry::Registry;
use crate::transcript;

const PAGE: &str = include_str!("../../../../docs/tutorial/01-first-containers.md");

const CHAPTER_TWO: &str = include_str!("../../../../docs/tutorial/02-build-an-image.md");
const NETWORKS: &str = include_str!("../../../../docs/tutorial/04-networks.md");
const BUILDS: &str = include_str!("../../../../docs/builds.md");

/// Held while images are made: both tests need the same ones.
pub(crate) static MAKING: Mutex<()> = Mutex::new(());

/// The root file systems of the chapter's images. To be made before the test has a network of its own, which does
/// not reach Debian's mirrors.
fn nginx_and_python() -> [PathBuf; 2] {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    [nginx(), debian_image("python", "python3-minimal", "ln -sf python3 \"$1/usr/bin/python\"")]
}

/// nginx as chapter one has it.
pub(crate) fn nginx() -> PathBuf {
    let page = r#"sh -c "echo '<h1>Welcome to nginx!</h1>' > $1/usr/share/nginx/html/index.html; rm -f $1/var/www/html/*; ln -sf /dev/stdout $1/var/log/nginx/access.log; ln -sf /dev/stderr $1/var/log/nginx/error.log; sed -i 's,root /var/www/html,root /usr/share/nginx/html,' $1/etc/nginx/sites-available/default" x "$1""#;
    debian_image("nginx", "nginx-light", page)
}

/// An image made from Debian's packages, kept between runs below the target directory.
pub(crate) fn debian_image(name: &str, packages: &str, tail: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
    std::fs::create_dir_all(&dir).unwrap();
    let tar = dir.join(format!("{name}.tar"));
    if !tar.exists() {
        let unfinished = dir.join(format!("{name}-{}.tar", std::process::id()));
        run_tool(
            "mmdebstrap",
            [
                "--quiet",
                "--variant=apt",
                &format!("--include={packages}"),
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                "--dpkgopt=path-exclude=/usr/share/man/*",
                &format!("--customize-hook={tail}"),
                "bookworm",
                unfinished.to_str().unwrap(),
            ],
        );
        std::fs::rename(&unfinished, &tar).unwrap();
    }
    tar
}

fn filled_registry([nginx, python]: &[PathBuf; 2]) -> Registry {
    let registry = Registry::start();
    let maker = House::in_this_network();
    for (name, tar, changes) in [
        ("nginx", nginx, &["CMD [\"nginx\",\"-g\",\"daemon off;\"]", "EXPOSE 80", "STOPSIGNAL SIGQUIT"][..]),
        ("python", python, &["CMD [\"python3\"]"]),
    ] {
        let target = format!("{}/library/{name}", registry.address());
        let flags = changes.iter().flat_map(|change| ["--change", change]);
        maker.ok(["import"].into_iter().chain(flags).chain([tar.to_str().unwrap(), &target]));
        maker.ok(["push", "-q", &target]);
    }
    registry
}

fn follow_with(client: &Path, page: &str) {
    let images = nginx_and_python();
    let house = House::empty();
    house.configure(r#"{"registry-mirrors": ["http://127.0.0.1:5000"]}"#);
    let _registry = filled_registry(&images);
    transcript::follow(&house, page, &named_hako(&house, client));
    assert_eq!(house.ok(["ps", "-aq"]), "", "the chapter tidies up");
}

/// `network trace` and `port --who` are hako's own, so only hako can type this chapter.
#[test]
fn chapter_three_with_hako() {
    follow_with(Path::new(crate::house::HAKO), NETWORKS);
}

#[test]
fn chapter_one_with_hako() {
    follow_with(Path::new(crate::house::HAKO), PAGE);
}

#[test]
fn chapter_one_with_the_docker_cli() {
    let docker = run_tool("sh", ["-c", "command -v docker"]);
    follow_with(Path::new(docker.trim()), PAGE);
}

/// A house with the images that chapter two begins with.
fn golang() -> House {
    let golang = {
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        debian_image("golang", "golang-go", "true")
    };
    let house = House::new();
    house.ok(["import", golang.to_str().unwrap(), "golang"]);
    house
}

fn build_with(client: &Path) {
    let house = golang();
    transcript::follow(&house, CHAPTER_TWO, &named_hako(&house, client));
    assert_eq!(house.ok(["ps", "-aq"]), "", "the chapter tidies up");
}

/// A directory in which the client under test is called `hako`.
pub(crate) fn named_hako(house: &House, client: &Path) -> PathBuf {
    house.ok(["version"]);
    let bin = house.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(client, bin.join("hako")).unwrap();
    bin
}

#[test]
fn chapter_two_with_hako() {
    build_with(Path::new(crate::house::HAKO));
}

#[test]
fn chapter_two_with_the_docker_cli() {
    let docker = run_tool("sh", ["-c", "command -v docker"]);
    build_with(Path::new(docker.trim()));
}

/// The docker CLI of docker 28.5 with buildx, nothing about it changed.
#[test]
fn chapter_two_with_docker_and_buildx() {
    let house = golang();
    let Some(client) = house.clients() else { return };
    let client = PathBuf::from(client.get_program());
    transcript::follow(&house, CHAPTER_TWO, &named_hako(&house, &client));
    assert_eq!(house.ok(["ps", "-aq"]), "", "the chapter tidies up");
}

#[test]
fn the_page_about_builds() {
    let house = House::new();
    transcript::follow(&house, BUILDS, &named_hako(&house, Path::new(crate::house::HAKO)));
}

//! The whole system of the tutorial: a Go service, MariaDB and nginx, with `hako compose`, and with `docker compose` and
//! `hako compose` taking turns on one project.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::compose::docker_compose;
use crate::house::{HAKO, House};
use crate::transcript;
use crate::tutorial::{MAKING, debian_image, nginx};

const PAGE: &str = include_str!("../../../../docs/tutorial/05-a-whole-system.md");

/// A house with the page's images. They are made before the test has a network of its own.
fn house() -> House {
    let images = {
        let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let golang = "golang-go,golang-github-go-sql-driver-mysql-dev";
        [
            ("golang", debian_image("golang-mysql", golang, "true"), "CMD [\"go\"]"),
            ("mariadb", debian_image("mariadb", "mariadb-server", "true"), "EXPOSE 3306"),
            ("nginx", nginx(), "CMD [\"nginx\",\"-g\",\"daemon off;\"]"),
        ]
    };
    let house = House::empty();
    for (name, tar, change) in images {
        house.ok(["import", "--change", change, tar.to_str().unwrap(), name]);
    }
    house
}

/// A directory in which `hako` is hako.
fn plain(house: &House) -> PathBuf {
    let bin = house.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(HAKO, bin.join("hako")).unwrap();
    bin
}

/// A directory in which every other `hako compose` is `docker compose`; what only hako does stays with it.
fn in_turns(house: &House, theirs: &Path) -> PathBuf {
    let bin = house.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let (turn, theirs) = (bin.join("turn"), theirs.display());
    let script = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = compose ] && ! echo \"$*\" | grep -q rollout; then\n    \
             if mkdir {turn} 2>/dev/null; then shift; exec {theirs} \"$@\"; else rmdir {turn}; fi\n\
         fi\nexec {HAKO} \"$@\"\n",
        turn = turn.display(),
    );
    std::fs::write(bin.join("hako"), script).unwrap();
    std::fs::set_permissions(bin.join("hako"), std::fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

#[test]
fn a_whole_system_with_hako() {
    let house = house();
    transcript::follow(&house, PAGE, &plain(&house));
    assert_eq!(house.ok(["ps", "-aq"]), "", "the chapter tidies up");
}

#[test]
fn a_whole_system_with_both_in_turns() {
    let Some(theirs) = docker_compose() else {
        eprintln!("skipped: no docker compose here; HAKO_TEST_DOCKER_COMPOSE names one");
        return;
    };
    let house = house();
    transcript::follow(&house, PAGE, &in_turns(&house, &theirs));
    assert_eq!(house.ok(["ps", "-aq"]), "", "the chapter tidies up");
}

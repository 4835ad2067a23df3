//! The tutorial's pages about what hako does and its peers do not: each is typed as it stands.

use std::path::Path;

use crate::house::{HAKO, House};
use crate::{transcript, tutorial};

fn follow(page: &str) {
    let house = House::new();
    transcript::follow(&house, page, &tutorial::named_hako(&house, Path::new(HAKO)));
    assert_eq!(house.ok(["ps", "-aq"]), "", "the page tidies up");
}

#[test]
fn edit_a_container() {
    follow(include_str!("../../../../docs/tutorial/06-edit-a-container.md"));
}

#[test]
fn why_did_it_die() {
    follow(include_str!("../../../../docs/tutorial/07-why-did-it-die.md"));
}

#[test]
fn a_shell_in_anything() {
    follow(include_str!("../../../../docs/tutorial/08-a-shell-in-anything.md"));
}

#[test]
fn self_healing() {
    follow(include_str!("../../../../docs/tutorial/09-self-healing.md"));
}

#[test]
fn secrets_without_a_cluster() {
    follow(include_str!("../../../../docs/tutorial/10-secrets.md"));
}

#[test]
fn a_bounded_disk() {
    follow(include_str!("../../../../docs/tutorial/11-a-bounded-disk.md"));
}

#[test]
fn an_invisible_engine() {
    follow(include_str!("../../../../docs/tutorial/12-an-invisible-engine.md"));
}

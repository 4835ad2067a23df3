//! Jobs: services that run at given times.

use crate::compose::Described;
use crate::house::{House, await_that};

fn runs(shop: &Described<'_>, service: &str) -> serde_json::Value {
    let jobs: serde_json::Value = serde_json::from_str(&shop.ok(&["jobs", "--format", "json", service])).unwrap();
    jobs[0]["Runs"].clone()
}

fn outcomes(shop: &Described<'_>, service: &str) -> Vec<String> {
    let runs = runs(shop, service);
    runs.as_array().into_iter().flatten().map(|run| run["Outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn jobs_run_when_they_are_due_and_tell_how_it_went() {
    let house = House::new();
    let shop = Described::new(
        &house,
        "\
services:
  good: {image: busybox, command: 'sh -c \"echo done\"', x-hako-schedule: {every: 1s, history: 3}}
  bad: {image: busybox, command: 'sh -c \"exit 7\"', x-hako-schedule: {every: 1s}}
  slow: {image: busybox, command: sleep 600, stop_grace_period: 0s, x-hako-schedule: {every: 1s, timeout: 2s}}
  rare: {image: busybox, command: 'true', x-hako-schedule: 0 0 1 1 *}
  web: {image: busybox, command: sleep 600, stop_grace_period: 0s}
",
    );
    shop.ok(&["up", "-d", "--wait"]);
    assert_eq!(shop.ok(&["plan"]), "Nothing to do: everything is as described.");
    let states = shop.states();
    assert!(states.contains("shop-web-1 running") && states.contains("shop-rare-1 created"), "{states}");
    await_that("four runs", || shop.ok(&["logs", "--no-log-prefix", "good"]).lines().count() >= 4);
    await_that("a history", || outcomes(&shop, "good").iter().filter(|outcome| *outcome == "succeeded").count() >= 2);
    assert!(outcomes(&shop, "good").len() <= 3, "only so many are remembered");
    await_that("the failure", || outcomes(&shop, "bad").contains(&"failed".to_owned()));
    let failed = runs(&shop, "bad").as_array().unwrap().iter().any(|run| run["ExitCode"] == 7);
    assert!(failed, "{}", runs(&shop, "bad"));
    await_that("the end of patience", || outcomes(&shop, "slow").contains(&"timed out".to_owned()));
    assert!(outcomes(&shop, "slow").contains(&"skipped".to_owned()), "{:?}", outcomes(&shop, "slow"));
    let table = shop.ok(&["jobs"]);
    assert!(
        table.contains("shop-rare-1") && table.contains("0 0 1 1 *") && table.contains("-01-01T00:00:00Z"),
        "{table}"
    );
    assert!(shop.ok(&["jobs", "--history", "bad"]).contains("failed"));
    // By hand, whenever one likes.
    shop.ok(&["start", "rare"]);
    await_that("the run by hand", || shop.states().contains("shop-rare-1 exited"));
    let ended = shop.run(&["down", "-t", "0"]);
    assert_eq!(shop.ok(&["jobs"]).lines().count(), 1, "{}\n{}\n{}", shop.ok(&["jobs"]), shop.states(), ended.stderr);
}

#[test]
fn runs_that_meet_wait_or_replace() {
    let house = House::new();
    let shop = Described::new(
        &house,
        "\
services:
  queue: {image: busybox, command: 'sh -c \"echo begin; sleep 1.5; echo end\"', x-hako-schedule: {every: 1s, overlap: queue}}
  replace: {image: busybox, command: 'sh -c \"echo begin; sleep 600\"', stop_grace_period: 0s, x-hako-schedule: {every: 1s, overlap: replace}}
",
    );
    shop.ok(&["up", "-d"]);
    let lines = |service: &str| shop.ok(&["logs", "--no-log-prefix", service]);
    await_that("the queue", || lines("queue").lines().filter(|line| *line == "end").count() >= 2);
    assert!(!lines("queue").contains("begin\nbegin"), "one after the other");
    await_that("the replacements", || lines("replace").lines().count() >= 3);
    shop.ok(&["down", "-t", "0"]);
}

#[test]
fn a_schedule_that_makes_no_sense_is_told_with_its_place() {
    let house = House::new();
    for (schedule, words) in [
        ("61 * * * *", "\"61\" is not between 0 and 59"),
        ("{every: 1s, cron: '@daily'}", "either"),
        ("{evry: 1s}", "has no key \"evry\""),
        ("{every: 1s, overlap: maybe}", "skip, queue or replace"),
    ] {
        let text = format!("services:\n  job:\n    image: busybox\n    x-hako-schedule: {schedule}\n");
        let shop = Described::new(&house, &text);
        let ended = shop.run(&["config"]);
        assert_ne!(ended.code, 0);
        assert!(ended.stderr.contains(words) && ended.stderr.contains("services.job"), "{}", ended.stderr);
    }
}

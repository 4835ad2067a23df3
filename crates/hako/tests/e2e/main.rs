//! End-to-end tests: the real binary, the real kernel, the real Docker clients.
//!
//! Every test has a private root directory, so a daemon of its own, in a network namespace of its own: tests run in
//! parallel and cannot touch the host's interfaces or firewall. They need root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod house;
mod registry;
mod transcript;

mod answers;
mod baking;
mod buildkit;
mod builds;
mod bundles;
mod cache_mounts;
mod caches;
mod care;
mod checkpoints;
mod clients;
mod commands;
mod compose;
mod compose_elsewhere;
mod compose_sharing;
mod compose_steps;
mod compose_troubles;
mod compose_verbs;
mod copying;
mod daemon;
mod damage;
mod debugging;
mod devices;
mod differences;
mod disk;
mod doors;
mod editing;
mod escapes;
mod execs;
mod faults;
mod firewalld;
mod healing;
mod hostile;
mod images;
mod invisible;
mod isolation;
mod isolation_of_networks;
mod jobs;
mod kills;
mod libraries;
mod lifecycle;
mod limits;
mod logging;
mod manifests;
mod names;
mod networking;
mod networks;
mod output;
mod peers;
mod platforms;
mod probe;
mod publishing;
mod reasons;
mod refusals;
mod rollouts;
mod rude_builds;
mod rude_steps;
mod rudeness;
mod runtime;
mod sealed_logs;
mod secrets;
mod systems;
mod terminal;
mod tutorial;
mod volumes;

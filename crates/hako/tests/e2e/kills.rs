//! Sudden death: daemon, supervisors, first processes and clients are killed at random points of every verb, beside
//! containers that must not notice; after each kill everything is looked over.
//!
//! `HAKO_KILL_ROUNDS` and `HAKO_KILL_SEED` choose how many rounds there are and which; a failure prints both, and
//! `HAKO_KILL_ONLY` repeats one round.

mod chance;
mod commands;
mod scene;
mod truth;

use std::time::Duration;

use self::chance::Chance;
use self::scene::{Scene, Target, Verb, Victim};

/// Rounds when nobody says how many: some twenty seconds.
const ROUNDS: u64 = 36;

#[test]
fn at_random_points_lose_nothing() {
    let seed = number("HAKO_KILL_SEED").unwrap_or_else(chance::of_the_day);
    let only = number("HAKO_KILL_ONLY");
    let rounds = only.map_or(0..number("HAKO_KILL_ROUNDS").unwrap_or(ROUNDS), |one| one..one + 1);
    let count = rounds.end;
    let mut scene = Scene::new();
    for round in rounds {
        let told = Told(format!("HAKO_KILL_SEED={seed} HAKO_KILL_ONLY={round} repeats round {round} of {count}"));
        play(&mut scene, round, &mut Chance::new(seed.wrapping_add(round)));
        drop(told);
    }
    scene.close();
}

/// One kill: a verb begins, somebody dies in the middle of it, and then everything is as somebody was promised.
fn play(scene: &mut Scene, round: u64, chance: &mut Chance) {
    let verb = *chance.pick(&Verb::ALL);
    let victim = *chance.pick(&Victim::ALL);
    let most = *chance.pick(&[2_000, 12_000, 50_000, 160_000]);
    let delay = Duration::from_micros(chance.below(most));
    if std::env::var_os("HAKO_KILL_TELL").is_some() {
        eprintln!("round {round}: {victim:?} dies {delay:?} into {verb:?}");
    }
    let mut target = Target::prepare(scene, verb, round);
    let company = scene.company(round);
    let mut client = scene.begin(&target);
    // The point is meant to be anywhere: there is nothing to wait for.
    std::thread::park_timeout(delay);
    let alone = scene.strike(victim, &mut client, chance);
    target.see(client.end());
    company.into_iter().for_each(scene::Client::leave);
    if alone {
        scene.live_without_daemon(round);
    }
    truth::look_over(scene, &target, victim);
    scene.clear(&target, round);
    truth::nothing_left(scene);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Said if the test fails.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

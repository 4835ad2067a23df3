use proptest::prelude::*;

use super::*;
use crate::health::HealthStatus;

fn rules(restart: Policy) -> Rules {
    let grace = Some(Duration::from_secs(10));
    Rules { restart, stop_signal: 15, probe: None, remedy: None, backoff: Backoff::default(), grace }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

/// Plays `inputs`, one a second, and says what the last one did.
fn play(inputs: &[Input], rules: &Rules) -> Outcome {
    let mut outcome = Ok((Status::default(), vec![]));
    for (second, input) in (1..).zip(inputs) {
        let (status, _) = outcome.expect("only the last input may be refused");
        outcome = transition(&status, input.clone(), rules, at(second));
    }
    outcome
}

const LAUNCHED: Input = Input::Launched { pid: 7 };

#[test]
fn a_life() {
    let rules = rules(Policy::No);
    let (status, effects) = play(&[Input::Start], &rules).unwrap();
    assert_eq!((status.state, effects), (State::Starting, vec![Effect::Launch]));
    let (status, effects) = play(&[Input::Start, LAUNCHED], &rules).unwrap();
    assert_eq!((status.pid(), status.started_at, effects), (7, at(2), vec![Effect::Tell(Notice::Start)]));
    let (status, effects) = play(&[Input::Start, LAUNCHED, Input::Exited { exit_code: 3 }], &rules).unwrap();
    assert_eq!((status.state, status.exit_code, status.finished_at), (State::Exited, 3, at(3)));
    let die = Notice::Die { exit_code: 3, ran: Duration::from_secs(1) };
    assert_eq!(effects, [Effect::Tell(die), Effect::Close, Effect::Leave]);
}

#[test]
fn a_container_that_never_ran_stays_created() {
    let failed = Input::LaunchFailed { exit_code: 127, error: "no".into() };
    let (status, effects) = play(&[Input::Start, failed], &rules(Policy::Always)).unwrap();
    assert_eq!((status.state, status.exit_code, status.error.as_str()), (State::Created, 127, "no"));
    assert_eq!(effects, [Effect::Close, Effect::Leave]);
}

#[test]
fn a_clock_that_jumps_changes_times_only() {
    let rules = rules(Policy::OnFailure { max: 3 });
    for ended in [1, 1_000_000_000] {
        let (mut status, _) = play(&[Input::Start, LAUNCHED], &rules).unwrap();
        status.started_at = at(500_000_000);
        let (status, effects) = transition(&status, Input::Exited { exit_code: 1 }, &rules, at(ended)).unwrap();
        assert!(status.state.is_restarting() && status.finished_at == at(ended));
        let ran = Duration::from_secs(u64::try_from(ended - 500_000_000).unwrap_or(0));
        assert!(effects.contains(&Effect::Tell(Notice::Die { exit_code: 1, ran })), "{effects:?}");
        let pause = effects.iter().find_map(|effect| match effect {
            Effect::ArmRestart(pause) => Some(*pause),
            _ => None,
        });
        assert!(pause.is_some_and(|pause| pause <= Duration::from_secs(60)));
        let (status, _) = transition(&status, Input::RestartDue, &rules, at(3)).unwrap();
        let (status, _) = transition(&status, LAUNCHED, &rules, at(2)).unwrap();
        assert_eq!((status.pid(), status.started_at, status.restart_count), (7, at(2), 1));
    }
}

#[test]
fn a_stop_ends_every_policy() {
    let stop = Input::Stop { signal: 15, grace: Some(Duration::from_secs(10)) };
    for policy in [Policy::Always, Policy::UnlessStopped, Policy::OnFailure { max: 0 }] {
        let lives = [Input::Start, LAUNCHED, stop.clone(), Input::Exited { exit_code: 143 }];
        let (status, _) = play(&lives, &rules(policy)).unwrap();
        assert!(status.state == State::Exited && status.manually_stopped);
        assert_eq!(status.starts_at_boot(policy), policy != Policy::UnlessStopped);
        let between = [Input::Start, LAUNCHED, Input::Exited { exit_code: 1 }, stop.clone()];
        let (status, effects) = play(&between, &rules(policy)).unwrap();
        assert_eq!((status.state, effects), (State::Exited, vec![Effect::Leave]));
    }
}

#[test]
fn a_signal_that_is_not_the_end_leaves_the_policy_alone() {
    let hup = [Input::Start, LAUNCHED, Input::Kill { signal: 1 }, Input::Exited { exit_code: 129 }];
    assert!(play(&hup, &rules(Policy::Always)).unwrap().0.state.is_restarting());
    let kill = [Input::Start, LAUNCHED, Input::Kill { signal: 9 }, Input::Exited { exit_code: 137 }];
    assert_eq!(play(&kill, &rules(Policy::Always)).unwrap().0.state, State::Exited);
}

#[test]
fn restarts_are_counted_and_pause_longer() {
    let rules = rules(Policy::OnFailure { max: 2 });
    let mut inputs = vec![Input::Start, LAUNCHED];
    let mut pauses = Vec::new();
    for _ in 0..3 {
        inputs.push(Input::Exited { exit_code: 1 });
        let (status, effects) = play(&inputs, &rules).unwrap();
        pauses.extend(effects.iter().filter_map(|effect| match effect {
            Effect::ArmRestart(pause) => Some(pause.as_millis()),
            _ => None,
        }));
        if status.state == State::Exited {
            assert_eq!(status.restart_count, 2);
            break;
        }
        inputs.extend([Input::RestartDue, LAUNCHED]);
    }
    assert_eq!(pauses, [100, 200]);
}

#[test]
fn a_frozen_process_is_thawed_to_die() {
    let lives = [Input::Start, LAUNCHED, Input::Pause, Input::Kill { signal: 9 }];
    let (status, effects) = play(&lives, &rules(Policy::No)).unwrap();
    assert!(!status.state.is_paused());
    let kill = Effect::Tell(Notice::Kill { signal: 9 });
    assert_eq!(effects, [Effect::Signal(9), kill, Effect::Thaw]);
    // A signal that is not the end waits in the kernel, as in Docker.
    let lives = [Input::Start, LAUNCHED, Input::Pause, Input::Kill { signal: 1 }];
    assert!(play(&lives, &rules(Policy::No)).unwrap().0.state.is_paused());
}

#[test]
fn refusals() {
    let rules = rules(Policy::Always);
    let running = [Input::Start, LAUNCHED];
    let paused = [Input::Start, LAUNCHED, Input::Pause];
    let restarting = [Input::Start, LAUNCHED, Input::Exited { exit_code: 0 }];
    let stop = Input::Stop { signal: 15, grace: None };
    for (before, input, want) in [
        (&[][..], stop, Refused::Already),
        (&[], Input::Pause, Refused::NotRunning),
        (&[], Input::Kill { signal: 9 }, Refused::NotRunning),
        (&running, Input::Start, Refused::Already),
        (&running, Input::Resume, Refused::NotPaused),
        (&running, Input::Remove, Refused::Running),
        (&running, Input::GraceOver, Refused::Stale),
        (&running, Input::RestartDue, Refused::Stale),
        (&paused, Input::Start, Refused::Paused),
        (&paused, Input::Pause, Refused::Paused),
        (&restarting, Input::Start, Refused::Already),
        (&restarting, Input::Pause, Refused::Restarting),
        (&restarting, Input::Kill { signal: 1 }, Refused::Restarting),
        (&[Input::Remove], Input::Start, Refused::Removing),
    ] {
        let inputs = [before, std::slice::from_ref(&input)].concat();
        assert_eq!(play(&inputs, &rules).unwrap_err(), want, "{before:?} {input:?}");
    }
}

fn probed(exit_code: i32) -> Input {
    let result = ProbeResult { start: at(3), end: at(3), exit_code, output: String::new() };
    Input::Probed { result, ran: Duration::from_secs(2) }
}

#[test]
fn health_is_part_of_the_machine() {
    let probe = Probe { retries: 1, ..Probe::new(vec!["true".into()]) };
    let rules = Rules { probe: Some(probe), ..rules(Policy::No) };
    let result = probed;
    let (status, effects) = play(&[Input::Start, LAUNCHED], &rules).unwrap();
    assert_eq!(status.health.unwrap().status, HealthStatus::Starting);
    assert_eq!(effects[1], Effect::Probe);
    let (_, effects) = play(&[Input::Start, LAUNCHED, result(0)], &rules).unwrap();
    assert_eq!(effects, [Effect::Tell(Notice::HealthStatus { status: HealthStatus::Healthy })]);
    let (_, effects) = play(&[Input::Start, LAUNCHED, result(0), result(0)], &rules).unwrap();
    assert_eq!(effects, []);
    let (status, effects) = play(&[Input::Start, LAUNCHED, Input::Pause], &rules).unwrap();
    assert_eq!((effects[1].clone(), status.health.unwrap().status), (Effect::StopProbing, HealthStatus::Unhealthy));
}

#[test]
fn an_unhealthy_container_is_dealt_with_once_per_cool_down() {
    let remedy = |action| Remedy { action, streak: 2, cool_down: Duration::from_secs(60) };
    let probe = Probe { retries: 1, ..Probe::new(vec!["true".into()]) };
    let with = |action, policy| Rules { probe: Some(probe.clone()), remedy: Some(remedy(action)), ..rules(policy) };
    let sick = probed(1);
    let twice = [Input::Start, LAUNCHED, sick.clone(), sick.clone()];
    let once = play(&twice[..3], &with(RemedyAction::Kill, Policy::No)).unwrap();
    assert!(!once.1.contains(&Effect::Signal(9)), "one failure is not two");
    for (action, policy, signal, after) in [
        (RemedyAction::Restart, Policy::No, 15, "restarting"),
        (RemedyAction::Restart, Policy::Always, 15, "restarting"),
        (RemedyAction::Stop, Policy::Always, 15, "exited"),
        (RemedyAction::Kill, Policy::No, 9, "exited"),
        (RemedyAction::Kill, Policy::Always, 9, "restarting"),
    ] {
        let rules = with(action, policy);
        let (status, effects) = play(&twice, &rules).unwrap();
        assert!(effects.contains(&Effect::Signal(signal)), "{action:?}");
        let (status, _) = transition(&status, Input::Exited { exit_code: 1 }, &rules, at(9)).unwrap();
        assert_eq!(status.state.as_str(), after, "{action:?} {policy:?}");
        assert_eq!(status.manually_stopped, action == RemedyAction::Stop);
    }
    // The next life is as sick: nothing is done before the minute is over.
    let rules = with(RemedyAction::Restart, Policy::No);
    let next = [Input::Exited { exit_code: 1 }, Input::RestartDue, LAUNCHED, sick.clone(), sick.clone()];
    let (status, effects) = play(&[&twice[..], &next].concat(), &rules).unwrap();
    assert!(!effects.contains(&Effect::Signal(15)));
    let (_, effects) = transition(&status, sick.clone(), &rules, at(64)).unwrap();
    assert!(effects.contains(&Effect::Signal(15)));
    // A clock that is set back by days does not make that minute days.
    let (_, effects) = transition(&status, sick, &rules, at(-500_000)).unwrap();
    assert!(effects.contains(&Effect::Signal(15)));
}

#[test]
fn a_stop_wins_over_healing() {
    let remedy = Remedy { action: RemedyAction::Restart, streak: 1, cool_down: Duration::ZERO };
    let probe = Probe { retries: 1, ..Probe::new(vec!["true".into()]) };
    let rules = Rules { probe: Some(probe), remedy: Some(remedy), ..rules(Policy::Always) };
    let sick = probed(1);
    let stop = Input::Stop { signal: 15, grace: None };
    let lives = [Input::Start, LAUNCHED, sick, stop, Input::Exited { exit_code: 143 }];
    assert_eq!(play(&lives, &rules).unwrap().0.state, State::Exited);
}

#[test]
fn a_status_survives_its_file() {
    let (status, _) = play(&[Input::Start, LAUNCHED, Input::Pause], &rules(Policy::No)).unwrap();
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.starts_with(r#"{"state":{"paused":{"pid":7,"ending":false}},"exit_code":0"#), "{text}");
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    assert_eq!(serde_json::from_str::<Status>("{}").unwrap(), Status::default());
}

fn any_input() -> impl Strategy<Value = Input> {
    let signal = prop_oneof![Just(9), Just(15), Just(1)];
    let grace = proptest::option::of((0..20_u64).prop_map(Duration::from_secs));
    prop_oneof![
        3 => Just(Input::Start),
        4 => Just(LAUNCHED),
        1 => Just(Input::LaunchFailed { exit_code: 127, error: "no".into() }),
        3 => (0..2).prop_map(|exit_code| Input::Exited { exit_code }),
        1 => Just(Input::OutOfMemory),
        1 => (signal.clone(), grace).prop_map(|(signal, grace)| Input::Stop { signal, grace }),
        1 => Just(Input::GraceOver),
        1 => signal.prop_map(|signal| Input::Kill { signal }),
        1 => Just(Input::Pause),
        1 => Just(Input::Resume),
        2 => Just(Input::RestartDue),
        1 => Just(Input::Remove),
        1 => Just(Input::RemoveFailed { error: "busy".into() }),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::No),
        Just(Policy::Always),
        Just(Policy::UnlessStopped),
        (0..4_u32).prop_map(|max| Policy::OnFailure { max }),
    ]
}

proptest! {
    /// Whatever happens in whatever order, the machine answers, and what it says hangs together.
    #[test]
    fn the_machine_keeps_its_promises(
        inputs in proptest::collection::vec(any_input(), 0..60),
        policy in any_policy(),
    ) {
        let rules = rules(policy);
        let mut status = Status::default();
        for (second, input) in (1..).zip(inputs) {
            let Ok((next, effects)) = transition(&status, input.clone(), &rules, at(second)) else { continue };
            let lived = status.state.live().is_some();
            let lives = next.state.live().is_some();
            // A life begins with a launch and ends with its end being told, the streams closed.
            prop_assert_eq!(!lived && lives, matches!(input, Input::Launched { .. }));
            let died = effects.iter().any(|effect| matches!(effect, Effect::Tell(Notice::Die { .. })));
            prop_assert_eq!(lived && !lives, died);
            prop_assert!(!died || effects.contains(&Effect::Close));
            // Everything is given back exactly when nothing can come of itself any more.
            let rests = |state: &State| matches!(state, State::Created | State::Exited);
            prop_assert_eq!(!rests(&status.state) && rests(&next.state), effects.contains(&Effect::Leave));
            // A pause before a restart is announced, and never after somebody wanted the end.
            let armed = effects.iter().any(|effect| matches!(effect, Effect::ArmRestart(_)));
            prop_assert_eq!(!status.state.is_restarting() && next.state.is_restarting(), armed);
            prop_assert!(!armed || status.state.live().is_some_and(|live| !live.ending));
            if let Policy::OnFailure { max: max @ 1.. } = policy {
                prop_assert!(next.restart_count <= max);
            }
            prop_assert!(policy != Policy::No || next.restart_count == 0);
            // What is frozen is what is said to be.
            let freezes = effects.contains(&Effect::Freeze);
            prop_assert_eq!(!status.state.is_paused() && next.state.is_paused(), freezes);
            status = next;
        }
    }
}

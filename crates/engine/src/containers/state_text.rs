//! `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`: the words of `ps`.

use std::time::Duration;

use hako_model::health::HealthStatus;
use hako_model::restart::SETTLED;
use hako_model::state::{State, Status};
use hako_model::time::Timestamp;

/// Docker's `Status` column.
pub(super) fn of(status: &Status, now: Timestamp) -> String {
    let up = human(now.since(status.started_at));
    let ended = human(now.since(status.finished_at));
    match &status.state {
        State::Running(_) => format!("Up {up}{}{}", health(status), crash_loop(status, now)),
        State::Paused(_) => format!("Up {up} (Paused)"),
        State::Restarting { .. } => {
            format!("Restarting ({}) {ended} ago{}", status.exit_code, crash_loop(status, now))
        }
        State::Removing => "Removal In Progress".to_owned(),
        State::Dead => "Dead".to_owned(),
        State::Created | State::Starting => "Created".to_owned(),
        State::Exited => format!("Exited ({}) {ended} ago", status.exit_code),
    }
}

fn health(status: &Status) -> String {
    match status.health.as_ref().map(|health| health.status) {
        None => String::new(),
        Some(HealthStatus::Starting) => " (health: starting)".to_owned(),
        Some(status) => format!(" ({})", status.as_str()),
    }
}

/// A container that keeps ending soon after its start says so, whatever moment it is looked at.
fn crash_loop(status: &Status, now: Timestamp) -> String {
    let short = |ran: Duration| ran < SETTLED;
    let again = match status.state {
        State::Restarting { .. } => short(status.finished_at.since(status.started_at)),
        _ => short(now.since(status.started_at)),
    };
    if status.restart_count < LOOP || !again {
        return String::new();
    }
    format!(" (crash loop: {} restarts)", status.restart_count)
}

/// So many restarts make a loop.
const LOOP: u32 = 3;

/// go-units' `HumanDuration`.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (duration.as_secs_f64() / 3600.0 + 0.5) as u64);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        _ => match hours {
            0 | 1 => "About an hour".to_owned(),
            2..48 => format!("{hours} hours"),
            48..336 => format!("{} days", hours / 24),
            336..1440 => format!("{} weeks", hours / 24 / 7),
            1440..17520 => format!("{} months", hours / 24 / 30),
            _ => format!("{} years", seconds / 3600 / 24 / 365),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_model::state::Live;

    #[test]
    fn durations_are_gos() {
        for (seconds, expect) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (180, "3 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (172_800, "2 days"),
            (1_209_600, "2 weeks"),
            (5_184_000, "2 months"),
            (70_000_000, "2 years"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), expect, "{seconds}");
        }
    }

    #[test]
    fn words() {
        let now = Timestamp::from_secs(1000);
        let mut status = Status { started_at: Timestamp::from_secs(990), ..Status::default() };
        assert_eq!(of(&status, now), "Created");
        status.state = State::Running(Live { pid: 1, ..Live::default() });
        assert_eq!(of(&status, now), "Up 10 seconds");
        status.restart_count = 3;
        status.started_at = Timestamp::from_secs(999);
        assert_eq!(of(&status, now), "Up 1 second (crash loop: 3 restarts)");
        (status.restart_count, status.started_at) = (0, Timestamp::from_secs(990));
        status.state = State::Exited;
        status.finished_at = Timestamp::from_secs(998);
        assert_eq!(of(&status, now), "Exited (0) 2 seconds ago");
    }
}

//! Health probes: one at a time, run like an exec, with a time limit.

use std::time::Duration;

use hako_model::health::{OUTPUT_LIMIT, Probe, ProbeResult, clip};
use hako_model::state::{Input, State};
use hako_model::time::Timestamp;
use hako_runtime::stdio::Stdio;

use crate::Result;
use crate::deadline::Due;
use crate::supervise::{Supervisor, now};

/// Docker's exit code of a probe that did not run to its end.
const UNFINISHED: i32 = -1;

/// A probe that is running.
#[derive(Debug)]
pub(crate) struct Probing {
    session: u32,
    start: Timestamp,
    /// How long the container had run then.
    ran: Duration,
    output: Vec<u8>,
    timed_out: bool,
}

impl Probing {
    /// Whether `session` is its process.
    pub(crate) fn is_session(&self, session: u32) -> bool {
        self.session == session
    }

    /// Keeps output of its process, as much as will be shown.
    pub(crate) fn capture(&mut self, session: u32, bytes: &[u8]) {
        if self.is_session(session) {
            let room = (OUTPUT_LIMIT + 1).saturating_sub(self.output.len());
            self.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn result(self, exit_code: i32, timeout: Duration) -> ProbeResult {
        let output = clip(&self.output);
        let (exit_code, output) = match (self.timed_out, output.is_empty()) {
            (false, _) => (exit_code, output),
            (true, true) => (
                UNFINISHED,
                format!(
                    "Health check exceeded timeout ({})",
                    hako_model::duration::text(i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX))
                ),
            ),
            (true, false) => (
                UNFINISHED,
                format!(
                    "Health check exceeded timeout ({}): {output}",
                    hako_model::duration::text(i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX))
                ),
            ),
        };
        ProbeResult { start: self.start, end: now(), exit_code, output }
    }
}

impl Supervisor {
    fn probe(&self) -> Option<&Probe> {
        self.container.as_ref()?.rules.probe.as_ref()
    }

    /// The next probe comes after the pause the rule asks for.
    pub(crate) fn arm_probe(&mut self) {
        let Some((container, probe)) = self.container.as_ref().zip(self.probe()) else { return };
        let status = container.status.health.as_ref().map(|health| health.status).unwrap_or_default();
        let pause = probe.pause(status, container.launched.elapsed());
        self.deadlines.set(Due::Probe, pause);
    }

    /// No more probes; one that runs is killed and its result not counted.
    pub(crate) fn stop_probing(&mut self) {
        self.deadlines.clear(Due::Probe);
        self.deadlines.clear(Due::ProbeTimeout);
        if let Some(probing) = self.probing.take() {
            self.kill_session(probing.session);
        }
    }

    fn kill_session(&mut self, number: u32) {
        if let Some(session) = self.session(number) {
            let _ = session.process.kill(9);
        }
    }

    pub(crate) fn begin_probe(&mut self) -> Result<()> {
        let Some((container, probe)) = self.container.as_ref().zip(self.probe()) else { return Ok(()) };
        let (State::Running(_), Some(first)) = (&container.status.state, &container.description.spec.process) else {
            return Ok(());
        };
        let mut process = first.clone();
        process.args.clone_from(&probe.argv);
        process.terminal = false;
        let (timeout, ran) = (probe.timeout, container.launched.elapsed());
        let session = self.next_number();
        self.probing = Some(Probing { session, start: now(), ran, output: Vec::new(), timed_out: false });
        self.deadlines.set(Due::ProbeTimeout, timeout);
        if let Err(failure) = self.spawn(session, &process, Stdio::Pipes { stdin: false }, None) {
            let error = failure.to_string();
            self.probing.iter_mut().for_each(|probing| probing.output = error.clone().into_bytes());
            return self.end_probe(UNFINISHED);
        }
        Ok(())
    }

    /// Its end is seen like any other.
    pub(crate) fn time_out_probe(&mut self) {
        if let Some(probing) = &mut self.probing {
            probing.timed_out = true;
            let session = probing.session;
            self.kill_session(session);
        }
    }

    pub(crate) fn end_probe(&mut self, exit_code: i32) -> Result<()> {
        self.deadlines.clear(Due::ProbeTimeout);
        let timeout = self.probe().map_or(Duration::ZERO, |probe| probe.timeout);
        if let Some(probing) = self.probing.take() {
            let ran = probing.ran;
            self.advance(Input::Probed { result: probing.result(exit_code, timeout), ran });
            self.arm_probe();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_took_too_long_says_so() {
        let probing = |output: &[u8]| Probing {
            session: 1,
            start: now(),
            ran: Duration::ZERO,
            output: output.to_vec(),
            timed_out: true,
        };
        let result = probing(b"").result(137, Duration::from_secs(30));
        assert_eq!((result.exit_code, result.output.as_str()), (-1, "Health check exceeded timeout (30s)"));
        let result = probing(b"half").result(137, Duration::from_secs(1));
        assert_eq!(result.output, "Health check exceeded timeout (1s): half");
    }
}

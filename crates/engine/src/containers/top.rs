//! A container's processes, in the columns of `ps -ef`; other arguments are the host's own `ps` to answer.

use std::collections::{BTreeMap, BTreeSet};

use hako_model::state::State;
use hako_model::time::Timestamp;

use super::{Containers, Top};
use crate::clock::now;
use crate::{Error, Result};

/// Clock ticks in a second, as procfs counts them on every architecture Linux runs on today.
const TICKS: u64 = 100;

impl Containers {
    /// Its processes; `arguments` are `ps`'s, `-ef` when absent.
    pub async fn top(&self, name: &str, arguments: Option<&str>) -> Result<Top> {
        let container = self.house.index.find(name)?;
        match container.status().state {
            State::Running(_) | State::Paused(_) => {}
            State::Restarting { .. } => {
                let text = format!("Container {} is restarting, wait until the container is running", container.id);
                return Err(Error::conflict(text));
            }
            _ => return Err(container.not_running()),
        }
        let mut pids = self.house.group(&container)?.pids().map_err(|e| Error::io("read cgroup", e))?;
        pids.retain(|pid| !is_stage(*pid));
        let top = match arguments.map(str::trim) {
            None | Some("" | "-ef") => full(&pids),
            Some(arguments) => asked(arguments, &pids.into_iter().collect()).await?,
        };
        self.house.tell(&container, "top");
        Ok(top)
    }
}

/// Whether a process is the one hako keeps in a container's group to start others from: by its name, and because it is
/// not in the container's process namespace and is the same program as its parent, the supervisor.
fn is_stage(pid: i32) -> bool {
    let Ok(stat) = hako_sys::proc::stat(pid) else { return false };
    let same = |name: &str, of: &str| {
        let link = |of: &str| std::fs::read_link(format!("/proc/{of}/{name}")).ok();
        let own = link(&pid.to_string());
        own.is_some() && own == link(of)
    };
    stat.name == "hako-stage" && same("exe", &stat.parent.to_string()) && same("ns/pid", "self")
}

fn full(pids: &[i32]) -> Top {
    let host = Host::read();
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"].map(str::to_owned).to_vec();
    // A process that ended meanwhile is no row.
    Top { titles, processes: pids.iter().filter_map(|pid| host.row(*pid)).collect() }
}

/// What the host's procfs and passwd say about all processes.
struct Host {
    users: BTreeMap<u32, String>,
    booted: Timestamp,
    now: Timestamp,
}

impl Host {
    fn read() -> Self {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            Some((fields.nth(2)?.parse().ok()?, line.split(':').next()?.to_owned()))
        };
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0);
        Self { users: passwd.lines().filter_map(user).collect(), booted: Timestamp::from_secs(booted), now: now() }
    }

    fn row(&self, pid: i32) -> Option<Vec<String>> {
        use std::os::unix::fs::MetadataExt;
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = text.rsplit_once(')')?;
        let program = head.split_once('(')?.1;
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let uid = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        let spent = (number(11)? + number(12)?) / TICKS;
        let started = self.booted.after(std::time::Duration::from_millis(number(19)? * 1000 / TICKS));
        let lived = self.now.since(started).as_secs();
        let arguments = hako_sys::proc::command_line(pid).ok()?;
        Some(vec![
            self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
            pid.to_string(),
            fields.get(1)?.to_string(),
            (spent * 100).checked_div(lived).unwrap_or(0).min(99).to_string(),
            start_time(started, self.now),
            terminal(number(4)?),
            format!("{:02}:{:02}:{:02}", spent / 3600, spent / 60 % 60, spent % 60),
            if arguments.is_empty() { format!("[{program}]") } else { arguments.join(" ") },
        ])
    }
}

/// The hour of today, else the day.
fn start_time(started: Timestamp, now: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    let local =
        |time: Timestamp| jiff::Timestamp::from_nanosecond(time.nanos().into()).map(|t| t.to_zoned(zone.clone()));
    match (local(started), local(now)) {
        (Ok(started), Ok(now)) if started.date() == now.date() => started.strftime("%H:%M").to_string(),
        (Ok(started), _) => started.strftime("%b%d").to_string(),
        _ => "?".to_owned(),
    }
}

/// `pts/0`, `tty1`, `?`.
fn terminal(device: u64) -> String {
    let (major, minor) = (device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & 0xf_ff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        _ => "?".to_owned(),
    }
}

/// Runs the host's `ps` and keeps the rows of the container's processes, as Docker does.
async fn asked(arguments: &str, pids: &BTreeSet<i32>) -> Result<Top> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let output = tokio::process::Command::new("ps").args(&words).stdin(std::process::Stdio::null()).output().await;
    let output = output.map_err(|e| Error::system(format!("ps: {e}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::invalid(format!("ps: {}", said.lines().next().unwrap_or("failed"))));
    }
    parse(&String::from_utf8_lossy(&output.stdout), pids)
}

fn parse(text: &str, pids: &BTreeSet<i32>) -> Result<Top> {
    let mut lines = text.lines();
    let titles: Vec<String> = lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let column = titles.iter().position(|title| title == "PID");
    let column = column.ok_or_else(|| Error::invalid("Couldn't find PID field in ps output"))?;
    let row = |line: &str| {
        let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let pid: i32 = fields.get(column)?.parse().ok()?;
        if fields.len() > titles.len() && !titles.is_empty() {
            let rest = fields.split_off(titles.len() - 1).join(" ");
            fields.push(rest);
        }
        pids.contains(&pid).then_some(fields)
    };
    Ok(Top { processes: lines.filter_map(row).collect(), titles: titles.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_other_processes_are_left_out() {
        let text = "  PID COMMAND\n    1 init x\n   42 sleep 9 9\n";
        let top = parse(text, &BTreeSet::from([42])).unwrap();
        assert_eq!(top.processes, [["42", "sleep 9 9"]]);
        assert!(parse("FOO\n1\n", &BTreeSet::new()).is_err());
    }

    #[test]
    fn this_process_has_a_row() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let top = full(&[pid, i32::MAX]);
        assert_eq!((top.processes.len(), top.processes[0][1].clone()), (1, pid.to_string()));
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(136 << 8 | 3), "pts/3");
    }
}

//! One container takes another's place without a request being lost: it starts beside it, gets its published ports and
//! names in one step once it listens, and the other one is only stopped when its connections have ended.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hako_model::port::Protocol;
use hako_supervisor::protocol::{Answer, Ask};
use hako_sys::fdpass::Channel;
use tokio::time::{Instant, sleep};

use super::{Containers, remember_run};
use crate::container::Container;
use crate::{Error, Result};

/// How soon sockets are looked at again.
const LOOK: Duration = Duration::from_millis(10);

impl Containers {
    /// Lets a container that was started aside take the place of `old`: published ports and names lead to it from one
    /// moment to the next. First it must listen at the published ports that `old` listens at.
    pub async fn succeed(&self, name: &str, old: &str, patience: Duration) -> Result<()> {
        let (new, old) = (self.house.index.find(name)?, self.house.index.find(old)?);
        if new.id == old.id {
            return Err(Error::invalid(format!("container {} cannot take its own place", new.id)));
        }
        self.await_listening(&new, &old, patience).await?;
        // Two that are to take each other's place must not wait for each other.
        let (first, second) = if new.id < old.id { (&new, &old) } else { (&old, &new) };
        let _alone = (first.verbs.lock().await, second.verbs.lock().await);
        if !new.inside().run.aside {
            return Err(Error::conflict(format!(
                "container {} does not stand aside: its ports and names are in force already",
                new.id
            )));
        }
        if new.inside().run.endpoints.is_empty() {
            return stand(&new, Vec::new(), false);
        }
        let (ours, theirs) = Channel::pair().map_err(|e| Error::io("make channel between supervisors", e))?;
        let addresses = cede(&old, theirs).await?;
        let answer = new.live_link()?.ask(Ask::Succeed { addresses }, vec![ours.into()]).await?;
        let ports = match answer {
            Ok(Answer::Plugged { ports }) => ports,
            Ok(_) => return Err(Error::system("take over ports: the supervisor answered something else")),
            Err(failure) => return Err(Error::system(failure.to_string())),
        };
        stand(&new, ports, false)?;
        if let Ok(link) = old.live_link()
            && link.ask(Ask::StepBack, Vec::new()).await.is_ok()
        {
            stand(&old, Vec::new(), true)?;
        }
        Ok(())
    }

    /// Waits until `new` listens at every published TCP port at which `old` does.
    async fn await_listening(&self, new: &Arc<Container>, old: &Arc<Container>, patience: Duration) -> Result<()> {
        let wanted: BTreeSet<u16> = {
            let is_tcp = |port: &&hako_net::publish::Binding| port.container.protocol == Protocol::Tcp;
            let published: Vec<u16> =
                old.inside().run.ports.iter().filter(is_tcp).map(|port| port.container.number).collect();
            let listening = sockets(old).listening;
            published.into_iter().filter(|port| listening.contains(port)).collect()
        };
        let own = super::start::wanted_ports(&self.house, &new.record())?;
        let is_own = |port: &&u16| own.iter().any(|publication| publication.container.number == **port);
        let wanted: BTreeSet<u16> = wanted.iter().filter(is_own).copied().collect();
        let deadline = Instant::now() + patience;
        loop {
            if !new.status().state.is_running() {
                return Err(new.not_running());
            }
            let listening = sockets(new).listening;
            let Some(missing) = wanted.iter().find(|port| !listening.contains(port)) else { return Ok(()) };
            if Instant::now() >= deadline {
                let seconds = patience.as_secs();
                let name = &new.record().name;
                return Err(Error::conflict(format!(
                    "container {name} did not listen at its published port {missing}/tcp within {seconds} s"
                )));
            }
            sleep(LOOK).await;
        }
    }
}

/// Waits until nobody is connected to a container any more that came from outside it, at most so long.
pub(super) async fn drain(container: &Container, patience: Duration) {
    let deadline = Instant::now() + patience;
    // What was on its way when the ports moved shows a moment later.
    let mut quiet = 0;
    while quiet < 3 && Instant::now() < deadline && container.status().state.is_running() {
        quiet = if sockets(container).clients == 0 { quiet + 1 } else { 0 };
        sleep(LOOK).await;
    }
}

/// Lets a container hand out its sockets; its addresses, none if it does not run.
async fn cede(old: &Container, channel: Channel) -> Result<Vec<IpAddr>> {
    let Ok(link) = old.live_link() else { return Ok(Vec::new()) };
    if let Err(failure) = link.ask(Ask::Cede, vec![channel.into()]).await? {
        return Err(Error::system(failure.to_string()));
    }
    let plans = old.inside().run.endpoints.clone();
    let addresses = plans.iter().flat_map(|plan| {
        [plan.address.map(|net| IpAddr::V4(net.addr())), plan.address6.map(|net| IpAddr::V6(net.addr()))]
    });
    Ok(addresses.flatten().collect())
}

/// Notes whether a container stands aside.
fn stand(container: &Container, ports: Vec<hako_net::publish::Binding>, aside: bool) -> Result<()> {
    container.inside().run.aside = aside;
    remember_run(container, ports, None)
}

/// What a container's TCP sockets show.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sockets {
    listening: BTreeSet<u16>,
    /// Connections to those ports from elsewhere that are not over.
    clients: usize,
}

fn sockets(container: &Container) -> Sockets {
    let pid = container.status().pid();
    if pid == 0 {
        return Sockets::default();
    }
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
    summarise(&[read("tcp"), read("tcp6")])
}

/// Reads `/proc/PID/net/tcp`.
fn summarise(tables: &[String]) -> Sockets {
    const LISTEN: u8 = 10;
    /// The client may still send, or has not got everything: established, SYN received, FIN wait 1, close wait, last
    /// ACK, closing.
    const UNFINISHED: [u8; 6] = [1, 3, 4, 8, 9, 11];
    let lines = || tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(line);
    let listening: BTreeSet<u16> = lines().filter(|line| line.state == LISTEN).map(|line| line.port).collect();
    let is_client =
        |line: &Line| UNFINISHED.contains(&line.state) && !line.from_itself && listening.contains(&line.port);
    let clients = lines().filter(is_client).count();
    Sockets { listening, clients }
}

struct Line {
    port: u16,
    state: u8,
    from_itself: bool,
}

/// One line: `0: 0100007F:1F90 00000000:0000 0A …`.
fn line(text: &str) -> Option<Line> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    let from = remote.split(':').next()?;
    // Words of an address stand in the host's order: 127.0.0.1 ends with 7F.
    let from_itself = match from.len() {
        8 => from.ends_with("7F"),
        _ => {
            from == "00000000000000000000000001000000"
                || (from.starts_with("0000000000000000FFFF0000") && from.ends_with("7F"))
        }
    };
    Some(Line { port, state: u8::from_str_radix(state, 16).ok()?, from_itself })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    fn connections_from_outside_to_listening_ports_count() {
        let four = format!(
            "{HEAD}   0: 00000000:0050 00000000:0000 0A 0:0 0:0 0 0 0 1 1\n\
             \x20  1: 020011AC:0050 010011AC:C350 01 0:0 0:0 0 0 0 2 1\n\
             \x20  2: 0100007F:0050 0100007F:C351 01 0:0 0:0 0 0 0 3 1\n\
             \x20  3: 020011AC:0050 010011AC:C352 06 0:0 0:0 0 0 0 0 3\n\
             \x20  4: 020011AC:9000 010011AC:1538 01 0:0 0:0 0 0 0 4 1\n"
        );
        let six = format!(
            "{HEAD}   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0 0\n\
             \x20  1: 0000000000000000FFFF0000020011AC:1F90 0000000000000000FFFF0000010011AC:C353 08 0 0\n\
             \x20  2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C353 01 0 0\n"
        );
        let seen = summarise(&[four, six]);
        assert_eq!(seen, Sockets { listening: [80, 8080].into(), clients: 2 });
        assert_eq!(summarise(&["nonsense\nmore of it".to_owned()]), Sockets::default());
    }
}

//! What supervisors tell: their events become the container's phase and the engine's events; their end gives back what
//! the container held.

use std::collections::BTreeMap;
use std::sync::Arc;

use hako_model::event::{Event as Told, Kind as Object};
use hako_model::id::ExecId;
use hako_model::mount::Origin;
use hako_model::state::{Notice, State, Status};
use hako_model::time::Timestamp;
use hako_supervisor::protocol::{Ask, Event, Kind};

use super::Link;
use crate::clock::now;
use crate::container::Container;
use crate::house::House;
use crate::{networks, record};

/// Events after which the supervisor is told that they were heard, so that its journal does not grow.
const HEARD_AT: u64 = 64;

/// Follows a supervisor's story in a task of its own until it is over. What is numbered below `last` happened before:
/// an end told there was an earlier run's.
pub(crate) fn follow(house: &Arc<House>, container: &Arc<Container>, link: &Arc<Link>, last: u64) {
    let Some(mut events) = link.events() else { return };
    let (house, container, link) = (Arc::clone(house), Arc::clone(container), Arc::clone(link));
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            take_in(&house, &container, &link, event, last).await;
        }
        let ours = container.link().is_some_and(|current| Arc::ptr_eq(&current, &link));
        if ours {
            container.inside().link = None;
            vanished(&house, &container, true).await;
        }
    });
}

async fn take_in(house: &Arc<House>, container: &Arc<Container>, link: &Arc<Link>, event: Event, last: u64) {
    let (seq, left) = (event.seq, event.kind == Kind::Left && event.seq >= last);
    if left {
        container.inside().link = None;
    }
    tell(house, container, &event, event.seq > last);
    let died = matches!(event.kind, Kind::Life(Notice::Die { .. }));
    container.turn(|phase| {
        if let Some(status) = event.status {
            phase.status = Arc::from(status);
        }
        phase.exits += u64::from(died);
    });
    if left || seq.is_multiple_of(HEARD_AT) {
        // A supervisor that is gone needs no thanks.
        let _ = link.ask(Ask::Acknowledge { seq }, Vec::new()).await;
    }
    if left {
        release(house, container).await;
    }
}

/// Tells what a supervisor that is gone wrote while no engine listened.
pub(crate) fn tell_journal(house: &House, container: &Container) {
    let path = container.dir.join("journal");
    match hako_supervisor::journal::read(&path, 0) {
        Ok(events) => events.iter().for_each(|event| tell(house, container, event, false)),
        Err(error) => tracing::debug!(id = container.id.short(), %error, "no journal"),
    }
}

/// Makes a supervisor's event one of the engine's, unless it is an old one that was told before. What happens now is
/// told whatever the clock says.
fn tell(house: &House, container: &Container, event: &Event, new: bool) {
    if let Kind::ExecDie { exec, exit_code } = &event.kind {
        end_exec(house, container, exec, *exit_code, event.time);
    }
    let Some((action, facts)) = words(&event.kind) else { return };
    let verb = action.split(':').next().unwrap_or(&action);
    if !new && house.hub.knows(container.id.as_str(), event.time, verb) {
        return;
    }
    let mut attributes = container.attributes();
    attributes.extend(facts);
    house.hub.tell_event(Told::new(Object::Container, action, container.id.as_str(), attributes, event.time));
}

fn end_exec(house: &House, container: &Container, exec: &ExecId, exit_code: i32, time: Timestamp) {
    let mut inside = container.inside();
    if let Some(exec) = inside.execs.get_mut(exec) {
        exec.ended = Some(time);
        exec.exit_code = Some(exit_code.into());
    }
    // Ended instances stay to be inspected for a while, as Docker has it; only the oldest go.
    let ended: Vec<_> = inside.execs.iter().filter_map(|(id, e)| Some((e.ended?, id.clone()))).collect();
    if ended.len() > 64
        && let Some((_, oldest)) = ended.into_iter().min()
    {
        inside.execs.remove(&oldest);
        house.index.forget_exec(&oldest);
    }
}

type Facts = BTreeMap<String, String>;

/// Docker's action and facts for what a supervisor told.
fn words(kind: &Kind) -> Option<(String, Facts)> {
    let plain = |action: &str| Some((action.to_owned(), Facts::new()));
    let fact = |key: &str, value: String| Facts::from([(key.to_owned(), value)]);
    match kind {
        Kind::Life(notice) => life_words(notice),
        Kind::Attach => plain("attach"),
        Kind::Detach => plain("detach"),
        Kind::Resize { rows, columns } => {
            let mut facts = fact("height", rows.to_string());
            facts.insert("width".to_owned(), columns.to_string());
            Some(("resize".to_owned(), facts))
        }
        Kind::ExecCreate { exec, command } => {
            Some((format!("exec_create: {command}"), fact("execID", exec.to_string())))
        }
        Kind::ExecStart { exec, command } => Some((format!("exec_start: {command}"), fact("execID", exec.to_string()))),
        Kind::ExecDetach { exec, command } => {
            Some((format!("exec_detach: {command}"), fact("execID", exec.to_string())))
        }
        Kind::ExecDie { exec, exit_code } => {
            let mut facts = fact("execID", exec.to_string());
            facts.insert("exitCode".to_owned(), exit_code.to_string());
            Some(("exec_die".to_owned(), facts))
        }
        Kind::Left => None,
    }
}

fn life_words(notice: &Notice) -> Option<(String, Facts)> {
    let plain = |action: &str| Some((action.to_owned(), Facts::new()));
    match notice {
        Notice::Start => plain("start"),
        Notice::Stop => plain("stop"),
        Notice::Oom => plain("oom"),
        Notice::Pause => plain("pause"),
        Notice::Unpause => plain("unpause"),
        Notice::Kill { signal } => Some(("kill".to_owned(), Facts::from([("signal".to_owned(), signal.to_string())]))),
        Notice::Die { exit_code, ran } => {
            let mut facts = Facts::from([("exitCode".to_owned(), exit_code.to_string())]);
            facts.insert("execDuration".to_owned(), ran.as_secs().to_string());
            Some(("die".to_owned(), facts))
        }
        Notice::HealthStatus { status } => plain(&format!("health_status: {}", status.as_str())),
    }
}

/// Gives back what outlives the supervisor but not the run: the address.
pub(crate) fn give_back(house: &House, container: &Container) {
    let run = std::mem::take(&mut container.inside().run);
    networks::release(house, &run.endpoints);
    container.turn(|phase| phase.held = false);
}

/// A run is over: gives back what it held, and removes the container if that was wanted.
async fn release(house: &Arc<House>, container: &Arc<Container>) {
    tell_endpoints(house, container, "disconnect");
    tell_volumes(house, container, false);
    let ended = !matches!(container.status().state, State::Created);
    give_back(house, container);
    if ended && container.record().host_config.auto_remove && !container.inside().removing {
        let options = crate::containers::RemoveOptions { volumes: true, ..Default::default() };
        if let Err(error) = crate::containers::erase(house, container, options.volumes).await {
            tracing::warn!(id = container.id.short(), %error, "container not removed after its end");
        }
    }
}

/// Tells that a container joined or left its networks.
pub(crate) fn tell_endpoints(house: &House, container: &Container, action: &str) {
    let plans = container.inside().run.endpoints.clone();
    for plan in &plans {
        networks::tell_endpoint(house, container, plan, action);
    }
}

/// Tells that a container's volumes were mounted for it, or no longer are.
pub(crate) fn tell_volumes(house: &House, container: &Container, mounted: bool) {
    for plan in &container.record().mounts {
        let Origin::Volume(volume) = &plan.origin else { continue };
        let driver = if volume.driver.is_empty() { "local" } else { &volume.driver };
        let mut facts = vec![("container", container.id.to_string()), ("driver", driver.to_owned())];
        if mounted {
            facts.extend([
                ("destination", plan.target.clone()),
                ("propagation", String::new()),
                ("read/write", (!plan.read_only).to_string()),
            ]);
        }
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        house.hub.tell(Object::Volume, if mounted { "mount" } else { "unmount" }, &volume.name, facts);
    }
}

/// A supervisor went without saying so: it was killed. Whatever it left is cleared away, and the container has ended.
pub(crate) async fn vanished(house: &Arc<House>, container: &Arc<Container>, again: bool) {
    let (shared, subject) = (Arc::clone(house), Arc::clone(container));
    let cleared = tokio::task::spawn_blocking(move || clear_away(&shared, &subject)).await;
    if let Ok(Err(error)) = cleared {
        tracing::warn!(id = container.id.short(), %error, "remains of a killed supervisor");
    }
    let mut status = Status::clone(&container.status());
    let lived = status.state.is_running() || status.state == State::Starting;
    if lived {
        end_status(&mut status);
        if let Err(error) = record::save_status(&container.dir, &status) {
            tracing::warn!(id = container.id.short(), %error, "end not recorded");
        }
        let ran = status.finished_at.since(status.started_at);
        let died = Event {
            seq: 0,
            time: status.finished_at,
            kind: Kind::Life(Notice::Die { exit_code: 137, ran }),
            status: None,
        };
        tell(house, container, &died, true);
        container.turn(|phase| {
            phase.status = Arc::new(status);
            phase.exits += 1;
        });
    }
    release(house, container).await;
    if again
        && lived
        && !container.phase.borrow().removed
        && container.status().starts_at_boot(container.record().restart())
    {
        let containers = crate::containers::Containers { house: Arc::clone(house) };
        let id = container.id.clone();
        // Boxed because a start may itself end up here.
        let restart: futures_util::future::BoxFuture<'static, crate::Result<()>> =
            Box::pin(async move { containers.start(id.as_str()).await });
        tokio::spawn(restart);
    }
}

fn end_status(status: &mut Status) {
    status.state = State::Exited;
    status.exit_code = 137;
    status.finished_at = now();
    status.error = "the container's supervisor was killed".to_owned();
}

/// Kills what is left in the cgroup and takes back what a supervisor gives back otherwise. Blocks.
pub(crate) fn clear_away(house: &House, container: &Container) -> crate::Result<()> {
    let failed = |what: &str, e: &dyn std::fmt::Display| crate::Error::io(what, e);
    let group = house.group(container)?;
    super::remains::clear(&group).map_err(|e| failed("clear cgroup", &e))?;
    let plans = container.inside().run.endpoints.clone();
    let table = house.networks.fabric.table();
    let ruled = !plans.is_empty() && matches!(table.exists(), Ok(true));
    let _ = table.forget(&plans);
    for plan in plans {
        // A network without names has no directory.
        let _ = hako_net::dns::directory::withdraw(&house.layout.names().join(&plan.network), container.id.as_str());
        hako_net::endpoint::detach(&plan.host_name).map_err(|e| failed("remove endpoint", &e))?;
        let addresses = [plan.address.map(|net| net.addr().into()), plan.address6.map(|net| net.addr().into())];
        for address in addresses.into_iter().flatten().filter(|_| ruled) {
            hako_net::publish::sweep(table, address).map_err(|e| failed("unpublish ports", &e))?;
        }
    }
    let _ = std::fs::remove_file(house.layout.door(&container.id));
    Ok(())
}

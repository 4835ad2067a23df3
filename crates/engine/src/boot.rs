//! Opening an engine: sweep what was left half-done, find living supervisors again, settle what ended meanwhile, and
//! start what its restart policy wants started.

mod order;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use hako_model::container::{Config, HostConfig};
use hako_model::id::ContainerId;
use hako_model::state::{State, Status};
use hako_model::time::Timestamp;
use hako_supervisor::Handle;
use hako_supervisor::protocol::{Answer, Ask, ExecStatus, Welcome};
use hako_sys::cgroup::Group;
use hako_sys::file::Lock;

use crate::clock::now;
use crate::container::{Container, Exec, Run};
use crate::containers::{self, Containers, ExecRequest, RemoveOptions};
use crate::house::House;
use crate::life::{self, Link};
use crate::record::{self, Record};
use crate::{Error, Result};

/// So many containers are joined again at a time.
const ABREAST: usize = 32;

/// Records are read by so many threads at most: most of the time goes to opening files.
const READERS: usize = 4;

/// Finds all containers; blocks on the disk, then waits for living supervisors' first words.
pub(crate) async fn boot(house: &Arc<House>) -> Result<()> {
    crate::builds::sweep(house).await;
    let loaded = load(house)?;
    bury_removed(house);
    // Each waits for its supervisor's first words: many at a time wait no longer than one.
    let rejoined = stream::iter(&loaded).for_each_concurrent(ABREAST, |container| async move {
        if let Err(error) = rejoin(house, container).await {
            tracing::warn!(id = container.id.short(), %error, "container not rejoined");
        }
    });
    rejoined.await;
    sweep_cgroups(house);
    sweep_doors(house);
    let plugged = loaded.iter().flat_map(|container| container.inside().run.endpoints.clone());
    house.networks.sweep(plugged.map(|plan| plan.bridge));
    let (trials, others): (Vec<_>, Vec<_>) =
        loaded.into_iter().partition(|container| container.dir.join("record.aside.json").exists());
    trials.into_iter().for_each(|container| finish_trial(house, container));
    let starting: Arc<[Arc<Container>]> = others.into_iter().filter(|container| comes_up(container)).collect();
    for container in starting.iter() {
        restart(house, container, &starting);
    }
    Ok(())
}

/// Containers whose removal was begun: what is missing of it is done, and it is told if it was not.
fn bury_removed(house: &House) {
    for entry in std::fs::read_dir(house.layout.tmp()).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let Some((_, volumes)) = name.to_str().and_then(containers::buried) else { continue };
        if let Ok(record) = Record::load(&path) {
            let container = Container::new(record, path.clone(), Status::default());
            if volumes {
                containers::remove_anonymous_volumes(house, &container);
            }
            tell_missed(house, &container, "destroy");
        }
        house.graves.bury(path);
    }
}

/// Tells what an engine did and was killed before it said so.
fn tell_missed(house: &House, container: &Container, action: &str) {
    if !house.hub.has_told(container.id.as_str(), container.record().created, action) {
        house.tell(container, action);
    }
}

/// Reads every record. A directory without one was never a container; one that cannot be read still is.
fn load(house: &Arc<House>) -> Result<Vec<Arc<Container>>> {
    let root = house.layout.containers();
    let entries = std::fs::read_dir(&root).map_err(|e| Error::io(format!("list {}", root.display()), e))?;
    let mut places = Vec::new();
    for entry in entries.flatten() {
        let Ok(id) = ContainerId::parse(&entry.file_name().to_string_lossy()) else { continue };
        let dir = entry.path();
        if !dir.join("record.json").exists() {
            tokio::task::spawn_blocking(move || std::fs::remove_dir_all(dir));
            continue;
        }
        places.push((id, dir));
    }
    let containers = read_all(house, &places);
    for container in &containers {
        let id = &container.id;
        if let Err(error) = house.index.reserve(&container.record().name, id) {
            tracing::warn!(id = id.short(), %error, "two containers of one name");
        }
        house.index.insert(Arc::clone(container));
        if container.damage.is_none() {
            tell_missed(house, container, "create");
        }
    }
    Ok(containers)
}

/// Reads the records of all containers, in the order of their places.
fn read_all(house: &House, places: &[(ContainerId, PathBuf)]) -> Vec<Arc<Container>> {
    let share = places.len().div_ceil(hako_sys::proc::processors().clamp(1, READERS)).max(1);
    let read = |part: &[(ContainerId, PathBuf)]| part.iter().map(|(id, dir)| read(house, id, dir)).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let readers: Vec<_> = places.chunks(share).map(|part| scope.spawn(move || read(part))).collect();
        let found = readers.into_iter().map(|reader| reader.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        found.flatten().collect()
    })
}

fn read(house: &House, id: &ContainerId, dir: &Path) -> Arc<Container> {
    match Record::load(dir) {
        Ok(record) if record.id == *id => sound(house, record, dir),
        Ok(_) => damaged(id, dir, "the record is another container's".to_owned()),
        Err(error) => damaged(id, dir, error.to_string()),
    }
}

fn sound(house: &House, record: Record, dir: &Path) -> Arc<Container> {
    // What is not there any more is told when it is started.
    let pins = record.pins(&house.store).flatten().collect();
    let container = Container::new(record, dir.to_owned(), record::load_status(dir));
    let run = std::fs::read(dir.join("run.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut inside = container.inside();
    inside.pins = pins;
    inside.run = run.unwrap_or_default();
    drop(inside);
    Arc::new(container)
}

/// Stands in for a container whose record cannot be read, so that it is listed and can be removed.
fn damaged(id: &ContainerId, dir: &Path, damage: String) -> Arc<Container> {
    tracing::warn!(id = id.short(), %damage, "damaged record");
    let record = Record {
        id: id.clone(),
        name: id.short().to_owned(),
        created: Timestamp::ZERO,
        image: hako_store::Hasher::digest(b""),
        layer: None,
        os: "linux".to_owned(),
        config: Config::default(),
        host_config: HostConfig::default(),
        endpoints: BTreeMap::new(),
        mounts: Vec::new(),
    };
    let status = Status { state: State::Dead, ..Status::default() };
    let mut container = Container::new(record, dir.to_owned(), status);
    container.damage = Some(damage);
    Arc::new(container)
}

/// Connects to the container's supervisor if one lives; else settles what it left.
async fn rejoin(house: &Arc<House>, container: &Arc<Container>) -> Result<()> {
    let lock = container.dir.join("lock");
    let lives = Lock::is_held(&lock).map_err(|e| Error::io("look at lock", e))?;
    if lives && container.damage.is_none() {
        match connect(house, container).await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!(id = container.id.short(), %error, "supervisor does not answer"),
        }
        // A supervisor that lives but does not answer keeps its container; it is tried again at the next start.
        if Lock::is_held(&lock).unwrap_or(true) {
            return Ok(());
        }
    }
    settle(house, container).await
}

async fn connect(house: &Arc<House>, container: &Arc<Container>) -> Result<()> {
    let handle = Handle::connect(&house.layout.door(&container.id)).map_err(|e| Error::io("connect supervisor", e))?;
    let link = Link::new(handle)?;
    let welcome = match link.ask(Ask::Hello { since: Some(0) }, Vec::new()).await? {
        Ok(Answer::Welcome(welcome)) => welcome,
        Ok(_) => return Err(Error::system("greet supervisor: it answered something else")),
        Err(failure) => return Err(Error::io("greet supervisor", failure)),
    };
    let last = welcome.seq;
    take_over(house, container, &link, *welcome);
    life::follow(house, container, &link, last);
    Ok(())
}

fn take_over(house: &House, container: &Arc<Container>, link: &Arc<Link>, welcome: Welcome) {
    {
        let mut inside = container.inside();
        inside.link = Some(Arc::clone(link));
        inside.run.ports = welcome.ports;
        inside.run.cgroup = welcome.cgroup;
        for status in welcome.execs {
            house.index.insert_exec(status.exec.clone(), container.id.clone());
            inside.execs.insert(status.exec.clone(), exec(status));
        }
        let endpoints = inside.run.endpoints.clone();
        drop(inside);
        crate::networks::claim(house, &endpoints);
    }
    container.turn(|phase| {
        phase.status = Arc::new(welcome.status);
        phase.held = true;
    });
}

/// An exec instance an earlier engine made, as far as its supervisor remembers it.
fn exec(status: ExecStatus) -> Exec {
    let request = ExecRequest {
        attach_stdin: status.stdin,
        attach_stdout: true,
        attach_stderr: true,
        tty: status.terminal,
        cmd: status.args,
        ..ExecRequest::default()
    };
    Exec {
        request,
        ended: status.exit_code.map(|_| now()),
        started: status.running || status.exit_code.is_some(),
        exit_code: status.exit_code.map(i64::from),
        pid: status.pid.into(),
    }
}

/// Nobody supervises it: what its supervisor told while no engine listened is told now, and what it held is cleared
/// away if it did not do that itself.
async fn settle(house: &Arc<House>, container: &Arc<Container>) -> Result<()> {
    if container.damage.is_none() {
        // Its supervisor may have written how it ended since the records were read.
        container.set_status(record::load_status(&container.dir));
    }
    life::tell_journal(house, container);
    let status = container.status();
    let unfinished = status.state.is_running() || status.state == State::Starting;
    if unfinished || !container.inside().run.endpoints.is_empty() || house.layout.door(&container.id).exists() {
        life::vanished(house, container, false).await;
    }
    container.inside().run = Run::default();
    let leftover = container.record().host_config.auto_remove && container.status().state != State::Created;
    if leftover && !container.phase.borrow().removed {
        let containers = Containers { house: Arc::clone(house) };
        let options = RemoveOptions { force: true, volumes: true, link: false };
        containers.remove(container.id.as_str(), options).await?;
    }
    Ok(())
}

/// Doors of containers that are gone, with nobody behind them.
fn sweep_doors(house: &House) {
    for entry in std::fs::read_dir(house.layout.supervisors()).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let gone =
            name.to_str().and_then(|name| name.strip_suffix(".sock")).is_some_and(|id| house.index.find(id).is_err());
        if gone && Handle::connect(&path).is_err() {
            // One that stays is looked at again at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Groups below the instance's own that belong to nobody: seeds of spares whose supervisor was killed.
fn sweep_cgroups(house: &House) {
    let Ok(parent) = Group::open(&house.cgroup_parent) else { return };
    let directories = ["memory", "pids", "cpu", "freezer"].iter().filter_map(|controller| parent.directory(controller));
    let mut names: Vec<String> = directories
        .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("spare-"))
        .collect();
    names.sort();
    names.dedup();
    let used: Vec<String> = house.index.all().iter().map(|container| container.inside().run.cgroup.clone()).collect();
    for path in names.iter().map(|name| format!("{}/{name}", house.cgroup_parent)) {
        if !used.contains(&path) {
            tokio::task::spawn_blocking(move || life::remains::clear_path(&path));
        }
    }
}

/// A new image was on trial when the last engine ended.
fn finish_trial(house: &Arc<House>, container: Arc<Container>) {
    let containers = Containers { house: Arc::clone(house) };
    tokio::spawn(async move {
        if let Err(error) = containers.finish_trial(&container).await {
            tracing::warn!(id = container.id.short(), %error, "trial of a new image ended");
        }
    });
}

/// Whether a container's policy wants it started at boot.
fn comes_up(container: &Container) -> bool {
    let status = container.status();
    let policy = container.record().restart();
    let ended = !status.state.is_running() && status.state != State::Starting;
    let at_boot = matches!(policy, hako_model::restart::Policy::Always | hako_model::restart::Policy::UnlessStopped);
    ended && at_boot && container.damage.is_none() && status.starts_at_boot(policy)
}

/// Starts a container, once what it depends on is up.
fn restart(house: &Arc<House>, container: &Arc<Container>, starting: &Arc<[Arc<Container>]>) {
    let (containers, id) = (Containers { house: Arc::clone(house) }, container.id.clone());
    let (container, starting) = (Arc::clone(container), Arc::clone(starting));
    tokio::spawn(async move {
        order::await_turn(&container, &starting).await;
        if let Err(error) = containers.start_in_time(id.as_str()).await {
            tracing::warn!(id = id.short(), %error, "container not restarted at boot");
        }
    });
}

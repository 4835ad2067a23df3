//! RUN: a container that has no record, runs once on the layer being made, and leaves nothing but that layer.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hako_builder::workshop::{Cancel, Ending, Mounted, Step, StepMount};
use hako_model::container::{Config, HostConfig};
use hako_model::id::ContainerId;
use hako_model::restart::Policy;
use hako_model::state::{Notice, Status};
use hako_supervisor::description::{Description, Network, RootfsPlan};
use hako_supervisor::log::config::{LogConfig, Source};
use hako_supervisor::protocol::{Answer, Ask, Attach, Event, Framing, Kind};
use hako_supervisor::spec::Mount;

use super::secrets::Hidden;
use super::shop::Shop;
use crate::clock::now;
use crate::container::Container;
use crate::containers::{complete_host, new_id};
use crate::house::House;
use crate::life::Link;
use crate::oci;
use crate::record::Record;
use crate::{Error, Result, accounts, networks};

/// How long a step that was killed may take to end.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(10);

/// The header Docker puts before each piece of output.
const HEADER: usize = 8;

/// The most bytes taken at once.
const PIECE: usize = 64 << 10;

/// A step's container, given back when dropped.
struct Ward<'a> {
    house: &'a House,
    container: Arc<Container>,
}

impl Drop for Ward<'_> {
    fn drop(&mut self) {
        let run = std::mem::take(&mut self.container.inside().run);
        networks::release(self.house, &run.endpoints);
        // What cannot be removed is swept at the next start.
        let _ = std::fs::remove_dir_all(&self.container.dir);
    }
}

impl Shop {
    /// Runs a step.
    pub(super) fn execute(
        &self,
        step: &Step,
        output: &(dyn Fn(bool, &[u8]) + Sync),
        cancel: &Cancel,
    ) -> Result<Ending> {
        let ward = Ward { house: &self.house, container: Arc::new(self.container(step)?) };
        let hidden = Hidden::default();
        let description = self.describe(&ward.container, step, &hidden)?;
        let (ours, theirs) = UnixStream::pair().map_err(|e| Error::io("open pipe to step", e))?;
        let link = self.runtime.block_on(self.start(description, theirs))?;
        drop(hidden);
        let (killer, handle) = (Arc::clone(&link), self.runtime.clone());
        cancel.on_set(move || {
            let link = Arc::clone(&killer);
            // It may have ended meanwhile.
            handle.spawn(async move { link.ask(Ask::Kill { signal: 9, sender: None }, Vec::new()).await });
        });
        let events = link.events();
        let read = demultiplex(ours, output);
        let ending = self.runtime.block_on(end(&link, events, cancel));
        read?;
        ending
    }

    fn container(&self, step: &Step) -> Result<Container> {
        let id = new_id()?;
        let dir = self.house.layout.steps().join(id.as_str());
        let made = std::fs::DirBuilder::new().mode(0o710).create(&dir);
        made.map_err(|e| Error::io("make directory of step", e))?;
        Ok(Container::new(record(&self.house, id, step), dir, Status::default()))
    }

    fn describe(&self, container: &Arc<Container>, step: &Step, hidden: &Hidden) -> Result<Description> {
        let house = &self.house;
        let record = container.record();
        house.networks.fabric.check();
        let endpoints = networks::lease_all(house, container, &record)?;
        container.inside().run.endpoints.clone_from(&endpoints);
        let naming = networks::naming(house, container, &record, &endpoints);
        oci::files::write(&container.dir, &record, &house.settings, &endpoints, &[], naming.is_some())?;
        let rootfs = house.store.rootfs(&step.lowers).map_err(|e| Error::io("open layers", e))?;
        let accounts = accounts::below(rootfs.as_fd())?;
        drop(rootfs);
        let mut spec = oci::spec(house, container, &accounts)?;
        let mut mounts: Vec<&StepMount> = step.mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.target.matches('/').count());
        for mount in mounts {
            spec.mounts.push(mounted(mount, hidden)?);
        }
        Ok(Description {
            id: container.id.clone(),
            name: record.name.clone(),
            instance: house.layout.instance.clone(),
            spec,
            rootfs: RootfsPlan::Overlay {
                lowers: step.lowers.clone(),
                upper: step.upper.clone(),
                work: step.work.clone(),
                volatile: true,
            },
            network: Network { endpoints, naming, ..Network::default() },
            log: no_log(&record, &container.dir)?,
            restart: Policy::No,
            probe: None,
            remedy: None,
            backoff: Default::default(),
            checkpoint: None,
            secrets: Vec::new(),
            stop_signal: 9,
            stop_timeout: 0,
            open_stdin: false,
            stdin_once: false,
            init: true,
            directory: container.dir.clone(),
            socket: house.layout.door(&container.id),
        })
    }

    /// Starts it with its output going into `pipe`.
    async fn start(&self, description: Description, pipe: UnixStream) -> Result<Arc<Link>> {
        let link = self.house.spares.take()?;
        let attach = Attach {
            stdin: false,
            stdout: true,
            stderr: true,
            logs: false,
            stream: true,
            framing: Framing::Multiplexed,
            detach_keys: Vec::new(),
            leftover: Vec::new(),
        };
        let refused = |failure: hako_supervisor::protocol::Failure| Error::invalid(failure.to_string());
        link.ask(Ask::Attach(attach), vec![OwnedFd::from(pipe)]).await?.map_err(refused)?;
        match link.ask(Ask::Start(Box::new(description)), Vec::new()).await?.map_err(refused)? {
            Answer::Started { .. } => Ok(link),
            _ => Err(Error::system("start step: the supervisor answered something else")),
        }
    }
}

fn record(house: &House, id: ContainerId, step: &Step) -> Record {
    let sandbox = &step.sandbox;
    let network = match step.network.as_str() {
        "" | "default" => "bridge",
        other => other,
    };
    let mut host_config = HostConfig {
        network_mode: network.to_owned(),
        extra_hosts: Some(sandbox.hosts.clone()),
        shm_size: sandbox.shm_size,
        auto_remove: true,
        resources: sandbox.resources.clone(),
        ..HostConfig::default()
    };
    complete_host(house, &mut host_config);
    let config = Config {
        hostname: step.hostname.clone(),
        user: step.user.clone(),
        // Without a value it goes: a step knows no name of its host.
        env: Some(std::iter::once("HOSTNAME".to_owned()).chain(step.env.iter().cloned()).collect()),
        cmd: Some(step.command.clone()),
        working_dir: step.directory.clone(),
        ..Config::default()
    };
    Record {
        name: format!("build-{}", id.short()),
        id,
        created: now(),
        image: hako_store::Hasher::digest(b""),
        layer: None,
        os: "linux".to_owned(),
        config,
        host_config,
        endpoints: [(network.to_owned(), Default::default())].into(),
        mounts: Vec::new(),
    }
}

fn no_log(record: &Record, dir: &Path) -> Result<LogConfig> {
    let labels = Default::default();
    let source = Source {
        id: record.id.as_str(),
        name: &record.name,
        image: "",
        image_id: record.image.as_str(),
        command: "",
        created: "",
        labels: &labels,
        env: &[],
    };
    LogConfig::from_options("none", &Default::default(), dir.join("log"), source)
        .map_err(|e| Error::invalid(e.to_string()))
}

fn mounted(mount: &StepMount, hidden: &Hidden) -> Result<Mount> {
    let access = if mount.read_only { "ro" } else { "rw" };
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let (kind, source, mut options) = match &mount.what {
        Mounted::Path(source) => ("bind", path(source), words(&["bind", "rprivate"])),
        Mounted::Secret { content, mode, uid, gid } => {
            let source = hidden.put(&content.0, *mode, (*uid, *gid))?;
            ("bind", path(&source), words(&["bind", "rprivate", "nosuid", "nodev", "noexec"]))
        }
        Mounted::Memory(size) => {
            let mut options = words(&["nosuid", "nodev", "noexec"]);
            options.extend(size.map(|size| format!("size={size}")));
            ("tmpfs", "tmpfs".to_owned(), options)
        }
        Mounted::Layers { lowers, changes } => {
            let mut options: Vec<String> =
                lowers.iter().map(|lower| format!("lowerdir+={}", lower.display())).collect();
            if let Some((upper, work)) = changes {
                options.extend([format!("upperdir={}", upper.display()), format!("workdir={}", work.display())]);
            }
            ("overlay", "overlay".to_owned(), options)
        }
    };
    options.push(access.to_owned());
    Ok(Mount { destination: mount.target.clone(), kind: kind.to_owned(), source, options, ..Mount::default() })
}

/// Takes Docker's framing off until the step closes its end.
fn demultiplex(mut pipe: UnixStream, output: &(dyn Fn(bool, &[u8]) + Sync)) -> Result<()> {
    let failed = |e| Error::io("read from step", e);
    let mut header = [0; HEADER];
    loop {
        match pipe.read_exact(&mut header) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read.map_err(failed)?,
        }
        let [_, _, _, _, length @ ..] = header;
        let mut left = u32::from_be_bytes(length) as usize;
        let mut buffer = vec![0; left.min(PIECE)];
        while left > 0 {
            let want = left.min(buffer.len());
            let count = pipe.read(&mut buffer[..want]).map_err(failed)?;
            if count == 0 {
                return Ok(());
            }
            output(header[0] == 2, &buffer[..count]);
            left -= count;
        }
    }
}

/// Waits until the supervisor has given everything back.
async fn end(
    link: &Link,
    events: Option<tokio::sync::mpsc::UnboundedReceiver<Event>>,
    cancel: &Cancel,
) -> Result<Ending> {
    let mut events = events.ok_or_else(|| Error::system("watch step: somebody else does"))?;
    let (mut code, mut out_of_memory) = (None, false);
    loop {
        let next = match cancel.is_set() {
            false => events.recv().await,
            true => tokio::time::timeout(FAREWELL, events.recv()).await.ok().flatten(),
        };
        let Some(event) = next else { break };
        match event.kind {
            Kind::Life(Notice::Oom) => out_of_memory = true,
            Kind::Life(Notice::Die { exit_code, .. }) => code = Some(exit_code),
            Kind::Left => {
                // A supervisor that is gone needs no thanks.
                let _ = link.ask(Ask::Acknowledge { seq: event.seq }, Vec::new()).await;
                break;
            }
            _ => {}
        }
    }
    let code = code.ok_or_else(|| Error::system("the step's supervisor vanished"))?;
    Ok(Ending { code, out_of_memory })
}

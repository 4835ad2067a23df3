//! Editing a container that exists. Its record says first how it should be; a running one is then changed step by step,
//! and what was done is written down even if a later step fails.

use std::sync::Arc;

use hako_model::container::{Edit, HealthConfig, HostConfig, OnUnhealthy};
use hako_model::health::{Remedy, RemedyAction};
use hako_model::mount::{Origin, Plan};
use hako_model::port::Port;
use hako_supervisor::protocol::{Adaptation, Answer, Ask, Failure};

use super::lifecycle::failure;
use super::start::{failed_port, probe, stop_signal, wanted_ports};
use super::{merge, mounts, validate};
use crate::container::Container;
use crate::house::House;
use crate::record::Record;
use crate::{Error, Result, oci};

/// The shortest cool-down that keeps a sick container from being restarted without a pause.
const COOL_DOWN: i64 = 60_000_000_000;

/// Writes into the record what is to change. Nothing is done yet.
pub(super) fn write(house: &House, record: &mut Record, edit: &Edit) -> Result<()> {
    write_labels(record, edit);
    write_ports(house, record, edit)?;
    write_mounts(house, record, edit)?;
    write_care(record, edit)
}

fn write_labels(record: &mut Record, edit: &Edit) {
    let labels = record.config.labels.get_or_insert_default();
    edit.remove_labels.iter().for_each(|key| drop(labels.remove(key)));
    labels.extend(edit.labels.clone());
}

fn write_ports(house: &House, record: &mut Record, edit: &Edit) -> Result<()> {
    if edit.publish.is_empty() && edit.unpublish.is_empty() {
        return Ok(());
    }
    let mode = record.host_config.network_mode.clone();
    if matches!(mode.as_str(), "host" | "none") || mode.starts_with("container:") {
        return Err(Error::invalid(format!(
            "container {} has network mode {mode}: it publishes no ports",
            record.name
        )));
    }
    let bindings = record.host_config.port_bindings.get_or_insert_default();
    for text in &edit.unpublish {
        let (host, port) = text.rsplit_once(':').map_or((None, text.as_str()), |(host, port)| (Some(host), port));
        let port: Port = port.parse().map_err(|error| Error::invalid(format!("unpublish {text}: {error}")))?;
        let key = port.to_string();
        let missing = || Error::not_found(format!("container {} does not publish {text}", record.name));
        let published = bindings.get_mut(&key).ok_or_else(missing)?;
        let before = published.iter().flatten().count();
        let host = host.map(|host| host.rsplit(':').next().unwrap_or(host));
        published.iter_mut().for_each(|list| list.retain(|one| host.is_some_and(|host| one.host_port != host)));
        if published.iter().flatten().count() == before {
            return Err(missing());
        }
        if published.iter().flatten().next().is_none() {
            bindings.remove(&key);
        }
    }
    for (port, more) in &edit.publish {
        bindings.entry(port.clone()).or_default().get_or_insert_default().extend(more.iter().flatten().cloned());
        record.config.exposed_ports.get_or_insert_default().entry(port.clone()).or_default();
    }
    wanted_ports(house, record).map(drop)
}

fn write_mounts(house: &House, record: &mut Record, edit: &Edit) -> Result<()> {
    for target in &edit.unmount {
        take_out(record, target)?;
    }
    let binds = edit.binds.iter().map(|bind| Plan::from_bind(bind));
    let structured = edit.mounts.iter().map(Plan::from_mount);
    let mut new = Vec::new();
    for plan in binds.chain(structured) {
        let plan = plan?;
        mounts::check_source(&plan)?;
        check_place(record, &plan)?;
        new.push(plan);
    }
    super::sources::note(&mut new);
    let lowers = super::start::lowers(house, record)?;
    mounts::make_volumes(house, &mut new, &lowers)?;
    record.mounts.extend(new);
    record.mounts.sort_by(|one, other| one.target.cmp(&other.target));
    let host = &mut record.host_config;
    if !edit.binds.is_empty() {
        host.binds.get_or_insert_default().extend(edit.binds.clone());
    }
    if !edit.mounts.is_empty() {
        host.mounts.get_or_insert_default().extend(edit.mounts.clone());
    }
    Ok(())
}

/// Takes a bind mount or volume out of the record.
fn take_out(record: &mut Record, target: &str) -> Result<()> {
    let clean = format!("/{}", target.trim_matches('/'));
    let Some(index) = record.mounts.iter().position(|plan| plan.target == clean) else {
        return Err(Error::not_found(format!("container {} has no mount at {clean}", record.name)));
    };
    if matches!(record.mounts[index].origin, Origin::Tmpfs(_)) {
        let text = format!("the tmpfs at {clean} holds data of the running process and cannot be taken out");
        return Err(Error::invalid(text));
    }
    record.mounts.remove(index);
    let HostConfig { binds, mounts, .. } = &mut record.host_config;
    let is_its = |plan: std::result::Result<Plan, _>| plan.is_ok_and(|plan| plan.target == clean);
    binds.iter_mut().for_each(|binds| binds.retain(|bind| !is_its(Plan::from_bind(bind))));
    mounts.iter_mut().for_each(|mounts| mounts.retain(|mount| !is_its(Plan::from_mount(mount))));
    Ok(())
}

/// What is mounted later lies on top of everything: it must not hide what is there.
fn check_place(record: &Record, plan: &Plan) -> Result<()> {
    let kind = plan.origin.kind();
    if matches!(plan.origin, Origin::Tmpfs(_) | Origin::Image(_)) {
        return Err(Error::invalid(format!("a mount of type {kind} ({}) can only be given at creation", plan.target)));
    }
    let under = format!("{}/", plan.target.trim_end_matches('/'));
    for other in record.mounts.iter().map(|other| other.target.as_str()) {
        if other == plan.target {
            return Err(Error::invalid(format!("Duplicate mount point: {other}")));
        }
        if other.starts_with(&under) {
            return Err(Error::invalid(format!("a mount at {} would hide the one at {other}", plan.target)));
        }
    }
    Ok(())
}

fn write_care(record: &mut Record, edit: &Edit) -> Result<()> {
    if let Some(health) = &edit.healthcheck {
        let merged = if health.test.first().is_some_and(|word| word == "NONE") {
            HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() }
        } else {
            let old = record.config.healthcheck.take().filter(|old| old.test.first().is_none_or(|word| word != "NONE"));
            merge::merge_health(Some(health.clone()), old.as_ref()).unwrap_or_default()
        };
        validate::check_health(&merged)?;
        if merged.test.is_empty() {
            return Err(Error::invalid("there is no health check to change: give it a command (--health-cmd)"));
        }
        record.config.healthcheck = Some(merged);
    }
    if let Some(wanted) = &edit.on_unhealthy {
        record.host_config.on_unhealthy = Some(wanted.clone()).filter(|wanted| wanted.action != "none");
    }
    if !edit.stop_signal.is_empty() {
        crate::signal::parse(&edit.stop_signal)?;
        record.config.stop_signal.clone_from(&edit.stop_signal);
    }
    record.config.stop_timeout = edit.stop_timeout.or(record.config.stop_timeout);
    remedy(&record.host_config).map(drop)
}

/// What is done when a container is unhealthy.
pub(super) fn remedy(host: &HostConfig) -> Result<Option<Remedy>> {
    let Some(wanted) = &host.on_unhealthy else { return Ok(None) };
    let OnUnhealthy { action, streak, cool_down } = wanted;
    let action = match action.as_str() {
        "restart" => RemedyAction::Restart,
        "stop" => RemedyAction::Stop,
        "kill" => RemedyAction::Kill,
        other => {
            let text = format!("invalid OnUnhealthy action {other:?}: use one of 'restart', 'stop' or 'kill'");
            return Err(Error::invalid(text));
        }
    };
    let (Ok(streak), Ok(cool_down)) =
        (u32::try_from(*streak), u64::try_from(if *cool_down == 0 { COOL_DOWN } else { *cool_down }))
    else {
        return Err(Error::invalid("the streak and cool-down of OnUnhealthy cannot be negative"));
    };
    Ok(Some(Remedy { action, streak, cool_down: std::time::Duration::from_nanos(cool_down) }))
}

/// Makes a running container as `wanted` says, step by step; `done` says after each step how it is.
pub(super) async fn carry_out(
    house: &Arc<House>,
    container: &Arc<Container>,
    wanted: &Record,
    done: &mut Record,
) -> Result<()> {
    done.config.labels.clone_from(&wanted.config.labels);
    adapt(container, wanted, done).await?;
    graft(house, container, wanted, done).await?;
    publish(house, container, wanted, done).await
}

async fn adapt(container: &Arc<Container>, wanted: &Record, done: &mut Record) -> Result<()> {
    let adaptation = adaptation(wanted)?;
    let changes = done.config.healthcheck != wanted.config.healthcheck
        || done.host_config.on_unhealthy != wanted.host_config.on_unhealthy
        || done.host_config.restart_policy != wanted.host_config.restart_policy
        || done.config.stop_signal != wanted.config.stop_signal
        || done.config.stop_timeout != wanted.config.stop_timeout;
    if changes {
        let reply = container.live_link()?.ask(Ask::Adapt(Box::new(adaptation)), Vec::new()).await?;
        if let Answer::Status(status) = reply.map_err(|other| failure(container, other))? {
            container.set_status(*status);
        }
    }
    done.config.healthcheck.clone_from(&wanted.config.healthcheck);
    done.config.stop_signal.clone_from(&wanted.config.stop_signal);
    done.config.stop_timeout = wanted.config.stop_timeout;
    done.host_config.on_unhealthy.clone_from(&wanted.host_config.on_unhealthy);
    done.host_config.restart_policy = wanted.host_config.restart_policy;
    Ok(())
}

fn adaptation(record: &Record) -> Result<Adaptation> {
    Ok(Adaptation {
        probe: probe(record),
        remedy: remedy(&record.host_config)?,
        backoff: record.backoff(),
        stop_signal: stop_signal(record),
        stop_timeout: record.config.stop_timeout.unwrap_or(10),
    })
}

async fn graft(house: &House, container: &Arc<Container>, wanted: &Record, done: &mut Record) -> Result<()> {
    let gone = done.mounts.iter().filter(|plan| !wanted.mounts.contains(plan));
    let out: Vec<String> = gone.map(|plan| plan.target.clone()).collect();
    let new = wanted.mounts.iter().filter(|plan| !done.mounts.contains(plan));
    let into = new.map(|plan| oci::mounts::asked_for(&house.store, plan)).collect::<Result<Vec<_>>>()?;
    if !out.is_empty() || !into.is_empty() {
        ask(container, Ask::Graft { out, into }).await?;
    }
    done.mounts.clone_from(&wanted.mounts);
    done.host_config.binds.clone_from(&wanted.host_config.binds);
    done.host_config.mounts.clone_from(&wanted.host_config.mounts);
    Ok(())
}

async fn publish(house: &Arc<House>, container: &Arc<Container>, wanted: &Record, done: &mut Record) -> Result<()> {
    if done.host_config.port_bindings != wanted.host_config.port_bindings {
        let ports = wanted_ports(house, wanted)?;
        match container.live_link()?.ask(Ask::Publish { ports }, Vec::new()).await? {
            Ok(Answer::Plugged { ports }) => super::remember_run(container, ports, None)?,
            Ok(_) => return Err(Error::system("publish ports: the supervisor answered something else")),
            Err(Failure::Port { error }) => return Err(failed_port(house, container, &error)),
            Err(other) => return Err(failure(container, other)),
        }
    }
    done.host_config.port_bindings.clone_from(&wanted.host_config.port_bindings);
    done.config.exposed_ports.clone_from(&wanted.config.exposed_ports);
    Ok(())
}

async fn ask(container: &Arc<Container>, ask: Ask) -> Result<()> {
    let reply = container.live_link()?.ask(ask, Vec::new()).await?;
    reply.map(|_| ()).map_err(|other| failure(container, other))
}

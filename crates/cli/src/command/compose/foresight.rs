//! `plan` and `explain`: what `up` would do and why, and where a value comes from.

use std::fmt::Write as _;

use hako_compose::yaml::{Node, json};
use hako_compose::{Plan, Project, Reason, Recreate, Resource, Step, World, plan};

use super::progress::Progress;
use super::project::{credentials, failed, lend_socket, limit, project, stopped};
use super::up::choices;
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::session::Session;
use crate::tree::{Arity, Command, Outcome, run};

pub(super) static PLAN: Command = Command {
    usage: &["[OPTIONS] [SERVICE...]"],
    arity: Arity::AtLeast(0),
    flags: &[&[
        super::DRY_RUN,
        switch("force-recreate", "Plan as for `up --force-recreate`"),
        switch("no-recreate", "Plan as for `up --no-recreate`"),
        switch("renew-anon-volumes", "Plan as for `up --renew-anon-volumes`").short('V'),
        switch("remove-orphans", "Plan as for `up --remove-orphans`"),
        text("format", "Format the output. Values: [text | json]").default("text"),
        switch("exit-code", "Exit with 2 if there is something to do"),
    ]],
    examples: &[
        ("hako compose plan", "What would `up` do, field by field?"),
        ("hako compose plan --exit-code", "For scripts: 0 nothing to do, 2 something"),
    ],
    ..Command::new("Show what up would do, and why", run!(show_plan))
};

pub(super) static EXPLAIN: Command = Command {
    usage: &["VARIABLE | SERVICE.KEY[.KEY...] [...]"],
    arity: Arity::AtLeast(1),
    flags: &[&[super::DRY_RUN]],
    examples: &[
        ("hako compose explain TAG", "Who defines this variable, what does it hide, and where is it used?"),
        ("hako compose explain web.environment.LOG_LEVEL", "Which line of which file says so?"),
    ],
    ..Command::new("Show the file and line a value comes from", run!(explain))
};

async fn show_plan(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    project.select(found.words(), true).map_err(|error| failed(&error))?;
    lend_socket(session, &mut project)?;
    let progress = Progress::quiet();
    let credentials = credentials(session);
    let world = World {
        client: session.client()?,
        report: &progress,
        credentials: &credentials,
        dry: true,
        limit: limit(session),
    };
    let there = world.find(&project).await.map_err(stopped)?;
    let mut choices = choices(found, found.words(), &project)?;
    if found.on("renew-anon-volumes") && choices.recreate == Recreate::Diverged {
        choices.recreate = Recreate::Force;
    }
    let made = plan(&project, &there, &choices).map_err(Failure::local)?;
    match found.text("format") {
        "text" => output::print(told(&made))?,
        "json" => output::line(as_json(&made).to_string())?,
        other => return Err(Failure::local(format!("unsupported format {other:?}: it is text or json"))),
    }
    if found.on("exit-code") && !made.is_idle() { Err(Failure::status(2)) } else { Ok(()) }
}

fn told(plan: &Plan) -> String {
    if plan.is_idle() {
        return "Nothing to do: everything is as described.\n".to_owned();
    }
    let mut out = String::new();
    for resource in &plan.resources {
        let _ = match resource {
            Resource::CreateNetwork { name, .. } => writeln!(out, "+ network {name}"),
            Resource::RecreateNetwork { name, .. } => writeln!(out, "~ network {name}: described differently now"),
            Resource::CreateVolume { name, .. } => writeln!(out, "+ volume {name}"),
            Resource::Warn(warning) => writeln!(out, "! {warning}"),
        };
    }
    for (service, image) in &plan.missing_images {
        let _ = writeln!(out, "+ image {image} (for {service})");
    }
    for orphan in &plan.orphans {
        let what = if plan.remove_orphans { "-" } else { "!" };
        let why = if plan.remove_orphans { "" } else { "; it stays, --remove-orphans removes it" };
        let _ = writeln!(out, "{what} container {}: its service is gone{why}", orphan.name);
    }
    for steps in plan.services.values() {
        steps.iter().for_each(|step| tell_step(&mut out, step));
    }
    out
}

fn tell_step(out: &mut String, step: &Step) {
    let _ = match step {
        Step::Rest(_) => Ok(()),
        Step::Keep(existing) if existing.state == "running" => Ok(()),
        Step::Keep(existing) => writeln!(out, "> container {}: start (it is {})", existing.name, existing.state),
        Step::Rename { existing, name } => writeln!(out, "~ container {}: renamed to {name}", existing.name),
        Step::Create { name, .. } => writeln!(out, "+ container {name}"),
        Step::Remove(existing) => writeln!(out, "- container {}: one more than wanted", existing.name),
        Step::Restart { existing, because } => {
            writeln!(out, "> container {}: restart, because {because} is made anew", existing.name)
        }
        Step::Recreate { name, reasons, .. } => {
            let _ = writeln!(out, "~ container {name}: made anew");
            reasons.iter().try_for_each(|reason| tell_reason(out, reason))
        }
    };
}

fn tell_reason(out: &mut String, reason: &Reason) -> std::fmt::Result {
    match reason {
        Reason::Forced => writeln!(out, "    forced"),
        Reason::Image { before, after } => writeln!(out, "    the image is another one: {before} -> {after}"),
        Reason::Network(name) => writeln!(out, "    it is not on network {name}"),
        Reason::Volume(name) => writeln!(out, "    it does not have volume {name}"),
        Reason::Shares(service) => writeln!(out, "    it shares with {service}, which is made anew"),
        Reason::Configuration(changes) if changes.is_empty() => {
            writeln!(out, "    the configuration changed (it was made by another program, so the fields are not known)")
        }
        Reason::Configuration(changes) => changes.iter().try_for_each(|change| {
            let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(nothing)".to_owned());
            writeln!(out, "    {}: {} -> {}", change.field, side(&change.before), side(&change.after))
        }),
    }
}

fn as_json(plan: &Plan) -> serde_json::Value {
    let resource = |resource: &Resource| match resource {
        Resource::CreateNetwork { name, .. } => serde_json::json!({"action": "create", "network": name}),
        Resource::RecreateNetwork { name, .. } => serde_json::json!({"action": "recreate", "network": name}),
        Resource::CreateVolume { name, .. } => serde_json::json!({"action": "create", "volume": name}),
        Resource::Warn(warning) => serde_json::json!({"action": "warn", "message": warning}),
    };
    let reason = |reason: &Reason| match reason {
        Reason::Forced => serde_json::json!({"why": "forced"}),
        Reason::Image { before, after } => serde_json::json!({"why": "image", "before": before, "after": after}),
        Reason::Network(name) => serde_json::json!({"why": "network", "network": name}),
        Reason::Volume(name) => serde_json::json!({"why": "volume", "volume": name}),
        Reason::Shares(service) => serde_json::json!({"why": "shares", "service": service}),
        Reason::Configuration(changes) => {
            let change = |it: &hako_compose::Change| serde_json::json!({"field": it.field, "before": it.before, "after": it.after});
            serde_json::json!({"why": "configuration", "changes": changes.iter().map(change).collect::<Vec<_>>()})
        }
    };
    let step = |service: &str, step: &Step| match step {
        Step::Keep(it) => {
            serde_json::json!({"service": service, "action": if it.state == "running" { "keep" } else { "start" }, "container": it.name})
        }
        Step::Rest(it) => serde_json::json!({"service": service, "action": "keep", "container": it.name}),
        Step::Rename { existing, name } => {
            serde_json::json!({"service": service, "action": "rename", "container": existing.name, "name": name})
        }
        Step::Create { name, .. } => serde_json::json!({"service": service, "action": "create", "container": name}),
        Step::Remove(it) => serde_json::json!({"service": service, "action": "remove", "container": it.name}),
        Step::Restart { existing, because } => {
            serde_json::json!({"service": service, "action": "restart", "container": existing.name, "because": because})
        }
        Step::Recreate { name, reasons, .. } => {
            serde_json::json!({"service": service, "action": "recreate", "container": name, "reasons": reasons.iter().map(reason).collect::<Vec<_>>()})
        }
    };
    serde_json::json!({
        "resources": plan.resources.iter().map(resource).collect::<Vec<_>>(),
        "images": plan.missing_images,
        "orphans": plan.orphans.iter().map(|orphan| orphan.name.clone()).collect::<Vec<_>>(),
        "steps": plan.services.iter().flat_map(|(name, steps)| steps.iter().map(move |one| step(name, one))).collect::<Vec<_>>(),
    })
}

async fn explain(session: &Session, found: &Matches) -> Outcome {
    let mut project = project(session)?;
    let disabled = std::mem::take(&mut project.disabled);
    project.services.extend(disabled);
    let mut out = String::new();
    for wanted in found.words() {
        match project.environment.definition(wanted) {
            _ if project.services.contains_key(wanted.split('.').next().unwrap_or_default()) => {
                explain_key(&mut out, &project, wanted)?;
            }
            None if !project.uses.iter().any(|used| used.what.name == *wanted) => {
                let reason = format!("{wanted:?} is neither a variable that is set or used, nor a key of a service");
                return Err(Failure::local(reason));
            }
            _ => explain_variable(&mut out, &project, wanted),
        }
    }
    output::print(out)
}

fn explain_variable(out: &mut String, project: &Project, name: &str) {
    match project.environment.definition(name) {
        Some(definition) => {
            let _ = writeln!(out, "{name}={}", definition.value);
            let _ = writeln!(out, "  from {}", definition.origin);
        }
        None => {
            let _ = writeln!(out, "{name} is not set");
        }
    }
    for hidden in project.environment.shadowed(name) {
        let _ = writeln!(out, "  hides {:?} of {}", hidden.value, hidden.origin);
    }
    for used in project.uses.iter().filter(|used| used.what.name == name) {
        let place = project.place(used.mark).map(|place| place.to_string()).unwrap_or_default();
        let fallback =
            if used.what.default.is_empty() { String::new() } else { format!(", or else {:?}", used.what.default) };
        let _ = writeln!(out, "  used by {} at {place}{fallback}", used.path);
    }
}

fn explain_key(out: &mut String, project: &Project, wanted: &str) -> Outcome {
    let mut parts = wanted.split('.');
    let name = parts.next().unwrap_or_default();
    let mut node: &Node = project.service(name).ok_or_else(|| failed(&project.no_such_service(name)))?;
    let rest: Vec<&str> = parts.collect();
    let mut at = 0;
    while at < rest.len() {
        // A key may itself have dots (`labels.com.example.x`): the longest that fits is meant.
        let longest = (at + 1..=rest.len()).rev().find_map(|end| Some((end, child(node, &rest[at..end].join("."))?)));
        let Some((end, found)) = longest else {
            let place = if at == 0 { name.to_owned() } else { format!("{name}.{}", rest[..at].join(".")) };
            return Err(Failure::local(format!("{place} has no {:?}", rest[at])));
        };
        (node, at) = (found, end);
    }
    let _ = writeln!(out, "{wanted}: {}", json(node, false, false));
    tell_place(out, project, node);
    Ok(())
}

fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).or_else(|| node.items().get(key.parse::<usize>().ok()?))
}

fn tell_place(out: &mut String, project: &Project, node: &Node) {
    let _ = match project.place(node.mark) {
        Some(place) => writeln!(out, "  from {place}"),
        None => writeln!(out, "  from nobody: this is implied"),
    };
    for used in project.uses.iter().filter(|used| used.mark == node.mark) {
        if let Some(definition) = project.environment.definition(&used.what.name) {
            let _ = writeln!(out, "  with {}={} from {}", used.what.name, definition.value, definition.origin);
        }
    }
}

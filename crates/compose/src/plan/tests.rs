//! The plan over worlds that were made up.

use std::collections::BTreeMap;

use hako_model::container::EndpointSettings;

use super::*;
use crate::load::{Options, load};

fn project(text: &str) -> Project {
    let mut options = Options::new("/project".into());
    options.files = vec!["-".into()];
    options.stdin = Some(text.to_owned());
    options.project_name = Some("p".to_owned());
    load(&options).expect("a project")
}

/// The world after `up`: everything as it was wanted.
fn after_up(project: &Project) -> Found {
    let mut found = Found::default();
    for (name, service) in &project.services {
        found.images.insert(project.image(name, service), "sha256:1".to_owned());
        for number in 1..=Project::scale(service) {
            let instance = crate::creation::Instance {
                number: Some(number),
                image: "sha256:1".to_owned(),
                shared: crate::canonical::shares(service)
                    .into_iter()
                    .map(|it| (it.clone(), format!("{it}1")))
                    .collect(),
                ..crate::creation::Instance::default()
            };
            let body = crate::creation::body(project, name, &instance).expect("a body");
            let mut container = Summary {
                id: format!("{name}{number}"),
                names: vec![format!("/{}", container_name(project, name, number))],
                labels: body.config.labels.unwrap_or_default(),
                state: "running".to_owned(),
                ..Summary::default()
            };
            for network in body.networking_config.and_then(|it| it.endpoints_config).unwrap_or_default().into_keys() {
                container.network_settings.networks.insert(network, EndpointSettings::default());
            }
            found.containers.push(container);
        }
    }
    for (key, network) in &project.networks {
        let labels = crate::apply::network_labels(project, key, network);
        found.networks.push(Network {
            name: network.text("name").to_owned(),
            labels: Some(labels),
            ..Network::default()
        });
    }
    found
}

fn told(plan: &Plan) -> Vec<String> {
    let step = |step: &Step| match step {
        Step::Rest(it) => format!("rest {}", it.name),
        Step::Keep(existing) => format!("keep {}", existing.name),
        Step::Rename { existing, name } => format!("rename {} to {name}", existing.name),
        Step::Create { name, .. } => format!("create {name}"),
        Step::Recreate { name, .. } => format!("recreate {name}"),
        Step::Remove(existing) => format!("remove {}", existing.name),
        Step::Restart { existing, .. } => format!("restart {}", existing.name),
    };
    plan.services.values().flatten().map(step).collect()
}

const TWO: &str = "services:\n  db: {image: db, environment: {A: 1}}\n  web: {image: web, depends_on: {db: {condition: service_started, restart: true}}, scale: 2}\n";

#[test]
fn nothing_there_means_everything_is_made() {
    let project = project(TWO);
    let plan = plan(&project, &Found::default(), &Choices::default()).unwrap();
    assert_eq!(told(&plan), ["create p-db-1", "create p-web-1", "create p-web-2"]);
    assert_eq!(plan.missing_images.len(), 2);
    let network = Resource::CreateNetwork { key: "default".to_owned(), name: "p_default".to_owned() };
    assert_eq!(plan.resources, [network]);
}

#[test]
fn what_is_right_is_left_alone() {
    let project = project(TWO);
    let plan = plan(&project, &after_up(&project), &Choices::default()).unwrap();
    assert_eq!(told(&plan), ["keep p-db-1", "keep p-web-1", "keep p-web-2"]);
    assert!(plan.is_idle());
}

#[test]
fn a_change_is_told_by_its_field_and_restarts_what_wants_it() {
    let found = after_up(&project(TWO));
    let changed = project(&TWO.replace("A: 1", "A: 2, B: 3"));
    let plan = plan(&changed, &found, &Choices::default()).unwrap();
    assert_eq!(told(&plan), ["recreate p-db-1", "restart p-web-1", "restart p-web-2"]);
    let Step::Recreate { reasons, .. } = &plan.services["db"][0] else { panic!("{plan:?}") };
    let change = |field: &str, before: Option<&str>, after: &str| Change {
        field: field.to_owned(),
        before: before.map(str::to_owned),
        after: Some(after.to_owned()),
    };
    let changes = vec![change("environment.A", Some("\"1\""), "\"2\""), change("environment.B", None, "\"3\"")];
    assert_eq!(*reasons, [Reason::Configuration(changes)]);
}

#[test]
fn scale_keeps_the_low_numbers() {
    let found = after_up(&project(TWO));
    let plan_of =
        |scale: &str| told(&plan(&project(&TWO.replace("scale: 2", scale)), &found, &Choices::default()).unwrap());
    assert_eq!(plan_of("scale: 1"), ["keep p-db-1", "keep p-web-1", "remove p-web-2"]);
    assert_eq!(plan_of("scale: 3")[3], "create p-web-3");
    assert_eq!(plan_of("scale: 0"), ["keep p-db-1", "remove p-web-1", "remove p-web-2"]);
}

#[test]
fn images_orphans_and_choices() {
    let project_two = project(TWO);
    let mut found = after_up(&project_two);
    found.images.insert("db".to_owned(), "sha256:2".to_owned());
    let told_by = |choices: &Choices, found: &Found| told(&plan(&project_two, found, choices).unwrap());
    assert_eq!(told_by(&Choices::default(), &found)[0], "recreate p-db-1");
    let never = Choices { recreate: Recreate::Never, ..Choices::default() };
    assert_eq!(told_by(&never, &found)[0], "keep p-db-1");
    let only_web = Choices { services: vec!["web".to_owned()], recreate: Recreate::Force, ..Choices::default() };
    assert_eq!(told_by(&only_web, &after_up(&project_two)), ["keep p-db-1", "recreate p-web-1", "recreate p-web-2"]);
    let less = project("services:\n  db: {image: db, environment: {A: 1}}\n");
    let orphans = plan(&less, &after_up(&project_two), &Choices::default()).unwrap().orphans;
    assert_eq!(orphans.len(), 2);
}

#[test]
fn who_shares_is_made_anew_with_whom_it_shares_with() {
    const SHARED: &str = "services:\n  a: {image: x, network_mode: 'service:main'}\n  b: {image: x, pid: 'service:main', \
                          ipc: 'service:main'}\n  c: {image: x, volumes_from: ['main:ro', 'container:other']}\n  \
                          main: {image: x, environment: {A: NUMBER}}\n";
    let project = |number: &str| project(&SHARED.replace("NUMBER", number));
    let (one, two) = (project("1"), project("2"));
    let found = after_up(&one);
    assert!(plan(&one, &found, &Choices::default()).unwrap().is_idle());
    let label = |service: &str, key: &str| {
        let of = |it: &&Summary| it.labels.get(label::SERVICE).is_some_and(|name| name == service);
        found.containers.iter().find(of).unwrap().labels[key].clone()
    };
    // As Compose hashes them: with the container's id, and without what may be done with volumes.
    assert!(label("a", label::CONFIGURATION).contains(r#""network_mode":"container:main1""#));
    assert!(label("c", label::CONFIGURATION).contains(r#""volumes_from":["main1","other"]"#));
    let changed = plan(&two, &found, &Choices::default()).unwrap();
    let all = ["a", "b", "c", "main"].map(|name| format!("recreate p-{name}-1"));
    assert_eq!(told(&changed), all);
    let Step::Recreate { reasons, .. } = &changed.services["a"][0] else { panic!("{changed:?}") };
    assert_eq!(*reasons, [Reason::Shares("main".to_owned())]);
    // Another container than the one it was made with.
    let mut other = after_up(&one);
    other.containers.iter_mut().filter(|it| it.id == "main1").for_each(|it| it.id = "new".to_owned());
    let steps = told(&plan(&one, &other, &Choices::default()).unwrap());
    assert_eq!(steps, ["recreate p-a-1", "recreate p-b-1", "recreate p-c-1", "keep p-main-1"]);
}

#[test]
fn networks_of_others_are_not_touched() {
    let project_two = project(TWO);
    let mut found = after_up(&project_two);
    found.networks[0].labels = None;
    assert!(plan(&project_two, &found, &Choices::default()).unwrap_err().contains("incorrect label"));
    let external = project("services: {s: {image: x, networks: [n]}}\nnetworks: {n: {external: true, name: theirs}}\n");
    let refusal = plan(&external, &Found::default(), &Choices::default()).unwrap_err();
    assert_eq!(refusal, "network theirs declared as external, but could not be found");
    let labels: BTreeMap<String, String> =
        [(label::PROJECT, "p"), (label::HASH, "old")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut found = after_up(&project_two);
    found.networks[0].labels = Some(labels);
    let plan = plan(&project_two, &found, &Choices::default()).unwrap();
    assert_eq!(told(&plan)[0], "recreate p-db-1");
}

#[test]
fn a_rollout_cut_short_leaves_one_in_force() {
    let before = project("services: {web: {image: web, environment: {A: 1}}}");
    let after = project("services: {web: {image: web, environment: {A: 2}}}");
    let mut found = after_up(&before);
    let mut other = found.containers[0].clone();
    (other.id, other.names) = ("web9".to_owned(), vec!["/web1_p-web-1".to_owned()]);
    found.containers.push(other);
    for (aside, expect) in [
        ([false, true], ["recreate p-web-1", "remove web1_p-web-1"]),
        ([true, false], ["recreate p-web-1", "remove p-web-1"]),
        // In the moment of changing places.
        ([true, true], ["recreate p-web-1", "remove web1_p-web-1"]),
    ] {
        for (container, aside) in found.containers.iter_mut().zip(aside) {
            container.aside = aside;
        }
        assert_eq!(told(&plan(&after, &found, &Choices::default()).unwrap()), expect, "{aside:?}");
    }
}

#[test]
fn a_successor_gets_its_name_when_a_rollout_was_cut_short() {
    let project = project("services:\n  web: {image: web, scale: 2}\n");
    let mut found = after_up(&project);
    let mut successor = found.containers[0].clone();
    (successor.id, successor.names) = ("new".to_owned(), vec!["/0123456789ab_p-web-1".to_owned()]);
    found.containers.push(successor);
    // The one before it, already stopped, and made of what was described then.
    found.containers[0].labels.insert(label::HASH.to_owned(), "other".to_owned());
    found.containers[0].state = "exited".to_owned();
    let steps = ["rename 0123456789ab_p-web-1 to p-web-1", "keep p-web-2", "remove p-web-1"];
    assert_eq!(told(&plan(&project, &found, &Choices::default()).unwrap()), steps);
    found.containers.remove(0);
    let told = told(&plan(&project, &found, &Choices::default()).unwrap());
    assert_eq!(told, ["rename 0123456789ab_p-web-1 to p-web-1", "keep p-web-2"].map(str::to_owned).to_vec());
    assert!(is_interim("0123456789ab_x", "x") && !is_interim("my_x", "x") && !is_interim("x", "x"));
}

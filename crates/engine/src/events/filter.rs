//! Which events pass Docker's filters.

use hako_model::event::{Event, Kind};
use hako_model::filter::Filters;

/// Whether an event passes. Filters nobody knows choose nothing, as in Docker.
pub(super) fn admits(filters: &Filters, event: &Event) -> bool {
    let attributes = &event.actor.attributes;
    filters.admits("event", |wanted| wanted == event.action || wanted == event.verb())
        && filters.admits("type", |wanted| wanted == event.kind.as_str())
        && filters.admits("scope", |wanted| wanted == event.scope)
        && filters.admits_labels("label", |key| attributes.get(key).map(String::as_str))
        && of_object(filters, event, Kind::Container, "container")
        && of_object(filters, event, Kind::Volume, "volume")
        && of_object(filters, event, Kind::Network, "network")
        && of_object(filters, event, Kind::Daemon, "daemon")
        && of_image(filters, event)
        && ["config", "node", "plugin", "secret", "service"].iter().all(|kind| !filters.contains(kind))
}

/// A filter on a kind of object passes only events of that kind, by id, beginning of an id, or name.
fn of_object(filters: &Filters, event: &Event, kind: Kind, filter: &str) -> bool {
    filters.admits(filter, |wanted| {
        let name = event.actor.attributes.get("name").map(String::as_str);
        event.kind == kind
            && (event.actor.id == wanted
                || event.actor.id.starts_with(wanted)
                || name == Some(wanted.trim_start_matches('/')))
    })
}

/// An image filter passes events of the image and of containers made from it, with or without its tag.
fn of_image(filters: &Filters, event: &Event) -> bool {
    let key = if event.kind == Kind::Image { "name" } else { "image" };
    let name = event.actor.attributes.get(key).map_or("", String::as_str);
    let untagged = name.rsplit_once(':').map_or(name, |(bare, tag)| if tag.contains('/') { name } else { bare });
    filters.admits("image", |wanted| {
        let id = event.kind == Kind::Image && event.actor.id == wanted;
        matches!(event.kind, Kind::Image | Kind::Container) && (id || wanted == name || wanted == untagged)
    })
}

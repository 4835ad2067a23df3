//! `events`.

use std::collections::BTreeMap;

use hako_api::query;
use hako_api::system::Event;
use hako_client::{Client, JsonStream};
use hako_model::event::Kind;
use hako_model::time::Timestamp;

use crate::command::filters;
use crate::failure::Failure;
use crate::flags::{Matches, filter, text};
use crate::output;
use crate::reconnect::Attempts;
use crate::render::clock::{event_time, moment};
use crate::render::json::Order;
use crate::render::listing::as_field_of;
use crate::render::template::{Format, unescape};
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(crate) static EVENTS: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako system events", "hako events"],
    flags: &[&[
        filter("Filter output based on conditions provided").short('f'),
        crate::command::EVENT_FORMAT,
        text("since", "Show all events created since timestamp"),
        text("until", "Stream events until this timestamp"),
    ]],
    examples: &[
        ("hako events --since 10m", "The last ten minutes, and what comes"),
        ("hako events -f container=web -f event=die --until 0s --since 24h", "When did it end today?"),
    ],
    ..Command::new("Get real time events from the server", run!(events))
};

async fn events(session: &Session, found: &Matches) -> Outcome {
    let shape = match found.text("format") {
        "" => Shape::Line,
        "json" | "{{json .}}" => Shape::Json,
        template => Shape::Template(parsed(template)?),
    };
    let mut options = query::Events {
        since: moment(found.text("since"))?,
        until: moment(found.text("until"))?,
        filters: filters(found),
        numbers: true,
        ..query::Events::default()
    };
    let client = session.client()?;
    let mut attempts = Attempts::default();
    let mut events = client.system().events(&options).await?;
    // A daemon that is killed or replaced is asked again, for what came after the last event heard.
    loop {
        match events.next().await {
            Ok(None) => return Ok(()),
            Ok(Some(mut event)) => {
                attempts.succeeded();
                if let Some(number) = event.number.take() {
                    options.after = number.to_string();
                }
                output::line(shape.apply(&event)?)?;
            }
            Err(error) => {
                attempts.pause(error).await?;
                events = again(client, &options, &mut attempts).await?;
            }
        }
    }
}

async fn again(
    client: &Client,
    options: &query::Events,
    attempts: &mut Attempts,
) -> Result<JsonStream<Event>, Failure> {
    loop {
        match client.system().events(options).await {
            Ok(events) => return Ok(events),
            Err(error) => attempts.pause(error).await?,
        }
    }
}

/// How an event is shown.
enum Shape {
    Line,
    Json,
    Template(Format),
}

impl Shape {
    fn apply(&self, event: &Event) -> Result<String, Failure> {
        let json = || serde_json::to_string(event).map_err(|error| Failure::local(error.to_string()));
        match self {
            Self::Line => Ok(line(event)),
            Self::Json => json(),
            Self::Template(format) => {
                let value = format.order().read(&json()?).map_err(|error| Failure::local(error.to_string()))?;
                Ok(format.run_over_record(&with_go_names(value))?)
            }
        }
    }
}

/// A template is tried with an event of which nothing is known before anything is asked.
fn parsed(template: &str) -> Result<Format, Failure> {
    let tried = Format::parse(&unescape(template), Order::default()).and_then(|format| {
        let nothing = Event::new(Kind::Container, "", "", BTreeMap::new(), Timestamp::ZERO);
        let nothing = serde_json::to_string(&nothing).map_err(|error| error.to_string())?;
        let nothing = format.order().read(&nothing).map_err(|error| error.to_string())?;
        format.run_over_record(&with_go_names(nothing)).map(|_| format)
    });
    tried.map_err(|message| {
        let message =
            as_field_of(message, "*events.Message").replacen("template parsing error", "Error parsing format", 1);
        Failure::Usage { message, code: 64 }
    })
}

/// Templates name fields as Go does (`.Status`, `.TimeNano`), the JSON has them in lower case.
fn with_go_names(value: gotmpl::Value) -> gotmpl::Value {
    let gotmpl::Value::Map(map) = &value else { return value };
    let names = [
        ("status", "Status"),
        ("id", "ID"),
        ("from", "From"),
        ("scope", "Scope"),
        ("time", "Time"),
        ("timeNano", "TimeNano"),
    ];
    let mut wider = (**map).clone();
    for (wire, go) in names {
        let found = map.get(wire).cloned().unwrap_or(gotmpl::Value::String("".into()));
        wider.insert(go.into(), found);
    }
    gotmpl::Value::Map(std::sync::Arc::new(wider))
}

/// `2025-01-01T00:00:00.000000000Z container start ID (image=nginx, name=web)`.
fn line(event: &Event) -> String {
    let attributes: Vec<String> = event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let attributes = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    let (time, kind) = (event_time(event.time_nano), event.kind.as_str());
    format!("{time} {kind} {} {}{attributes}", event.action, event.actor.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_tried_before_anything_is_asked() {
        let refused = |template| parsed(template).err().map(|failure| (failure.code(), failure.to_string()));
        let nope = "Error parsing format: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *events.Message";
        assert_eq!(refused("{{.Nope}}"), Some((64, nope.to_owned())));
        assert_eq!(refused("{{"), Some((64, "Error parsing format: template: :1: unclosed action".to_owned())));
        for good in [
            "{{.Type}} {{.Action}} {{.ID}} {{.Actor.ID}} {{.Status}} {{.From}} {{.TimeNano}}",
            "{{json .Actor}}",
            "{{.Actor.Attributes.name}}",
        ] {
            assert_eq!(refused(good), None, "{good}");
        }
    }

    #[test]
    fn an_event_in_one_line() {
        let event: Event = serde_json::from_str(
            r#"{"Type":"container","Action":"start","Actor":{"ID":"ab","Attributes":{"name":"web","image":"nginx"}},
                "scope":"local","time":1,"timeNano":1500000000}"#,
        )
        .unwrap();
        assert!(line(&event).ends_with(" container start ab (image=nginx, name=web)"), "{}", line(&event));
    }
}

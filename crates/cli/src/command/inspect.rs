//! `inspect`, for one kind of object or whatever a name means: JSON indented anew, or a template.

use hako_api::query;
use hako_client::{Client, Error};

use crate::command::{OBJECT_FORMAT, together};
use crate::failure::Failure;
use crate::flags::{Matches, switch, text};
use crate::output;
use crate::render::json::{Order, indent};
use crate::render::template::Format;
use crate::render::zero;
use crate::session::Session;
use crate::tree::{Arity, Command, Offer, Outcome, run};

pub(crate) static INSPECT: Command = Command {
    usage: &["[OPTIONS] NAME|ID [NAME|ID...]"],
    arity: Arity::AtLeast(1),
    flags: &[&[
        OBJECT_FORMAT,
        switch("size", "Display total file sizes if the type is container").short('s'),
        text("type", "Only inspect objects of the given type"),
    ]],
    examples: &[
        ("hako inspect web", "Everything there is to know, as JSON"),
        ("hako inspect -f '{{.State.Status}}' web", "One fact of it"),
    ],
    offer: Offer::Objects,
    ..Command::new("Return low-level information on hako objects", run!(inspect))
};

/// A kind of object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Object {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// What only clusters and plugins have; the daemon says what it thinks of it. The word is where it is found.
    Foreign(&'static str),
}

/// What Docker knows besides, and where. It is looked for only when it is asked for.
const FOREIGN: [(&str, &str); 6] = [
    ("config", "configs"),
    ("node", "nodes"),
    ("plugin", "plugins"),
    ("secret", "secrets"),
    ("service", "services"),
    ("task", "tasks"),
];

const KINDS: &str = "must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \
                     \"service\", \"task\", \"volume\"";

/// In the order a name is tried.
const ALL: [(Object, &str); 4] = [
    (Object::Container, "container"),
    (Object::Image, "image"),
    (Object::Network, "network"),
    (Object::Volume, "volume"),
];

/// What is asked beside the name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// With sizes (containers).
    pub(crate) size: bool,
    /// With a swarm's view (networks).
    pub(crate) verbose: bool,
    /// For one platform, as JSON (images).
    pub(crate) platform: String,
}

async fn inspect(session: &Session, found: &Matches) -> Outcome {
    let kinds: Vec<Object> = match found.text("type") {
        "" if found.given("type") => {
            return Err(Failure::local(format!("type is empty: {KINDS}")));
        }
        "" => ALL.iter().map(|(object, _)| *object).collect(),
        word => {
            let own = ALL.iter().find(|(_, known)| *known == word).map(|(object, _)| *object);
            let foreign = || FOREIGN.iter().find(|(known, _)| *known == word).map(|(_, place)| Object::Foreign(place));
            let object = own.or_else(foreign);
            vec![object.ok_or_else(|| Failure::local(format!("unknown type: {word:?}: {KINDS}")))?]
        }
    };
    show(session, found, &kinds, &Asked { size: found.on("size"), ..Asked::default() }).await
}

/// Describes every word of the command line as one of `kinds`.
pub(crate) async fn show(session: &Session, found: &Matches, kinds: &[Object], asked: &Asked) -> Outcome {
    let mut printer = Printer::new(found.text("format"))?;
    let client = session.client()?;
    let (mut texts, mut failures) = (Vec::new(), Vec::new());
    for name in found.words() {
        match describe(client, name, kinds, asked).await {
            Ok((kind, text)) => {
                let plain = ALL.iter().find(|(known, _)| *known == kind && kind != Object::Container);
                if let Some((_, word)) = plain.filter(|_| asked.size) {
                    output::complain(format!("WARNING: --size ignored for {word}\n"))?;
                }
                texts.push(text);
            }
            Err(failure) => failures.push(failure),
        }
    }
    let shown = printer.print(&texts);
    output::print(printer.out)?;
    shown?;
    together(failures)
}

async fn describe(client: &Client, name: &str, kinds: &[Object], asked: &Asked) -> Result<(Object, String), Failure> {
    for kind in kinds {
        match raw(client, *kind, name, asked).await {
            Ok(bytes) => return Ok((*kind, String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.is_not_found() && kinds.len() > 1 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::local(format!("Error: No such object: {name}")))
}

async fn raw(client: &Client, kind: Object, name: &str, asked: &Asked) -> Result<bytes::Bytes, Error> {
    match kind {
        Object::Container => client.containers().inspect_raw(name, asked.size).await,
        Object::Image => {
            let options = query::InspectImage { platform: asked.platform.clone(), manifests: false };
            client.images().inspect_raw(name, &options).await
        }
        Object::Network => {
            let options = query::InspectNetwork { verbose: asked.verbose, scope: String::new() };
            client.networks().inspect_raw(name, &options).await
        }
        Object::Volume => client.volumes().inspect_raw(name).await,
        Object::Foreign(place) => client.system().foreign(place, name).await,
    }
}

/// Turns descriptions into text.
pub(crate) struct Printer {
    format: Option<Format>,
    json: bool,
    /// What is to be printed.
    pub(crate) out: String,
}

impl Printer {
    /// Parses the format before anything is asked; a wrong one has Docker's exit code 64.
    pub(crate) fn new(format: &str) -> Result<Self, Failure> {
        let source = match format {
            "" | "json" => None,
            template => Some(template),
        };
        let wrong = |message| Failure::Usage { message, code: 64 };
        let format_parsed =
            source.map(|source| Format::of_record(source, Order::default())).transpose().map_err(wrong)?;
        Ok(Self { format: format_parsed, json: format == "json", out: String::new() })
    }

    /// Adds the descriptions that can be shown; an empty line stands for none at all.
    pub(crate) fn print(&mut self, texts: &[String]) -> Result<(), Failure> {
        let Some(format) = &self.format else {
            let whole = format!("[{}]", texts.iter().map(|text| text.trim()).collect::<Vec<_>>().join(","));
            self.out = if self.json { whole } else { indent(&whole, "    ") } + "\n";
            return Ok(());
        };
        let mut failures = Vec::new();
        for text in texts {
            match rendered(format, text) {
                Ok(words) => self.out += &(words + "\n"),
                Err(failure) => failures.push(failure),
            }
        }
        if self.out.is_empty() {
            self.out.push('\n');
        }
        together(failures)
    }
}

/// The template's words about a description as it came; if it names a field that is left out when empty, about the
/// description with all its fields.
fn rendered(format: &Format, text: &str) -> Result<String, Failure> {
    let read = |text: &str| format.order().read(text).map_err(|error| Failure::local(error.to_string()));
    match format.run(&read(text)?) {
        Ok(words) => Ok(words),
        Err(as_it_came) => format.run_over_record(&read(&zero::filled(text))?).map_err(|_| as_it_came.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: &str, texts: &[&str]) -> String {
        let mut printer = Printer::new(format).unwrap();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        match printer.print(&texts) {
            Ok(()) => printer.out,
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn plain_json_and_templates() {
        let object = r#"{"Name":"web","State":{"Z":1,"A":[]}}"#;
        assert_eq!(printed("", &[]), "[]\n");
        assert_eq!(
            printed("", &[object]),
            "[\n    {\n        \"Name\": \"web\",\n        \"State\": {\n            \"Z\": 1,\n            \"A\": []\n        }\n    }\n]\n"
        );
        assert_eq!(printed("json", &[object, object]), format!("[{object},{object}]\n"));
        assert_eq!(printed("{{.Name}} {{json .State}}", &[object]), "web {\"Z\":1,\"A\":[]}\n");
        assert_eq!(printed("{{range $k, $v := .State}}{{$k}} {{end}}", &[object]), "A Z \n");
        assert!(
            printed("{{.Foo}}", &[object]).contains("map has no entry for key"),
            "{}",
            printed("{{.Foo}}", &[object])
        );
    }

    #[test]
    fn fields_left_out_when_empty_are_empty() {
        let object = r#"{"Id":"x","HostConfig":{},"State":{"Status":"running"},"Mounts":[{"Type":"bind"}]}"#;
        let printed = |format| printed(format, &[object]);
        assert_eq!(printed("{{range .Mounts}}{{.Type}}-{{.Name}};{{end}}"), "bind-;\n");
        assert_eq!(printed("{{if .State.Health}}h{{else}}none{{end}}"), "none\n");
        assert_eq!(printed("{{json .Mounts}}"), "[{\"Type\":\"bind\"}]\n");
        assert!(printed("{{.State.Health.Status}}").contains("map has no entry for key \"Health\""));
    }

    #[test]
    fn a_key_that_a_map_lacks_has_no_value() {
        let object =
            r#"{"Id":"x","HostConfig":{},"Config":{"Labels":{"a":"b"}},"NetworkSettings":{"Networks":{"n":{}}}}"#;
        let printed = |format| printed(format, &[object]);
        assert_eq!(printed("{{.Config.Labels.c}}|{{.Config.Labels.a}}"), "<no value>|b\n");
        assert_eq!(printed("{{.NetworkSettings.Networks.back.IPAddress}}"), "<no value>\n");
        assert_eq!(printed("{{json .Config.Labels.c}}"), "null\n");
        assert!(printed("{{.Config.Label}}").contains("map has no entry for key"));
    }

    #[test]
    fn a_wrong_template_is_refused_at_once() {
        assert_eq!(Printer::new("{{foo}}").err().unwrap().code(), 64);
    }
}

//! `--call`: a question instead of a build, and its answer as buildx prints it.

use hako_api::build::{Message, Order};
use serde_json::Value;

use crate::failure::Failure;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Call {
    /// `check`, `outline` or `targets`; empty for a build.
    pub(super) method: String,
    /// As JSON.
    pub(super) json: bool,
    /// Findings do not count as a failure.
    pub(super) forgiving: bool,
}

impl Call {
    /// `METHOD[,format=json|text][,ignorestatus=true]`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut call = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or(("method", part));
            match (key, value) {
                ("method", "build") => {}
                ("method", "check" | "lint") => call.method = "check".to_owned(),
                ("method", "outline" | "targets") => call.method = value.to_owned(),
                ("method", other) => return Err(format!("unsupported request frontend.{other}")),
                ("format", "json") => call.json = true,
                ("format", "text" | "") => {}
                ("format", other) => return Err(format!("invalid format {other}: want json or text")),
                ("ignorestatus", "true" | "1") => call.forgiving = true,
                ("ignorestatus", "false" | "0") => {}
                (key, value) => return Err(format!("invalid --call field {key}={value}")),
            }
        }
        Ok(call)
    }

    /// Puts it into an order.
    pub(super) fn ask(&self, order: &mut Order) {
        match self.method.as_str() {
            "" => {}
            "check" => order.check = true,
            question => order.question = question.to_owned(),
        }
        if !self.method.is_empty() {
            (order.keep, order.tags) = (false, Vec::new());
        }
    }

    /// An answer, as it is shown.
    pub(super) fn show(&self, answer: &Value) -> String {
        match self.method.as_str() {
            _ if self.json => pretty(answer),
            "targets" => targets(answer),
            _ => outline(answer),
        }
    }

    /// What the checks found, as JSON.
    pub(super) fn findings(&self, warnings: &[Message], (name, text): (&str, &str), failed: Option<&str>) -> String {
        use base64::Engine as _;
        let warning = |message: &Message| match message {
            Message::Warning { rule, url, description, detail, first, last } => Some(serde_json::json!({
                "ruleName": rule,
                "description": description,
                "url": url,
                "detail": detail,
                "location": {"ranges": [{"start": {"line": first}, "end": {"line": last}}]},
            })),
            _ => None,
        };
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        let mut found = serde_json::json!({
            "warnings": warnings.iter().filter_map(warning).collect::<Vec<_>>(),
            "sources": [{"filename": name, "data": data, "language": "Dockerfile"}],
        });
        if let Some(why) = failed {
            found["buildError"] = serde_json::json!({"message": why});
        }
        pretty(&found)
    }
}

pub(super) fn check(text: &str) -> Result<(), String> {
    Call::parse(text).map(|_| ())
}

/// Fails as a question that cannot be answered does.
pub(super) fn refused(message: &str) -> Failure {
    Failure::Status { message: format!("ERROR: failed to build: failed to solve: {message}"), code: 1 }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Columns that are as wide as their widest cell and the gap; the last one has no end.
fn columns(rows: &[Vec<&str>], gap: usize) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or_default() + gap).collect();
    let mut out = String::new();
    for row in rows {
        let (last, first) = row.split_last().map_or(("", &row[..]), |(last, first)| (*last, first));
        for (cell, width) in first.iter().zip(&widths) {
            out += &format!("{cell:width$}");
        }
        out += &format!("{last}\n");
    }
    out
}

fn targets(answer: &Value) -> String {
    let names: Vec<(String, &str)> = answer["targets"].as_array().into_iter().flatten().map(named).collect();
    let rows = names.iter().map(|(name, description)| vec![name.as_str(), description]);
    columns(&[vec!["TARGET", "DESCRIPTION"]].into_iter().chain(rows).collect::<Vec<_>>(), 1)
}

fn named(target: &Value) -> (String, &str) {
    let default = target["default"].as_bool().unwrap_or_default();
    let name = match (word(target, "name"), default) {
        ("", true) => "(default)".to_owned(),
        (name, true) => format!("{name} (default)"),
        (name, false) => name.to_owned(),
    };
    (name, word(target, "description"))
}

fn outline(answer: &Value) -> String {
    let mut out = String::new();
    if !word(answer, "name").is_empty() {
        let mut rows = vec![vec!["TARGET:", word(answer, "name")]];
        rows.extend(Some(vec!["DESCRIPTION:", word(answer, "description")]).filter(|row| !row[1].is_empty()));
        out += &format!("{}\n", columns(&rows, 1));
    }
    let section = |key: &str, head: Vec<&'static str>, row: fn(&Value) -> Vec<&str>| {
        let found = answer[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows: Vec<Vec<&str>> = [head].into_iter().chain(found.iter().map(row)).collect();
        if found.is_empty() { String::new() } else { format!("{}\n", columns(&rows, 3)) }
    };
    let argument: fn(&Value) -> Vec<&str> = |one| vec![word(one, "name"), word(one, "value"), word(one, "description")];
    out += &section("args", vec!["BUILD ARG", "VALUE", "DESCRIPTION"], argument);
    for (key, head) in [("secrets", "SECRET"), ("ssh", "SSH")] {
        out += &section(key, vec![head, "REQUIRED"], |lent| {
            vec![word(lent, "name"), if lent["required"] == Value::Bool(true) { "true" } else { "" }]
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_are_read() {
        let call = Call::parse("check,format=json,ignorestatus=true").unwrap();
        assert_eq!((call.method.as_str(), call.json, call.forgiving), ("check", true, true));
        assert_eq!(Call::parse("build"), Ok(Call::default()));
        assert_eq!(Call::parse("foo"), Err("unsupported request frontend.foo".to_owned()));
        assert!(Call::parse("check,format=xml").is_err() && Call::parse("check,x=y").is_err());
    }

    #[test]
    fn answers_are_printed_as_buildx_does() {
        let answer = json!({"targets": [
            {"name": "base", "description": "the base of all"},
            {"name": "release", "description": "Is the last one"},
            {"default": true},
        ]});
        let expect = "TARGET    DESCRIPTION\nbase      the base of all\nrelease   Is the last one\n(default) \n";
        assert_eq!(targets(&answer), expect);
        let answer = json!({
            "name": "base",
            "description": "the base of all",
            "args": [{"name": "VERSION", "value": "1"}, {"name": "VERSION2", "description": "second"}],
            "secrets": [{"name": "token", "required": true}, {"name": "s2"}],
            "ssh": [{"name": "default"}, {"name": "gh", "required": true}],
        });
        let expect = "TARGET:      base\nDESCRIPTION: the base of all\n\nBUILD ARG   VALUE   DESCRIPTION\nVERSION     1       \n\
                      VERSION2            second\n\nSECRET   REQUIRED\ntoken    true\ns2       \n\nSSH       REQUIRED\n\
                      default   \ngh        true\n\n";
        assert_eq!(outline(&answer), expect);
        assert_eq!(outline(&json!({})), "");
    }
}

//! `--list`: the targets or the variables of the files, as buildx lists them.

use serde_json::{Map, Value, json};

use super::language::Definition;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listing {
    variables: bool,
    json: bool,
}

impl Listing {
    /// `targets`, `variables`, or `type=KIND,format=table|json`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut kind, mut json) = (text, false);
        if text.contains('=') {
            for field in text.split(',') {
                match field.split_once('=').unwrap_or((field, "")) {
                    ("type", value) => kind = value,
                    ("format", "json") => json = true,
                    ("format", "table" | "") => json = false,
                    ("format", other) => return Err(format!("invalid list format {other:?}")),
                    (other, _) => return Err(format!("invalid list field {other:?}")),
                }
            }
        }
        match kind {
            "targets" => Ok(Self { variables: false, json }),
            "variables" => Ok(Self { variables: true, json }),
            other => Err(format!("invalid list type {other:?}")),
        }
    }

    /// The list.
    pub(super) fn show(self, definition: &Definition) -> String {
        let (head, rows) = if self.variables { variables(definition) } else { targets(definition) };
        if self.json {
            let rows: Vec<Value> = rows.into_iter().map(|row| Value::Object(row.json)).collect();
            return serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n";
        }
        let cells: Vec<Vec<String>> = [head.iter().map(|cell| (*cell).to_owned()).collect()]
            .into_iter()
            .chain(rows.into_iter().map(|row| row.cells))
            .collect();
        tabbed(&cells)
    }
}

/// One line, and the same as JSON.
struct Row {
    cells: Vec<String>,
    json: Map<String, Value>,
}

fn row(cells: Vec<String>, json: Value) -> Row {
    let Value::Object(mut json) = json else { return Row { cells, json: Map::new() } };
    json.retain(|name, value| *value != "" && *value != false || name == "value");
    Row { cells, json }
}

fn variables(definition: &Definition) -> (&'static [&'static str], Vec<Row>) {
    let mut all: Vec<_> = definition.variables.iter().collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let line = |own: &&super::language::Variable| {
        let value = own.value.clone().unwrap_or_else(|| "<null>".to_owned());
        let json = json!({
            "name": own.name,
            "type": own.kind,
            "description": own.description,
            "value": own.value,
        });
        row(vec![own.name.clone(), own.kind.clone(), value, own.description.clone()], json)
    };
    (&["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"], all.iter().map(line).collect())
}

fn targets(definition: &Definition) -> (&'static [&'static str], Vec<Row>) {
    let mut names: Vec<(&String, bool)> = definition.targets.keys().map(|name| (name, false)).collect();
    names.extend(definition.groups.keys().map(|name| (name, true)));
    // Names that begin so are only there to be inherited.
    names.retain(|(name, _)| !name.starts_with('_'));
    names.sort();
    let line = |(name, group): &(&String, bool)| {
        let mut about = definition.targets.get(*name).and_then(|target| target.description.clone()).unwrap_or_default();
        if let Some(parts) = definition.groups.get(*name).filter(|_| *group) {
            let parts = parts.join(", ");
            about = match definition.about.get(*name) {
                Some(text) if !text.is_empty() => format!("{text} ({parts})"),
                _ => parts,
            };
        }
        row(vec![(*name).clone(), about.clone()], json!({"name": name, "description": about, "group": group}))
    };
    (&["TARGET", "DESCRIPTION"], names.iter().map(line).collect())
}

/// Columns of tabs, as wide as their widest cell.
fn tabbed(rows: &[Vec<String>]) -> String {
    const TAB: usize = 8;
    let length = |cell: &String| cell.chars().count();
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().map(|row| length(&row[at])).max().unwrap_or(0) / TAB + 1).collect();
    let mut out = String::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            out += cell;
            if at + 1 < columns {
                out += &"\t".repeat(widths[at] - length(cell) / TAB);
            }
        }
        out += "\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{language, page};
    use super::*;

    const FILE: &str = "variable \"VERSION\" {\n  default = \"1\"\n  description = \"the version\"\n}\nvariable \"EMPTY\" {}\n\
        variable \"N\" {\n  type = number\n  default = 3\n}\ngroup \"default\" { targets = [\"app\", \"db\"] }\n\
        group \"all\" {\n  description = \"everything\"\n  targets = [\"app\", \"db\"]\n}\n\
        target \"app\" {\n  description = \"the app\"\n}\ntarget \"db\" {}\ntarget \"_hidden\" {}\n";

    fn shown(text: &str) -> String {
        let body = page::parse("docker-bake.hcl", FILE, false).unwrap();
        let environment = BTreeMap::from([("N".to_owned(), "4".to_owned())]);
        Listing::parse(text).unwrap().show(&language::read(vec![body], &[], &environment).unwrap())
    }

    #[test]
    fn lists_are_buildxs() {
        let expect = "TARGET\tDESCRIPTION\nall\teverything (app, db)\napp\tthe app\ndb\t\ndefault\tapp, db\n";
        assert_eq!(shown("targets"), expect);
        let expect =
            "VARIABLE\tTYPE\tVALUE\tDESCRIPTION\nEMPTY\t\t\t\t\nN\t\tnumber\t4\t\nVERSION\t\t\t1\tthe version\n";
        assert_eq!(shown("variables"), expect);
        let rows: Value = serde_json::from_str(&shown("type=targets,format=json")).unwrap();
        assert_eq!(rows[0], json!({"name": "all", "description": "everything (app, db)", "group": true}));
        assert_eq!(rows[2], json!({"name": "db"}));
        let rows: Value = serde_json::from_str(&shown("type=variables,format=json")).unwrap();
        assert_eq!(rows[0], json!({"name": "EMPTY", "value": ""}));
        assert_eq!(rows[1], json!({"name": "N", "type": "number", "value": "4"}));
        assert_eq!(Listing::parse("foo"), Err("invalid list type \"foo\"".to_owned()));
        assert_eq!(Listing::parse("type=variables,format=xml"), Err("invalid list format \"xml\"".to_owned()));
    }
}

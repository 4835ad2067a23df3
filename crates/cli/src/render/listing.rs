//! Tables of objects: named columns, shown as Docker's default table, through a template, as JSON or as raw lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;

use super::json::Order;
use super::table::align;
use super::template::{Format, unescape};

/// One thing a template can name, and the heading of its column.
pub(crate) struct Column<R: 'static> {
    /// What templates call it.
    pub(crate) name: &'static str,
    /// Its heading.
    pub(crate) heading: &'static str,
    /// Its value in a row.
    pub(crate) value: fn(&R) -> Value,
}

/// Makes a column.
pub(crate) const fn column<R>(name: &'static str, heading: &'static str, value: fn(&R) -> Value) -> Column<R> {
    Column { name, heading, value }
}

/// A text as a template value.
pub(crate) fn text(text: impl AsRef<str>) -> Value {
    Value::String(text.as_ref().into())
}

/// Where a row's labels come from.
pub(crate) type Labels<R> = fn(&R) -> BTreeMap<String, String>;

/// What a listing consists of.
pub(crate) struct Listing<R: 'static> {
    /// Everything a template can name.
    pub(crate) columns: &'static [Column<R>],
    /// The columns of the default table, in order.
    pub(crate) shown: &'static [&'static str],
    /// What Docker calls the row in errors.
    pub(crate) row_type: &'static str,
    /// Labels of a row, for `.Label "key"`.
    pub(crate) labels: Option<Labels<R>>,
}

impl<R> Listing<R> {
    /// The rows as `format` wants them; empty and `table` mean the default table.
    pub(crate) fn render(&self, format: &str, rows: &[R]) -> Result<String, String> {
        self.render_columns(format, self.shown, rows)
    }

    /// The same with other columns in the default table.
    pub(crate) fn render_columns(&self, format: &str, shown: &[&str], rows: &[R]) -> Result<String, String> {
        match format {
            "" | "table" => Ok(self.plain_table(shown, rows)),
            "json" => Ok(rows.iter().map(|row| self.json(row) + "\n").collect()),
            _ => match format.strip_prefix("table") {
                Some(template) => self.template_table(&unescape(template), rows),
                None => self.lines(&unescape(format), rows),
            },
        }
    }

    /// The table of some columns.
    pub(crate) fn plain_table(&self, shown: &[&str], rows: &[R]) -> String {
        let columns: Vec<&Column<R>> =
            shown.iter().filter_map(|name| self.columns.iter().find(|column| column.name == *name)).collect();
        let mut out = columns.iter().map(|column| column.heading).collect::<Vec<_>>().join("\t");
        for row in rows {
            out.push('\n');
            out += &columns.iter().map(|column| (column.value)(row).to_string()).collect::<Vec<_>>().join("\t");
        }
        out.push('\n');
        align(&out)
    }

    fn template_table(&self, template: &str, rows: &[R]) -> Result<String, String> {
        let header = Format::header(template)?;
        let headings = self.columns.iter().map(|column| (Arc::from(column.name), text(column.heading)));
        let mut headings: BTreeMap<Arc<str>, Value> = headings.collect();
        if self.labels.is_some() {
            headings.insert("Label".into(), Value::Function(Arc::new(|args| Ok(text(label_heading(args))))));
        }
        // What is wrong with the template is wrong with a row, too; without rows Docker says nothing.
        let head = header.run(&Value::Map(Arc::new(headings))).unwrap_or_default();
        Ok(align(&format!("{head}\n{}", self.lines(template, rows)?)))
    }

    fn lines(&self, template: &str, rows: &[R]) -> Result<String, String> {
        let format = Format::parse(template, Order::default())?;
        let mut out = String::new();
        for row in rows {
            out += &format.run(&self.value(row)).map_err(|error| self.as_docker_says(error))?;
            out.push('\n');
        }
        Ok(out)
    }

    fn json(&self, row: &R) -> String {
        Order::default().write(&self.value(row))
    }

    /// A row by the names of its columns.
    pub(crate) fn value(&self, row: &R) -> Value {
        let mut map: BTreeMap<Arc<str>, Value> =
            self.columns.iter().map(|column| (Arc::from(column.name), (column.value)(row))).collect();
        if let Some(labels) = self.labels {
            let labels = labels(row);
            let lookup = move |args: &[Value]| {
                let key = args.first().map(ToString::to_string).unwrap_or_default();
                Ok(text(labels.get(&key).map_or("", String::as_str)))
            };
            map.insert("Label".into(), Value::Function(Arc::new(lookup)));
        }
        Value::Map(Arc::new(map))
    }

    /// A name that is no column: Docker speaks of a field of its row type.
    pub(crate) fn as_docker_says(&self, error: String) -> String {
        as_field_of(error, self.row_type)
    }
}

/// A missing key as Docker's client tells of it, whose records have types with fields.
pub(crate) fn as_field_of(error: String, kind: &str) -> String {
    match error.split_once(": map has no entry for key ") {
        Some((before, key)) => format!("{before}: can't evaluate field {} in type {kind}", key.trim_matches('"')),
        None => error,
    }
}

/// The heading of `.Label "com.example.some-key"`: `some key`.
fn label_heading(args: &[gotmpl::Value]) -> String {
    let key = args.first().map(ToString::to_string).unwrap_or_default();
    key.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")
}

/// `a=1,b=2`, as the column of labels shows them.
pub(crate) fn joined_labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(&'static str, i64);

    const ROWS: Listing<Row> = Listing {
        columns: &[
            column("Name", "NAME", |row: &Row| text(row.0)),
            column("Count", "COUNT", |row: &Row| Value::Int(row.1)),
        ],
        shown: &["Count", "Name"],
        row_type: "*formatter.rowContext",
        labels: Some(|row| BTreeMap::from([("com.x".to_owned(), row.0.to_uppercase())])),
    };

    fn shown(format: &str) -> String {
        ROWS.render(format, &[Row("a", 1), Row("bee", 20)]).unwrap_or_else(|error| error)
    }

    #[test]
    fn every_kind_of_format() {
        assert_eq!(shown(""), "COUNT     NAME\n1         a\n20        bee\n");
        assert_eq!(shown("table {{.Name}}\\t{{.Count}}"), "NAME      COUNT\na         1\nbee       20\n");
        assert_eq!(shown("{{.Name}}={{.Count}}"), "a=1\nbee=20\n");
        assert_eq!(shown("json"), "{\"Count\":1,\"Name\":\"a\"}\n{\"Count\":20,\"Name\":\"bee\"}\n");
        assert_eq!(shown("{{json .Name}}"), "\"a\"\n\"bee\"\n");
        assert_eq!(shown("{{upper .Name}} {{join (split \"a,b\" \",\") \"-\"}}"), "A a-b\nBEE a-b\n");
        assert_eq!(shown("{{.Label \"com.x\"}}"), "A\nBEE\n");
        assert_eq!(
            shown("table {{.Label \"com.some-x\"}}\\t{{upper .Name}}"),
            "some x    NAME\n          A\n          BEE\n"
        );
        assert_eq!(shown("{{truncate .Name 2}}|{{pad .Name 1 2}}|{{title .Name}}"), "a| a  |A\nbe| bee  |Bee\n");
    }

    #[test]
    fn what_is_wrong_is_said_as_docker_says_it() {
        assert_eq!(shown("{{foo}}"), "template parsing error: template: :1: function \"foo\" not defined");
        assert_eq!(
            shown("{{.Foo}}"),
            "template parsing error: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *formatter.rowContext"
        );
        assert!(
            shown("table {{json .Foo}}").contains("template: :1:7: executing \"\" at <.Foo>: can't evaluate field Foo")
        );
        assert_eq!(ROWS.render("table {{.Foo}}", &[]).as_deref(), Ok("<no value>\n"), "without rows nothing is wrong");
        assert!(shown("table {{json .}}").starts_with("\n{\"Count\":1,"), "a row has no heading");
        assert_eq!(shown("{{.Name"), "template parsing error: template: :1: unclosed action");
    }
}

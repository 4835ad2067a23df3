//! `--format`: Go templates with Docker's functions, run by `gotmpl`.

mod go;
mod names;
mod place;

use gotmpl::{MissingKey, Template, TemplateError, Value};

use super::json::Order;

/// A template that parsed.
pub(crate) struct Format {
    template: Template,
    order: Order,
    source: String,
}

/// Parts of Docker's records that are maps in Go: a key that is missing there has no value, and is no error.
const MAPS: [&str; 8] = [
    ".Attributes.",
    ".Labels.",
    ".Networks.",
    ".Options.",
    ".Annotations.",
    ".Sysctls.",
    ".DriverOpts.",
    ".LogConfig.Config.",
];

/// Docker's prefix of everything that is wrong with a template.
const WRONG: &str = "template parsing error: ";

impl Format {
    /// Parses `source`; values read through `order` keep their key order in `json`.
    pub(crate) fn parse(source: &str, order: Order) -> Result<Self, String> {
        Self::with_json(source, order, false)
    }

    /// The same for one of Docker's records, whose parts are printed as Go prints its structs.
    pub(crate) fn of_record(source: &str, order: Order) -> Result<Self, String> {
        let plain = Self::parse(source, order)?;
        let show = |args: &[Value]| match args {
            [Value::String(name), value] => Ok(go::shown(name, value)),
            _ => Err(wrong_arguments(go::SHOW)),
        };
        let trees =
            plain.template.templates().into_iter().filter_map(|name| Some((name, plain.template.lookup(name)?)));
        let trees: Vec<_> = trees.map(|(name, tree)| (name.to_owned(), go::through_show(tree))).collect();
        let shared = plain.order.clone();
        let json = move |args: &[Value]| match args {
            [value] => Ok(Value::String(shared.write_plain(value).into())),
            _ => Err(wrong_arguments("json")),
        };
        let whole = functions(Template::new("record").missing_key(MissingKey::Error), false).func("json", json);
        let whole = whole.func(go::SHOW, show).parse(&format!("{{{{template \"{}\" .}}}}", names::OWN));
        let whole = whole.map_err(|error| format!("{WRONG}{}", described(&error, source)))?;
        let template = trees.into_iter().fold(whole, |whole, (name, tree)| whole.add_parse_tree(&name, tree));
        Ok(Self { template, ..plain })
    }

    /// The same for a table's header line, where `json` leaves a name alone, and what has no heading is no mistake.
    pub(crate) fn header(source: &str) -> Result<Self, String> {
        Self::with_json(source, Order::default(), true)
    }

    fn with_json(source: &str, order: Order, header: bool) -> Result<Self, String> {
        let shared = order.clone();
        let json = move |args: &[Value]| match args {
            [Value::Map(_)] if header => Err(TemplateError::Exec("a row has no heading".to_owned())),
            [value] if header => Ok(value.clone()),
            // A row writes itself, and as Go does that for the web.
            [value @ Value::Map(_)] => Ok(Value::String(shared.write(value).into())),
            [value] => Ok(Value::String(shared.write_plain(value).into())),
            _ => Err(wrong_arguments("json")),
        };
        let missing = if header { MissingKey::Invalid } else { MissingKey::Error };
        let template = functions(Template::new(names::OWN).missing_key(missing), header).func("json", json);
        let template = template
            .parse(&methods_as_calls(source))
            .map_err(|error| format!("{WRONG}{}", described(&error, source)))?;
        if let Some(name) = names::unknown_function(&template) {
            return Err(format!("{WRONG}template: :1: function {name:?} not defined"));
        }
        Ok(Self { template, order, source: source.to_owned() })
    }

    /// Where values that are to keep their order are read.
    pub(crate) fn order(&self) -> &Order {
        &self.order
    }

    /// Runs the template over one of Docker's records, whose maps have no missing keys.
    pub(crate) fn run_over_record(&self, data: &Value) -> Result<String, String> {
        match self.template.execute_to_string(data) {
            Err(TemplateError::MissingKey { key }) if self.asks_of_a_map(&key) => {
                let lenient = self.template.clone().missing_key(MissingKey::Invalid);
                lenient.execute_to_string(data).map_err(|error| self.wrong(&error))
            }
            outcome => outcome.map_err(|error| self.wrong(&error)),
        }
    }

    fn asks_of_a_map(&self, key: &str) -> bool {
        MAPS.iter().flat_map(|map| self.source.split(*map).skip(1)).any(|rest| {
            let rest = rest.strip_prefix(key);
            rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
        })
    }

    /// Runs the template.
    pub(crate) fn run(&self, data: &Value) -> Result<String, String> {
        self.template.execute_to_string(data).map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &TemplateError) -> String {
        format!("{WRONG}{}", described(error, &self.source))
    }
}

fn described(error: &TemplateError, source: &str) -> String {
    match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            format!("template: :{line}: {message}")
        }
        TemplateError::MissingKey { key } => {
            let place =
                place::of(source, key).unwrap_or_else(|| place::Place { line: 1, column: 2, chain: format!(".{key}") });
            let place::Place { line, column, chain } = place;
            format!("template: :{line}:{column}: executing \"\" at <{chain}>: map has no entry for key {key:?}")
        }
        other => format!("template: :1: {other}"),
    }
}

/// Docker's table rows have one method that takes an argument, `.Label "key"`. Values here have no methods, so such a
/// use becomes a call of a function value.
fn methods_as_calls(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(".Label") {
        let (before, after) = rest.split_at(at);
        let tail = &after[".Label".len()..];
        let begins = before.is_empty() || before.ends_with(|c: char| c.is_whitespace() || "{(|-$".contains(c));
        let argument = tail.trim_start();
        let takes = tail.starts_with(char::is_whitespace) && argument.starts_with(['"', '`', '$', '(', '.']);
        out += before;
        if begins && takes {
            out += if before.ends_with('$') { "" } else { "call " };
        }
        out += ".Label";
        rest = tail;
    }
    out + rest
}

fn functions(template: Template, header: bool) -> Template {
    let text = |name: &'static str, change: fn(&str) -> String| {
        move |args: &[Value]| match args {
            [value] if header => Ok(value.clone()),
            [value] => Ok(Value::String(change(&value.to_string()).into())),
            _ => Err(wrong_arguments(name)),
        }
    };
    template
        .func("upper", text("upper", str::to_uppercase))
        .func("lower", text("lower", str::to_lowercase))
        .func("title", text("title", title))
        .func("split", |args| match args {
            [text, mark] if mark.to_string().is_empty() => {
                Ok(Value::List(text.to_string().chars().map(|c| Value::String(c.to_string().into())).collect()))
            }
            [text, mark] => Ok(list(text.to_string().split(&mark.to_string()))),
            _ => Err(wrong_arguments("split")),
        })
        .func("join", |args| match args {
            [Value::List(items), mark] => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                Ok(Value::String(items.join(&mark.to_string()).into()))
            }
            [Value::Nil, _] => Ok(Value::String("".into())),
            [other, _] => Ok(other.clone()),
            _ => Err(wrong_arguments("join")),
        })
        .func("pad", |args| match args {
            [text, before, after] => {
                let blanks = |count: &Value| " ".repeat(count.as_int().unwrap_or(0).max(0) as usize);
                let text = text.to_string();
                let padded = if text.is_empty() { text } else { blanks(before) + &text + &blanks(after) };
                Ok(Value::String(padded.into()))
            }
            _ => Err(wrong_arguments("pad")),
        })
        .func("truncate", move |args| match args {
            [text, _] if header => Ok(text.clone()),
            [text, room] => {
                let room = room.as_int().unwrap_or(0).max(0) as usize;
                Ok(Value::String(text.to_string().chars().take(room).collect::<String>().into()))
            }
            _ => Err(wrong_arguments("truncate")),
        })
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> Value {
    Value::List(items.map(|item| Value::String(item.into())).collect())
}

fn wrong_arguments(name: &str) -> TemplateError {
    TemplateError::Exec(format!("wrong number of args for {name}"))
}

/// Go's `strings.Title`: each word begins with a capital.
fn title(text: &str) -> String {
    let mut fresh = true;
    let change = |letter: char| {
        let shown = if fresh { letter.to_uppercase().collect() } else { letter.to_string() };
        fresh = !letter.is_alphanumeric() && letter != '_' && letter != '\'';
        shown
    };
    text.chars().map(change).collect()
}

/// `\t` and `\n` typed as two letters mean tab and line break.
pub(crate) fn unescape(format: &str) -> String {
    format.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n")
}

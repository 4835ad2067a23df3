//! A bake file as blocks and attributes, with their places.

use std::ops::Range;
use std::rc::Rc;

use hcl::edit::Span;
use hcl::edit::structure::{Block as WrittenBlock, BlockLabel, Body, Structure};
use hcl::expr::{Expression, ObjectKey, TemplateExpr};

use super::fault::{Place, Source, Term};

/// A file, or what several blocks have in it.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) blocks: Vec<Block>,
    pub(super) terms: Vec<(String, Term)>,
}

/// A block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: String,
    label: Result<String, String>,
    /// Where it is called.
    pub(super) name: Place,
    /// Where its content begins.
    pub(super) open: Place,
    /// Where its first attribute stands.
    pub(super) place: Place,
    pub(super) terms: Vec<(String, Term)>,
    pub(super) blocks: Vec<Self>,
}

impl Block {
    /// What it is called.
    pub(super) fn label(&self) -> Result<&str, String> {
        self.label.as_deref().map_err(Clone::clone)
    }

    /// One attribute.
    pub(super) fn find(&self, wanted: &str) -> Option<&Term> {
        self.terms.iter().find(|(key, _)| key == wanted).map(|(_, term)| term)
    }
}

/// One file; `json` files say the same in JSON.
pub(super) fn parse(name: &str, text: &str, json: bool) -> Result<Page, String> {
    let source = Rc::new(Source { name: name.to_owned(), text: text.to_owned() });
    if json { of_json(&source) } else { written(&source) }
}

fn written(source: &Rc<Source>) -> Result<Page, String> {
    match hcl::edit::parser::parse_body(&source.text) {
        Ok(body) => Ok(page(source, &body)),
        Err(error) => {
            let location = error.location();
            let lines: usize =
                source.text.split_inclusive('\n').take(location.line().saturating_sub(1)).map(str::len).sum();
            let line = &source.text[lines..];
            let column = line.char_indices().nth(location.column().saturating_sub(1)).map_or(line.len(), |(at, _)| at);
            let start = (lines + column).min(source.text.len());
            let end = start + source.text[start..].chars().next().map_or(0, char::len_utf8);
            Err(Place { source: source.clone(), span: Some(start..end) }
                .fault(&format!("Invalid syntax; {}", error.message())))
        }
    }
}

fn page(source: &Rc<Source>, body: &Body) -> Page {
    let mut page = Page::default();
    for structure in body {
        match structure {
            Structure::Attribute(own) => page.terms.push((own.key.to_string(), Term::written(source, &own.value))),
            Structure::Block(own) => page.blocks.push(block(source, own)),
        }
    }
    page
}

fn block(source: &Rc<Source>, own: &WrittenBlock) -> Block {
    let place = |span: Option<Range<usize>>| Place { source: source.clone(), span };
    let kind = own.ident.to_string();
    // Where the bracket is that opens it.
    let before = own.labels.last().map_or_else(|| own.ident.span(), label_span).map_or(0, |span| span.end);
    let at = before + source.text[before..].find('{').unwrap_or_default();
    let label = match &own.labels[..] {
        _ if !matches!(kind.as_str(), "target" | "group" | "variable" | "function") => Ok(String::new()),
        [one] => Ok(one.as_str().to_owned()),
        [] => {
            let words = format!("Missing name for {kind}; All {kind} blocks must have 1 labels (name).");
            Err(place(Some(at..at + 1)).fault(&words))
        }
        [_, more, ..] => {
            let words = format!("Extraneous label for {kind}; Only 1 labels (name) are expected for {kind} blocks.");
            Err(place(label_span(more)).fault(&words))
        }
    };
    let first = own.body.attributes().next().and_then(|first| first.span());
    let Page { blocks, terms } = page(source, &own.body);
    let name = place(own.labels.first().and_then(label_span));
    Block { kind, label, name, open: place(Some(at..at)), place: place(first), terms, blocks }
}

fn label_span(label: &BlockLabel) -> Option<Range<usize>> {
    match label {
        BlockLabel::Ident(name) => name.span(),
        BlockLabel::String(text) => text.span(),
    }
}

fn of_json(source: &Rc<Source>) -> Result<Page, String> {
    let wrong = |why: String| format!("{}: {why}", source.name);
    let value: serde_json::Value = serde_json::from_str(&source.text).map_err(|error| wrong(error.to_string()))?;
    let serde_json::Value::Object(map) = value else { return Err(wrong("an object is wanted".to_owned())) };
    let mut page = Page::default();
    for (key, value) in map {
        if !matches!(key.as_str(), "target" | "group" | "variable" | "function") {
            page.terms.push((key, Term::bare(source, expression(value))));
            continue;
        }
        // Any of it may be a list of what it is otherwise.
        for named in several(value).into_iter().filter_map(object) {
            for (label, value) in named {
                let bodies = several(value).into_iter().filter_map(object);
                page.blocks.extend(bodies.map(|body| json_block(source, &key, &label, body)));
            }
        }
    }
    Ok(page)
}

fn several(value: serde_json::Value) -> Vec<serde_json::Value> {
    match value {
        serde_json::Value::Array(items) => items,
        one => vec![one],
    }
}

fn object(value: serde_json::Value) -> Option<serde_json::Map<String, serde_json::Value>> {
    match value {
        serde_json::Value::Object(map) => Some(map),
        _ => None,
    }
}

fn json_block(source: &Rc<Source>, kind: &str, label: &str, body: serde_json::Map<String, serde_json::Value>) -> Block {
    let place = || Place { source: source.clone(), span: None };
    let (mut terms, mut blocks) = (Vec::new(), Vec::new());
    for (key, value) in body {
        match (kind, key.as_str()) {
            ("variable", "validation") => {
                let bodies = several(value).into_iter().filter_map(object);
                blocks.extend(bodies.map(|body| json_block(source, "validation", "", body)));
            }
            // Conditions and results are expressions in strings.
            ("validation", "condition") | ("function", "result") | ("variable", "type") => {
                terms.push((key, Term::bare(source, formula(value))))
            }
            _ => terms.push((key, Term::bare(source, expression(value)))),
        }
    }
    let (name, open, place) = (place(), place(), place());
    Block { kind: kind.to_owned(), label: Ok(label.to_owned()), name, open, place, terms, blocks }
}

/// Strings of JSON are templates.
fn expression(value: serde_json::Value) -> Expression {
    match value {
        serde_json::Value::String(text) if text.contains("${") || text.contains("%{") => {
            Expression::from(TemplateExpr::QuotedString(text))
        }
        serde_json::Value::Array(items) => Expression::Array(items.into_iter().map(expression).collect()),
        serde_json::Value::Object(map) => {
            let pairs = map.into_iter().map(|(key, value)| (ObjectKey::from(key), expression(value)));
            Expression::Object(pairs.collect())
        }
        other => Expression::from_serializable(&other).unwrap_or(Expression::Null),
    }
}

/// `"list(string)"` and `"${list(string)}"` mean the same.
fn formula(value: serde_json::Value) -> Expression {
    match value.as_str() {
        Some(text) if !text.contains("${") => text.parse().unwrap_or_else(|_| expression(value)),
        _ => expression(value),
    }
}

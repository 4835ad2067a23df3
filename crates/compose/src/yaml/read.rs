//! Text becomes a tree: anchors, merge keys and tags are resolved here, and what a hostile file could inflate is bounded.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{Directive, Map, Mark, Node, Text, Value, scalar};
use crate::error::{Fault, Refusal};

/// How much a file may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Collections inside collections.
    pub depth: usize,
    /// Values that aliases may add to those written out.
    pub aliased: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, depth: 100, aliased: 200_000 }
    }
}

/// Reads the documents of a text; an empty document is null.
///
/// # Errors
/// A [`Refusal`] with the place when the text is no YAML, repeats a key, or goes beyond the limits.
pub fn read(text: &str, file: u16, limits: Limits) -> Result<Vec<Node>, Refusal> {
    let start = Mark { file, line: 1, column: 1 };
    if text.len() > limits.bytes {
        return Err(start.refuse(Fault::TooLarge { what: "the file", limit: limits.bytes }));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let reader = |events| Reader { events, file, limits, anchors: HashMap::new(), aliased: 0 };
    if text.len() < LONG {
        return reader(Events::AsAsked(Box::new(Parser::new_from_str(text)))).documents();
    }
    std::thread::scope(|scope| {
        let (tell, hear) = sync_channel(BATCHES);
        scope.spawn(move || look_ahead(text, &tell));
        reader(Events::Ahead { hear, batch: Vec::new().into_iter() }).documents()
    })
}

/// Texts from so many bytes on are parsed by a thread of their own, while the tree grows in this one.
const LONG: usize = 64 << 10;
/// So many events are handed over at a time.
const BATCH: usize = 512;
/// So many batches the parser may be ahead.
const BATCHES: usize = 16;

type Parsed<'t> = Result<(Event<'t>, Span), ScanError>;

/// Where events come from.
enum Events<'t> {
    AsAsked(Box<Parser<'t, StrInput<'t>>>),
    Ahead { hear: Receiver<Vec<Parsed<'t>>>, batch: std::vec::IntoIter<Parsed<'t>> },
}

impl<'t> Events<'t> {
    fn next(&mut self) -> Option<Parsed<'t>> {
        match self {
            Self::AsAsked(parser) => parser.next_event(),
            Self::Ahead { hear, batch } => batch.next().or_else(|| {
                *batch = hear.recv().ok()?.into_iter();
                batch.next()
            }),
        }
    }
}

/// Parses until the end, an error, or nobody listens any more.
fn look_ahead<'t>(text: &'t str, tell: &SyncSender<Vec<Parsed<'t>>>) {
    let mut parser = Parser::new_from_str(text);
    loop {
        let batch: Vec<Parsed<'t>> = std::iter::from_fn(|| parser.next_event()).take(BATCH).collect();
        // After an error the parser may say anything; the reader asks no more.
        let is_last = batch.is_empty() || batch.iter().any(Result::is_err);
        if tell.send(batch).is_err() || is_last {
            return;
        }
    }
}

struct Reader<'t> {
    events: Events<'t>,
    file: u16,
    limits: Limits,
    /// What anchors name, and how many values it holds. An anchor being read is not there yet: it cannot hold itself.
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
}

impl<'t> Reader<'t> {
    fn documents(mut self) -> Result<Vec<Node>, Refusal> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(_), _) => {
                    let (event, span) = self.next()?;
                    documents.push(self.node(event, span, 0)?.0);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Refusal> {
        match self.events.next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let mark = self.mark_of(error.marker().line(), error.marker().col());
                Err(mark.malformed(error.info().to_owned()))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn mark_of(&self, line: usize, column: usize) -> Mark {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Mark { file: self.file, line: narrow(line), column: narrow(column + 1) }
    }

    fn mark(&self, span: Span) -> Mark {
        self.mark_of(span.start.line(), span.start.col())
    }

    /// One value and how many values it holds.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<(Node, usize), Refusal> {
        let mark = self.mark(span);
        if depth > self.limits.depth {
            return Err(mark.refuse(Fault::TooLarge { what: "the nesting", limit: self.limits.depth }));
        }
        let (value, size, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, mark),
            Event::Scalar(text, style, anchor, tag) => {
                let value = tagged_scalar(&text, style, tag.as_deref(), mark)?;
                (value, 1, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                let (items, size) = self.list(depth)?;
                (Value::List(items), size, anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                let (map, size) = self.map(depth)?;
                (Value::Map(map), size, anchor, tag)
            }
            _ => (Value::Null, 1, 0, None),
        };
        let node = Node { value, mark, directive: directive(tag.as_deref()) };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok((node, size))
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<(Node, usize), Refusal> {
        let Some((_, size)) = self.anchors.get(&anchor) else {
            return Err(mark.malformed("an anchor contains itself".to_owned()));
        };
        self.aliased += size;
        if self.aliased > self.limits.aliased {
            return Err(mark.refuse(Fault::TooLarge { what: "what aliases stand for", limit: self.limits.aliased }));
        }
        Ok(self.anchors[&anchor].clone())
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Refusal> {
        let (mut items, mut total) = (Vec::new(), 1);
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok((items, total)),
                (event, span) => {
                    let (node, size) = self.node(event, span, depth + 1)?;
                    total += size;
                    items.push(node);
                }
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Map, usize), Refusal> {
        let (mut map, mut merged, mut total) = (Map::default(), Vec::new(), 1);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let mark = self.mark(span);
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.key(event, span, mark, depth)?;
            let (event, span) = self.next()?;
            let (mut node, size) = self.node(event, span, depth + 1)?;
            total += size + 1;
            if merges {
                merged.push((mark, node));
                continue;
            }
            node.mark = mark;
            if let Some(first) = map.get(&key) {
                return Err(mark.refuse(Fault::Repeated { key: key.to_string(), first: first.mark.line }));
            }
            map.append(key, node);
        }
        for (mark, node) in merged {
            merge_into(&mut map, node, mark)?;
        }
        Ok((map, total))
    }

    fn key(&mut self, event: Event<'t>, span: Span, mark: Mark, depth: usize) -> Result<Text, Refusal> {
        let (node, _) = self.node(event, span, depth + 1)?;
        match &node.value {
            Value::Null => Ok("null".into()),
            _ => node.scalar().ok_or_else(|| mark.malformed("a key must be a scalar".to_owned())),
        }
    }
}

/// `<<`: what is written out wins, then the mappings in their order.
fn merge_into(map: &mut Map, node: Node, mark: Mark) -> Result<(), Refusal> {
    let refused = || mark.malformed("map merge requires a map or a list of maps".to_owned());
    match node.value {
        Value::Map(other) => {
            for (key, value) in other {
                map.or_insert(key, || value);
            }
            Ok(())
        }
        Value::List(items) if items.iter().all(|item| item.map().is_some()) => {
            items.into_iter().try_for_each(|item| merge_into(map, item, mark))
        }
        _ => Err(refused()),
    }
}

fn directive(tag: Option<&Tag>) -> Directive {
    match tag.filter(|tag| tag.handle == "!").map(|tag| tag.suffix.as_str()) {
        Some("reset") => Directive::Reset,
        Some("override") => Directive::Override,
        _ => Directive::Merge,
    }
}

fn tagged_scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Result<Value, Refusal> {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    let plain = style == ScalarStyle::Plain;
    let value = match core {
        Some("str" | "binary") => Value::Text(text.into()),
        Some("null") => Value::Null,
        Some("int" | "float" | "bool") => scalar::resolve(text),
        None if plain => scalar::resolve(text),
        _ => Value::Text(text.into()),
    };
    match (core, &value) {
        (Some("int"), Value::Int(_)) | (Some("bool"), Value::Bool(_)) | (Some("float"), Value::Float(_)) => Ok(value),
        #[allow(clippy::cast_precision_loss)]
        (Some("float"), Value::Int(number)) => Ok(Value::Float(*number as f64)),
        (Some(wanted @ ("int" | "float" | "bool")), _) => {
            let reason = format!("cannot decode {text:?} as a !!{wanted}");
            Err(mark.malformed(reason))
        }
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Node, Refusal> {
        Ok(read(text, 0, Limits::default())?.remove(0))
    }

    #[test]
    fn merge_keys_give_way_to_what_is_written_out() {
        let node = one("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 9\n").unwrap();
        let merged = node.get("c").unwrap();
        assert_eq!((merged.int("x"), merged.int("y"), merged.int("z")), (Some(9), Some(2), Some(4)));
    }

    #[test]
    fn tags_and_places_are_kept() {
        let node = one("a: !reset null\nb: !override [1]\nc:\n  d: 5\n").unwrap();
        assert_eq!(node.get("a").unwrap().directive, Directive::Reset);
        assert_eq!(node.get("b").unwrap().directive, Directive::Override);
        let inner = node.at_path(&["c", "d"]).unwrap();
        assert_eq!((inner.mark.line, inner.mark.column), (4, 3));
    }

    #[test]
    fn long_texts_are_read_as_short_ones_are() {
        let mut text = String::new();
        while text.len() < 2 * LONG {
            let number = text.len();
            text += &format!("k{number}: {{a: [1, two], b: &x{number} {{c: d}}, e: *x{number}}}\n");
        }
        let whole = one(&text).unwrap();
        for line in text.lines() {
            let (key, node) = one(line).unwrap().map().unwrap().clone().pop().unwrap();
            let found = whole.get(&key).unwrap();
            assert_eq!((found.get("b").unwrap().text("c"), found.get("e").unwrap().text("c")), ("d", "d"));
            assert_eq!(found.list("a").len(), node.list("a").len());
        }
        let refusal = one(&format!("{text}k: [\n")).unwrap_err();
        assert!(matches!(refusal.fault, Fault::Syntax { .. }), "{refusal:?}");
        let repeated = one(&format!("a: 1\na: 2\n{text}")).unwrap_err();
        assert!(matches!(repeated.fault, Fault::Repeated { first: 1, .. }), "the rest is not waited for");
    }

    #[test]
    fn a_repeated_key_is_refused_with_both_lines() {
        let refusal = one("a:\n  b: 1\n  b: 2\n").unwrap_err();
        assert_eq!(refusal.mark.line, 3);
        assert!(matches!(refusal.fault, Fault::Repeated { first: 2, .. }));
    }

    #[test]
    fn bombs_are_refused_before_they_go_off() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = vec![format!("*a{}", level - 1); 9].join(", ");
            text += &format!("a{level}: &a{level} [{before}]\n");
        }
        assert!(matches!(one(&text).unwrap_err().fault, Fault::TooLarge { what: "what aliases stand for", .. }));
        let deep = "[".repeat(5000);
        assert!(one(&deep).is_err());
        assert!(matches!(one("a: &a [*a]").unwrap_err().fault, Fault::Syntax { .. }));
    }

    #[test]
    fn broken_text_is_refused_with_its_line() {
        let refusal = one("services:\n  s:\n    image: x\n   bad: indent\n  [nope\n").unwrap_err();
        assert!(refusal.mark.line >= 4, "{refusal:?}");
    }
}

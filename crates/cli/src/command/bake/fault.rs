//! What is wrong in a bake file, and where: the words that HCL's own implementation has for it, and the lines around it.

use std::ops::Range;
use std::rc::Rc;

use hcl::edit::Span;
use hcl::edit::expr::{Expression as Written, FuncCall, Traversal, TraversalOperator};
use hcl::edit::template::{Directive, Element, Template};
use hcl::edit::visit::{Visit, visit_expr, visit_func_call};
use hcl::edit::visit_mut::{VisitMut, visit_expr_mut};
use hcl::eval::{Context, ErrorKind, Evaluate};
use hcl::{BinaryOperator, Expression};

use super::functions;
use super::target::Value;

/// What follows the words if an expression's value was asked for twice, as buildx does for targets.
pub(super) const TWICE: &str = ", and 1 other diagnostic(s)";

/// How a function says that it was given too little or too much.
pub(super) const MISSING: &str = "Not enough function arguments;";
pub(super) const TOO_MUCH: &str = "Too many function arguments;";

/// How many lines are shown before and after the one that is meant.
const AROUND: usize = 2;

/// A file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// A part of a file; files in JSON have no places.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) source: Rc<Source>,
    pub(super) span: Option<Range<usize>>,
}

impl Place {
    /// The whole message about it, beginning with the lines it is about.
    pub(super) fn fault(&self, words: &str) -> String {
        let Source { name, text } = &*self.source;
        let Some(span) = self.span.clone() else { return format!("{name}: {words}") };
        let (first, begin) = position(text, span.start);
        let (last, end) = position(text, span.end);
        let range =
            if first == last { format!("{first},{begin}-{end}") } else { format!("{first},{begin}-{last},{end}") };
        format!("{}ERROR: {name}:{range}: {words}", excerpt(name, text, first))
    }

    /// Its first character.
    pub(super) fn start(&self) -> Self {
        let next = |from: usize| from + self.source.text[from..].chars().next().map_or(0, char::len_utf8);
        Self { source: self.source.clone(), span: self.span.as_ref().map(|span| span.start..next(span.start)) }
    }
}

/// Line and column of an offset, from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let begin = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
}

fn excerpt(name: &str, text: &str, line: usize) -> String {
    let bar = "-".repeat(20);
    let mut out = format!("{name}:{line}\n{bar}\n");
    for (number, content) in text.split('\n').enumerate().map(|(at, content)| (at + 1, content)) {
        if number.abs_diff(line) <= AROUND {
            let mark = if number == line { ">>> " } else { "    " };
            out += &format!("{number:>4} | {mark}{content}\n");
        }
    }
    out + &bar + "\n"
}

/// An expression, and how it is written.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) value: Expression,
    written: Option<Rc<Written>>,
    place: Place,
    /// Whether it has parts that may fail.
    tries: bool,
}

impl Term {
    pub(super) fn written(source: &Rc<Source>, written: &Written) -> Self {
        let place = Place { source: source.clone(), span: written.span() };
        Self {
            value: Expression::from(written.clone()),
            written: Some(Rc::new(written.clone())),
            place,
            tries: tries(written),
        }
    }

    pub(super) fn bare(source: &Rc<Source>, value: Expression) -> Self {
        Self { value, written: None, place: Place { source: source.clone(), span: None }, tries: false }
    }

    /// Where the whole expression stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// What HCL means by the place of a value: the text of a literal, the first character of anything else.
    pub(super) fn mark(&self) -> Place {
        let literal = match self.written.as_deref() {
            Some(Written::String(_)) => self.place.span.as_ref().map(|span| span.start + 1..span.end - 1),
            Some(Written::Bool(_) | Written::Number(_) | Written::Variable(_)) => self.place.span.clone(),
            _ => return self.place.start(),
        };
        Place { source: self.place.source.clone(), span: literal }
    }

    /// All of it.
    pub(super) fn mark_all(&self) -> Place {
        self.place.clone()
    }

    /// The variables it names, and where.
    pub(super) fn variables(&self) -> Vec<(String, Place)> {
        let mut found = Vec::new();
        if let Some(written) = self.written.as_deref() {
            let mut look = Look { source: &self.place.source, found: &mut found };
            look.visit_expr(written);
        }
        found
    }

    /// What it means there. What is said of targets is said twice.
    pub(super) fn evaluate(&self, context: &Context<'_>, twice: bool) -> Result<Value, String> {
        let lazy = self.written.as_deref().filter(|_| self.tries).and_then(|written| settled(written, context));
        let error = match lazy.as_ref().unwrap_or(&self.value).evaluate(context) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let found = self.written.as_deref().and_then(|written| within(written, context));
        let (span, words) = found.unwrap_or_else(|| (None, words(error.kind())));
        let span = span.or_else(|| self.place.span.clone());
        let more = if twice { TWICE } else { "" };
        Err(Place { source: self.place.source.clone(), span }.fault(&format!("{words}{more}")))
    }
}

/// Whether `try` or `can` is called somewhere.
fn tries(written: &Written) -> bool {
    struct Look(bool);
    impl Visit for Look {
        fn visit_func_call(&mut self, node: &FuncCall) {
            self.0 |= matches!(node.name.name.as_str(), "try" | "can");
            visit_func_call(self, node);
        }
    }
    let mut look = Look(false);
    look.visit_expr(written);
    look.0
}

/// The expression with what `try` and `can` come to in their places: their arguments may fail, as those of other functions
/// may not.
fn settled(written: &Written, context: &Context<'_>) -> Option<Expression> {
    struct Settle<'a, 'b>(&'a Context<'b>);
    impl VisitMut for Settle<'_, '_> {
        fn visit_expr_mut(&mut self, node: &mut Written) {
            visit_expr_mut(self, node);
            let Written::FuncCall(call) = &*node else { return };
            let values: Vec<_> = call.args.iter().map(|own| Expression::from(own.clone()).evaluate(self.0)).collect();
            let value = match call.name.name.as_str() {
                "try" => values.into_iter().find_map(Result::ok),
                "can" => Some(Value::Bool(values.iter().all(Result::is_ok))),
                _ => None,
            };
            if let Some(value) = value {
                *node = Written::from(Expression::from(value));
            }
        }
    }
    let mut own = written.clone();
    Settle(context).visit_expr_mut(&mut own);
    Some(Expression::from(own))
}

/// Looks for variables.
struct Look<'a> {
    source: &'a Rc<Source>,
    found: &'a mut Vec<(String, Place)>,
}

impl Visit for Look<'_> {
    fn visit_expr(&mut self, node: &Written) {
        if let Written::Variable(name) = node {
            self.found.push((name.to_string(), Place { source: self.source.clone(), span: node.span() }));
        }
        visit_expr(self, node);
    }
}

type Found = (Option<Range<usize>>, String);

/// The innermost expression that has no value, and why.
fn within(written: &Written, context: &Context<'_>) -> Option<Found> {
    let error = Expression::from(written.clone()).evaluate(context).err()?;
    let inner = match written {
        Written::Array(items) => items.iter().find_map(|item| within(item, context)),
        Written::Object(fields) => fields.iter().find_map(|(_, value)| within(value.expr(), context)),
        Written::StringTemplate(template) => elements(template.iter(), context),
        Written::HeredocTemplate(heredoc) => inside(&heredoc.template, context),
        Written::Parenthesis(inner) => within(inner.inner(), context),
        Written::Conditional(choice) => [&choice.cond_expr, &choice.true_expr, &choice.false_expr]
            .into_iter()
            .find_map(|branch| within(branch, context)),
        Written::FuncCall(call) => called(call, context, error.kind()),
        Written::Traversal(way) => walked(way, context, error.kind()),
        Written::UnaryOp(operation) => within(&operation.expr, context),
        Written::BinaryOp(operation) => {
            let (left, right) = (&operation.lhs_expr, &operation.rhs_expr);
            within(left, context).or_else(|| within(right, context)).or_else(|| operand(left, right, error.kind()))
        }
        Written::ForExpr(each) => {
            let over = &each.intro.collection_expr;
            within(over, context).or_else(|| iterated(over, context))
        }
        _ => None,
    };
    Some(inner.unwrap_or_else(|| (written.span(), words(error.kind()))))
}

fn inside(template: &Template, context: &Context<'_>) -> Option<Found> {
    elements(template.iter(), context)
}

fn elements<'a>(mut all: impl Iterator<Item = &'a Element>, context: &Context<'_>) -> Option<Found> {
    all.find_map(|element| match element {
        Element::Literal(_) => None,
        Element::Interpolation(inserted) => within(&inserted.expr, context),
        Element::Directive(directive) => match &**directive {
            Directive::If(choice) => {
                within(&choice.if_expr.cond_expr, context).or_else(|| inside(&choice.if_expr.template, context))
            }
            Directive::For(each) => within(&each.for_expr.collection_expr, context),
        },
    })
}

/// A call is at fault by its name, an argument, or their number.
fn called(call: &FuncCall, context: &Context<'_>, kind: &ErrorKind) -> Option<Found> {
    if matches!(kind, ErrorKind::UndefinedFunc(name) if name.name.as_str() == call.name.name.as_str()) {
        return Some((call.name.name.span(), words(kind)));
    }
    call.args.iter().find_map(|argument| within(argument, context)).or_else(|| {
        let ErrorKind::FuncCall(_, message) = kind else { return None };
        let name = call.name.name.span()?;
        if message.starts_with(MISSING) {
            // The closing bracket.
            let end = call.span()?.end;
            return Some((Some(end - 1..end), message.clone()));
        }
        if let Some(taken) = message.strip_prefix(TOO_MUCH) {
            let taken = taken.rsplit(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
            return Some((call.args.iter().nth(taken).and_then(literal), message.clone()));
        }
        Some((Some(name.start..name.end + 1), words(kind)))
    })
}

/// What is marked of an argument: the text of a literal.
fn literal(argument: &Written) -> Option<Range<usize>> {
    let span = argument.span()?;
    Some(match argument {
        Written::String(_) => span.start + 1..span.end - 1,
        Written::Variable(_) | Written::Number(_) | Written::Bool(_) => span,
        _ => span.start..span.start + 1,
    })
}

fn walked(way: &Traversal, context: &Context<'_>, kind: &ErrorKind) -> Option<Found> {
    let first = within(&way.expr, context);
    if first.is_some() {
        return first;
    }
    let step = way.operators.iter().find_map(|operator| match (&**operator, kind) {
        (TraversalOperator::GetAttr(name), ErrorKind::NoSuchKey(key)) if name.as_str() == key => {
            let span = name.span().map(|span| span.start - 1..span.end);
            // Of targets there is a map by their names.
            let is_target = matches!(&way.expr, Written::Variable(variable) if variable.as_str() == "target");
            let is_name = is_target && std::ptr::eq(operator, &raw const way.operators[0]);
            let words = match is_name {
                true => format!("Missing map element; This map does not have an element with the key {key:?}."),
                false => words(kind),
            };
            Some((span, words))
        }
        (TraversalOperator::Index(index), ErrorKind::Index(_) | ErrorKind::NoSuchKey(_)) => {
            let span = index.span().map(|span| span.start - 1..span.end + 1);
            Some((span, words(&ErrorKind::Index(0))))
        }
        _ => None,
    });
    step.or_else(|| way.operators.first().map(|operator| (operator.span(), words(kind))))
}

fn operand(left: &Written, right: &Written, kind: &ErrorKind) -> Option<Found> {
    let ErrorKind::BinaryOp(one, operator, other) = kind else { return None };
    let (wanted, fits): (_, fn(&Value) -> bool) = match operator {
        BinaryOperator::And | BinaryOperator::Or => ("bool", Value::is_boolean),
        _ => ("number", Value::is_number),
    };
    let (side, written) = match (fits(one), fits(other)) {
        (false, _) => ("left", left),
        _ => ("right", right),
    };
    let words = format!("Invalid operand; Unsuitable value for {side} operand: a {wanted} is required.");
    Some((written.span(), words))
}

fn iterated(over: &Written, context: &Context<'_>) -> Option<Found> {
    let value = Expression::from(over.clone()).evaluate(context).ok()?;
    let kind = kind(&value);
    (!matches!(value, Value::Array(_) | Value::Object(_))).then(|| {
        let words = format!("A value of type {kind} cannot be used as the collection in a 'for' expression.");
        (over.span(), format!("Iteration over non-iterable value; {words}"))
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "dynamic",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "tuple",
        Value::Object(_) => "object",
    }
}

/// In HCL's words.
fn words(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::UndefinedVar(name) => {
            format!("Unknown variable; There is no variable named {:?}.", name.as_str())
        }
        ErrorKind::UndefinedFunc(name) => {
            let name = name.name.as_str();
            let near = functions::near(name).map(|near| format!(" Did you mean {near:?}?")).unwrap_or_default();
            format!("Call to unknown function; There is no function named {name:?}.{near}")
        }
        ErrorKind::Index(_) => {
            "Invalid index; The given key does not identify an element in this collection value.".to_owned()
        }
        ErrorKind::NoSuchKey(key) => {
            format!("Unsupported attribute; This object does not have an attribute named {key:?}.")
        }
        ErrorKind::FuncCall(name, message) => {
            format!("Error in function call; Call to function {:?} failed: {message}.", name.name.as_str())
        }
        other => format!("Invalid expression; {}", hcl_words(other)),
    }
}

fn hcl_words(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Unexpected(value, wanted) => format!("{} where {wanted} was expected", self::kind(value)),
        other => other.to_string(),
    }
}

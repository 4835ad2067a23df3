//! Values as they are written (`--no-interpolate`): nothing is cast, as variables may still be in them, but of the sort that
//! the specification's schema wants they must be.

use super::{pairs, scalar};
use crate::error::Refusal;
use crate::expand::refuse;
use crate::shape::{Kind, Trail};
use crate::yaml::{Directive, Node, Value};

/// Refuses a value that is of another sort than its kind wants; one text becomes a list where lists are wanted.
pub(super) fn check(node: Node, kind: Kind, trail: &Trail<'_>) -> Result<Node, Refusal> {
    match kind {
        Kind::Choice(_) | Kind::Policy => return scalar::cast(node, kind, trail),
        // Compose leaves one text of these as it is.
        Kind::Set if matches!(trail.key(), Some("tmpfs" | "dns_search")) && node.as_text().is_some() => {
            return Ok(node);
        }
        Kind::Set => return pairs::texts(pairs::lone(node), pairs::Repeats::Dropped, trail),
        Kind::Members => return pairs::texts(node, pairs::Repeats::Dropped, trail),
        Kind::Distinct => return pairs::texts(node, pairs::Repeats::Refused, trail),
        Kind::Patterns => return pairs::texts(pairs::lone(node), pairs::Repeats::Refused, trail),
        Kind::Texts => return pairs::texts(node, pairs::Repeats::Kept, trail),
        _ => {}
    }
    if !fits(&node, kind) {
        return Err(refuse(node.mark, trail, format!("must be {}", super::wanted(kind))));
    }
    match (&node.value, kind) {
        (Value::List(_), Kind::Variables | Kind::Labels) => Ok(last_of_each(node)),
        (Value::Int(_) | Value::Float(_), Kind::Within(..)) => scalar::cast(node, kind, trail),
        _ => Ok(node),
    }
}

fn fits(node: &Node, kind: Kind) -> bool {
    let value = &node.value;
    let text = |node: &Node| matches!(node.value, Value::Text(_));
    let number = |node: &Node| matches!(node.value, Value::Int(_) | Value::Float(_));
    let single = |node: &Node| text(node) || number(node) || matches!(node.value, Value::Bool(_) | Value::Null);
    let items = |fits: &dyn Fn(&Node) -> bool| matches!(value, Value::List(items) if items.iter().all(fits));
    let kept = |member: &Node| member.directive == Directive::Reset;
    let members = |fits: &dyn Fn(&Node) -> bool| matches!(value, Value::Map(map) if map.values().all(|member| kept(member) || fits(member)));
    match kind {
        Kind::Text | Kind::Span | Kind::Moment | Kind::Unshown | Kind::Size => text(node),
        Kind::Switch | Kind::Choosable | Kind::OptOut | Kind::Stance => text(node) || matches!(value, Value::Bool(_)),
        Kind::Flag => matches!(value, Value::Bool(_)),
        Kind::Whole | Kind::Within(..) | Kind::Count | Kind::Unsigned | Kind::Natural | Kind::Bytes | Kind::Devices => {
            text(node) || is_whole(value)
        }
        Kind::Rounded | Kind::Tries | Kind::Fraction | Kind::Amount | Kind::Mode => text(node) || number(node),
        Kind::Number => number(node),
        Kind::Numbers | Kind::Groups => items(&|item| text(item) || number(item)),
        Kind::Command => node.is_null() || text(node) || items(&text),
        Kind::Probe => text(node) || items(&text),
        Kind::Variables | Kind::Labels | Kind::Contexts => items(&text) || members(&single),
        Kind::Options => members(&|member| text(member) || number(member)),
        Kind::Settings => members(&|member| text(member) || number(member) || member.is_null()),
        Kind::Strings => members(&text),
        Kind::Hosts => items(&text) || members(&|member| text(member) || member.items().iter().all(text)),
        Kind::Ulimits => {
            let limit = |node: &Node| text(node) || is_whole(&node.value);
            members(&|member| limit(member) || member.map().is_some_and(|pair| pair.values().all(limit)))
        }
        Kind::External => text(node) || matches!(value, Value::Bool(_) | Value::Map(_)),
        Kind::Choices => {
            let one = |node: &Node| single(node) && !node.is_null();
            members(&|member| one(member) || matches!(&member.value, Value::List(items) if items.iter().all(one)))
        }
        _ => true,
    }
}

fn is_whole(value: &Value) -> bool {
    match value {
        Value::Int(_) => true,
        Value::Float(number) => number.fract() == 0.0,
        _ => false,
    }
}

/// `[A=1, A=2]` as `[A=2]`.
fn last_of_each(node: Node) -> Node {
    let Node { value: Value::List(items), mark, directive } = node else { return node };
    let name = |item: &Node| item.as_text().map(|text| crate::merge::before_equals(text).into());
    Node { value: Value::List(crate::merge::unique(items.into_iter(), name)), mark, directive }
}

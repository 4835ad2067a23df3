//! Functions a template names: an unknown one is refused when the template is read, as Go does, not when it is run.

use gotmpl::Template;
use gotmpl::parse::{CommandNode, Expr, ListNode, Node, PipeNode};

const KNOWN: [&str; 30] = [
    "and", "call", "html", "index", "slice", "js", "len", "not", "or", "print", "printf", "println", "urlquery", "eq",
    "ge", "gt", "le", "lt", "ne", "json", "split", "join", "title", "lower", "upper", "pad", "truncate", "true",
    "false", "nil",
];

/// What a format is called among its own templates; it needs a name to be looked at.
pub(super) const OWN: &str = "format";

/// The first function that is neither Go's nor Docker's.
pub(super) fn unknown_function(template: &Template) -> Option<String> {
    template.templates().into_iter().filter_map(|name| template.lookup(name)).find_map(in_list)
}

fn in_list(list: &ListNode) -> Option<String> {
    list.nodes.iter().find_map(in_node)
}

fn in_node(node: &Node) -> Option<String> {
    match node {
        Node::List(list) => in_list(list),
        Node::Action(action) => in_pipe(&action.pipe),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
            let other = || branch.else_body.as_ref().and_then(in_list);
            in_pipe(&branch.pipe).or_else(|| in_list(&branch.body)).or_else(other)
        }
        Node::Template(template) => template.pipe.as_ref().and_then(in_pipe),
        Node::Define(define) => in_list(&define.body),
        Node::Text(_) | Node::Break(_) | Node::Continue(_) => None,
    }
}

fn in_pipe(pipe: &PipeNode) -> Option<String> {
    pipe.commands.iter().find_map(in_command)
}

fn in_command(command: &CommandNode) -> Option<String> {
    command.args.iter().find_map(in_expression)
}

fn in_expression(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(_, name) if !KNOWN.contains(&name.as_str()) => Some(name.to_string()),
        Expr::Pipe(_, pipe) => in_pipe(pipe),
        Expr::Chain(_, inner, _) => in_expression(inner),
        _ => None,
    }
}

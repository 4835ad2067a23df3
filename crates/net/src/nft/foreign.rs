//! Chains of others on the forward hook: would they drop our packets, and the two rules that let them pass.

use hako_sys::netlink::Socket;

use super::expression::{Expressions, Meta, Relation};
use super::wire::{
    ANY_FAMILY, Attributes, Batch, CREATE, INET, IPV4, IPV6, Verb, attribute, attributes, dump, number, socket, text,
};

/// A base chain of somebody that a packet to a published port meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// `table inet fw, chain forward`.
    pub chain: String,
    /// `prerouting`, `input` or `forward`.
    pub hook: &'static str,
    /// Whether it drops what it does not know.
    pub drops: bool,
    /// How many rules it has.
    pub rules: usize,
    /// The comment of the rule that lets our bridge through.
    pub admitted_by: Option<String>,
}

/// Chains of others that see packets to published ports on `bridge`.
pub(crate) fn stations(bridge: &str, own: &str) -> hako_sys::Result<Vec<Station>> {
    let mut socket = socket()?;
    let mut found = Vec::new();
    for (hook, name) in [(0, "prerouting"), (1, "input"), (FORWARD_HOOK, "forward")] {
        for chain in chains_on(&mut socket, hook)?.into_iter().filter(|chain| chain.table != own) {
            let rules = rules(&mut socket, &chain)?;
            let ours = comment(bridge, "in");
            found.push(Station {
                chain: format!("table {} {}, chain {}", family(chain.family), chain.table, chain.name),
                hook: name,
                drops: chain.drops_by_policy || rules.last().is_some_and(|rule| rule.refuses_all),
                rules: rules.len(),
                admitted_by: rules.iter().find(|rule| rule.comment.as_ref() == Some(&ours)).map(|_| ours.clone()),
            });
        }
    }
    Ok(found)
}

fn family(number: u8) -> &'static str {
    match number {
        IPV4 => "ip",
        IPV6 => "ip6",
        _ => "inet",
    }
}

const FORWARD_HOOK: u32 = 2;
const DROP: u32 = 0;

/// A base chain of somebody on the forward hook.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain {
    family: u8,
    table: String,
    name: String,
    drops_by_policy: bool,
}

/// A rule, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    handle: Vec<u8>,
    comment: Option<String>,
    refuses_all: bool,
}

/// Puts an accepting rule for each direction at the head of every chain that would drop what it does not know.
pub(crate) fn admit(bridge: &str, with_v6: bool) -> hako_sys::Result<()> {
    let mut socket = socket()?;
    let mut batch = Batch::new();
    for chain in chains(&mut socket)? {
        let rules = rules(&mut socket, &chain)?;
        let matters = chain.family != IPV6 || with_v6;
        let drops = chain.drops_by_policy || rules.last().is_some_and(|rule| rule.refuses_all);
        if !matters || !drops {
            continue;
        }
        for (direction, which) in DIRECTIONS {
            let comment = comment(bridge, direction);
            if !rules.iter().any(|rule| rule.comment.as_ref() == Some(&comment)) {
                let rule = accepting(&chain, bridge, which, &comment);
                batch.push(Verb::NewRule, CREATE, chain.family, &rule);
            }
        }
    }
    batch.commit(&mut socket)
}

/// Removes the rules [`admit`] made for the bridge.
pub(crate) fn withdraw(bridge: &str) -> hako_sys::Result<()> {
    let mut socket = socket()?;
    let mut batch = Batch::new();
    let ours = DIRECTIONS.map(|(direction, _)| comment(bridge, direction));
    for chain in chains(&mut socket)? {
        for rule in rules(&mut socket, &chain)? {
            if rule.comment.is_some_and(|comment| ours.contains(&comment)) {
                let which = Attributes::new().text(1, &chain.table).text(2, &chain.name).bytes(3, &rule.handle);
                batch.push(Verb::DeleteRule, 0, chain.family, &which);
            }
        }
    }
    batch.commit(&mut socket)
}

const DIRECTIONS: [(&str, Meta); 2] = [("in", Meta::OutputName), ("out", Meta::InputName)];

/// The comment that marks a rule as ours: `hako0: in, by hako`.
pub(crate) fn comment(bridge: &str, direction: &str) -> String {
    format!("{bridge}: {direction}, by hako")
}

/// Written as the iptables programs write it, so that they can still list their chains.
fn accepting(chain: &Chain, bridge: &str, which: Meta, comment: &str) -> Attributes {
    let expressions = Expressions::new().device(which, Relation::Equal, bridge).counter().accept();
    let rule = Attributes::new().text(1, &chain.table).text(2, &chain.name).nest(4, expressions.list());
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    rule.bytes(7, &[&[0, length], comment.as_bytes(), &[0]].concat())
}

fn chains(socket: &mut Socket) -> hako_sys::Result<Vec<Chain>> {
    chains_on(socket, FORWARD_HOOK)
}

fn chains_on(socket: &mut Socket, hook: u32) -> hako_sys::Result<Vec<Chain>> {
    let found = dump(socket, Verb::GetChain, ANY_FAMILY, &Attributes::new())?;
    let chain = |family, body: &[u8]| {
        let forward = number(attribute(body, 4)?, 1)? == hook && [INET, IPV4, IPV6].contains(&family);
        forward.then_some(Chain {
            family,
            table: text(body, 1)?.to_owned(),
            name: text(body, 3)?.to_owned(),
            drops_by_policy: number(body, 5) == Some(DROP),
        })
    };
    Ok(found.iter().filter_map(|object| chain(object.family, &object.body)).collect())
}

fn rules(socket: &mut Socket, chain: &Chain) -> hako_sys::Result<Vec<Rule>> {
    let which = Attributes::new().text(1, &chain.table).text(2, &chain.name);
    let found = dump(socket, Verb::GetRule, chain.family, &which)?;
    let rule = |body: &[u8]| {
        Some(Rule {
            handle: attribute(body, 3)?.to_vec(),
            comment: attribute(body, 7).and_then(comment_of),
            refuses_all: attribute(body, 4).is_some_and(refuses_all),
        })
    };
    Ok(found.iter().filter_map(|object| rule(&object.body)).collect())
}

/// The comment among a rule's user data: runs of (kind, length, value).
fn comment_of(data: &[u8]) -> Option<String> {
    let mut rest = data;
    while let [kind, length, tail @ ..] = rest {
        let value = tail.get(..usize::from(*length))?;
        if *kind == 0 {
            return std::str::from_utf8(value).ok().map(|text| text.trim_end_matches('\0').to_owned());
        }
        rest = &tail[usize::from(*length)..];
    }
    None
}

/// Whether these expressions refuse every packet: nothing is asked of it, and the end is a drop or a reject.
fn refuses_all(expressions: &[u8]) -> bool {
    let mut refuses = false;
    for (_, expression) in attributes(expressions) {
        let data = attribute(expression, 2).unwrap_or_default();
        match text(expression, 1) {
            Some("counter" | "log") => {}
            Some("reject") => refuses = true,
            Some("target") => refuses |= matches!(text(data, 1), Some("REJECT" | "DROP")),
            Some("immediate") => refuses |= verdict(data) == Some(DROP),
            _ => return false,
        }
    }
    refuses
}

fn verdict(immediate: &[u8]) -> Option<u32> {
    number(attribute(attribute(immediate, 2)?, 2)?, 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_are_found_among_user_data() {
        assert_eq!(comment_of(&[1, 2, 9, 9, 0, 3, b'h', b'i', 0]), Some("hi".to_owned()));
        assert_eq!(comment_of(&[0, 9, b'h']), None);
        assert_eq!(comment_of(&[]), None);
    }

    #[test]
    fn only_unconditional_refusals_count() {
        let device = || Expressions::new().device(Meta::InputName, Relation::Equal, "eth0");
        for (rule, expected) in [
            (Expressions::new().counter().drop(), true),
            (Expressions::new().drop(), true),
            (Expressions::new().accept(), false),
            (Expressions::new().jump("elsewhere"), false),
            (device().drop(), false),
        ] {
            assert_eq!(refuses_all(&rule.list().0), expected, "{rule:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (comment_of(&bytes), refuses_all(&bytes));
        }
    }
}

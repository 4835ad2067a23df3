//! `[source:]target[:options]`.

use super::{object, refuse};
use crate::error::Refusal;
use crate::shape::Trail;
use crate::yaml::{Mark, Node, Value};

#[derive(Default)]
struct Parsed {
    source: String,
    target: String,
    read_only: bool,
    nocopy: bool,
    selinux: String,
    propagation: String,
}

/// The mount a text stands for.
pub(crate) fn parse(text: &str, mark: Mark, trail: &Trail<'_>) -> Result<Node, Refusal> {
    let parsed = split(text).map_err(|reason| refuse(mark, trail, reason))?;
    let Parsed { source, target, read_only, .. } = &parsed;
    let bind = is_path(source);
    let kind = if bind { "bind" } else { "volume" };
    let given = |key, text: &str| (!text.is_empty()).then(|| (key, Value::from(text)));
    let options = match bind {
        true => object(
            mark,
            [
                given("selinux", &parsed.selinux),
                given("propagation", &parsed.propagation),
                Some(("create_host_path", Value::Bool(true))),
            ]
            .into_iter()
            .flatten(),
        ),
        false => object(mark, parsed.nocopy.then_some(("nocopy", Value::Bool(true)))),
    };
    let members = [
        Some(("type", kind.into())),
        given("source", source),
        given("target", target),
        read_only.then_some(("read_only", Value::Bool(true))),
        // To Compose so short a text is but a path.
        (text.len() > 2).then_some((kind, options.value)),
    ];
    Ok(object(mark, members.into_iter().flatten()))
}

fn split(text: &str) -> Result<Parsed, String> {
    let invalid = |reason: &str| format!("invalid spec: {text}: {reason}");
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    if text.len() <= 2 {
        return Ok(Parsed { target: text.to_owned(), ..Parsed::default() });
    }
    let parts = sections(text);
    if parts.iter().any(String::is_empty) {
        return Err(invalid("empty section between colons"));
    }
    let mut parsed = Parsed::default();
    match &parts[..] {
        [target] => parsed.target.clone_from(target),
        [source, target] => (parsed.source, parsed.target) = (source.clone(), target.clone()),
        [source, target, options] => {
            (parsed.source, parsed.target) = (source.clone(), target.clone());
            options.split(',').for_each(|option| set(&mut parsed, option));
        }
        _ => return Err(invalid("too many colons")),
    }
    Ok(parsed)
}

/// Splits at colons, except after a single letter, which Compose takes for a drive of Windows.
fn sections(text: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    for letter in text.chars() {
        let drive = part.chars().count() == 1 && part.starts_with(char::is_alphabetic);
        match letter {
            ':' if !drive => parts.push(std::mem::take(&mut part)),
            letter => part.push(letter),
        }
    }
    parts.push(part);
    parts
}

fn set(parsed: &mut Parsed, option: &str) {
    match option {
        "ro" => parsed.read_only = true,
        "rw" => parsed.read_only = false,
        "nocopy" => parsed.nocopy = true,
        "z" | "Z" => option.clone_into(&mut parsed.selinux),
        "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
            option.clone_into(&mut parsed.propagation)
        }
        // Compose passes over options it does not know.
        _ => {}
    }
}

/// Whether a source is a path of the host and not a volume's name.
fn is_path(source: &str) -> bool {
    let drive = || {
        let mut letters = source.chars();
        letters.next().is_some_and(char::is_alphabetic) && letters.next() == Some(':')
    };
    source.starts_with(['.', '/', '~']) || drive()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: &str) {
        let mount = parse(text, Mark::default(), &Trail::TOP).unwrap();
        let (kind, source, target) = (mount.text("type"), mount.text("source"), mount.text("target"));
        let read_only = if mount.on("read_only") { " ro" } else { "" };
        assert_eq!(format!("{kind} {source} {target}{read_only}"), wanted, "{text}");
    }

    #[test]
    fn every_short_form() {
        check("/anonymous", "volume  /anonymous");
        check("data:/data", "volume data /data");
        check("./here:/there:ro,z", "bind ./here /there ro");
        check("~/notes:/notes:rw", "bind ~/notes /notes");
        check("data:/data:nocopy", "volume data /data");
        // A single letter is a drive to Compose.
        check("v:/c", "volume  v:/c");
        check("a:/b:ro:z", "bind a:/b ro");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ":/data", "data::/x", "one:/two:three:four"] {
            assert!(parse(text, Mark::default(), &Trail::TOP).is_err(), "{text}");
        }
    }
}

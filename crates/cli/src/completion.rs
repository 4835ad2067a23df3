//! Shell completion: a small script per shell that asks `hako __complete`, which answers from the same tables the parser
//! uses and, for names of objects, from the daemon.

use crate::command;
use crate::config::contexts;
use crate::failure::Failure;
use crate::flags::Flag;
use crate::output;
use crate::session::{GLOBALS, Session};
use crate::tree::{Body, Command, Node, Offer, Outcome};

pub(crate) const BASH: &str = include_str!("completion/hako.bash");
pub(crate) const ZSH: &str = include_str!("completion/hako.zsh");
pub(crate) const FISH: &str = include_str!("completion/hako.fish");

/// `hako completion SHELL`.
pub(crate) fn script(words: &[String]) -> Outcome {
    match words.first().map(String::as_str) {
        Some("bash") => output::print(BASH),
        Some("zsh") => output::print(ZSH),
        Some("fish") => output::print(FISH),
        Some("--help" | "-h") | None => output::print(
            "Usage:  hako completion bash|zsh|fish\n\nGenerate the autocompletion script for the specified shell\n\n\
             Examples:\n  source <(hako completion bash)\n      For this shell\n  \
             hako completion bash > /etc/bash_completion.d/hako\n      For every shell\n",
        ),
        Some(other) => Err(Failure::local(format!("unknown shell {other:?}: completion knows bash, zsh and fish"))),
    }
}

/// Answers with one candidate per line; a tab and a description may follow. The last word is the one being typed.
pub(crate) fn answer(session: &Session, words: &[String]) -> Outcome {
    let (typed, before) = words.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
    let found = candidates(before, typed);
    let mut lines: Vec<String> = found.fixed;
    if let Some(offer) = found.offer {
        lines.extend(objects(session, offer));
    }
    lines.retain(|line| line.starts_with(typed));
    output::print(lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// What may come next, as far as the tables tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct Candidates {
    fixed: Vec<String>,
    offer: Option<Offer>,
}

fn candidates(before: &[String], typed: &str) -> Candidates {
    let mut nodes = command::NODES;
    let mut rest = before;
    let mut flags: &[&[Flag]] = &[GLOBALS];
    while let Some((word, tail)) = rest.split_first() {
        if word.starts_with('-') {
            rest = skip_value(flags, word, tail);
            continue;
        }
        match nodes.iter().find(|node| node.is(word)).map(|node| &node.body) {
            Some(Body::Group(group)) => {
                nodes = group.nodes;
                flags = group.flags;
                rest = tail;
            }
            Some(Body::Command(command)) => return of_command(command, tail, typed),
            _ => return Candidates::default(),
        }
    }
    if typed.starts_with('-') {
        return Candidates { fixed: flag_words(flags), offer: None };
    }
    Candidates { fixed: nodes.iter().filter(|node| !node.absent()).map(described).collect(), offer: None }
}

fn described(node: &Node) -> String {
    format!("{}\t{}", node.name, node.short())
}

fn flag_words(groups: &[&[Flag]]) -> Vec<String> {
    let shown = groups.iter().flat_map(|group| group.iter()).filter(|flag| !flag.hidden);
    let first_line = |text: &'static str| text.lines().next().unwrap_or_default();
    shown
        .map(|flag| format!("--{}\t{}", flag.long, first_line(flag.help)))
        .chain(["--help\tPrint usage".to_owned()])
        .collect()
}

/// What follows a flag, without the flag's value if that is a word of its own.
fn skip_value<'a>(groups: &[&[Flag]], word: &str, tail: &'a [String]) -> &'a [String] {
    if takes_next(groups, word) { tail.get(1..).unwrap_or_default() } else { tail }
}

fn takes_next(groups: &[&[Flag]], word: &str) -> bool {
    let mut all = groups.iter().flat_map(|group| group.iter());
    match word.strip_prefix("--") {
        Some(long) => !long.contains('=') && all.any(|flag| flag.long == long && !flag.is_switch()),
        None => {
            word.chars().last().is_some_and(|letter| all.any(|flag| flag.short == Some(letter) && !flag.is_switch()))
        }
    }
}

fn of_command(command: &'static Command, words: &[String], typed: &str) -> Candidates {
    if let Some(values) = words.last().and_then(|last| flag_values(command, last)) {
        return values;
    }
    let (mut count, mut rest) = (0, words);
    while let Some((word, tail)) = rest.split_first() {
        if word.starts_with('-') && word.len() > 1 {
            rest = skip_value(command.flags, word, tail);
        } else if !command.interspersed && count == 0 && command.offer == Offer::ImageThenNothing {
            return Candidates::default();
        } else {
            count += 1;
            rest = tail;
        }
    }
    if typed.starts_with('-') {
        return Candidates { fixed: flag_words(command.flags), offer: None };
    }
    let one = matches!(command.arity, crate::tree::Arity::Exactly(1)) || command.offer == Offer::ContainerThenFiles;
    let offer = (command.offer != Offer::Nothing && !(one && count > 0)).then_some(command.offer);
    Candidates { fixed: Vec::new(), offer }
}

/// Values of the flag that stands before the cursor.
fn flag_values(command: &'static Command, word: &str) -> Option<Candidates> {
    if !word.starts_with('-') || word.len() < 2 || !takes_next(command.flags, word) {
        return None;
    }
    let fixed =
        |words: &[&str]| Candidates { fixed: words.iter().map(|word| (*word).to_owned()).collect(), offer: None };
    let offer = |offer| Candidates { fixed: Vec::new(), offer: Some(offer) };
    Some(match word.trim_start_matches('-') {
        "network" | "net" => offer(Offer::Networks),
        "volumes-from" => offer(Offer::Containers),
        "v" | "volume" => offer(Offer::Volumes),
        "restart" => fixed(&["no", "on-failure", "always", "unless-stopped"]),
        "pull" => fixed(&["always", "missing", "never"]),
        "type" => fixed(&["container", "image", "network", "volume"]),
        "log-driver" => fixed(&["json-file", "local", "none"]),
        "s" | "signal" | "stop-signal" => fixed(&["HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"]),
        "a" | "attach" => fixed(&["stdin", "stdout", "stderr"]),
        _ => Candidates::default(),
    })
}

/// Names of objects; a daemon that cannot be asked offers none.
fn objects(session: &Session, offer: Offer) -> Vec<String> {
    if offer == Offer::Contexts {
        let stored = contexts::all(&session.directory()).into_iter().map(|context| context.name);
        return [contexts::DEFAULT.to_owned()].into_iter().chain(stored).collect();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    runtime.block_on(ask(session, offer)).unwrap_or_default()
}

async fn ask(session: &Session, offer: Offer) -> Result<Vec<String>, Failure> {
    let client = session.client()?;
    let mut found = Vec::new();
    if matches!(offer, Offer::Containers | Offer::Running | Offer::Stopped | Offer::ContainerThenFiles | Offer::Objects)
    {
        let all = offer != Offer::Running;
        let options = hako_api::query::ListContainers { all, ..hako_api::query::ListContainers::default() };
        let listed = client.containers().list(&options).await?;
        let wanted = listed.iter().filter(|one| offer != Offer::Stopped || one.state != "running");
        let tail = if offer == Offer::ContainerThenFiles { ":" } else { "" };
        found.extend(wanted.flat_map(|one| &one.names).map(|name| format!("{}{tail}", name.trim_start_matches('/'))));
    }
    if matches!(offer, Offer::Images | Offer::ImageThenNothing | Offer::Objects) {
        let listed = client.images().list(&hako_api::query::ListImages::default()).await?;
        found.extend(listed.into_iter().flat_map(|image| image.repo_tags).filter(|name| !name.starts_with('<')));
    }
    if matches!(offer, Offer::Volumes | Offer::Objects) {
        found.extend(client.volumes().list(&Default::default()).await?.volumes.into_iter().map(|volume| volume.name));
    }
    if matches!(offer, Offer::Networks | Offer::Objects) {
        found.extend(client.networks().list(&Default::default()).await?.into_iter().map(|network| network.name));
    }
    Ok(found)
}

/// Whether two words differ by at most two letters, fewer for short words.
pub(crate) fn similar(known: &str, typed: &str) -> bool {
    let (known, typed): (Vec<char>, Vec<char>) = (known.chars().collect(), typed.chars().collect());
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (i, letter) in known.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in typed.iter().enumerate() {
            let changed = corner + usize::from(letter != other);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[typed.len()] <= if known.len() < 5 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> Candidates {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (typed, before) = words.split_last().unwrap();
        candidates(before, typed)
    }

    fn names(line: &str) -> Vec<String> {
        offered(line).fixed.into_iter().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn commands_and_flags_come_from_the_tables() {
        assert!(names("r").contains(&"run".to_owned()));
        assert!(names("container ").contains(&"ls".to_owned()));
        assert!(names("b").contains(&"build".to_owned()));
        assert!(!names("").contains(&"swarm".to_owned()));
        assert!(names("run --rm -").contains(&"--detach".to_owned()));
        assert!(names("-").contains(&"--context".to_owned()));
        assert_eq!(names("run --restart "), ["no", "on-failure", "always", "unless-stopped"]);
    }

    #[test]
    fn objects_are_offered_where_they_belong() {
        let cases = [
            ("stop ", Some(Offer::Running)),
            ("-c x stop a ", Some(Offer::Running)),
            ("run --rm ", Some(Offer::ImageThenNothing)),
            ("run --rm -p 80 ", Some(Offer::ImageThenNothing)),
            ("run alpine ", None),
            ("logs ", Some(Offer::Containers)),
            ("logs web ", None),
            ("volume rm ", Some(Offer::Volumes)),
            ("run -v ", Some(Offer::Volumes)),
            ("nonsense ", None),
        ];
        for (line, expect) in cases {
            assert_eq!(offered(line).offer, expect, "{line}");
        }
    }

    #[test]
    fn misspelt_words() {
        assert!(similar("images", "imagse") && similar("stop", "stp"));
        assert!(!similar("run", "build") && !similar("ps", "rm"));
    }
}

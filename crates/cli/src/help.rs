//! Help as Docker lays it out: usage, description, aliases, options wrapped as pflag wraps them, then a few examples.

use std::fmt::Write as _;

use crate::flags::{Flag, Kind, Support, switch};
use crate::tree::{Command, Group, Node, Section};

/// The help of one command, for a terminal of `width` columns.
pub(crate) fn command(path: &str, command: &Command, width: usize) -> String {
    let mut out = usage(path, command);
    let _ = write!(out, "\n{}\n", if command.long.is_empty() { command.short } else { command.long });
    if command.aliases.len() > 1 {
        let _ = write!(out, "\nAliases:\n  {}\n", command.aliases.join(", "));
    }
    let options = flag_lines(command.flags, width);
    if !options.is_empty() {
        let _ = write!(out, "\nOptions:\n{options}");
    }
    out + &examples(command.examples)
}

/// How one command is called: a line for each form.
pub(crate) fn usage(path: &str, command: &Command) -> String {
    let mut out = String::new();
    for (line, form) in command.usage.iter().enumerate() {
        let lead = if line == 0 { "Usage:  " } else { "\t" };
        let path = if line == 0 { path } else { command.aliases.last().copied().unwrap_or(path) };
        out += &trimmed(&format!("{lead}{path} {form}"));
    }
    out
}

fn trimmed(line: &str) -> String {
    format!("{}\n", line.trim_end())
}

/// The help of a group of commands such as `container`.
pub(crate) fn group(path: &str, group: &Group, width: usize) -> String {
    let mut out = format!("Usage:  {path} COMMAND\n\n{}\n\nCommands:\n", group.short);
    out += &listed(group.nodes.iter(), width);
    let options = flag_lines(group.flags, width);
    if !options.is_empty() {
        let _ = write!(out, "\nOptions:\n{options}");
    }
    let _ = write!(out, "\nRun '{path} COMMAND --help' for more information on a command.\n");
    out
}

/// The help of the program itself.
pub(crate) fn program(nodes: &[Node], globals: &'static [Flag], width: usize) -> String {
    let mut out =
        String::from("Usage:  hako [OPTIONS] COMMAND\n\nContainers from one binary: build them, ship them, run them\n");
    for (section, title) in [
        (Section::Everyday, "Common Commands"),
        (Section::Management, "Management Commands"),
        (Section::Plain, "Commands"),
    ] {
        let _ = write!(out, "\n{title}:\n{}", listed(nodes.iter().filter(|node| node.section == section), width));
    }
    let _ = write!(out, "\nGlobal Options:\n{}", flag_lines(&[globals], width));
    out += "\nFirst steps:\n  hako run --rm hello                       Say hello, then clean up\n  \
            hako run -d --name web -p 8080:80 nginx   Serve pages on http://localhost:8080\n  \
            hako logs -f web                          Watch what it says\n\n\
            Run 'hako COMMAND --help' for more information on a command.\n";
    out
}

fn listed<'a>(nodes: impl Iterator<Item = &'a Node>, width: usize) -> String {
    let line = |node: &Node| format!("  {:<11} {}\n", node.name, wrap(14, width, node.short()));
    nodes.filter(|node| !node.absent()).map(line).collect()
}

fn examples(examples: &[(&str, &str)]) -> String {
    if examples.is_empty() {
        return String::new();
    }
    let mut out = String::from("\nExamples:\n");
    for (command, meaning) in examples {
        let _ = write!(out, "  {command}\n      {meaning}\n");
    }
    out
}

/// The options of a command, sorted by name and wrapped.
fn flag_lines(groups: &[&'static [Flag]], width: usize) -> String {
    // Where -h means something else, help itself is worth a line.
    static HELP: Flag = switch("help", "Print usage");
    let mut flags: Vec<&Flag> = groups.iter().flat_map(|group| group.iter()).filter(|flag| !flag.hidden).collect();
    if flags.iter().any(|flag| flag.short == Some('h')) {
        flags.push(&HELP);
    }
    flags.sort_by_key(|flag| flag.long);
    let heads: Vec<String> = flags.iter().map(|flag| head(flag)).collect();
    let widest = heads.iter().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    for (flag, head) in flags.iter().zip(&heads) {
        let text = wrap(widest + 3, width.saturating_sub(1), &described(flag));
        let _ = writeln!(out, "{head:widest$}   {text}");
    }
    out
}

fn head(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    format!("  {short}--{} {}", flag.long, flag.word).trim_end().to_owned()
}

fn described(flag: &Flag) -> String {
    if flag.default.is_empty() && flag.support != Support::Full {
        return format!("{} (not supported)", flag.help);
    }
    match (flag.kind, flag.default) {
        (_, "") => flag.help.to_owned(),
        (Kind::Text, default) => format!("{} (default {default:?})", flag.help),
        (_, default) => format!("{} (default {default})", flag.help),
    }
}

/// pflag's `wrap`: text in the columns from `indent` to `width`; the caller has set the first line's indent.
fn wrap(indent: usize, width: usize, text: &str) -> String {
    const SLOP: usize = 5;
    let mut out = String::new();
    let (indent, room) = match width.saturating_sub(indent) {
        room if room >= 24 => (indent, room),
        _ => {
            let _ = write!(out, "\n{:16}", "");
            (16, width.saturating_sub(16))
        }
    };
    if room < 24 {
        return text.to_owned();
    }
    let (mut rest, mut first) = (text, true);
    while first || !rest.is_empty() {
        let (line, tail) = wrap_line(room - SLOP, SLOP, rest);
        if !first {
            let _ = write!(out, "\n{:indent$}", "");
        }
        out += &line.replace('\n', &format!("\n{:indent$}", ""));
        (rest, first) = (tail, false);
    }
    out
}

/// pflag's `wrapN`: a line of up to `room` columns, `slop` more if that takes everything.
fn wrap_line(room: usize, slop: usize, text: &str) -> (&str, &str) {
    if room + slop > text.len() || !text.is_char_boundary(room) {
        return (text, "");
    }
    let head = &text[..room];
    let space = match head.rfind([' ', '\t', '\n']) {
        Some(at) if at > 0 => at,
        _ => return (text, ""),
    };
    match head.rfind('\n') {
        Some(line) if line > 0 && line < space => (&text[..line], &text[line + 1..]),
        _ => (&text[..space], &text[space + 1..]),
    }
}

//! Manual pages, made of the same tables as the help: one for the program and one for each command.

use crate::command::NODES;
use crate::help;
use crate::session::GLOBALS;
use crate::tree::{Body, Node};

/// How wide the texts of options are set.
const WIDTH: usize = 90;

/// All pages: file name and text.
pub(crate) fn pages() -> Vec<(String, String)> {
    let program = help::program(NODES, GLOBALS, WIDTH);
    let mut all = vec![("hako.1".to_owned(), page("hako", "containers from one binary", &program))];
    for node in NODES {
        add(node, "hako", &mut all);
    }
    all
}

fn add(node: &Node, above: &str, all: &mut Vec<(String, String)>) {
    let path = format!("{above} {}", node.name);
    let text = match &node.body {
        Body::Command(command) => help::command(&path, command, WIDTH),
        Body::Group(group) => {
            group.nodes.iter().for_each(|node| add(node, &path, all));
            help::group(&path, group, WIDTH)
        }
        Body::Absent(_) => return,
    };
    let name = path.replace(' ', "-");
    all.push((format!("{name}.1"), page(&name, node.short(), &text)));
}

/// The help as it is, between a page's head and foot.
fn page(name: &str, short: &str, help: &str) -> String {
    let title = name.to_uppercase();
    let (escaped, mut text) = (escape(short), String::new());
    for line in help.lines() {
        // A line that begins with a dot or a quote would be an instruction.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        text += &format!("{guard}{}\n", escape(line));
    }
    format!(
        ".TH {title} 1 \"\" \"hako {}\"\n.SH NAME\n{} \\- {escaped}\n.SH DESCRIPTION\n.nf\n{text}.fi\n",
        crate::VERSION,
        escape(name)
    )
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let pages = pages();
        for name in ["hako.1", "hako-run.1", "hako-system-install.1", "hako-compose-up.1"] {
            let (_, text) = pages.iter().find(|(page, _)| page == name).unwrap();
            assert!(text.starts_with(".TH HAKO") && text.contains(".SH NAME\n"), "{text}");
        }
        assert!(!page("x", "y", ".de\n'so /etc/passwd").contains("\n.de"));
    }
}

//! Living beside a host firewall that drops what it does not know.
//!
//! A packet is forwarded only if every base chain on the forward hook lets it through: an accept in our table does not
//! overrule a drop in another. So this is the one place where hako touches rules that are not its own, and as lightly
//! as can be: only chains that drop by policy, or end in a rule that refuses everything, get one accepting rule per
//! direction for our bridge, marked with a comment and taken out with the bridge. What they accept is still subject to
//! our own table's forward chain, which drops what was not published.
//!
//! Chains of nft and of iptables-nft are read and changed over netlink. The older iptables has an interface of its own;
//! where its tables are loaded its program is run, and where the program is missing nothing can be done.
//!
//! A firewall that reloads loses the rules: [`admit`] is cheap enough to be called before every start.

use std::path::PathBuf;
use std::process::Command;

use crate::error::kernel;
pub use crate::nft::foreign::Station;
use crate::nft::foreign::{self, comment};
use crate::{Error, Result, sysctl};

/// The old iptables, by family: its name, and the file that lists its loaded tables.
const LEGACY: [(&str, &str, bool); 2] = [
    ("iptables-legacy", "/proc/thread-self/net/ip_tables_names", false),
    ("ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names", true),
];

/// Lets the bridge's packets through base chains of others that would drop them. Idempotent.
pub fn admit(bridge: &str) -> Result<()> {
    let with_v6 = sysctl::is_off(&format!("ipv6/conf/{bridge}/disable_ipv6"));
    foreign::admit(bridge, with_v6).map_err(kernel("admit", bridge))?;
    for (program, tables, v6) in LEGACY {
        if with_v6 || !v6 {
            admit_legacy(program, tables, bridge)?;
        }
    }
    Ok(())
}

/// Chains of others (of nft and iptables-nft) that packets to ports published on this bridge meet.
pub fn stations(bridge: &str, table: &crate::nft::Table) -> Result<Vec<Station>> {
    foreign::stations(bridge, table.name()).map_err(kernel("read", "rules of the host"))
}

/// Takes back what [`admit`] did.
pub fn withdraw(bridge: &str) -> Result<()> {
    foreign::withdraw(bridge).map_err(kernel("withdraw", bridge))?;
    for (program, tables, _) in LEGACY {
        if let Some(legacy) = Legacy::find(program, tables) {
            legacy.withdraw(bridge)?;
        }
    }
    Ok(())
}

fn admit_legacy(program: &str, tables: &str, bridge: &str) -> Result<()> {
    let Some(legacy) = Legacy::find(program, tables) else { return Ok(()) };
    let rules = legacy.rules()?;
    if drops(&rules) {
        for (direction, option) in DIRECTIONS {
            if !rules.contains(&comment(bridge, direction)) {
                legacy.run(&[&["-I".to_owned()], &rule(bridge, direction, option)[..]].concat())?;
            }
        }
    }
    Ok(())
}

const DIRECTIONS: [(&str, &str); 2] = [("in", "-o"), ("out", "-i")];

/// The words of our rule, behind `-I` or `-D`.
fn rule(bridge: &str, direction: &str, option: &'static str) -> Vec<String> {
    let words = ["FORWARD", option, bridge, "-m", "comment", "--comment", &comment(bridge, direction), "-j", "ACCEPT"];
    words.map(str::to_owned).to_vec()
}

/// Whether the chain, as `-S FORWARD` prints it, drops by policy or refuses everything in its last rule.
fn drops(rules: &str) -> bool {
    let last = rules.lines().last().unwrap_or_default();
    rules.lines().any(|line| line == "-P FORWARD DROP")
        || last == "-A FORWARD -j DROP"
        || last.starts_with("-A FORWARD -j REJECT")
}

/// The program of the old iptables, found only where its filter table is loaded: asking it would load the table.
struct Legacy {
    program: PathBuf,
}

impl Legacy {
    fn find(program: &str, tables: &str) -> Option<Self> {
        let loaded = std::fs::read_to_string(tables).unwrap_or_default();
        if !loaded.lines().any(|table| table == "filter") {
            return None;
        }
        let found = |folder: &str| Some(PathBuf::from(folder).join(program)).filter(|path| path.exists());
        ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"]
            .into_iter()
            .find_map(found)
            .map(|program| Self { program })
    }

    fn rules(&self) -> Result<String> {
        self.run(&["-S".to_owned(), "FORWARD".to_owned()])
    }

    fn withdraw(&self, bridge: &str) -> Result<()> {
        let rules = self.rules()?;
        for (direction, option) in DIRECTIONS {
            if rules.contains(&comment(bridge, direction)) {
                self.run(&[&["-D".to_owned()], &rule(bridge, direction, option)[..]].concat())?;
            }
        }
        Ok(())
    }

    fn run(&self, words: &[String]) -> Result<String> {
        let refused = |reason: String| Error::Firewall { program: self.program.display().to_string(), reason };
        let output = Command::new(&self.program).arg("-w").args(words).output();
        let output = output.map_err(|error| refused(error.to_string()))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_drop() {
        for (rules, expected) in [
            ("-P FORWARD ACCEPT\n", false),
            ("-P FORWARD DROP\n", true),
            ("-P FORWARD DROP\n-A FORWARD -j ACCEPT\n", true),
            ("-P FORWARD ACCEPT\n-A FORWARD -i eth0 -j DROP\n", false),
            ("-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n", true),
            ("-P FORWARD ACCEPT\n-A FORWARD -j DROP\n-A FORWARD -j LOG\n", false),
        ] {
            assert_eq!(drops(rules), expected, "{rules}");
        }
    }
}

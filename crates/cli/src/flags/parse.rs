//! The command line grammar of Go's pflag: long and short flags, grouped letters, attached values, `--`, and words in
//! between when a command allows it.

use hako_model::quote::quote;

use super::value::{parse_bool, parse_bytes, parse_cpus, parse_duration, parse_int, parse_uint16};
use super::{Flag, Kind, Matches, Support};

/// Why a command line could not be read. The text is pflag's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `-h` or `--help` was there: not an error, but nothing else counts.
    Help,
    /// The whole message.
    Message(String),
    /// A flag Docker has and hako refuses; names the flag and gives the reason.
    Refused(String),
}

/// Reads `words` by the flags of `groups`. With `interspersed` flags may stand after other words; without, the first
/// word that is no flag ends them (`run IMAGE COMMAND -x`).
pub(crate) fn parse(
    groups: &'static [&'static [Flag]],
    interspersed: bool,
    words: &[String],
) -> Result<Matches, Fault> {
    let mut reader = Reader { groups, words, next: 0, found: Matches::new(groups) };
    while let Some(word) = words.get(reader.next) {
        reader.next += 1;
        if word == "--" {
            reader.found.take_rest(&words[reader.next..]);
            break;
        } else if let Some(long) = word.strip_prefix("--") {
            reader.long(long)?;
        } else if word.len() > 1 && word.starts_with('-') {
            reader.letters(word)?;
        } else if interspersed {
            reader.found.take_word(word);
        } else {
            reader.found.take_rest(&words[reader.next - 1..]);
            break;
        }
    }
    Ok(reader.found)
}

struct Reader<'a> {
    groups: &'static [&'static [Flag]],
    words: &'a [String],
    next: usize,
    found: Matches,
}

impl Reader<'_> {
    fn long(&mut self, text: &str) -> Result<(), Fault> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(Fault::Message(format!("bad flag syntax: --{text}")));
        }
        let Some(flag) = self.all().find(|flag| flag.long == name) else {
            return Err(if name == "help" { Fault::Help } else { Fault::Message(format!("unknown flag: --{name}")) });
        };
        let value = match value {
            Some(value) => value.to_owned(),
            None if flag.is_switch() => "true".to_owned(),
            None => self.following(|| format!("flag needs an argument: --{name}"))?,
        };
        self.set(flag, value)
    }

    /// `-itd`, `-p80:80`, `-p=80`, `-it=false`.
    fn letters(&mut self, word: &str) -> Result<(), Fault> {
        let mut letters = word[1..].chars();
        while let Some(letter) = letters.next() {
            let rest = letters.as_str();
            let Some(flag) = self.all().find(|flag| flag.short == Some(letter)) else {
                return Err(unknown_letter(letter, rest));
            };
            if let Some(value) = rest.strip_prefix('=').filter(|value| !value.is_empty()) {
                return self.set(flag, value.to_owned());
            }
            if flag.is_switch() {
                self.set(flag, "true".to_owned())?;
            } else if !rest.is_empty() {
                return self.set(flag, rest.to_owned());
            } else {
                let value = self.following(|| format!("flag needs an argument: {} in -{letter}", go_rune(letter)))?;
                return self.set(flag, value);
            }
        }
        Ok(())
    }

    fn following(&mut self, missing: impl FnOnce() -> String) -> Result<String, Fault> {
        let value = self.words.get(self.next).ok_or_else(|| Fault::Message(missing()))?;
        self.next += 1;
        Ok(value.clone())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), Fault> {
        check(flag, &value).map_err(|why| {
            Fault::Message(format!("invalid argument {} for {} flag: {why}", quote(&value), quote(&flag.label())))
        })?;
        if let Support::Refused(reason) = flag.support
            && asks_for_something(flag, &value)
        {
            return Err(Fault::Refused(format!("--{} is not supported: {reason}", flag.long)));
        }
        self.found.add(flag, value);
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.groups.iter().flat_map(|group| group.iter())
    }
}

/// A refused flag given its own default (`--tls=false`) asks for nothing.
fn asks_for_something(flag: &Flag, value: &str) -> bool {
    match flag.kind {
        Kind::Switch => parse_bool(value) != parse_bool(if flag.default.is_empty() { "false" } else { flag.default }),
        _ => value != flag.default,
    }
}

fn unknown_letter(letter: char, rest: &str) -> Fault {
    if letter == 'h' {
        return Fault::Help;
    }
    Fault::Message(format!("unknown shorthand flag: {} in -{letter}{rest}", go_rune(letter)))
}

fn go_rune(letter: char) -> String {
    format!("'{letter}'")
}

fn check(flag: &Flag, value: &str) -> Result<(), String> {
    match flag.kind {
        Kind::Switch => parse_bool(value).map(drop),
        Kind::Int => parse_int(value).map(drop),
        Kind::Uint16 => parse_uint16(value).map(drop),
        Kind::Bytes => parse_bytes(value).map(drop),
        Kind::SwapBytes if value == "-1" => Ok(()),
        Kind::SwapBytes => parse_bytes(value).map(drop),
        Kind::Cpus => parse_cpus(value).map(drop),
        Kind::Duration => parse_duration(value).map(drop),
        Kind::Text | Kind::List | Kind::Csv => Ok(()),
    }?;
    flag.check.map_or(Ok(()), |check| check(value))
}

#[cfg(test)]
mod tests {
    use super::super::{bytes, csv, int, list, switch, text};
    use super::*;

    const RUN: &[Flag] = &[
        switch("detach", "").short('d'),
        switch("interactive", "").short('i'),
        switch("tty", "").short('t'),
        switch("rm", ""),
        switch("sig-proxy", "").default("true"),
        list("publish", "").short('p'),
        list("env", "").short('e'),
        text("hostname", "").short('h'),
        text("name", ""),
        bytes("memory", "").short('m'),
        int("cpu-shares", "").short('c'),
        csv("strings", ""),
        list("gpus", "").refused("not here"),
    ];
    const GROUPS: &[&[Flag]] = &[RUN];

    fn run(line: &str) -> Result<Matches, Fault> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(GROUPS, false, &words)
    }

    fn shown(line: &str) -> String {
        let found = run(line).expect(line);
        format!("{} | {}", found.describe(), found.words().join(" "))
    }

    #[test]
    fn run_command_lines() {
        let cases = [
            ("-itd alpine", "interactive=true tty=true detach=true | alpine"),
            ("-it alpine sh", "interactive=true tty=true | alpine sh"),
            ("--rm=false alpine", "rm=false | alpine"),
            ("-it=false alpine", "interactive=true tty=false | alpine"),
            ("-p80:80 nginx", "publish=80:80 | nginx"),
            ("-p=80 nginx", "publish=80 | nginx"),
            ("-p 80:80 -p 90:90 nginx", "publish=80:80 publish=90:90 | nginx"),
            ("-itp80:80 nginx", "interactive=true tty=true publish=80:80 | nginx"),
            ("-h host alpine", "hostname=host | alpine"),
            ("-hhost:80:80 alpine", "hostname=host:80:80 | alpine"),
            ("alpine -d", " | alpine -d"),
            ("alpine -h", " | alpine -h"),
            ("alpine -- y", " | alpine -- y"),
            ("-- alpine -- y", " | alpine -- y"),
            ("-d -- alpine --name x", "detach=true | alpine --name x"),
            ("--name a --name=b alpine", "name=a name=b | alpine"),
            ("-e A=1 -eB=2 --env=C=3 x", "env=A=1 env=B=2 env=C=3 | x"),
            ("--name= x", "name= | x"),
            ("-d=TRUE x", "detach=TRUE | x"),
            ("-", " | -"),
            ("-m512m x", "memory=512m | x"),
            ("--name -d x", "name=-d | x"),
        ];
        for (line, expect) in cases {
            assert_eq!(shown(line), expect, "{line}");
        }
    }

    #[test]
    fn faults_speak_pflag() {
        let cases = [
            ("--foo x", "unknown flag: --foo"),
            ("--foo=1 x", "unknown flag: --foo"),
            ("-Z x", "unknown shorthand flag: 'Z' in -Z"),
            ("-itZx x", "unknown shorthand flag: 'Z' in -Zx"),
            ("--name", "flag needs an argument: --name"),
            ("-e", "flag needs an argument: 'e' in -e"),
            ("-ite", "flag needs an argument: 'e' in -e"),
            (
                "--rm=foo x",
                "invalid argument \"foo\" for \"--rm\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax",
            ),
            ("-m x y", "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'"),
            (
                "-c z y",
                "invalid argument \"z\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \"z\": invalid syntax",
            ),
            ("--=x", "bad flag syntax: --=x"),
            ("---x", "bad flag syntax: ---x"),
        ];
        for (line, expect) in cases {
            assert_eq!(run(line).err(), Some(Fault::Message(expect.to_owned())), "{line}");
        }
        assert_eq!(run("--help").err(), Some(Fault::Help));
        assert_eq!(run("--gpus all x").err(), Some(Fault::Refused("--gpus is not supported: not here".to_owned())));
    }

    #[test]
    fn interspersed_words_do_not_end_flags() {
        let words: Vec<String> = ["a", "-d", "b", "--name", "n", "--", "-x"].map(str::to_owned).to_vec();
        let found = parse(GROUPS, true, &words).unwrap();
        assert_eq!(found.words(), ["a", "b", "-x"]);
        assert!(found.on("detach"));
        assert_eq!(found.text("name"), "n");
    }

    #[test]
    fn the_last_of_a_plain_flag_counts_and_lists_add_up() {
        let found = run("--name a --name b --strings x,y --strings z i").unwrap();
        assert_eq!(found.text("name"), "b");
        assert_eq!(found.list("strings"), ["x", "y", "z"]);
        assert!(found.on("sig-proxy") && !found.given("sig-proxy"));
    }

    proptest::proptest! {
        /// Whatever is typed is read or refused; and what follows `--` is nobody's flag.
        #[test]
        fn any_line_is_read_or_refused(line in proptest::collection::vec("-{0,2}[a-z=]{0,6}", 0..8), tail in proptest::collection::vec(".{0,4}", 0..4)) {
            let mut words = line.clone();
            words.push("--".to_owned());
            words.extend(tail.iter().cloned());
            if let Ok(found) = parse(GROUPS, false, &words) {
                let rest = found.words();
                proptest::prop_assert!(rest.ends_with(&tail));
                proptest::prop_assert!(rest.len() <= words.len());
            }
        }
    }
}

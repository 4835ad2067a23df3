//! DNS messages, as far as an answerer must read and write them. Everything else passes through unread.

use std::net::IpAddr;

/// The head of every message.
const HEAD: usize = 12;
/// What a client takes by UDP if it does not say.
const SMALL: usize = 512;
/// What is said to be taken here.
const TAKEN: u16 = 1232;
/// How long an answer may be kept: containers come and go.
const LIFETIME: u32 = 10;

const RECURSION_WANTED: u16 = 0x0100;
const ANSWER: u16 = 0x8000;
const RECURSION_OFFERED: u16 = 0x0080;
const TRUNCATED: u16 = 0x0200;
const OPCODE: u16 = 0x7800;

/// Kinds of records.
pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;
const OPT: u16 = 41;
pub(super) const ANY: u16 = 255;

/// The internet's class.
const IN: u16 = 1;

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Good = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    Unknown = 4,
    Refused = 5,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Chosen by the client.
    pub(super) id: u16,
    flags: u16,
    /// In small letters, without the last dot.
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// Where its bytes end.
    end: usize,
    /// What the client takes by UDP, if it says.
    takes: Option<u16>,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    Address(IpAddr),
    Name(String),
}

impl Question {
    /// Reads a query. Without an error code it is not worth an answer.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Option<Code>> {
        let word = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
        let (id, flags) = (word(0).ok_or(None)?, word(2).ok_or(None)?);
        if bytes.len() < HEAD || flags & ANSWER != 0 {
            return Err(None);
        }
        if flags & OPCODE != 0 {
            return Err(Some(Code::Unknown));
        }
        let malformed = Some(Code::Malformed);
        if word(4) != Some(1) {
            return Err(malformed);
        }
        let (name, at) = read_name(bytes, HEAD).ok_or(malformed)?;
        let (kind, class) = (word(at).ok_or(malformed)?, word(at + 2).ok_or(malformed)?);
        let others = [6, 8, 10].iter().map(|at| usize::from(word(*at).unwrap_or(0))).sum();
        let takes = extension(bytes, at + 4, others);
        Ok(Self { id, flags, name, kind, class, end: at + 4, takes })
    }

    /// Whether it is about the internet, as nearly all are.
    pub(super) fn is_internet(&self) -> bool {
        matches!(self.class, IN | ANY)
    }

    /// How long an answer by UDP may be.
    pub(super) fn room(&self) -> usize {
        usize::from(self.takes.unwrap_or(0)).clamp(SMALL, 65_535)
    }

    /// The answer; `room` is how long it may be. One that is too long says so, and the client asks again by TCP.
    pub(super) fn answer(&self, query: &[u8], code: Code, records: &[Data], room: usize) -> Vec<u8> {
        let mut flags = ANSWER | RECURSION_OFFERED | (self.flags & RECURSION_WANTED) | code as u16;
        let extra = if self.takes.is_some() { 11 } else { 0 };
        let mut body = Vec::new();
        let mut count: u16 = 0;
        for record in records {
            let start = body.len();
            write_record(&mut body, record);
            if self.end + body.len() + extra > room {
                body.truncate(start);
                flags |= TRUNCATED;
                break;
            }
            count += 1;
        }
        let mut out = Vec::with_capacity(self.end + body.len() + extra);
        for word in [self.id, flags, 1, count, 0, u16::from(self.takes.is_some())] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(query.get(HEAD..self.end).unwrap_or_default());
        out.extend_from_slice(&body);
        if self.takes.is_some() {
            out.push(0);
            for word in [OPT, TAKEN, 0, 0, 0] {
                out.extend_from_slice(&word.to_be_bytes());
            }
        }
        out
    }
}

/// The answer to what could not be read: its head with a code.
pub(super) fn refusal(query: &[u8], code: Code) -> Vec<u8> {
    let word = |at: usize| query.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    let flags = ANSWER | RECURSION_OFFERED | (word(2) & (OPCODE | RECURSION_WANTED)) | code as u16;
    [word(0), flags, 0, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A question for the IPv4 addresses of a name.
pub(super) fn query(name: &str) -> Vec<u8> {
    let head = [0x6861, RECURSION_WANTED, 1, 0, 0, 0];
    let mut out: Vec<u8> = head.iter().flat_map(|word: &u16| word.to_be_bytes()).collect();
    out.extend_from_slice(&written_name(name));
    out.extend_from_slice(&[A.to_be_bytes(), IN.to_be_bytes()].concat());
    out
}

/// What an answer says, for people, and whether it is a good one.
pub(super) fn describe(answer: &[u8]) -> (String, bool) {
    let count = answer.get(6..8).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    match answer.get(3).map(|byte| byte & 0x0f) {
        Some(0) => (listed(&addresses(answer, count), count), true),
        Some(3) => ("no such name".to_owned(), true),
        Some(2) => ("it failed".to_owned(), false),
        Some(5) => ("refused".to_owned(), false),
        Some(code) => (format!("error {code}"), false),
        None => ("nonsense".to_owned(), false),
    }
}

fn listed(addresses: &[String], count: u16) -> String {
    match addresses {
        [] if count == 0 => "no address".to_owned(),
        [] => format!("{count} records"),
        some => some.join(" "),
    }
}

/// The IPv4 addresses among an answer's records, whose names may be compressed.
fn addresses(answer: &[u8], count: u16) -> Vec<String> {
    let mut found = Vec::new();
    let Some(mut at) = skip_name(answer, HEAD).map(|end| end + 4) else { return found };
    for _ in 0..count {
        let Some(end) = skip_name(answer, at) else { break };
        let word = |at: usize| answer.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
        let (Some(kind), Some(length)) = (word(end), word(end + 8)) else { break };
        if let (A, Some([a, b, c, d])) = (kind, answer.get(end + 10..end + 14)) {
            found.push(format!("{a}.{b}.{c}.{d}"));
        }
        at = end + 10 + usize::from(length);
    }
    found
}

/// Where a name, perhaps a compressed one, ends.
fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// The code of somebody else's answer to the question with this id; none if it is no answer to it.
pub(super) fn code_of(answer: &[u8], id: u16, query: &[u8], end: usize) -> Option<u8> {
    let echoed = answer.get(HEAD..end)?.eq_ignore_ascii_case(query.get(HEAD..end)?);
    let is_its = answer.get(..2)? == id.to_be_bytes() && answer[2] & 0x80 != 0 && echoed;
    is_its.then(|| answer[3] & 0x0f)
}

impl Question {
    /// Where the question's bytes end in the query.
    pub(super) fn end(&self) -> usize {
        self.end
    }
}

/// The address a reverse name is about.
pub(super) fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut parts: Vec<&str> = digits.split('.').collect();
        parts.reverse();
        return parts.join(".").parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').collect();
    let bits = digits.iter().rev().try_fold(0_u128, |bits, digit| {
        let value = u128::from_str_radix(digit, 16).ok().filter(|_| digit.len() == 1)?;
        Some(bits << 4 | value)
    })?;
    (digits.len() == 32).then(|| IpAddr::from(bits.to_be_bytes()))
}

/// A name at `at`, and where it ends. Questions are not compressed.
fn read_name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        let label = bytes.get(at..at + length).filter(|_| length < 64)?;
        at += length;
        if !name.is_empty() {
            name.push('.');
        }
        // What is no text, or has a dot inside, is nobody's name here; it passes through as it is.
        let text = std::str::from_utf8(label).ok().filter(|text| !text.contains('.')).unwrap_or("\u{fffd}");
        name.push_str(&text.to_ascii_lowercase());
        if name.len() > 255 {
            return None;
        }
    }
}

/// What a client takes by UDP, said in the extension record among `count` records behind the question.
fn extension(bytes: &[u8], mut at: usize, count: usize) -> Option<u16> {
    for _ in 0..count.min(16) {
        let (_, end) = read_name(bytes, at)?;
        let word = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
        if word(end)? == OPT {
            return word(end + 2);
        }
        at = end + 10 + usize::from(word(end + 8)?);
    }
    None
}

/// A record about the name in the question.
fn write_record(out: &mut Vec<u8>, data: &Data) {
    /// The question's name stands right behind the head.
    const ITS_NAME: u16 = 0xc00c;
    let (kind, bytes) = match data {
        Data::Address(IpAddr::V4(address)) => (A, address.octets().to_vec()),
        Data::Address(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
        Data::Name(name) => (PTR, written_name(name)),
    };
    for word in [ITS_NAME, kind, IN] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&LIFETIME.to_be_bytes());
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn written_name(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        out.push(u8::try_from(label.len()).unwrap_or(63));
        out.extend_from_slice(label);
    }
    out.push(0);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(name: &str, kind: u16, takes: Option<u16>) -> Vec<u8> {
        let mut out: Vec<u8> = [0x1234, RECURSION_WANTED, 1, 0, 0, u16::from(takes.is_some())]
            .iter()
            .flat_map(|w| w.to_be_bytes())
            .collect();
        out.extend_from_slice(&written_name(name));
        out.extend_from_slice(&[kind.to_be_bytes(), IN.to_be_bytes()].concat());
        if let Some(takes) = takes {
            out.push(0);
            out.extend([OPT, takes, 0, 0, 0].iter().flat_map(|word: &u16| word.to_be_bytes()));
        }
        out
    }

    #[test]
    fn questions_are_read() {
        let asked = Question::read(&query("Web.Front", A, None)).unwrap();
        assert_eq!((asked.name.as_str(), asked.kind, asked.room()), ("web.front", A, 512));
        assert_eq!(Question::read(&query("x", AAAA, Some(4096))).unwrap().room(), 4096);
        assert_eq!(Question::read(&[]), Err(None));
        assert_eq!(Question::read(&query("x", A, None)[..16]), Err(Some(Code::Malformed)));
        let mut notify = query("x", A, None);
        notify[2] |= 0x28;
        assert_eq!(Question::read(&notify), Err(Some(Code::Unknown)));
        assert_eq!(refusal(&notify, Code::Unknown), [0x12, 0x34, 0xa9, 0x84, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn answers_are_dockers_but_shorter() {
        let query = query("a2", A, None);
        let asked = Question::read(&query).unwrap();
        let said = asked.answer(&query, Code::Good, &[Data::Address("10.20.0.65".parse().unwrap())], 512);
        assert_eq!(said[..12], [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(said[20..], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 10, 20, 0, 65]);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let query = query("many", A, None);
        let asked = Question::read(&query).unwrap();
        let many: Vec<Data> = (0..100).map(|n| Data::Address(IpAddr::from([10, 0, 0, n]))).collect();
        let cut = asked.answer(&query, Code::Good, &many, asked.room());
        assert!(cut.len() <= 512 && cut[2] & 0x02 != 0);
        let whole = asked.answer(&query, Code::Good, &many, 65_535);
        assert!(whole[2] & 0x02 == 0 && whole[7] == 100);
    }

    #[test]
    fn reverse_names() {
        for (name, address) in [
            ("65.0.20.10.in-addr.arpa", Some("10.20.0.65")),
            ("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", Some("fd00::2")),
            ("20.10.in-addr.arpa", None),
            ("x.ip6.arpa", None),
            ("web", None),
        ] {
            assert_eq!(reversed(name), address.map(|text| text.parse().unwrap()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(asked) = Question::read(&bytes) {
                let _ = asked.answer(&bytes, Code::Good, &[], asked.room());
                let _ = code_of(&bytes, asked.id, &bytes, asked.end());
            }
            let _ = (refusal(&bytes, Code::Malformed), describe(&bytes));
        }

        #[test]
        fn names_come_back(name in "[a-z0-9_-]{1,60}(\\.[a-z0-9_-]{1,60}){0,3}") {
            prop_assert_eq!(Question::read(&query(&name, A, Some(1232))).unwrap().name, name);
        }
    }
}

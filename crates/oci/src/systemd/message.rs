//! D-Bus messages on the wire, as far as talking to systemd takes: little-endian calls are written; answers and signals
//! are read. What they carry are values with a signature and an alignment.

use super::{Fault, Result};

/// More than any message of systemd's to us; the protocol itself allows 128 MiB.
const LIMIT: usize = 1 << 20;

/// The fixed part of a message.
pub(super) const HEAD: usize = 16;

/// What a call carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag(bool),
    Number32(u32),
    Number64(u64),
    Signed32(i32),
    Signed64(i64),
    Text(String),
    Bytes(Vec<u8>),
    Numbers(Vec<u32>),
    Texts(Vec<String>),
    Pairs(Vec<(String, String)>),
}

/// A named value, as units are configured with.
pub(super) type Property = (String, Value);

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Flag(_) => "b",
            Self::Number32(_) => "u",
            Self::Number64(_) => "t",
            Self::Signed32(_) => "i",
            Self::Signed64(_) => "x",
            Self::Text(_) => "s",
            Self::Bytes(_) => "ay",
            Self::Numbers(_) => "au",
            Self::Texts(_) => "as",
            Self::Pairs(_) => "a(ss)",
        }
    }
}

/// The content of a message in the making.
#[derive(Debug, Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    signature: String,
}

impl Body {
    /// Adds a text.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.signature.push('s');
        put_text(&mut self.bytes, text);
        self
    }

    /// Adds a truth.
    pub(super) fn flag(mut self, flag: bool) -> Self {
        self.signature.push('b');
        put(&mut self.bytes, &Value::Flag(flag));
        self
    }

    /// Adds a list of named values.
    pub(super) fn properties(mut self, properties: &[Property]) -> Self {
        self.signature.push_str("a(sv)");
        put_list(&mut self.bytes, 8, properties, |bytes, (name, value)| {
            pad(bytes, 8);
            put_text(bytes, name);
            put_signature(bytes, value.signature());
            put(bytes, value);
        });
        self
    }

    /// Adds an empty list of further units.
    pub(super) fn nothing_else(mut self) -> Self {
        self.signature.push_str("a(sa(sv))");
        put_list(&mut self.bytes, 8, &[(); 0], |_, ()| ());
        self
    }
}

/// Whom a call is for, and what it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
}

/// Writes a call.
pub(super) fn call(to: Address, member: &str, serial: u32, body: &Body) -> Vec<u8> {
    const METHOD_CALL: u8 = 1;
    let mut bytes = vec![b'l', METHOD_CALL, 0, 1];
    bytes.extend(length(body.bytes.len()));
    bytes.extend(serial.to_le_bytes());
    let fields = [
        (1, "o", to.path),
        (2, "s", to.interface),
        (3, "s", member),
        (6, "s", to.destination),
        (8, "g", &body.signature),
    ];
    let given: Vec<_> = fields.into_iter().filter(|(_, _, text)| !text.is_empty()).collect();
    put_list(&mut bytes, 8, &given, |bytes, (code, kind, text)| {
        pad(bytes, 8);
        bytes.push(*code);
        put_signature(bytes, kind);
        if *kind == "g" { put_signature(bytes, text) } else { put_text(bytes, text) }
    });
    pad(&mut bytes, 8);
    bytes.extend(&body.bytes);
    bytes
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn pad(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment), 0);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend(length(text.len()));
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

fn put_signature(bytes: &mut Vec<u8>, signature: &str) {
    bytes.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
    bytes.extend(signature.as_bytes());
    bytes.push(0);
}

/// A list is told by the length of its items, without the padding before the first.
fn put_list<T>(bytes: &mut Vec<u8>, alignment: usize, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    pad(bytes, 4);
    let place = bytes.len();
    bytes.extend([0; 4]);
    pad(bytes, alignment);
    let begin = bytes.len();
    for item in items {
        put(bytes, item);
    }
    let length = length(bytes.len() - begin);
    bytes[place..place + 4].copy_from_slice(&length);
}

fn put(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Flag(flag) => put(bytes, &Value::Number32(u32::from(*flag))),
        Value::Number32(number) => {
            pad(bytes, 4);
            bytes.extend(number.to_le_bytes());
        }
        Value::Signed32(number) => put(bytes, &Value::Number32(number.cast_unsigned())),
        Value::Number64(number) => {
            pad(bytes, 8);
            bytes.extend(number.to_le_bytes());
        }
        Value::Signed64(number) => put(bytes, &Value::Number64(number.cast_unsigned())),
        Value::Text(text) => put_text(bytes, text),
        Value::Bytes(list) => put_list(bytes, 1, list, |bytes, byte| bytes.push(*byte)),
        Value::Numbers(list) => put_list(bytes, 4, list, |bytes, number| bytes.extend(number.to_le_bytes())),
        Value::Texts(list) => put_list(bytes, 4, list, |bytes, text| put_text(bytes, text)),
        Value::Pairs(list) => put_list(bytes, 8, list, |bytes, (one, other)| {
            pad(bytes, 8);
            put_text(bytes, one);
            put_text(bytes, other);
        }),
    }
}

/// What kind of message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Return,
    Error,
    Signal,
    /// Somebody calls us, or speaks a later version of the protocol.
    Other,
}

/// A message that was received.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// The call it answers.
    pub(super) answers: u32,
    /// A signal's name.
    pub(super) member: String,
    /// An error's name.
    pub(super) error: String,
    signature: String,
    body: Vec<u8>,
}

/// How much follows a message's fixed part.
pub(super) fn rest(head: &[u8; HEAD]) -> Result<usize> {
    if head[0] != b'l' || head[3] != 1 {
        return Err(Fault::Protocol("a message of another byte order or version"));
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
    let (body, fields) = (word(4), word(12));
    if body > LIMIT || fields > LIMIT {
        return Err(Fault::Protocol("a message that is too long"));
    }
    Ok(fields.next_multiple_of(8) + body)
}

/// Understands a message from its fixed part and what follows.
pub(super) fn read(head: &[u8; HEAD], rest: &[u8]) -> Result<Message> {
    let fields = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
    let body = rest.get(fields.next_multiple_of(8)..).ok_or(CUT)?.to_vec();
    let kind = match head[1] {
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    let mut message =
        Message { kind, answers: 0, member: String::new(), error: String::new(), signature: String::new(), body };
    let mut reader = Reader { bytes: rest.get(..fields).ok_or(CUT)?, at: 0 };
    while reader.at < fields {
        reader.align(8);
        let code = reader.byte()?;
        match (reader.signature()?.as_str(), code) {
            ("u", 5) => message.answers = reader.number()?,
            ("u", _) => drop(reader.number()?),
            ("s", 3) => message.member = reader.text()?,
            ("s", 4) => message.error = reader.text()?,
            ("s" | "o", _) => drop(reader.text()?),
            ("g", 8) => message.signature = reader.signature()?,
            _ => return Err(Fault::Protocol("an unknown field in a message's head")),
        }
    }
    Ok(message)
}

const CUT: Fault = Fault::Protocol("a message that ends too early");

impl Message {
    /// The first text it carries, e.g. an error's words or a job's path.
    pub(super) fn first_text(&self) -> Result<String> {
        if self.signature.starts_with(['s', 'o']) {
            Reader { bytes: &self.body, at: 0 }.text()
        } else {
            Ok(String::new())
        }
    }

    /// Of a job that is no more: its path and how it ended.
    pub(super) fn ended_job(&self) -> Result<Option<(String, String)>> {
        if self.kind != Kind::Signal || self.member != "JobRemoved" || self.signature != "uoss" {
            return Ok(None);
        }
        let mut reader = Reader { bytes: &self.body, at: 0 };
        reader.number()?;
        let job = reader.text()?;
        reader.text()?;
        Ok(Some((job, reader.text()?)))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, alignment: usize) {
        self.at = self.at.next_multiple_of(alignment);
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let begin = self.at;
        self.at = begin.saturating_add(count);
        self.bytes.get(begin..self.at).ok_or(CUT)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Result<u32> {
        self.align(4);
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> Result<String> {
        let length = self.number()? as usize;
        self.word(length)
    }

    fn signature(&mut self) -> Result<String> {
        let length = usize::from(self.byte()?);
        self.word(length)
    }

    /// Words end with a zero that is not counted.
    fn word(&mut self, length: usize) -> Result<String> {
        let bytes = self.take(length)?.to_vec();
        self.byte()?;
        String::from_utf8(bytes).map_err(|_| Fault::Protocol("text that is not UTF-8"))
    }
}

/// What the other side writes, for tests: an answer or a signal that carries texts.
#[cfg(test)]
pub(super) fn told(kind: u8, answers: u32, name: &str, first: Option<u32>, texts: &[(char, &str)]) -> Vec<u8> {
    let mut body = Body::default();
    if let Some(number) = first {
        body.signature.push('u');
        put(&mut body.bytes, &Value::Number32(number));
    }
    for (kind, text) in texts {
        body = body.text(text);
        body.signature.pop();
        body.signature.push(*kind);
    }
    let mut bytes = vec![b'l', kind, 0, 1];
    bytes.extend(length(body.bytes.len()));
    bytes.extend(1_u32.to_le_bytes());
    let code = if kind == 3 { 4 } else { 3 };
    let signature = body.signature.clone();
    put_list(&mut bytes, 8, &[5, code, 8], |bytes, field| {
        pad(bytes, 8);
        bytes.push(*field);
        match field {
            5 => {
                put_signature(bytes, "u");
                put(bytes, &Value::Number32(answers));
            }
            8 => {
                put_signature(bytes, "g");
                put_signature(bytes, &signature);
            }
            _ => {
                put_signature(bytes, "s");
                put_text(bytes, name);
            }
        }
    });
    pad(&mut bytes, 8);
    bytes.extend(body.bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGER: Address = Address { destination: "a.b", path: "/c", interface: "d.e" };

    /// Written down by hand after the specification.
    #[test]
    fn a_call_is_laid_out_as_specified() {
        let bytes = call(MANAGER, "F", 7, &Body::default().text("x"));
        let wanted: &[u8] = b"l\x01\x00\x01\x06\0\0\0\x07\0\0\0\x47\0\0\0\
            \x01\x01o\0\x02\0\0\0/c\0\0\0\0\0\0\
            \x02\x01s\0\x03\0\0\0d.e\0\0\0\0\0\
            \x03\x01s\0\x01\0\0\0F\0\0\0\0\0\0\0\
            \x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0\
            \x08\x01g\0\x01s\0\0\x01\0\0\0x\0";
        assert_eq!(bytes, wanted);
    }

    #[test]
    fn values_are_aligned() {
        let list = [("N".to_owned(), Value::Number64(5)), ("P".to_owned(), Value::Numbers(vec![9]))];
        let body = Body::default().properties(&list);
        let wanted: &[u8] = b"\x2c\0\0\0\0\0\0\0\x01\0\0\0N\0\x01t\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\
            \x01\0\0\0P\0\x02au\0\0\0\x04\0\0\0\x09\0\0\0";
        assert_eq!((body.signature.as_str(), body.bytes.len()), ("a(sv)", wanted.len()));
        assert_eq!(body.bytes, wanted);
    }

    fn reply(bytes: &[u8]) -> Result<Message> {
        let head: [u8; HEAD] = bytes[..HEAD].try_into().unwrap();
        assert_eq!(rest(&head)?, bytes.len() - HEAD);
        read(&head, &bytes[HEAD..])
    }

    #[test]
    fn what_is_written_can_be_read() {
        let message = reply(&call(MANAGER, "F", 7, &Body::default().text("words"))).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (Kind::Other, "F"));
        assert_eq!(message.first_text().unwrap(), "words");
    }

    #[test]
    fn torn_messages_are_errors() {
        let whole = call(MANAGER, "F", 7, &Body::default().text("words"));
        let head: [u8; HEAD] = whole[..HEAD].try_into().unwrap();
        for length in 0..whole.len() - HEAD {
            // No more than an error: any cut in the head, and any in the body when it is read.
            let _ = read(&head, &whole[HEAD..HEAD + length]).and_then(|message| message.first_text());
        }
        let mut long = head;
        long[7] = 0xff;
        assert!(rest(&long).is_err());
        long = head;
        long[0] = b'B';
        assert!(rest(&long).is_err());
    }
}

//! How entries look to the servers they are sent to.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::write::{GzEncoder, ZlibEncoder};
use hako_model::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::log::Stream;
use crate::log::read::Entry;
use crate::log::remote::{Address, Compression, Format, Remote, Subject, SyslogHead};

/// The most bytes of a packet of Graylog's; longer messages go in chunks.
const CHUNK: usize = 1420;
/// The most chunks of a message.
const CHUNKS: usize = 128;
/// What a chunk says before its part of the message.
const CHUNK_HEAD: usize = 12;

/// One entry as packets; a stream's are sent one after the other.
pub(super) fn write(
    remote: &Remote,
    attributes: &BTreeMap<String, String>,
    entry: &Entry<'_>,
    streams: bool,
) -> Vec<Vec<u8>> {
    let message = Message::of(entry);
    let subject = &remote.subject;
    match remote.format {
        Format::Syslog { facility, head } => {
            let line = syslog(subject, facility, head, &message);
            let counted = matches!(head, SyslogHead::Rfc5424 | SyslogHead::Rfc5424Micro);
            match &remote.address {
                // RFC 5425: inside TLS each line is preceded by its length.
                Address::Tls(..) if counted => vec![[format!("{} ", line.len()).into_bytes(), line].concat()],
                _ => vec![line],
            }
        }
        Format::Journald => vec![journald(subject, attributes, &message)],
        Format::Fluentd { precise } => vec![fluentd(subject, attributes, &message, precise)],
        Format::Gelf { compression } => {
            let mut text = gelf(subject, attributes, &message);
            if streams {
                text.push(0);
                return vec![text];
            }
            chunks(compressed(&text, compression), message.time)
        }
    }
}

/// An entry without its newline.
struct Message<'a> {
    time: Timestamp,
    stream: Stream,
    bytes: &'a [u8],
    /// Whether the line goes on in the next entry.
    partial: bool,
}

impl<'a> Message<'a> {
    fn of(entry: &Entry<'a>) -> Self {
        let bytes = entry.line.strip_suffix(b"\n");
        Self { time: entry.time, stream: entry.stream, bytes: bytes.unwrap_or(entry.line), partial: bytes.is_none() }
    }

    /// An error or a message, in syslog's numbers.
    fn level(&self) -> u8 {
        match self.stream {
            Stream::Stdout => 6,
            Stream::Stderr => 3,
        }
    }

    fn text(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }
}

fn syslog(subject: &Subject, facility: u8, head: SyslogHead, message: &Message<'_>) -> Vec<u8> {
    let (priority, tag, host, pid) = (facility | message.level(), &subject.tag, &subject.host, std::process::id());
    let time = message.time.fixed();
    let mut line = match head {
        SyslogHead::Local => format!("<{priority}>{} {tag}[{pid}]: ", month_day(&time)),
        SyslogHead::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: ", month_day(&time)),
        SyslogHead::Rfc5424 => format!("<{priority}>1 {}Z {host} {tag} {pid} {tag} - ", &time[..19]),
        SyslogHead::Rfc5424Micro => format!("<{priority}>1 {}Z {host} {tag} {pid} {tag} - ", &time[..26]),
    }
    .into_bytes();
    line.extend_from_slice(message.bytes);
    line.push(b'\n');
    line
}

/// `2026-11-21T11:22:26…` → `Nov 21 11:22:26`.
fn month_day(time: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = time[5..7].parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    format!("{} {:>2} {}", month.unwrap_or(&"Jan"), time[8..10].trim_start_matches('0'), &time[11..19])
}

fn journald(subject: &Subject, attributes: &BTreeMap<String, String>, message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + message.bytes.len());
    let mut field = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            out.push(b'\n');
            out.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            out.push(b'=');
        }
        out.extend_from_slice(value);
        out.push(b'\n');
    };
    field("MESSAGE", message.bytes);
    field("PRIORITY", message.level().to_string().as_bytes());
    field("CONTAINER_ID", subject.id.get(..12).unwrap_or(&subject.id).as_bytes());
    field("CONTAINER_ID_FULL", subject.id.as_bytes());
    field("CONTAINER_NAME", subject.name.as_bytes());
    field("CONTAINER_TAG", subject.tag.as_bytes());
    field("IMAGE_NAME", subject.image.as_bytes());
    field("SYSLOG_IDENTIFIER", subject.tag.as_bytes());
    field("SYSLOG_TIMESTAMP", message.time.fixed().as_bytes());
    if message.partial {
        field("CONTAINER_PARTIAL_MESSAGE", b"true");
    }
    for (name, value) in attributes.iter().filter(|(name, _)| *name != "tag") {
        let name: String = name.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        field(name.trim_start_matches('_'), value.as_bytes());
    }
    out
}

fn gelf(subject: &Subject, attributes: &BTreeMap<String, String>, message: &Message<'_>) -> Vec<u8> {
    let mut fields = Map::new();
    let millis = message.time.nanos().div_euclid(1_000_000);
    for (name, value) in [
        ("version", json!("1.1")),
        ("host", json!(subject.host)),
        ("short_message", json!(message.text())),
        ("timestamp", json!(millis as f64 / 1000.0)),
        ("level", json!(message.level())),
        ("_command", json!(subject.command)),
        ("_container_id", json!(subject.id)),
        ("_container_name", json!(subject.name)),
        ("_created", json!(subject.created)),
        ("_image_id", json!(subject.image_id)),
        ("_image_name", json!(subject.image)),
        ("_tag", json!(subject.tag)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    for (name, value) in attributes.iter().filter(|(name, _)| *name != "tag") {
        fields.insert(format!("_{name}"), json!(value));
    }
    Value::Object(fields).to_string().into_bytes()
}

fn compressed(text: &[u8], compression: Compression) -> Vec<u8> {
    let level = flate2::Compression::fast();
    // Writing into memory does not fail.
    match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            let _ = encoder.write_all(text);
            encoder.finish().unwrap_or_default()
        }
        Compression::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            let _ = encoder.write_all(text);
            encoder.finish().unwrap_or_default()
        }
        Compression::None => text.to_vec(),
    }
}

/// Graylog's chunks: two magic bytes, an id of eight, the number of the chunk, the number of all.
fn chunks(message: Vec<u8>, time: Timestamp) -> Vec<Vec<u8>> {
    if message.len() <= CHUNK {
        return vec![message];
    }
    let parts: Vec<&[u8]> = message.chunks(CHUNK - CHUNK_HEAD).collect();
    let count = parts.len();
    if count > CHUNKS {
        // Nobody would put it together.
        return Vec::new();
    }
    let id = time.nanos().to_be_bytes();
    let chunk = |(number, part): (usize, &[u8])| {
        // Both fit: there are at most 128.
        let mut chunk = vec![0x1e, 0x0f];
        chunk.extend_from_slice(&id);
        chunk.extend_from_slice(&[number as u8, count as u8]);
        chunk.extend_from_slice(part);
        chunk
    };
    parts.into_iter().enumerate().map(chunk).collect()
}

/// `[tag, time, record]` in msgpack.
fn fluentd(subject: &Subject, attributes: &BTreeMap<String, String>, message: &Message<'_>, precise: bool) -> Vec<u8> {
    let name = format!("/{}", subject.name);
    let mut fields: Vec<(&str, &[u8])> = vec![
        ("container_id", subject.id.as_bytes()),
        ("container_name", name.as_bytes()),
        ("source", message.stream.name().as_bytes()),
        ("log", message.bytes),
    ];
    fields.extend(
        attributes.iter().filter(|(name, _)| *name != "tag").map(|(name, value)| (name.as_str(), value.as_bytes())),
    );
    if message.partial {
        fields.push(("partial_message", b"true"));
    }
    let mut out = vec![0x93];
    push_text(&mut out, subject.tag.as_bytes());
    let (secs, nanos) = (message.time.secs(), message.time.nanos().rem_euclid(1_000_000_000));
    if precise {
        // The extension type 0: seconds and nanoseconds.
        out.extend_from_slice(&[0xd7, 0]);
        out.extend_from_slice(&(secs as u32).to_be_bytes());
        out.extend_from_slice(&(nanos as u32).to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&secs.to_be_bytes());
    }
    out.push(0xde);
    out.extend_from_slice(&(fields.len() as u16).to_be_bytes());
    for (name, value) in fields {
        push_text(&mut out, name.as_bytes());
        push_text(&mut out, value);
    }
    out
}

fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(0xdb);
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::remote::Address;

    fn letters(format: Format, line: &[u8], streams: bool) -> Vec<Vec<u8>> {
        let subject = Subject {
            id: "0123456789abcdef".to_owned(),
            name: "web".to_owned(),
            image: "nginx:1".to_owned(),
            tag: "t".to_owned(),
            host: "h".to_owned(),
            ..Subject::default()
        };
        let remote = Remote { address: Address::Packets("/x".into()), format, subject, buffer: None };
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
        let attributes = BTreeMap::from([("app.tier".to_owned(), "1".to_owned())]);
        write(&remote, &attributes, &Entry { time, stream: Stream::Stderr, line }, streams)
    }

    fn one(format: Format, line: &[u8]) -> String {
        let all = letters(format, line, true);
        assert_eq!(all.len(), 1);
        String::from_utf8_lossy(&all[0]).into_owned()
    }

    #[test]
    fn syslog_has_four_heads() {
        let pid = std::process::id();
        for (head, expect) in [
            (SyslogHead::Local, format!("<27>Nov 14 22:13:20 t[{pid}]: no\n")),
            (SyslogHead::Rfc3164, format!("<27>Nov 14 22:13:20 h t[{pid}]: no\n")),
            (SyslogHead::Rfc5424, format!("<27>1 2023-11-14T22:13:20Z h t {pid} t - no\n")),
            (SyslogHead::Rfc5424Micro, format!("<27>1 2023-11-14T22:13:20.123456Z h t {pid} t - no\n")),
        ] {
            assert_eq!(one(Format::Syslog { facility: 3 << 3, head }, b"no\n"), expect);
        }
        assert_eq!(month_day("2023-01-02T03:04:05Z"), "Jan  2 03:04:05");
    }

    #[test]
    fn the_journals_fields_may_hold_lines() {
        let text = one(Format::Journald, b"a\rb\n");
        for field in
            ["MESSAGE=a\rb\n", "PRIORITY=3\n", "CONTAINER_NAME=web\n", "CONTAINER_ID=0123456789ab\n", "APP_TIER=1\n"]
        {
            assert!(text.contains(field), "{text}");
        }
        assert!(one(Format::Journald, b"part").contains("CONTAINER_PARTIAL_MESSAGE=true"));
    }

    #[test]
    fn graylogs_messages_are_chunked_where_they_are_long() {
        let format = Format::Gelf { compression: Compression::None };
        let text = one(format, b"no\n");
        let read: Value = serde_json::from_str(text.trim_end_matches('\0')).unwrap();
        assert_eq!(
            (&read["short_message"], &read["level"], &read["_app.tier"]),
            (&json!("no"), &json!(3), &json!("1"))
        );
        assert_eq!(read["timestamp"], json!(1_700_000_000.123));
        let packets = letters(format, &[b'x'; 4000], false);
        assert_eq!(packets.len(), 4);
        assert!(packets.iter().all(|packet| packet.len() <= CHUNK && packet.starts_with(&[0x1e, 0x0f])));
        assert_eq!(packets.iter().map(|packet| packet[10]).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(letters(format, &[b'x'; 300_000], false).len(), 0);
    }

    #[test]
    fn fluentds_are_msgpack() {
        let letter = &letters(Format::Fluentd { precise: true }, b"no\n", true)[0];
        assert_eq!(letter[..7], [0x93, 0xdb, 0, 0, 0, 1, b't']);
        assert_eq!(letter[7..9], [0xd7, 0]);
        assert_eq!(letter[17..20], [0xde, 0, 5]);
    }
}

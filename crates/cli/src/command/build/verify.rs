//! `--verify`: the same order twice, nothing reused, and the first thing that differs.

use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;

use futures_util::StreamExt;
use hako_client::ByteStream;
use sha2::{Digest, Sha256};

use crate::archive::header::{Kind, Member};
use crate::failure::Failure;
use crate::session::Session;

/// Something in an archive, as far as two builds can differ in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    name: String,
    what: String,
    attributes: String,
    time: i64,
    content: [u8; 32],
}

/// Says how the results of two builds differ; nothing when they do not.
pub(super) async fn difference(
    session: &Session,
    one: Option<&str>,
    other: Option<&str>,
) -> Result<Option<String>, Failure> {
    if one == other {
        return Ok(None);
    }
    let builds = session.client()?.builds();
    let first = read(builds.files(one).await?).await?;
    let second = read(builds.files(other).await?).await?;
    let found = compare(&first, &second);
    Ok(Some(found.unwrap_or_else(|| "the same files, but in layers of different content".to_owned())))
}

/// The members of an archive, in order.
async fn read(mut bytes: ByteStream) -> Result<Vec<Seen>, Failure> {
    let failed = |error: io::Error| Failure::local(format!("compare builds: {error}"));
    let (read, write) = io::pipe().map_err(failed)?;
    let reading = tokio::task::spawn_blocking(move || members(&mut BufReader::with_capacity(256 << 10, read)));
    let mut write = tokio::fs::File::from_std(OwnedFd::from(write).into());
    while let Some(piece) = bytes.next().await {
        tokio::io::AsyncWriteExt::write_all(&mut write, &piece?).await.map_err(failed)?;
    }
    tokio::io::AsyncWriteExt::flush(&mut write).await.map_err(failed)?;
    drop(write);
    reading.await.map_err(|error| Failure::local(error.to_string()))?.map_err(failed)
}

fn members(input: &mut impl Read) -> io::Result<Vec<Seen>> {
    let mut found = Vec::new();
    while let Some(member) = Member::read(input)? {
        let mut hash = Sha256::new();
        if member.kind == Kind::File {
            let mut left = input.by_ref().take(member.size);
            let mut buffer = vec![0; 64 << 10];
            loop {
                match left.read(&mut buffer)? {
                    0 => break,
                    count => hash.update(&buffer[..count]),
                }
            }
            io::copy(&mut input.by_ref().take(member.padding()), &mut io::sink())?;
        }
        found.push(Seen {
            name: String::from_utf8_lossy(&member.name).into_owned(),
            what: format!("{:?} {}", member.kind, String::from_utf8_lossy(&member.link)),
            attributes: format!("mode {:o}, owner {}:{}", member.mode, member.uid, member.gid),
            time: member.mtime,
            content: hash.finalize().into(),
        });
    }
    Ok(found)
}

/// The first difference.
fn compare(one: &[Seen], other: &[Seen]) -> Option<String> {
    for (first, second) in one.iter().zip(other) {
        let name = &first.name;
        match () {
            () if first.name != second.name => {
                return Some(format!("{name} is there once, and {} the other time", second.name));
            }
            () if first.what != second.what => return Some(format!("{name}: {} and {}", first.what, second.what)),
            () if first.attributes != second.attributes => {
                return Some(format!("{name}: {} and {}", first.attributes, second.attributes));
            }
            () if first.content != second.content => return Some(format!("{name}: its content differs")),
            () if first.time != second.time => {
                return Some(format!("{name}: its time differs by {} s", (first.time - second.time).abs()));
            }
            () => {}
        }
    }
    let longer = if one.len() > other.len() { one } else { other };
    longer.get(one.len().min(other.len())).map(|seen| format!("{} is there only once", seen.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, time: i64, content: u8) -> Seen {
        let (what, attributes) = ("File".to_owned(), "mode 644".to_owned());
        Seen { name: name.to_owned(), what, attributes, time, content: [content; 32] }
    }

    #[test]
    fn the_first_difference_is_named() {
        let check = |one: &[Seen], other: &[Seen]| compare(one, other).unwrap_or_default();
        assert_eq!(check(&[seen("a", 1, 1)], &[seen("a", 1, 1)]), "");
        assert_eq!(check(&[seen("a", 1, 1)], &[seen("a", 3, 1)]), "a: its time differs by 2 s");
        assert_eq!(check(&[seen("a", 1, 1)], &[seen("a", 1, 2)]), "a: its content differs");
        assert_eq!(check(&[seen("a", 1, 1)], &[]), "a is there only once");
        assert_eq!(check(&[seen("a", 1, 1)], &[seen("b", 1, 1)]), "a is there once, and b the other time");
    }
}

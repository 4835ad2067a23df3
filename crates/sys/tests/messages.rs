//! Messages with descriptors, netlink, polling.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use hako_sys::fdpass::{Channel, Listener};
use hako_sys::netlink::{Protocol, Socket};
use hako_sys::poll::{Epoll, Event, Interest, Timer};

#[test]
fn bodies_of_any_size_and_descriptors_pass() {
    let (one, other) = Channel::pair().unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    for size in [1, 1000, 65_536, 65_537, 3_000_000] {
        let body = vec![7; size];
        one.send(&body, &[writer.as_fd()]).unwrap();
        let message = other.recv().unwrap().unwrap();
        assert_eq!((message.bytes.len(), message.fds.len()), (size, 1));
        assert!(message.bytes == body);
        std::fs::File::from(message.fds.into_iter().next().unwrap()).write_all(b"!").unwrap();
    }
    writer.write_all(b".").unwrap();
    drop(writer);
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "!!!!!.");
}

#[test]
fn what_was_sent_before_closing_is_received() {
    let (one, other) = Channel::pair().unwrap();
    one.send(b"last words", &[]).unwrap();
    other.send(b"never read", &[]).unwrap();
    drop(one);
    assert_eq!(other.recv().unwrap().unwrap().bytes, b"last words");
    assert!(other.recv().unwrap().is_none());
    assert!(other.send(b"x", &[]).is_err());
}

#[test]
fn listeners_have_long_paths_and_know_their_peers() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("a".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let path = deep.join("socket");
    let listener = Listener::bind(&path, 0o600).unwrap();
    let client = Channel::connect(&path).unwrap();
    let served = listener.accept().unwrap();
    client.send(b"hello", &[]).unwrap();
    assert_eq!(served.recv().unwrap().unwrap().bytes, b"hello");
    assert_eq!(served.peer_uid().unwrap(), rustix::process::getuid().as_raw());
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().unwrap_err().is_would_block());
    drop(Listener::bind(&path, 0o600).unwrap());
}

#[test]
fn netlink_answers_in_another_namespace() {
    let netns = hako_sys::netns::create().unwrap();
    let mut socket = Socket::open_in(netns.as_fd(), Protocol::Route).unwrap();
    // RTM_GETLINK for all: header, then an empty ifinfomsg.
    let mut dump = Vec::new();
    dump.extend(32_u32.to_ne_bytes());
    dump.extend(18_u16.to_ne_bytes());
    dump.extend(0x301_u16.to_ne_bytes());
    dump.extend([0; 24]);
    let links = socket.request(&dump).unwrap();
    assert_eq!(links.len(), 1, "a new namespace has only a loopback interface");
    // RTM_DELLINK of an interface that does not exist, wanting an acknowledgement, behind one that is fine.
    let mut wrong = dump.clone();
    wrong[4..6].copy_from_slice(&17_u16.to_ne_bytes());
    wrong[6..8].copy_from_slice(&5_u16.to_ne_bytes());
    wrong[20..24].copy_from_slice(&99_i32.to_ne_bytes());
    let error = socket.request(&[dump.clone(), wrong].concat()).unwrap_err();
    assert_eq!(error.errno(), Some(rustix::io::Errno::NODEV));
    assert!(error.to_string().starts_with("netlink request 1"), "{error}");
    assert_eq!(socket.request(&dump).unwrap().len(), 1, "the socket stays usable");
    assert!(socket.request(&[1, 2, 3]).is_err());
}

#[test]
fn epoll_tells_what_happened() {
    let epoll = Epoll::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let timer = Timer::new().unwrap();
    epoll.add(&reader, 5, Interest::Read).unwrap();
    epoll.add(&timer, 6, Interest::Read).unwrap();
    let mut events: Vec<Event> = Vec::new();
    epoll.wait(&mut events, Some(Duration::ZERO)).unwrap();
    assert_eq!(events, []);
    timer.set(Some(Duration::ZERO)).unwrap();
    epoll.wait(&mut events, Some(Duration::from_secs(10))).unwrap();
    assert!(events.len() == 1 && events[0].token == 6 && events[0].readable);
    assert_eq!((timer.take().unwrap(), timer.take().unwrap()), (1, 0));
    drop(writer);
    events.clear();
    epoll.wait(&mut events, Some(Duration::from_secs(10))).unwrap();
    assert!(events[0].token == 5 && events[0].closed && events[0].readable);
    epoll.remove(&reader).unwrap();
}

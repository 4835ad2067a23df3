//! What kind of program a file is, from its first bytes, and what the kernel needs to run it.
//! Leaves out looking for anything.

/// A file, as the kernel sees it when it is to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Machine code.
    Elf {
        /// Docker's word for the machine, or its number.
        machine: String,
        /// The dynamic linker it asks for; none for a static program.
        linker: Option<String>,
    },
    /// A script with an interpreter line.
    Script {
        /// The interpreter.
        interpreter: String,
        /// What follows it.
        argument: String,
        /// Whether the line ends the way Windows ends lines, which makes the name of the interpreter another one.
        carriage_return: bool,
    },
    /// An empty file.
    Empty,
    /// A text without an interpreter line.
    Text,
    /// Anything else.
    Unknown,
}

/// Bytes of a file that tell its format.
pub const HEAD: usize = 64 * 1024;

/// The segment type of the dynamic linker's name.
const INTERPRETER: u32 = 3;

impl Format {
    /// Reads the first [`HEAD`] bytes of a file.
    pub fn of(head: &[u8]) -> Self {
        if head.starts_with(b"\x7fELF") {
            return elf(head).unwrap_or(Self::Unknown);
        }
        if let Some(rest) = head.strip_prefix(b"#!") {
            return script(rest);
        }
        match head {
            [] => Self::Empty,
            head if head.iter().take(512).all(|byte| !matches!(byte, 0..=8 | 14..=31)) => Self::Text,
            _ => Self::Unknown,
        }
    }
}

fn script(rest: &[u8]) -> Format {
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned();
    let carriage_return = line.ends_with('\r');
    let line = line.trim();
    let (interpreter, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (interpreter, argument) = (interpreter.to_owned(), argument.trim().to_owned());
    Format::Script { interpreter, argument, carriage_return }
}

/// Numbers of either width and order.
struct Reader<'a> {
    head: &'a [u8],
    wide: bool,
    big: bool,
}

impl Reader<'_> {
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.head.get(at..at.checked_add(length)?)?;
        let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) })
    }

    fn place(&self, narrow: usize, wide: usize) -> Option<usize> {
        let (at, length) = if self.wide { (wide, 8) } else { (narrow, 4) };
        usize::try_from(self.number(at, length)?).ok()
    }
}

fn elf(head: &[u8]) -> Option<Format> {
    let reader = Reader { head, wide: *head.get(4)? == 2, big: *head.get(5)? == 2 };
    let machine = machine(reader.number(18, 2)?, reader.wide, reader.big);
    Some(Format::Elf { machine, linker: linker(&reader) })
}

fn linker(reader: &Reader<'_>) -> Option<String> {
    let first = reader.place(28, 32)?;
    let (size, count) = if reader.wide {
        (reader.number(54, 2)?, reader.number(56, 2)?)
    } else {
        (reader.number(42, 2)?, reader.number(44, 2)?)
    };
    for index in 0..count.min(64) {
        let at = first.checked_add(usize::try_from(index.checked_mul(size)?).ok()?)?;
        if reader.number(at, 4)? != u64::from(INTERPRETER) {
            continue;
        }
        let offset = reader.place(at + 4, at + 8)?;
        let length = reader.place(at + 16, at + 32)?.min(4096);
        let name = reader.head.get(offset..offset.checked_add(length)?)?;
        let name = name.split(|byte| *byte == 0).next()?;
        return Some(String::from_utf8_lossy(name).into_owned());
    }
    None
}

/// Docker's word for an ELF machine.
fn machine(number: u64, wide: bool, big: bool) -> String {
    let word = match number {
        0x03 => "386",
        0x08 => "mips",
        0x14 => "ppc",
        0x15 if big => "ppc64",
        0x15 => "ppc64le",
        0x16 => "s390x",
        0x28 => "arm",
        0x3e => "amd64",
        0xb7 => "arm64",
        0xf3 if wide => "riscv64",
        0xf3 => "riscv32",
        0x102 => "loong64",
        other => return format!("machine {other:#x}"),
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header with one program header behind it, and the linker's name behind that.
    fn program(machine: u16, linker: &str) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = if linker.is_empty() { 1 } else { 3 };
        bytes[72] = 120;
        bytes[96] = u8::try_from(linker.len() + 1).unwrap();
        bytes.extend(linker.as_bytes());
        bytes.push(0);
        bytes
    }

    #[test]
    fn machine_code() {
        let found = Format::of(&program(0xb7, "/lib/ld-linux-aarch64.so.1"));
        let linker = Some("/lib/ld-linux-aarch64.so.1".to_owned());
        assert_eq!(found, Format::Elf { machine: "arm64".into(), linker });
        assert_eq!(Format::of(&program(0x3e, "")), Format::Elf { machine: "amd64".into(), linker: None });
    }

    #[test]
    fn scripts_and_texts() {
        let script = |text: &str| match Format::of(text.as_bytes()) {
            Format::Script { interpreter, argument, carriage_return } => (interpreter, argument, carriage_return),
            other => panic!("{other:?}"),
        };
        assert_eq!(script("#!/bin/sh\necho"), ("/bin/sh".into(), String::new(), false));
        assert_eq!(script("#! /usr/bin/env  python3\r\nx"), ("/usr/bin/env".into(), "python3".into(), true));
        assert_eq!(Format::of(b"echo hi\n"), Format::Text);
        assert_eq!(Format::of(b""), Format::Empty);
        assert_eq!(Format::of(b"\0\0\0"), Format::Unknown);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            Format::of(&tail);
            Format::of(&[b"\x7fELF".as_slice(), &tail].concat());
            Format::of(&[b"#!".as_slice(), &tail].concat());
        }
    }
}

//! The few instructions of eBPF that a device program needs, and the calls that load and attach it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: destination | source << 4, offset, immediate }
    }

    /// `to = *(u32 *)(from + offset)`
    pub(crate) const fn load(to: u8, from: u8, offset: i16) -> Self {
        Self::new(0x61, to, from, offset, 0)
    }

    /// `to = from`, low 32 bits.
    pub(crate) const fn copy32(to: u8, from: u8) -> Self {
        Self::new(0xbc, to, from, 0, 0)
    }

    /// `register &= value`
    pub(crate) const fn and(register: u8, value: u32) -> Self {
        Self::new(0x54, register, 0, 0, value.cast_signed())
    }

    /// `register >>= bits`
    pub(crate) const fn shift_right(register: u8, bits: i32) -> Self {
        Self::new(0x74, register, 0, 0, bits)
    }

    /// `register = value`
    pub(crate) const fn set(register: u8, value: u32) -> Self {
        Self::new(0xb4, register, 0, 0, value.cast_signed())
    }

    /// Jumps unless `register == value`; the distance is set by [`Instruction::jump_over`].
    pub(crate) const fn jump_unless_equal(register: u8, value: u32) -> Self {
        Self::new(0x56, register, 0, 0, value.cast_signed())
    }

    /// Jumps if `register == value`; the distance is set by [`Instruction::jump_over`].
    pub(crate) const fn jump_if_equal(register: u8, value: u32) -> Self {
        Self::new(0x16, register, 0, 0, value.cast_signed())
    }

    /// Ends with the verdict in register 0.
    pub(crate) const fn exit() -> Self {
        Self::new(0x95, 0, 0, 0, 0)
    }

    /// Sets how many instructions a jump skips.
    pub(crate) fn jump_over(&mut self, instructions: usize) {
        self.offset = i16::try_from(instructions).unwrap_or(i16::MAX);
    }
}

const PROGRAM_LOAD: i32 = 5;
const PROGRAM_ATTACH: i32 = 8;
const PROGRAM_DETACH: i32 = 9;
const PROGRAM_QUERY: i32 = 16;
const PROGRAM_BY_ID: i32 = 13;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// The part of `union bpf_attr` these commands use; the rest of the union must be zero.
#[repr(C, align(8))]
struct Attributes([u8; 128]);

impl Attributes {
    fn new() -> Self {
        Self([0; 128])
    }

    fn word(mut self, offset: usize, value: u32) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn pointer(mut self, offset: usize, address: usize) -> Self {
        self.0[offset..offset + 8].copy_from_slice(&(address as u64).to_ne_bytes());
        self
    }

    fn read(&self, offset: usize) -> u32 {
        let bytes = &self.0[offset..offset + 4];
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

/// # Safety
/// Pointers in `attributes` are valid for what the command does with them.
unsafe fn bpf(command: i32, attributes: &mut Attributes) -> io::Result<i32> {
    // SAFETY: the structure is as large as said, and its pointers are the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.0.as_mut_ptr(), attributes.0.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap_or(-1)) }
}

/// Loads a device program.
pub(crate) fn load_device_program(code: &[Instruction]) -> io::Result<OwnedFd> {
    let licence = c"Apache-2.0";
    let mut attributes = Attributes::new()
        .word(0, TYPE_CGROUP_DEVICE)
        .word(4, u32::try_from(code.len()).unwrap_or(u32::MAX))
        .pointer(8, code.as_ptr().addr())
        .pointer(16, licence.as_ptr().addr());
    // SAFETY: code and licence outlive the call; no log is asked for.
    let fd = unsafe { bpf(PROGRAM_LOAD, &mut attributes) }?;
    // SAFETY: loading returns a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a group and then takes away those attached before: never is there none.
pub(crate) fn replace_device_program(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let former = attached(group)?;
    let target = |program: i32| {
        Attributes::new()
            .word(0, group.as_raw_fd().cast_unsigned())
            .word(4, program.cast_unsigned())
            .word(8, ATTACH_CGROUP_DEVICE)
    };
    // SAFETY: no pointers.
    unsafe { bpf(PROGRAM_ATTACH, &mut target(program.as_raw_fd()).word(12, ALLOW_MULTI)) }?;
    for id in former {
        // SAFETY: no pointers.
        let old = unsafe { bpf(PROGRAM_BY_ID, &mut Attributes::new().word(0, id)) }?;
        // SAFETY: the command returns a new descriptor.
        let old = unsafe { OwnedFd::from_raw_fd(old) };
        // SAFETY: no pointers.
        unsafe { bpf(PROGRAM_DETACH, &mut target(old.as_raw_fd())) }?;
    }
    Ok(())
}

/// The ids of the device programs attached to this very group.
fn attached(group: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; 64];
    let mut attributes = Attributes::new()
        .word(0, group.as_raw_fd().cast_unsigned())
        .word(4, ATTACH_CGROUP_DEVICE)
        .pointer(16, ids.as_mut_ptr().addr())
        .word(24, 64);
    // SAFETY: `ids` has room for the 64 numbers announced.
    unsafe { bpf(PROGRAM_QUERY, &mut attributes) }?;
    let count = attributes.read(24) as usize;
    Ok(ids.into_iter().take(count).collect())
}

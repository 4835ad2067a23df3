//! Random bytes from the kernel.

use rustix::rand::GetRandomFlags;

use crate::{Error, Result};

/// Fills a buffer with random bytes fit for keys.
pub fn fill(buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        filled += rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut buffer[filled..], GetRandomFlags::empty()))
            .map_err(Error::os("get random bytes from", "the kernel"))?;
    }
    Ok(())
}

/// `bytes` random bytes as lowercase hexadecimal text.
pub fn hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    fill(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

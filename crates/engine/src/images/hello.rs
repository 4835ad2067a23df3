//! The image in the binary: `hello`, made at its first use, so that the first `run` needs no network.

use hako_model::image::{History, ImageConfig, RootFs, RunConfig};
use hako_model::platform::Platform;
use hako_model::reference::Reference;
use hako_store::{Claim, Image, NewImage, Store, Unpack, chain_ids};

use super::failure;
use crate::{Error, Result};

/// The program: it prints what happened and ends. Empty where the build could not make it.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));
/// The image's whole name.
const NAME: &str = "docker.io/library/hello:latest";
/// A moment that never changes, so that the image's id does not either.
const CREATED: &str = "2026-01-01T00:00:00Z";
const BLOCK: usize = 512;

/// Whether a reference means the image in the binary, for a platform it was built for.
pub(super) fn is_meant(text: &str, platform: &str) -> bool {
    let name = Reference::parse_tagged(text).is_ok_and(|reference| reference.to_string() == NAME);
    let fits = platform.is_empty() || Platform::parse(platform).is_ok_and(|wanted| wanted.accepts(&Platform::host()));
    name && fits && !PROGRAM.is_empty()
}

/// Makes the image, as if it had been loaded from an archive.
pub(super) fn make(store: &Store) -> Result<Image> {
    let failed = |error: hako_store::Error| failure::of_store(&error);
    let _hold = store.hold();
    let options = Unpack { skeleton: true, ..Unpack::default() };
    let staged = store.layers().unpack(&*archive(), &options).map_err(failed)?;
    let diff_ids = vec![staged.diff_id().clone()];
    if let Claim::Free(_claim) = store.layers().claim(&chain_ids(&diff_ids)[0]).map_err(failed)? {
        staged.place(None, None).map_err(failed)?;
    }
    let config = serde_json::to_vec(&configuration(diff_ids)).map_err(|error| Error::io("write image", error))?;
    let image = store.images().add(NewImage { config, ..NewImage::default() }).map_err(failed)?;
    store.images().tag(NAME, &image.id).map_err(failed)?;
    store.images().get(&image.id).map_err(failed)
}

fn configuration(diff_ids: Vec<hako_model::digest::Digest>) -> ImageConfig {
    let platform = Platform::host();
    let step = |created_by: &str, empty_layer| History {
        created: Some(CREATED.to_owned()),
        created_by: created_by.to_owned(),
        empty_layer,
        ..History::default()
    };
    ImageConfig {
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        created: Some(CREATED.to_owned()),
        config: RunConfig {
            cmd: Some(vec!["/hello".to_owned()]),
            env: Some(vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]),
            working_dir: "/".to_owned(),
            ..RunConfig::default()
        },
        rootfs: RootFs { diff_ids, ..RootFs::default() },
        history: vec![step("COPY hello /", false), step("CMD [\"/hello\"]", true)],
        ..ImageConfig::default()
    }
}

/// A tar of one file, `/hello`.
fn archive() -> Vec<u8> {
    let mut tar = header(PROGRAM.len()).to_vec();
    tar.extend_from_slice(PROGRAM);
    tar.resize(tar.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    tar
}

/// A ustar header; its checksum counts its own field as blanks.
fn header(size: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "hello");
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    // 1767225600 is CREATED.
    put(136, &format!("{:011o}", 1_767_225_600));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_small_and_static() {
        assert!(PROGRAM.starts_with(b"\x7fELF"), "the build made no program; is there a C compiler?");
        assert!(PROGRAM.len() < 16 << 10, "{} bytes", PROGRAM.len());
    }

    #[test]
    fn only_hello_is_meant() {
        for (text, platform, expect) in [
            ("hello", "", true),
            ("hello:latest", "", true),
            ("docker.io/library/hello", "linux", true),
            ("hello:1", "", false),
            ("user/hello", "", false),
            ("hello-world", "", false),
            ("Hello", "", false),
            ("hello", "linux/s390x", false),
        ] {
            assert_eq!(is_meant(text, platform), expect, "{text} {platform}");
        }
    }
}

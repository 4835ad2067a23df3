//! Sparse files: GNU's old headers, and pax 0.0, 0.1 and 1.0. All become one list of data regions.

use super::BLOCK;
use super::header::number;
use super::pax::{Records, decimal};
use crate::{Error, Result};

/// The most regions one file may have.
const REGIONS: usize = 1 << 20;

pub(super) type Regions = Vec<(u64, u64)>;

fn bad(reason: &str) -> Error {
    Error::malformed("sparse map", reason)
}

/// Regions must come in order, must not overlap, and must lie inside the file; their sum is what the archive holds.
pub(super) fn check(regions: &Regions, size: u64, stored: u64) -> Result<()> {
    let mut end = 0u64;
    let mut sum = 0u64;
    for (offset, length) in regions {
        if *offset < end {
            return Err(bad("regions overlap"));
        }
        end = offset.checked_add(*length).filter(|end| *end <= size).ok_or_else(|| bad("a region lies outside"))?;
        sum += length;
    }
    if sum == stored { Ok(()) } else { Err(bad("it does not add up to the data stored")) }
}

/// Adds the regions of one old GNU table (24 bytes each); returns whether a further block follows.
pub(super) fn old_gnu(table: &[u8], extended: u8, regions: &mut Regions) -> Result<bool> {
    for pair in table.chunks_exact(24) {
        if pair[0] == 0 && pair[12] == 0 {
            break;
        }
        let field = |bytes| u64::try_from(number(bytes, "sparse map")?).map_err(|_| bad("a number is negative"));
        regions.push((field(&pair[..12])?, field(&pair[12..])?));
    }
    if regions.len() > REGIONS {
        return Err(bad("it has too many regions"));
    }
    Ok(extended != 0)
}

/// What pax records say about a sparse file.
pub(super) struct Pax {
    /// The regions, or `None` when they stand before the data (version 1.0).
    pub(super) regions: Option<Regions>,
    /// The file's length with holes.
    pub(super) size: u64,
    /// The file's real name.
    pub(super) name: Option<Vec<u8>>,
}

/// Recognises a sparse file by its pax records.
pub(super) fn pax(records: &Records) -> Result<Option<Pax>> {
    let name = records.get("GNU.sparse.name").map(<[u8]>::to_vec);
    let size = match records.number("GNU.sparse.realsize")? {
        Some(size) => Some(size),
        None => records.number("GNU.sparse.size")?,
    };
    let one = records.get("GNU.sparse.major") == Some(b"1");
    let regions = match (one, records.get("GNU.sparse.map")) {
        (true, _) => None,
        (false, Some(map)) => Some(listed(map)?),
        (false, None) => Some(paired(records)?),
    };
    match size {
        None if one => Err(bad("it has no size")),
        None => Ok(None),
        Some(size) => Ok(Some(Pax { regions, size, name })),
    }
}

/// Version 0.1: `offset,length,offset,length`.
fn listed(map: &[u8]) -> Result<Regions> {
    let numbers: Option<Vec<u64>> = map.split(|byte| *byte == b',').map(decimal).collect();
    let numbers = numbers.filter(|list| list.len() % 2 == 0).ok_or_else(|| bad("it is no list of numbers"))?;
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Version 0.0: repeated records.
fn paired(records: &Records) -> Result<Regions> {
    let all = |key: &[u8]| -> Option<Vec<u64>> {
        records.0.iter().filter(|(name, _)| name == key).map(|(_, value)| decimal(value)).collect()
    };
    match (all(b"GNU.sparse.offset"), all(b"GNU.sparse.numbytes")) {
        (Some(offsets), Some(lengths)) if offsets.len() == lengths.len() => {
            Ok(offsets.into_iter().zip(lengths).collect())
        }
        _ => Err(bad("its records do not pair up")),
    }
}

/// Version 1.0: decimal lines before the data, padded to whole blocks.
#[derive(Default)]
pub(super) struct Leading {
    line: Vec<u8>,
    numbers: Vec<u64>,
}

impl Leading {
    /// Takes one block; returns the regions once the map is complete.
    pub(super) fn block(&mut self, block: &[u8; BLOCK]) -> Result<Option<Regions>> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 20 {
                    return Err(bad("a line is no number"));
                }
                continue;
            }
            self.numbers.push(decimal(&self.line).ok_or_else(|| bad("a line is no number"))?);
            self.line.clear();
            if self.numbers[0] > REGIONS as u64 {
                return Err(bad("it has too many regions"));
            }
            if self.numbers.len() as u64 == 1 + 2 * self.numbers[0] {
                return Ok(Some(self.numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()));
            }
        }
        Ok(None)
    }
}

//! Devices that their vendors describe (the Container Device Interface): which of them a container asks for, and what
//! its specification gets by them. The files are the administrator's; nothing in them comes from images or clients.

mod catalogue;
mod edits;
mod yaml;

use std::path::PathBuf;

use hako_model::cdi::QualifiedName;
use hako_model::container::DeviceRequest;
use hako_supervisor::spec::Spec;

pub(crate) use self::catalogue::Catalogue;
use crate::{Error, Result};

/// Kinds of graphics processors, the first that there is being the one `--gpus` means.
const GRAPHICS: &[&str] = &["nvidia.com/gpu", "amd.com/gpu"];

/// Puts what is asked for into the specification.
pub(crate) fn put_on(spec: &mut Spec, requests: &[DeviceRequest], directories: &[PathBuf]) -> Result<()> {
    if requests.is_empty() {
        return Ok(());
    }
    let catalogue = Catalogue::read(directories);
    let mut names = Vec::new();
    for request in requests {
        names.extend(wanted(request, &catalogue)?);
    }
    let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| catalogue.device(name).is_none()).collect();
    if !missing.is_empty() {
        let text = format!("CDI device injection failed: unresolvable CDI devices {}", missing.join(", "));
        return Err(Error::system(text));
    }
    edits::apply(spec, &catalogue, &names)
}

/// The qualified names of the devices a request means.
fn wanted(request: &DeviceRequest, catalogue: &Catalogue) -> Result<Vec<String>> {
    let ids = request.device_ids.clone().unwrap_or_default();
    if request.driver == "cdi" {
        return Ok(ids);
    }
    let alternatives = request.capabilities.as_deref().unwrap_or_default();
    let graphics = alternatives.iter().any(|all| all.iter().any(|one| one == "gpu"));
    let kinds = GRAPHICS
        .iter()
        .filter(|kind| request.driver.is_empty() || kind.split('.').next() == Some(request.driver.as_str()));
    let kind = kinds.copied().find(|kind| graphics && catalogue.has_kind(kind));
    let Some(kind) = kind else {
        let sets: Vec<String> = alternatives.iter().map(|all| format!("[{}]", all.join(" "))).collect();
        let text =
            format!("could not select device driver {:?} with capabilities: [{}]", request.driver, sets.join(" "));
        return Err(Error::system(text));
    };
    let qualified = |id: &str| match QualifiedName::parse(id) {
        Some(_) => id.to_owned(),
        None => format!("{kind}={id}"),
    };
    if !ids.is_empty() {
        return Ok(ids.iter().map(|id| qualified(id)).collect());
    }
    match request.count {
        count if count < 0 => Ok(vec![qualified("all")]),
        count => Ok((0..count.min(1024)).map(|number| qualified(&number.to_string())).collect()),
    }
}

#[cfg(test)]
mod tests;

//! Volumes that lie on other machines (nfs, cifs): the kernel takes addresses only, so names become addresses when a
//! container starts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hako_model::mount::Origin;
use hako_supervisor::spec::{Mount, Spec};

use crate::house::House;
use crate::record::Record;
use crate::{Error, Result};

/// Hosts by name.
pub(super) type Addresses = BTreeMap<String, IpAddr>;

/// Whether such a file system is another machine's.
fn is_remote(kind: &str) -> bool {
    matches!(kind, "nfs" | "nfs4" | "cifs" | "smb3")
}

/// The host whose address the kernel is to be told: that of `addr=`, or of `//HOST/SHARE`.
fn host<'a>(kind: &str, device: &'a str, mut options: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if !is_remote(kind) {
        return None;
    }
    let named = options.find_map(|option| option.strip_prefix("addr="));
    let shared = || device.strip_prefix("//")?.split('/').next().filter(|_| !kind.starts_with("nfs"));
    named.or_else(shared).filter(|host| !host.is_empty())
}

/// Looks up the hosts of a container's volumes.
pub(super) async fn resolve(house: &House, record: &Record) -> Result<Addresses> {
    let mut addresses = Addresses::new();
    for plan in &record.mounts {
        let Origin::Volume(wanted) = &plan.origin else { continue };
        let Ok(volume) = house.store.volumes().get(&wanted.name) else { continue };
        let options = volume.options.unwrap_or_default();
        let option = |key: &str| options.get(key).map_or("", String::as_str);
        let Some(host) = host(option("type"), option("device"), option("o").split(',')) else { continue };
        if host.parse::<IpAddr>().is_ok() || addresses.contains_key(host) {
            continue;
        }
        let failed = |cause: String| {
            let place = volume.mountpoint.display();
            let text = "error resolving passed in network volume address";
            Error::system(format!(
                "error while mounting volume '{place}': {text}: {}",
                cause.trim_start_matches("dial tcp: ")
            ))
        };
        let found = hako_registry::lookup(host).await.map_err(|error| failed(error.to_string()))?;
        let address = found.into_iter().next().ok_or_else(|| failed(format!("lookup {host}: no such host")))?;
        addresses.insert(host.to_owned(), address);
    }
    Ok(addresses)
}

/// Puts addresses in the place of names.
pub(super) fn put_in(spec: &mut Spec, addresses: &Addresses) {
    spec.mounts.iter_mut().for_each(|mount| tell_address(mount, addresses));
}

fn tell_address(mount: &mut Mount, addresses: &Addresses) {
    let options = mount.options.iter().map(String::as_str);
    let Some(host) = host(&mount.kind, &mount.source, options) else { return };
    let address = addresses.get(host).map_or_else(|| host.to_owned(), IpAddr::to_string);
    mount.options.retain(|option| !option.starts_with("addr="));
    mount.options.push(format!("addr={address}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_addresses() {
        let addresses = Addresses::from([("far".to_owned(), IpAddr::from([192, 0, 2, 7]))]);
        for (kind, device, options, expect) in [
            ("nfs", ":/x", "addr=far,rw", "rw,addr=192.0.2.7"),
            ("nfs4", ":/x", "rw,addr=10.0.0.1", "rw,addr=10.0.0.1"),
            ("cifs", "//far/share", "username=a", "username=a,addr=192.0.2.7"),
            ("cifs", "//10.0.0.1/share", "username=a", "username=a,addr=10.0.0.1"),
            ("nfs", ":/x", "rw", "rw"),
            ("tmpfs", "tmpfs", "addr=far", "addr=far"),
        ] {
            let options = options.split(',').map(str::to_owned).collect();
            let mut mount = Mount { kind: kind.to_owned(), source: device.to_owned(), options, ..Mount::default() };
            tell_address(&mut mount, &addresses);
            assert_eq!(mount.options.join(","), expect, "{kind} {device}");
        }
    }
}

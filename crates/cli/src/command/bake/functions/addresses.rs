//! Functions about ranges of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hcl::eval::FuncArgs;
use ipnet::IpNet;

use super::{Answer, Value, text, whole};

fn net(args: &FuncArgs) -> Result<IpNet, String> {
    let text = text(args, 0)?;
    let net: IpNet = text.parse().map_err(|_| format!("invalid CIDR expression: invalid CIDR address: {text}"))?;
    Ok(net.trunc())
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(own) => u128::from(u32::from(own)),
        IpAddr::V6(own) => u128::from(own),
    }
}

fn address(like: &IpNet, number: u128) -> IpAddr {
    match like {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The address of a number in a range; below zero it is counted from the end.
pub(super) fn host(args: FuncArgs) -> Answer {
    let (net, wanted) = (net(&args)?, i128::from(whole(&args, 1)?));
    let bits = u32::from(net.max_prefix_len() - net.prefix_len());
    let size = 1i128.checked_shl(bits).filter(|size| *size > 0).unwrap_or(i128::MAX);
    let place = if wanted < 0 { size + wanted } else { wanted };
    if !(0..size).contains(&place) {
        let length = net.prefix_len();
        return Err(format!("prefix of {length} does not accommodate a host numbered {wanted}"));
    }
    Ok(address(&net, number(net.network()) + place.unsigned_abs()).to_string().into())
}

pub(super) fn mask(args: FuncArgs) -> Answer {
    Ok(net(&args)?.netmask().to_string().into())
}

fn part(net: &IpNet, bits: i64, place: u128) -> Answer {
    let length = u8::try_from(i64::from(net.prefix_len()) + bits).ok().filter(|length| *length <= net.max_prefix_len());
    let length = length
        .ok_or_else(|| format!("insufficient address space to extend prefix of {} by {bits}", net.prefix_len()))?;
    let shift = u32::from(net.max_prefix_len() - length);
    let fits = bits >= 128 || place < 1u128.checked_shl(u32::try_from(bits).unwrap_or(0)).unwrap_or(u128::MAX);
    if !fits {
        return Err(format!("prefix extension of {bits} does not accommodate a subnet numbered {place}"));
    }
    let start = number(net.network()) + place.checked_shl(shift).unwrap_or_default();
    Ok(format!("{}/{length}", address(net, start)).into())
}

pub(super) fn subnet(args: FuncArgs) -> Answer {
    let place = u128::try_from(whole(&args, 2)?).map_err(|_| "the number of a subnet must not be negative")?;
    part(&net(&args)?, whole(&args, 1)?, place)
}

/// Ranges that follow each other.
pub(super) fn subnets(args: FuncArgs) -> Answer {
    let net = net(&args)?;
    let (mut found, mut next) = (Vec::new(), number(net.network()));
    for at in 1..args.len() {
        let bits = whole(&args, at)?;
        let length = i64::from(net.prefix_len()) + bits;
        let shift =
            u32::try_from(i64::from(net.max_prefix_len()) - length).map_err(|_| "not enough room for these subnets")?;
        let size = 1u128.checked_shl(shift).unwrap_or(u128::MAX);
        let start = next.div_ceil(size).saturating_mul(size);
        let place = address(&net, start);
        if !net.contains(&place) || start.saturating_add(size - 1) > number(net.broadcast()) {
            return Err("not enough remaining address space for these subnets".to_owned());
        }
        found.push(Value::from(format!("{place}/{length}")));
        next = start.saturating_add(size);
    }
    Ok(found.into())
}

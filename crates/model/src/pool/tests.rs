use proptest::prelude::*;

use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_first_subnet_that_overlaps_nothing() {
    for (taken, expected) in [
        (vec![], "172.17.0.0/16"),
        (vec!["172.17.0.0/16"], "172.18.0.0/16"),
        (vec!["172.17.3.0/24", "172.18.0.1/32"], "172.19.0.0/16"),
        (vec!["172.16.0.0/12"], "192.168.0.0/20"),
        (vec!["172.16.0.0/12", "192.168.1.0/24", "fd00::/8"], "192.168.16.0/20"),
    ] {
        let taken: Vec<IpNet> = taken.into_iter().map(net).collect();
        assert_eq!(choose(&defaults(), &taken).unwrap(), net(expected), "{taken:?}");
    }
}

#[test]
fn there_are_thirty_one_default_subnets() {
    let mut taken = Vec::new();
    while let Ok(subnet) = choose(&defaults(), &taken) {
        taken.push(subnet);
    }
    assert_eq!(taken.len(), 15 + 16);
    assert_eq!(taken[14], net("172.31.0.0/16"));
    assert_eq!(taken[30], net("192.168.240.0/20"));
    assert_eq!(choose(&defaults(), &taken), Err(PoolError::Exhausted));
}

#[test]
fn pools_that_cannot_be_cut_are_refused() {
    assert!(Pool { base: net("10.0.0.0/16"), size: 24 }.check().is_ok());
    assert!(Pool { base: net("10.0.0.0/16"), size: 8 }.check().is_err());
    assert!(Pool { base: net("10.0.0.0/16"), size: 40 }.check().is_err());
    assert_eq!(choose(&[Pool { base: net("10.0.0.0/16"), size: 40 }], &[]), Err(PoolError::Exhausted));
    assert_eq!(choose(&[Pool { base: net("fd00::/8"), size: 64 }], &[]), Ok(net("fd00::/64")));
}

#[test]
fn lowest_free_address_first_and_again_when_released() {
    let mut addresses = Addresses::new(net("172.17.0.0/16"), None).unwrap();
    addresses.claim(ip("172.17.0.1")).unwrap();
    let leases: Vec<IpAddr> = (0..3).map(|_| addresses.lease().unwrap()).collect();
    assert_eq!(leases, [ip("172.17.0.2"), ip("172.17.0.3"), ip("172.17.0.4")]);
    addresses.release(ip("172.17.0.3"));
    assert_eq!(addresses.lease().unwrap(), ip("172.17.0.3"));
    assert_eq!(addresses.claim(ip("172.17.0.3")), Err(PoolError::Taken { address: ip("172.17.0.3") }));
    for outside in ["172.18.0.1", "172.17.0.0", "172.17.255.255", "::1"] {
        assert!(matches!(addresses.claim(ip(outside)), Err(PoolError::Outside { .. })), "{outside}");
    }
}

#[test]
fn a_small_subnet_fills_up() {
    let mut addresses = Addresses::new(net("10.0.0.0/29"), None).unwrap();
    for last in 1..=6 {
        assert_eq!(addresses.lease().unwrap(), ip(&format!("10.0.0.{last}")));
    }
    assert_eq!(addresses.lease(), Err(PoolError::Full { subnet: net("10.0.0.0/29") }));
}

#[test]
fn a_range_limits_what_is_given_out_unasked() {
    let mut addresses = Addresses::new(net("10.0.0.0/16"), Some(net("10.0.5.0/30"))).unwrap();
    assert_eq!(addresses.lease().unwrap(), ip("10.0.5.0"));
    addresses.claim(ip("10.0.9.9")).unwrap();
    assert!(Addresses::new(net("10.0.0.0/16"), Some(net("10.1.0.0/24"))).is_err());
}

#[test]
fn ipv6_leaves_out_only_the_first_address() {
    let mut addresses = Addresses::new(net("fd00:1::/126"), None).unwrap();
    let leases: Vec<IpAddr> = std::iter::from_fn(|| addresses.lease().ok()).collect();
    assert_eq!(leases, [ip("fd00:1::1"), ip("fd00:1::2"), ip("fd00:1::3")]);
    assert_eq!(unique_local([1, 2, 3, 4, 5]).to_string(), "fd01:203:405::/64");
}

proptest! {
    #[test]
    fn no_address_is_leased_twice(steps in prop::collection::vec((any::<bool>(), 0_u8..40), 0..200)) {
        let mut addresses = Addresses::new(net("10.9.0.0/27"), None).unwrap();
        let mut held = BTreeSet::new();
        for (take, which) in steps {
            if take {
                match addresses.lease() {
                    Ok(address) => prop_assert!(held.insert(address)),
                    Err(_) => prop_assert_eq!(held.len(), 30),
                }
            } else {
                let address = ip(&format!("10.9.0.{which}"));
                addresses.release(address);
                held.remove(&address);
            }
            prop_assert_eq!(held.len(), addresses.leased());
        }
    }
}

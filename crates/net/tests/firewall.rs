//! A host whose firewall drops forwarded packets it does not know.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use hako_net::firewall;
use lab::{HOST, Lab, OUTSIDE, ask_from, knock_from, lab, run};

const BRIDGE: &str = "hako0";

/// Published ports, and the way out, work beside this firewall; unpublished ports stay closed; nothing of ours stays.
fn passes_beside(lab: &Lab, list: &str) {
    let before = run(list);
    let (web, neighbour) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
    web.tcp(80);
    web.tcp(81);
    lab::serve_tcp(std::os::fd::AsFd::as_fd(&lab.outside), 9000);
    lab.outside("ip route add 172.17.0.0/16 via 192.0.2.1");
    let mut published = lab.publish(&web, &["8080:80"]).unwrap();
    assert_eq!(knock_from(&lab.outside, &format!("{HOST}:8080")), "TimedOut", "the firewall should drop this");
    firewall::admit(BRIDGE).unwrap();
    let admitted = run(list);
    firewall::admit(BRIDGE).unwrap();
    assert_eq!(admitted, run(list), "admitting twice changes nothing");
    assert_eq!(admitted.matches("by hako").count(), 2, "{admitted}");
    assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), OUTSIDE);
    assert_eq!(ask_from(&neighbour.netns, &format!("{HOST}:8080")), "172.17.0.1");
    assert_eq!(ask_from(&neighbour.netns, "172.17.0.2:81"), "172.17.0.3");
    assert_eq!(ask_from(&web.netns, &format!("{OUTSIDE}:9000")), HOST);
    assert_eq!(knock_from(&lab.outside, "172.17.0.2:81"), "TimedOut", "only what was published may be reached");
    firewall::withdraw(BRIDGE).unwrap();
    assert_eq!(before, run(list), "nothing of ours is left behind");
    published.withdraw().unwrap();
}

#[test]
fn native_nft_that_drops_by_policy() {
    lab(|lab| {
        run("nft add table inet fw");
        run("nft add chain inet fw forward { type filter hook forward priority 0 ; policy drop ; }");
        passes_beside(lab, "nft list table inet fw");
    });
}

#[test]
fn native_nft_that_rejects_at_the_end() {
    lab(|lab| {
        run("nft add table ip fw");
        run("nft add chain ip fw forward { type filter hook forward priority 10 ; }");
        run("nft add rule ip fw forward ct state established accept");
        run("nft add rule ip fw forward counter drop");
        passes_beside(lab, "nft -s list table ip fw");
    });
}

#[test]
fn iptables_nft_that_drops_by_policy() {
    lab(|lab| {
        run("iptables-nft -P FORWARD DROP");
        passes_beside(lab, "iptables-nft -S");
    });
}

#[test]
fn iptables_nft_that_rejects_at_the_end() {
    lab(|lab| {
        run("iptables-nft -A FORWARD -p tcp --dport 1 -j ACCEPT");
        run("iptables-nft -A FORWARD -j DROP");
        passes_beside(lab, "iptables-nft -S");
    });
}

#[test]
fn iptables_legacy_that_drops_by_policy() {
    lab(|lab| {
        run("iptables-legacy -P FORWARD DROP");
        passes_beside(lab, "iptables-legacy -S");
    });
}

#[test]
fn a_firewall_that_accepts_is_left_alone() {
    lab(|lab| {
        lab.ready();
        run("nft add table inet fw");
        run("nft add chain inet fw forward { type filter hook forward priority 0 ; }");
        run("nft add rule inet fw forward iifname eth9 drop");
        run("iptables-nft -P FORWARD ACCEPT");
        let before = run("nft list ruleset");
        firewall::admit(BRIDGE).unwrap();
        assert_eq!(before, run("nft list ruleset"));
    });
}

#[test]
fn a_rule_of_ours_can_still_be_read_by_iptables() {
    lab(|lab| {
        lab.ready();
        run("iptables-nft -P FORWARD DROP");
        firewall::admit(BRIDGE).unwrap();
        let listed = run("iptables-nft -S FORWARD");
        assert!(
            listed.contains("-A FORWARD -i hako0 -m comment --comment \"hako0: out, by hako\" -j ACCEPT"),
            "{listed}"
        );
        let saved = run("iptables-nft-save");
        assert!(saved.contains("-A FORWARD -o hako0"), "{saved}");
        firewall::withdraw(BRIDGE).unwrap();
    });
}

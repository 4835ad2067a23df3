//! Published ports with real traffic: who reaches what, and as whom.

mod lab;

use lab::{HOST, OUTSIDE, ask, ask_from, ask_udp, ask_udp_from, knock_from, lab};

#[test]
fn from_everywhere_with_the_right_source_address() {
    lab(|lab| {
        let (web, neighbour) = (lab.ready().container("172.17.0.2"), lab.container("172.17.0.3"));
        web.tcp(80);
        web.udp(53);
        let published = lab.publish(&web, &["8080:80", "5353:53/udp"]).unwrap();
        assert_eq!(ask("127.0.0.1:8080"), "172.17.0.1");
        assert_eq!(ask("127.0.0.53:8080"), "172.17.0.1");
        assert_eq!(ask(&format!("{HOST}:8080")), HOST);
        assert_eq!(ask("172.17.0.1:8080"), "172.17.0.1");
        assert_eq!(ask("172.17.0.2:80"), "172.17.0.1");
        assert_eq!(ask_from(&lab.outside, &format!("{HOST}:8080")), OUTSIDE);
        assert_eq!(ask_from(&neighbour.netns, &format!("{HOST}:8080")), "172.17.0.1");
        assert_eq!(ask_from(&web.netns, &format!("{HOST}:8080")), "172.17.0.1");
        assert_eq!(ask_from(&neighbour.netns, "172.17.0.2:80"), "172.17.0.3");
        assert_eq!(ask_udp("127.0.0.1:5353"), "172.17.0.1");
        assert_eq!(ask_udp_from(&lab.outside, &format!("{HOST}:5353")), OUTSIDE);
        published.withdraw().unwrap();
        assert_eq!(knock_from(&lab.outside, &format!("{HOST}:8080")), "ConnectionRefused");
        assert_eq!(ask("127.0.0.1:8080"), "ConnectionRefused");
    });
}

use proptest::prelude::*;

use super::*;

fn show(text: &str) -> String {
    match parse_publish(text) {
        Ok(list) => list
            .iter()
            .map(|(port, binding)| format!("{}|{}>{port}", binding.host_ip, binding.host_port))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn every_form_of_publish() {
    for (text, expected) in [
        ("80", "|>80/tcp"),
        ("80/udp", "|>80/udp"),
        ("80/", "|>80/tcp"),
        ("80/TCP", "|>80/tcp"),
        ("8080:80", "|8080>80/tcp"),
        (":80", "|>80/tcp"),
        ("0:80", "|0>80/tcp"),
        ("8080:80/sctp", "|8080>80/sctp"),
        ("127.0.0.1:8080:80", "127.0.0.1|8080>80/tcp"),
        ("127.0.0.1::80", "127.0.0.1|>80/tcp"),
        ("[::1]:8080:80/tcp", "::1|8080>80/tcp"),
        ("[::]::53/udp", "::|>53/udp"),
        ("::1:8080:80", "::1|8080>80/tcp"),
        ("2001:db8::1:8080:80", "2001:db8::1|8080>80/tcp"),
        ("8000-8002:80-82", "|8000>80/tcp |8001>81/tcp |8002>82/tcp"),
        ("8000-8002:80", "|8000-8002>80/tcp"),
        ("80-81", "|>80/tcp |>81/tcp"),
        ("0.0.0.0:7000-7001:7000-7001/udp", "0.0.0.0|7000>7000/udp 0.0.0.0|7001>7001/udp"),
        ("65535:65535", "|65535>65535/tcp"),
        ("target=80", "|>80/tcp"),
        ("published=8080,target=80", "|8080>80/tcp"),
        ("published=8080,target=80,protocol=udp,mode=host", "|8080>80/udp"),
        ("published=8000-8001,target=80-81", "|8000>80/tcp |8001>81/tcp"),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn refusals_in_dockers_words() {
    for (text, expected) in [
        ("", "! no port specified: <empty>"),
        (":", "! no port specified: :<empty>"),
        ("8080:", "! no port specified: 8080:<empty>"),
        ("/tcp", "! no port specified: /tcp<empty>"),
        ("x", "! invalid containerPort: x"),
        ("+80", "! invalid containerPort: +80"),
        ("0", "! invalid containerPort: 0"),
        ("65536", "! invalid containerPort: 65536"),
        ("90-80", "! invalid containerPort: 90-80"),
        ("1-2-3", "! invalid containerPort: 1-2-3"),
        ("x:80", "! invalid hostPort: x"),
        ("70000:80", "! invalid hostPort: 70000"),
        ("80/icmp", "! invalid proto: icmp"),
        ("80/tcp/udp", "! invalid proto: tcp/udp"),
        ("localhost:8080:80", "! invalid IP address: localhost"),
        ("127.0.0.256:8080:80", "! invalid IP address: 127.0.0.256"),
        ("[::1:8080:80", "! invalid IP address: [::1"),
        ("8000-8001:80-82", "! invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
        ("8000:80-82", "! invalid ranges specified for container and host Ports: 80-82 and 8000"),
        ("target=80,oops", "! invalid publish opts format (should be name=value but got 'oops')"),
        ("=80", "! invalid publish opts format (should be name=value but got '=80')"),
        (
            "target=80,colour=red",
            "! invalid publish option 'colour': only target, published, protocol and mode are known",
        ),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn every_form_of_expose() {
    let show = |text| match parse_expose(text) {
        Ok(ports) => ports.iter().map(Port::to_string).collect::<Vec<_>>().join(" "),
        Err(error) => format!("! {error}"),
    };
    for (text, expected) in [
        ("80", "80/tcp"),
        ("53/udp", "53/udp"),
        ("80-82/tcp", "80/tcp 81/tcp 82/tcp"),
        ("8080:9090", "! invalid port format for --expose: 8080:9090"),
        ("/tcp", "! invalid range format for --expose: /tcp, error: empty string specified for ports"),
        (
            "NaN/tcp",
            "! invalid range format for --expose: NaN/tcp, error: strconv.ParseUint: parsing \"NaN\": invalid syntax",
        ),
        (
            "1234567890-8080/tcp",
            "! invalid range format for --expose: 1234567890-8080/tcp, error: strconv.ParseUint: parsing \"1234567890\": value out of range",
        ),
        ("90-80", "! invalid range format for --expose: 90-80, error: invalid range specified for port: 90-80"),
        ("80/x", "! invalid proto: x"),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn a_command_line_becomes_dockers_json() {
    let (exposed, bindings) = publish(["8080:80", "127.0.0.1:8443:443", "8081:80"], ["53/udp", "80"]).unwrap();
    let json = serde_json::json!({ "ExposedPorts": exposed, "PortBindings": bindings });
    assert_eq!(
        json.to_string(),
        r#"{"ExposedPorts":{"443/tcp":{},"53/udp":{},"80/tcp":{}},"PortBindings":{"443/tcp":[{"HostIp":"127.0.0.1","HostPort":"8443"}],"80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"","HostPort":"8081"}]}}"#
    );
}

#[test]
fn a_port_map_asks_the_host() {
    let map: PortMap = serde_json::from_str(
        r#"{"80":[{"HostIp":"","HostPort":"8080"},{"HostIp":"::1","HostPort":"9000-9010"}],"53/udp":[{"HostPort":"0"}],"7/tcp":null,"8/tcp":[]}"#,
    )
    .unwrap();
    let asked = wanted(&map, ["7/tcp", "80/tcp"], false).unwrap();
    let all = wanted(&map, ["7/tcp", "80/tcp"], true).unwrap();
    let (tcp80, v6) = (Port::tcp(80), Some("::1".parse().unwrap()));
    let expected = vec![
        Publication { container: Port::udp(53), host: None, ports: None, more: 0 },
        Publication { container: tcp80, host: None, ports: Some(8080..=8080), more: 0 },
        Publication { container: tcp80, host: v6, ports: Some(9000..=9010), more: 0 },
    ];
    assert_eq!(asked, expected);
    assert_eq!(all.len(), 4);
    assert_eq!(all[0], Publication { container: Port::tcp(7), host: None, ports: None, more: 0 });
}

#[test]
fn nonsense_from_the_api_is_refused() {
    for (json, expected) in [
        (r#"{"x/tcp":[]}"#, "invalid port specification: \"x/tcp\""),
        (r#"{"0/tcp":[]}"#, "invalid port specification: \"0/tcp\""),
        (r#"{"80/tcp":[{"HostPort":"x"}]}"#, "invalid port specification: \"x\""),
        (r#"{"80/tcp":[{"HostIp":"example.org"}]}"#, "invalid IP address: example.org"),
    ] {
        let map: PortMap = serde_json::from_str(json).unwrap();
        assert_eq!(wanted(&map, [], false).unwrap_err().to_string(), expected);
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let _ = parse_publish(&text);
        let _ = parse_expose(&text);
    }

    #[test]
    fn any_short_text_is_read_or_refused(text in "[0-9:.\\[\\]/a-f=,-]{0,30}") {
        let _ = parse_publish(&text);
        let _ = parse_expose(&text);
    }

    #[test]
    fn what_is_read_can_be_published(host in 1_u16.., container in 1_u16..) {
        let (_, map) = publish([format!("{host}:{container}").as_str()], []).unwrap();
        let asked = wanted(&map, [], false).unwrap();
        prop_assert_eq!(asked, vec![Publication { container: Port::tcp(container), host: None, ports: Some(host..=host), more: 0 }]);
    }
}

#[test]
fn ports_that_follow_each_other_are_one_run() {
    let wanted = |specs: &[&str]| {
        let (exposed, bindings) = publish(specs.iter().copied(), []).unwrap();
        super::wanted(&bindings, exposed.keys().map(String::as_str), false).unwrap()
    };
    let runs = |specs: &[&str]| -> Vec<(u16, u16)> {
        condense(&wanted(specs)).iter().map(|run| (run.container.number, run.more)).collect()
    };
    assert_eq!(runs(&["10000-19999:10000-19999/udp"]), [(10000, 9999)]);
    assert_eq!(runs(&["10-12:10-12", "14:14", "13:13", "15:15/udp"]), [(10, 4), (15, 0)]);
    assert_eq!(runs(&["10-12:20-22"]), [(20, 0), (21, 0), (22, 0)], "other numbers inside");
    assert_eq!(runs(&["127.0.0.1:10:10", "11:11"]), [(11, 0), (10, 0)], "other addresses");
    assert_eq!(runs(&["1-65535:1-65535"]), [(1, 65534)]);
    assert_eq!(runs(&["10", "11-20:11"]), [(10, 0), (11, 0)], "ports of somebody's choice");
}

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, full: &str, familiar: &str) {
    let reference = Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(reference.to_string(), full, "{text}");
    assert_eq!(reference.familiar(), familiar, "{text}");
    assert_eq!(Reference::parse(full).unwrap(), reference, "{text}: full form again");
    assert_eq!(Reference::parse(familiar).unwrap(), reference, "{text}: familiar form again");
}

#[test]
fn names_are_normalised() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    check("nginx", "docker.io/library/nginx", "nginx");
    check("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27");
    check("library/nginx", "docker.io/library/nginx", "nginx");
    check("docker.io/nginx", "docker.io/library/nginx", "nginx");
    check("index.docker.io/nginx", "docker.io/library/nginx", "nginx");
    check("index.docker.io/user/app", "docker.io/user/app", "user/app");
    check("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b");
    check("user/app:tag", "docker.io/user/app:tag", "user/app:tag");
    check("localhost/app", "localhost/app", "localhost/app");
    check("localhost:5000/app", "localhost:5000/app", "localhost:5000/app");
    check("host:5000/a/b:t", "host:5000/a/b:t", "host:5000/a/b:t");
    check("quay.io/a__b/c-----d.e_f", "quay.io/a__b/c-----d.e_f", "quay.io/a__b/c-----d.e_f");
    check("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app");
    check("[2001:db8::1]/app:x", "[2001:db8::1]/app:x", "[2001:db8::1]/app:x");
    check("Uppercase/lower", "Uppercase/lower", "Uppercase/lower");
    check("127.0.0.1:5000/x", "127.0.0.1:5000/x", "127.0.0.1:5000/x");
    check("a.b.c:1", "docker.io/library/a.b.c:1", "a.b.c:1");
    check(&format!("nginx@{digest}"), &format!("docker.io/library/nginx@{digest}"), &format!("nginx@{digest}"));
    check(&format!("h:1/a:t@{digest}"), &format!("h:1/a:t@{digest}"), &format!("h:1/a:t@{digest}"));
}

#[test]
fn refusals_are_dockers() {
    let hex = "0123456789abcdef".repeat(4);
    let long = format!("a/{}", "a".repeat(250));
    let long_tag = format!("a:{}", "t".repeat(129));
    let short_digest = format!("a@sha256:{}", "a".repeat(40));
    let unknown = format!("a@md7:{}", "a".repeat(32));
    let identifier = format!("invalid repository name ({hex}), cannot specify 64-byte hexadecimal strings");
    let cases = [
        ("", "invalid reference format"),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("user/Foo:bar", "invalid reference format: repository name (user/Foo) must be lowercase"),
        ("-foo", "invalid reference format"),
        ("foo-", "invalid reference format"),
        ("foo/", "invalid reference format"),
        ("/foo", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a._b", "invalid reference format"),
        ("a:b:c", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a:-t", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a@", "invalid reference format"),
        ("a@sha256:xyz", "invalid reference format"),
        ("https://x/y", "invalid reference format"),
        ("-a.b/c", "invalid reference format"),
        ("[fe80::1%eth0]:5000/a", "invalid reference format"),
        ("[::1/a.b", "invalid reference format"),
        ("h:x/a", "invalid reference format"),
        ("é", "invalid reference format"),
        (&long_tag, "invalid reference format"),
        (&short_digest, "invalid checksum digest length"),
        (&unknown, "unsupported digest algorithm"),
        (&long, "repository name must not be more than 255 characters"),
        (&hex, &identifier),
    ];
    for (text, expect) in cases {
        let error = Reference::parse(text).expect_err(text);
        assert_eq!(error.to_string(), expect, "{text:?}");
    }
}

#[test]
fn latest_is_implied_only_for_bare_names() {
    let digest = format!("a@sha256:{}", "a".repeat(64));
    for (text, tag) in [("a", Some("latest")), ("a:b", Some("b")), (digest.as_str(), None)] {
        assert_eq!(Reference::parse_tagged(text).unwrap().tag(), tag, "{text}");
    }
    assert_eq!(Reference::parse("a").unwrap().with_tag("x!"), Err(InvalidReference::Tag));
}

proptest! {
    #[test]
    fn any_text_is_refused_or_survives_a_round_trip(text in "\\PC{0,40}|[a-zA-Z0-9:/@._\\[\\]-]{0,40}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
            prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
        }
    }

    #[test]
    fn built_names_are_accepted(host in "[a-z0-9]{1,8}\\.[a-z0-9]{1,5}(:[0-9]{1,5})?", path in "[a-z0-9]{1,6}((__|[._]|-{1,3})[a-z0-9]{1,4}){0,3}", tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}") {
        let reference = Reference::parse(&format!("{host}/{path}:{tag}")).unwrap();
        prop_assert_eq!(reference.domain(), host);
        prop_assert_eq!(reference.path(), path);
        prop_assert_eq!(reference.tag(), Some(tag.as_str()));
    }
}

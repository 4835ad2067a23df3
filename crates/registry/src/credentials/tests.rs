use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn file(text: &str) -> (tempfile::TempDir, ConfigFile) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    fs::write(&path, text).unwrap();
    let file = ConfigFile::read(&path).unwrap();
    (dir, file)
}

#[test]
fn the_header_is_read_in_every_spelling() {
    let credential = Credential::new("h:5000", "user", "päss");
    let header = credential.to_header();
    assert_eq!(Credential::from_header(&header).unwrap(), Some(credential.clone()));
    assert_eq!(Credential::from_header(header.trim_end_matches('=')).unwrap(), Some(credential));
    assert_eq!(Credential::from_header("").unwrap(), None);
    assert_eq!(Credential::from_header("e30=").unwrap(), None);
    let packed = STANDARD.encode(r#"{"auth":"dXNlcjpwYXNz"}"#);
    let credential = Credential::from_header(&packed).unwrap().unwrap();
    assert_eq!((credential.username.as_str(), credential.password.as_str()), ("user", "pass"));
    let error = Credential::from_header("geheim!").unwrap_err();
    assert!(!error.to_string().contains("geheim"), "{error}");
}

#[test]
fn debug_keeps_secrets() {
    let mut credential = Credential::new("h", "user", "geheim");
    credential.identitytoken = "geheim".to_owned();
    assert!(!format!("{credential:?}").contains("geheim"));
}

#[test]
fn credentials_are_found_by_host() {
    let (_dir, file) = file(
        r#"{"auths": {"https://index.docker.io/v1/": {"auth": "aHViOmh1YnB3"},
                      "https://old.example/v2/": {"auth": "b2xkOnB3"},
                      "token.example": {"auth": "dTo=", "identitytoken": "tok"},
                      "empty.example": {}}}"#,
    );
    let name = |domain: &str| file.credential(domain).unwrap().map(|credential| credential.username);
    assert_eq!(name("docker.io").as_deref(), Some("hub"));
    assert_eq!(name("old.example").as_deref(), Some("old"));
    assert_eq!(file.credential("token.example").unwrap().unwrap().identitytoken, "tok");
    assert_eq!(name("empty.example"), None);
    assert_eq!(name("other.example"), None);
}

#[test]
fn storing_changes_nothing_else() {
    let (dir, mut file) = file(r#"{"psFormat": "table {{.ID}}", "auths": {"a.example": {"auth": "YTpi"}}}"#);
    let place = file.store("h:5000", &Credential::new("h:5000", "user", "pass")).unwrap();
    assert_eq!(place, Place::PlainFile(file.path().to_owned()));
    let again = ConfigFile::read(file.path()).unwrap();
    assert_eq!(again.setting("psFormat").unwrap(), "table {{.ID}}");
    assert_eq!(again.credential("h:5000").unwrap().unwrap().password, "pass");
    assert_eq!(again.credential("a.example").unwrap().unwrap().password, "b");
    let mode = fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    assert!(file.erase("h:5000").unwrap());
    assert!(!file.erase("h:5000").unwrap());
    assert_eq!(ConfigFile::read(file.path()).unwrap().credential("h:5000").unwrap(), None);
}

#[test]
fn a_broken_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    fs::write(&path, "{").unwrap();
    assert!(ConfigFile::read(&path).unwrap_err().to_string().contains("config.json"));
}

#[test]
fn a_helper_keeps_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let program = dir.path().join("docker-credential-case");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {0};;\nget) test -s {0} && cat {0} || {{ echo credentials not found in native keychain; exit 1; }};;\nerase) rm -f {0};;\nlist) echo '{{\"h:1\":\"user\"}}';;\nesac\n",
        kept.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let helper = Helper::at("case", program.to_str().unwrap());
    assert_eq!(helper.get("h:1").unwrap(), None);
    helper.store("h:1", &Credential::new("h:1", "user", "pass")).unwrap();
    assert_eq!(helper.get("h:1").unwrap().unwrap().password, "pass");
    assert_eq!(helper.list().unwrap().get("h:1").map(String::as_str), Some("user"));
    helper.erase("h:1").unwrap();
    assert_eq!(helper.get("h:1").unwrap(), None);
    let token = Credential { identitytoken: "tok".to_owned(), ..Credential::new("h:1", "user", "") };
    helper.store("h:1", &token).unwrap();
    assert_eq!(helper.get("h:1").unwrap().unwrap().identitytoken, "tok");
}

#[test]
fn all_credentials_fit_in_one_file() {
    let (_dir, none) = file(r#"{"auths":{},"psFormat":"x"}"#);
    assert_eq!(none.all_in_one().unwrap(), None);
    let auths =
        r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6c2VjcmV0"},"r.example:5000":{"auth":"eW91Ong="}}}"#;
    let (_dir, some) = file(&auths.replacen('{', r#"{"psFormat":"x","#, 1));
    let all = some.all_in_one().unwrap().unwrap();
    assert_eq!(String::from_utf8(all).unwrap(), auths);
}

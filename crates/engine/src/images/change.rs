//! `--change` of commit and import: single Dockerfile instructions that change an image's defaults.

use hako_model::container::{Empty, HealthConfig};
use hako_model::duration;
use hako_model::image::RunConfig;

use crate::{Error, Result};

/// Applies instructions in order.
pub(super) fn apply(config: &mut RunConfig, changes: &[String]) -> Result<()> {
    let lines = changes.iter().flat_map(|change| change.lines()).map(str::trim).filter(|line| !line.is_empty());
    for line in lines {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        one(config, word, rest.trim())?;
    }
    Ok(())
}

fn one(config: &mut RunConfig, word: &str, rest: &str) -> Result<()> {
    let upper = word.to_ascii_uppercase();
    let known = "CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR";
    if !known.split(' ').any(|name| name == upper) {
        return Err(Error::invalid(format!("{} is not a valid change command", word.to_ascii_lowercase())));
    }
    if rest.is_empty() {
        return Err(Error::invalid(format!("{upper} requires at least one argument")));
    }
    match upper.as_str() {
        "CMD" => config.cmd = Some(command(config, rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(config, rest)),
        "ENV" => pairs("ENV", rest)?.into_iter().for_each(|(name, value)| set_env(config, &name, &value)),
        "EXPOSE" => expose(config, rest)?,
        "HEALTHCHECK" => config.healthcheck = Some(health(rest)?),
        "LABEL" => config.labels.get_or_insert_default().extend(pairs("LABEL", rest)?),
        "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
        "STOPSIGNAL" => rest.clone_into(&mut config.stop_signal),
        "USER" => rest.clone_into(&mut config.user),
        "VOLUME" => {
            let names = list(rest).map_or_else(|| words(rest), Ok)?;
            config.volumes.get_or_insert_default().extend(names.into_iter().map(|name| (name, Empty {})));
        }
        _ => config.working_dir = directory(&config.working_dir, rest),
    }
    Ok(())
}

/// The JSON form, or a line for the shell.
fn command(config: &RunConfig, rest: &str) -> Vec<String> {
    list(rest).unwrap_or_else(|| {
        let shell = config.shell.clone().filter(|shell| !shell.is_empty());
        let mut line = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        line.push(rest.to_owned());
        line
    })
}

fn list(rest: &str) -> Option<Vec<String>> {
    if rest.starts_with('[') { serde_json::from_str(rest).ok() } else { None }
}

fn set_env(config: &mut RunConfig, name: &str, value: &str) {
    let env = config.env.get_or_insert_default();
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|old| old.split('=').next() == Some(name)) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

fn expose(config: &mut RunConfig, rest: &str) -> Result<()> {
    for port in words(rest)? {
        let (number, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let (first, last) = number.split_once('-').unwrap_or((number, number));
        let parsed = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
        let bounds = parsed.filter(|(first, last)| first <= last && *first > 0);
        let (Some((first, last)), "tcp" | "udp" | "sctp") = (bounds, protocol) else {
            return Err(Error::invalid(format!("invalid containerPort: {port}")));
        };
        let ports = (first..=last).map(|number| (format!("{number}/{protocol}"), Empty {}));
        config.exposed_ports.get_or_insert_default().extend(ports);
    }
    Ok(())
}

fn health(rest: &str) -> Result<HealthConfig> {
    let mut check = HealthConfig::default();
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        option(&mut check, name, value)?;
        rest = after.trim_start();
    }
    let (kind, line) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match (kind.to_ascii_uppercase().as_str(), line.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("CMD", line) if !line.is_empty() => probe(line),
        _ => return Err(Error::invalid(format!("unknown type {kind:?} in HEALTHCHECK (try CMD)"))),
    };
    Ok(check)
}

fn probe(line: &str) -> Vec<String> {
    match list(line) {
        Some(arguments) => std::iter::once("CMD".to_owned()).chain(arguments).collect(),
        None => vec!["CMD-SHELL".to_owned(), line.to_owned()],
    }
}

fn option(check: &mut HealthConfig, name: &str, value: &str) -> Result<()> {
    let refused = || Error::invalid(format!("invalid value {value:?} for HEALTHCHECK --{name}"));
    if name == "retries" {
        check.retries = value.parse().map_err(|_| refused())?;
        return Ok(());
    }
    let nanos = duration::parse(value).map_err(|_| refused())?;
    match name {
        "interval" => check.interval = nanos,
        "timeout" => check.timeout = nanos,
        "start-period" => check.start_period = nanos,
        "start-interval" => check.start_interval = nanos,
        _ => return Err(Error::invalid(format!("unknown flag: --{name} of HEALTHCHECK"))),
    }
    Ok(())
}

/// A path below the current one, unless it is absolute.
fn directory(current: &str, path: &str) -> String {
    if path.starts_with('/') || current.is_empty() {
        return if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    }
    format!("{}/{path}", current.trim_end_matches('/'))
}

/// `name=value …` with quotes, or the old form `name value of many words`.
fn pairs(instruction: &str, rest: &str) -> Result<Vec<(String, String)>> {
    let first = rest.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = rest
            .split_once(char::is_whitespace)
            .ok_or_else(|| Error::invalid(format!("{instruction} must have two arguments")))?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::invalid(format!("syntax error - can't find = in {word:?}. Must be of the form: name=value"))),
    };
    words(rest)?.into_iter().map(pair).collect()
}

/// Words as a shell tells them apart: quotes and backslashes.
fn words(text: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(characters.next()),
            (c, None) if c.is_whitespace() => found.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Error::invalid(format!("unexpected end of statement while looking for matching quote: {text}")));
    }
    found.extend(word);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> RunConfig {
        let mut config =
            RunConfig { env: Some(vec!["A=0".into()]), working_dir: "/srv".into(), ..RunConfig::default() };
        apply(&mut config, &changes.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        config
    }

    #[test]
    fn instructions_change_defaults() {
        let config = changed(&[
            r#"CMD ["a", "b"]"#,
            "entrypoint exec \"$0\"",
            "ENV A=1 B=\"two words\" C=x\\ y",
            "ENV D many words",
            "EXPOSE 80 53/udp 8000-8001",
            "LABEL x=y",
            "USER app",
            "VOLUME /a /b",
            "VOLUME [\"/c d\"]",
            "WORKDIR sub",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN true",
            "HEALTHCHECK --interval=5s --retries=2 CMD test -f /x",
        ]);
        let value = serde_json::to_value(&config).unwrap();
        let expect = serde_json::json!({
            "User": "app", "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
            "Env": ["A=1", "B=two words", "C=x y", "D=many words"],
            "Entrypoint": ["/bin/sh", "-c", "exec \"$0\""], "Cmd": ["a", "b"],
            "Healthcheck": {"Test": ["CMD-SHELL", "test -f /x"], "Interval": 5_000_000_000_i64, "Retries": 2},
            "Volumes": {"/a": {}, "/b": {}, "/c d": {}}, "WorkingDir": "/srv/sub", "OnBuild": ["RUN true"],
            "Labels": {"x": "y"}, "StopSignal": "SIGINT"
        });
        assert_eq!(value, expect);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (change, part) in [
            ("RUN true", "run is not a valid change command"),
            ("CMD", "requires at least one argument"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("EXPOSE 90-80", "invalid containerPort"),
            ("LABEL a=\"b", "matching quote"),
            ("HEALTHCHECK --x=1s CMD true", "--x"),
            ("HEALTHCHECK MAYBE", "unknown type"),
        ] {
            let error = apply(&mut RunConfig::default(), &[change.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(part), "{change}: {error}");
        }
    }
}

//! `--change` of commit and import: single Dockerfile instructions that change an image's defaults.

use hako_model::container::{Empty, HealthConfig};
use hako_model::duration;
use hako_model::image::RunConfig;
use hako_model::word;

use crate::{Error, Result, signal};

/// Applies instructions in order.
pub(super) fn apply(config: &mut RunConfig, changes: &[String]) -> Result<()> {
    for change in changes {
        for line in instructions(change) {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            one(config, word, rest.trim())?;
        }
    }
    Ok(())
}

/// The lines of a small Dockerfile: comments are left out, a backslash at the end joins a line to the next one.
fn instructions(change: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut begun = String::new();
    for line in change.lines().filter(|line| !line.trim_start().starts_with('#')) {
        match line.trim_end().strip_suffix('\\') {
            Some(part) => begun += part,
            None => found.push(std::mem::take(&mut begun) + line),
        }
    }
    found.push(begun);
    found.iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn one(config: &mut RunConfig, word: &str, rest: &str) -> Result<()> {
    let upper = word.to_ascii_uppercase();
    let known = "CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR";
    if !known.split(' ').any(|name| name == upper) {
        return Err(Error::invalid(format!("{upper} is not a valid change command")));
    }
    if rest.is_empty() {
        match upper.as_str() {
            // Docker's: an empty command line for the shell.
            "CMD" | "ENTRYPOINT" => {}
            "USER" | "WORKDIR" | "STOPSIGNAL" => {
                return Err(Error::invalid(format!("{upper} requires exactly one argument")));
            }
            _ => return Err(Error::invalid(format!("{upper} requires at least one argument"))),
        }
    }
    match upper.as_str() {
        "CMD" => config.cmd = Some(command(config, rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(config, rest)),
        "ENV" => pairs(config, "ENV", rest)?.into_iter().for_each(|(name, value)| set_env(config, &name, &value)),
        "EXPOSE" => expose(config, rest)?,
        "HEALTHCHECK" => config.healthcheck = Some(health(rest)?),
        "LABEL" => {
            let labels = pairs(config, "LABEL", rest)?;
            config.labels.get_or_insert_default().extend(labels);
        }
        "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
        "STOPSIGNAL" => config.stop_signal = stop_signal(expanded(config, rest)?)?,
        "USER" => config.user = expanded(config, rest)?,
        "VOLUME" => {
            let names = list(rest).unwrap_or_else(|| word::split(rest).into_iter().map(str::to_owned).collect());
            let names = names.iter().map(|name| expanded(config, name)).collect::<Result<Vec<_>>>()?;
            config.volumes.get_or_insert_default().extend(names.into_iter().map(|name| (name, Empty {})));
        }
        _ => config.working_dir = directory(&config.working_dir, &expanded(config, rest)?),
    }
    Ok(())
}

/// A word without its quotes, with the values of the image's environment so far.
fn expanded(config: &RunConfig, text: &str) -> Result<String> {
    let value = |name: &str| {
        let mut pairs = config.env.iter().flatten().filter_map(|pair| pair.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
    };
    word::expand(text, &value).map_err(|cause| Error::invalid(cause.to_string()))
}

/// Docker takes every number here, even one that is no signal.
fn stop_signal(text: String) -> Result<String> {
    if text.parse::<u32>().is_err() {
        signal::parse(&text)?;
    }
    Ok(text)
}

/// The JSON form, or a line for the shell.
fn command(config: &RunConfig, rest: &str) -> Vec<String> {
    list(rest).unwrap_or_else(|| {
        let shell = config.shell.clone().filter(|shell| !shell.is_empty());
        let mut line = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        line.extend(Some(rest.to_owned()).filter(|rest| !rest.is_empty()));
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
    let words = word::split(rest).into_iter().map(|text| expanded(config, text)).collect::<Result<Vec<_>>>()?;
    // A variable may hold several ports.
    for port in words.iter().flat_map(|word| word.split_whitespace()) {
        let port = port.to_ascii_lowercase();
        let (number, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let (first, last) = number.split_once('-').unwrap_or((number, number));
        let parsed = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
        let bounds = parsed.filter(|(first, last)| first <= last && *first > 0);
        let (Some((first, last)), "tcp" | "udp" | "sctp") = (bounds, protocol) else {
            return Err(Error::invalid(format!("Invalid containerPort: {port}")));
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
    let nanos = duration::parse(value).map_err(|cause| Error::invalid(cause.to_string()))?;
    match name {
        "interval" => check.interval = nanos,
        "timeout" => check.timeout = nanos,
        "start-period" => check.start_period = nanos,
        "start-interval" => check.start_interval = nanos,
        _ => return Err(Error::invalid(format!("unknown flag: --{name} of HEALTHCHECK"))),
    }
    Ok(())
}

/// A path below the current one, unless it is absolute; what can be resolved by text is.
fn directory(current: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { current };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `name=value …` with quotes, or the old form `name value of many words`; variables are those of before the line.
fn pairs(config: &RunConfig, instruction: &str, rest: &str) -> Result<Vec<(String, String)>> {
    let words = word::split(rest);
    let raw = if words.first().is_none_or(|first| !first.contains('=')) {
        let two = rest.split_once(char::is_whitespace).map(|(name, value)| vec![(name, value.trim())]);
        two.ok_or_else(|| Error::invalid(format!("{instruction} must have two arguments")))?
    } else {
        let missing = |word: &str| {
            Error::invalid(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))
        };
        words.into_iter().map(|word| word.split_once('=').ok_or_else(|| missing(word))).collect::<Result<_>>()?
    };
    raw.into_iter()
        .map(|(name, value)| {
            let (name, value) = (expanded(config, name)?, expanded(config, value)?);
            if name.is_empty() {
                return Err(Error::invalid(format!("{instruction} names can not be blank")));
            }
            Ok((name, value))
        })
        .collect()
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
    fn variables_are_those_of_the_lines_before() {
        let config = changed(&[
            "# a comment\nENV B=$A C=$B \\\n  P='81 82'",
            "EXPOSE $P 53/UDP",
            "VOLUME [\"/v$A\"]",
            "WORKDIR ../$A",
            "LABEL \"l $A\"=$B",
            "USER $A",
            "CMD echo $A",
        ]);
        let value = serde_json::to_value(&config).unwrap();
        let expect = serde_json::json!({
            "User": "0", "ExposedPorts": {"81/tcp": {}, "82/tcp": {}, "53/udp": {}}, "Env": ["A=0", "B=0", "C=", "P=81 82"],
            "Cmd": ["/bin/sh", "-c", "echo $A"], "Volumes": {"/v0": {}}, "WorkingDir": "/0", "Labels": {"l 0": "0"}
        });
        assert_eq!(value, expect);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (change, part) in [
            ("RUN true", "RUN is not a valid change command"),
            ("EXPOSE", "requires at least one argument"),
            ("EXPOSE x", "Invalid containerPort: x"),
            ("EXPOSE 90-80", "Invalid containerPort"),
            ("LABEL a=\"b", "matching double-quote"),
            ("ENV =x", "ENV names can not be blank"),
            ("ENV A=1 B", "can't find = in \"B\""),
            ("STOPSIGNAL NOPE", "invalid signal: NOPE"),
            ("USER", "USER requires exactly one argument"),
            ("HEALTHCHECK --x=1s CMD true", "--x"),
            ("HEALTHCHECK MAYBE", "unknown type"),
        ] {
            let error = apply(&mut RunConfig::default(), &[change.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(part), "{change}: {error}");
        }
    }
}

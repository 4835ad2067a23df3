//! A container's configuration is what the person said, completed by what the image says.

use std::collections::BTreeMap;

use hako_model::container::{Config, HealthConfig};
use hako_model::image::RunConfig;

use crate::{Error, Result};

/// Completes `config` by the image's defaults, with Docker's rules.
pub(super) fn merge(config: &mut Config, image: &RunConfig) -> Result<()> {
    inherit(&mut config.user, &image.user);
    inherit(&mut config.working_dir, &image.working_dir);
    inherit(&mut config.stop_signal, &image.stop_signal);
    if let Some(ports) = &image.exposed_ports {
        config.exposed_ports.get_or_insert_default().extend(ports.clone());
    }
    if config.volumes.as_ref().is_none_or(|own| own.is_empty()) {
        config.volumes.clone_from(&image.volumes);
    } else {
        config.volumes.iter_mut().for_each(|own| own.extend(image.volumes.clone().unwrap_or_default()));
    }
    merge_env(config, image.env.as_deref());
    merge_labels(config, image.labels.as_ref());
    merge_command(config, image)?;
    config.healthcheck = merge_health(config.healthcheck.take(), image.healthcheck.as_ref());
    if config.shell.is_none() {
        config.shell.clone_from(&image.shell);
    }
    Ok(())
}

fn inherit(own: &mut String, image: &str) {
    if own.is_empty() {
        image.clone_into(own);
    }
}

/// The person's variables first, then those of the image that they did not set.
fn merge_env(config: &mut Config, image: Option<&[String]>) {
    let own = match &mut config.env {
        Some(own) if !own.is_empty() => own,
        none => {
            *none = image.map(<[String]>::to_vec);
            return;
        }
    };
    let image = image.unwrap_or_default();
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let set: Vec<String> = own.iter().map(|pair| name(pair)).collect();
    own.extend(image.iter().filter(|pair| !set.contains(&name(pair))).cloned());
}

fn merge_labels(config: &mut Config, image: Option<&BTreeMap<String, String>>) {
    let own = config.labels.get_or_insert_default();
    for (key, value) in image.into_iter().flatten() {
        own.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// Naming an entry point drops the image's command with the image's entry point.
fn merge_command(config: &mut Config, image: &RunConfig) -> Result<()> {
    let empty = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
    if empty(&config.entrypoint) {
        if empty(&config.cmd) {
            config.cmd.clone_from(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    // `--entrypoint ""` resets the image's.
    if config.entrypoint.as_deref().is_some_and(|words| words == [""]) {
        config.entrypoint = None;
    }
    if empty(&config.entrypoint) && empty(&config.cmd) {
        return Err(Error::invalid("no command specified"));
    }
    Ok(())
}

/// A health check, completed by what was there before.
pub(super) fn merge_health(own: Option<HealthConfig>, image: Option<&HealthConfig>) -> Option<HealthConfig> {
    let (Some(mut own), Some(image)) = (own.clone(), image) else { return own.or_else(|| image.cloned()) };
    if own.test.is_empty() {
        own.test.clone_from(&image.test);
    }
    for (own, image) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ] {
        if *own == 0 {
            *own = image;
        }
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn commands() {
        for (entry, cmd, image_entry, image_cmd, expect) in [
            (None, None, words("e"), words("c"), Ok((words("e"), words("c")))),
            (None, words("x"), words("e"), words("c"), Ok((words("e"), words("x")))),
            (words("y"), None, words("e"), words("c"), Ok((words("y"), None))),
            (Some(vec![String::new()]), words("x"), words("e"), words("c"), Ok((None, words("x")))),
            (None, None, None, None, Err(())),
        ] {
            let mut config = Config { entrypoint: entry, cmd, ..Config::default() };
            let image = RunConfig { entrypoint: image_entry, cmd: image_cmd, ..RunConfig::default() };
            let outcome = merge(&mut config, &image).map_err(|_| ());
            assert_eq!(outcome.map(|()| (config.entrypoint, config.cmd)), expect);
        }
    }

    #[test]
    fn the_persons_variables_win_and_come_first() {
        let mut config = Config { env: words("A=1 B"), cmd: words("x"), ..Config::default() };
        let image = RunConfig { env: words("PATH=/bin A=2 B=3"), ..RunConfig::default() };
        merge(&mut config, &image).unwrap();
        assert_eq!(config.env, words("A=1 B PATH=/bin"));
    }

    #[test]
    fn nothing_said_and_nothing_inherited_stays_null() {
        let empty = || Config { env: Some(Vec::new()), volumes: Some([].into()), cmd: words("x"), ..Config::default() };
        let mut config = empty();
        merge(&mut config, &RunConfig::default()).unwrap();
        assert_eq!((config.env, config.volumes), (None, None));
        let mut config = empty();
        merge(&mut config, &RunConfig { env: words("A=1"), ..RunConfig::default() }).unwrap();
        assert_eq!(config.env, words("A=1"));
    }

    #[test]
    fn health_checks_are_completed() {
        let own = HealthConfig { interval: 5, ..HealthConfig::default() };
        let image =
            HealthConfig { test: words("CMD true").unwrap(), interval: 1, retries: 2, ..HealthConfig::default() };
        let merged = merge_health(Some(own), Some(&image)).unwrap();
        assert_eq!((merged.test.len(), merged.interval, merged.retries), (2, 5, 2));
        assert_eq!(merge_health(None, Some(&image)), Some(image));
    }
}

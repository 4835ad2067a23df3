//! RUN: a layer made by a container.

use hako_model::platform::Platform;
use hako_store::LayerDraft;

use super::copying::together;
use super::key::Inputs;
use super::meta::{PROXIES, json};
use super::mounts::Furniture;
use super::stage::{Made, Stage};
use super::state::PATH;
use crate::cache::now_text;
use crate::dockerfile::{Instruction, Kind, Run};
use crate::progress::Event;
use crate::workshop::{Ending, Step};
use crate::{Error, Result};

/// The host name of steps, always the same so that what they make can be.
const HOSTNAME: &str = "buildkitsandbox";

/// A RUN with everything expanded.
pub(super) struct Plan {
    pub(super) command: Vec<String>,
    pub(super) network: String,
    /// A script that a here-document holds, run by the interpreter it names.
    pub(super) script: Option<(String, String)>,
}

impl Stage<'_, '_, '_> {
    pub(super) fn run(&mut self, run: &Run, instruction: &Instruction, step: usize) -> Result<()> {
        debug_assert!(matches!(instruction.kind, Kind::Run(_)));
        let plan = self.plan(run)?;
        let mounts = self.mounts(run, step)?;
        let env = self.run_env();
        let mut inputs = Inputs::default();
        inputs.add("the instruction", "RUN");
        self.below(&mut inputs);
        inputs.add("the command", json(&plan.command));
        inputs.add("its script", plan.script.as_ref().map_or("", |(_, text)| text));
        for pair in &env {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            inputs.add(&format!("variable {name}"), value);
        }
        inputs.add("the working directory", self.state.directory());
        inputs.add("the user", &self.state.config.user);
        inputs.add("the network", &plan.network);
        inputs.add("added hosts", together(&self.build.request.sandbox.hosts).to_string());
        for mount in &mounts {
            mount.describe(&mut inputs);
            self.build.has_cache(mount.cache());
        }
        let text = self.history_text(&plan.command);
        self.layer(step, &inputs, instruction, text, |stage| stage.execute(&plan, &mounts, env, step))
    }

    fn plan(&self, run: &Run) -> Result<Plan> {
        match run.security.as_deref() {
            None | Some("sandbox") => {}
            Some(_) => {
                return Err(Error::refused(
                    "security.insecure is not allowed: steps have no more privileges than containers",
                ));
            }
        }
        if !run.devices.is_empty() {
            return Err(Error::refused("RUN --device is not supported: steps get no devices of the host"));
        }
        let sandbox = &self.build.request.sandbox;
        let given = &sandbox.network;
        let network = match (run.network.as_deref(), given.as_str()) {
            (Some("host"), network) if network != "host" && !sandbox.host_network => {
                return Err(Error::refused("network.host is not allowed: give the build --allow network.host"));
            }
            (Some(own), _) if own != "default" => own.to_owned(),
            (_, "") => "default".to_owned(),
            (_, network) => network.to_owned(),
        };
        let (command, script) = self.command(run);
        Ok(Plan { command, network, script })
    }

    /// The command line, here-documents worked in.
    fn command(&self, run: &Run) -> (Vec<String>, Option<(String, String)>) {
        let shell = |line: String| {
            let mut words = self.state.shell();
            words.push(line);
            words
        };
        let (Some(first), true) = (run.heredocs.first(), run.command.shell) else {
            return (run.command.with_shell(&self.state.shell()), None);
        };
        let line = run.command.words.concat();
        let is_alone = run.heredocs.len() == 1
            && line.trim().trim_start_matches(|c: char| c.is_ascii_digit()).starts_with("<<")
            && line.split_whitespace().count() == 1;
        if is_alone && first.content.starts_with("#!") {
            return (vec![format!("/dev/pipes/{}", first.name)], Some((first.name.clone(), first.text())));
        }
        if is_alone {
            return (shell(first.text()), None);
        }
        let documents = run.heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
        (shell(line + &documents.collect::<String>()), None)
    }

    fn run_env(&self) -> Vec<String> {
        let mut env: Vec<String> = self.state.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if self.state.value("PATH").is_none() {
            env.push(format!("PATH={PATH}"));
        }
        env
    }

    /// Proxies go into the step, but into nothing that is written down.
    fn proxies(&self) -> Vec<String> {
        let given = PROXIES.iter().filter_map(|name| Some((name, self.build.request.arguments.get(*name)?)));
        given
            .filter(|(name, _)| self.state.value(name).is_none())
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    fn history_text(&self, command: &[String]) -> String {
        let arguments = &self.state.arguments;
        let line = command.join(" ");
        if arguments.is_empty() {
            return format!("RUN {line} # buildkit");
        }
        // A variable of the same name has the last word.
        let value = |name: &str, given: &str| self.state.value(name).unwrap_or_else(|| given.to_owned());
        let shown: Vec<String> =
            arguments.iter().map(|(name, given)| format!("{name}={}", value(name, given))).collect();
        format!("RUN |{} {} {line} # buildkit", arguments.len(), shown.join(" "))
    }

    fn execute(
        &self,
        plan: &Plan,
        mounts: &[super::mounts::Wanted],
        mut env: Vec<String>,
        step: usize,
    ) -> Result<Made> {
        let tools = &self.build.tools;
        let draft = tools.store.layers().draft(self.state.top().as_ref())?;
        let furniture = Furniture::gather(self, plan, mounts, &draft, step)?;
        env.extend(self.proxies());
        env.extend(furniture.env.iter().cloned());
        let container = self.container(plan, &draft, &furniture, env);
        let output = |error: bool, bytes: &[u8]| {
            self.build.tell(Event::Output { step, error, bytes: bytes.to_vec() });
        };
        let ran = tools.workshop.run(&container, &output, tools.cancel);
        let Ending { code, out_of_memory } = ran.map_err(|error| self.foreign(&plan.command, error))?;
        drop(furniture);
        if code != 0 {
            tools.cancel.check()?;
            if self.build.request.debug
                && let Err(error) = self.keep_failed(plan, draft)
            {
                self.build.tell(Event::Note { step, text: format!("the failed step's files are not kept: {error}") });
            }
            let command = plan.command.join(" ");
            return Err(match out_of_memory {
                true => Error::Memory { command, code },
                false => Error::Exit { command, code },
            });
        }
        self.freeze(draft)
    }

    /// Says of programs for another processor, which did not run, what makes them run.
    fn foreign(&self, command: &[String], error: Error) -> Error {
        let (own, host) = (self.state.platform.normalised(), Platform::host());
        if host.accepts(&own) || !error.to_string().contains("exec format error") {
            return error;
        }
        let command = command.join(" ");
        Error::refused(format!(
            "process \"{command}\" did not start: exec format error: it is for {own}, and this machine ({host}) has no \
             emulator for that: register one (package qemu-user-static, or an image that sets up binfmt_misc), or do the \
             work in a stage FROM --platform=$BUILDPLATFORM and copy what it made"
        ))
    }

    /// Makes an image of what the command left, with a shell where it ran. Secrets it had as variables stay out.
    fn keep_failed(&self, plan: &Plan, draft: LayerDraft) -> Result<()> {
        let store = self.build.tools.store;
        let made = self.freeze(draft)?;
        let mut state = self.state.clone();
        state.push(&made.layer, now_text(), format!("RUN {} # failed", plan.command.join(" ")), store)?;
        let shell = state.shell().first().cloned();
        (state.config.cmd, state.config.entrypoint) = (shell.map(|shell| vec![shell]), None);
        (state.config.env, state.config.healthcheck) = (Some(self.run_env()), None);
        self.build.tools.workshop.keep_failed(self.build.image(&state))
    }

    fn container(&self, plan: &Plan, draft: &LayerDraft, furniture: &Furniture<'_>, env: Vec<String>) -> Step {
        let mut lowers = draft.lowers().to_vec();
        // Places for mounts stand below everything: nothing of them stays in the layer.
        lowers.extend(furniture.stubs());
        Step {
            command: plan.command.clone(),
            env,
            directory: self.state.directory().to_owned(),
            user: self.state.config.user.clone(),
            hostname: HOSTNAME.to_owned(),
            lowers,
            upper: draft.upper(),
            work: draft.work(),
            mounts: furniture.mounts.clone(),
            network: plan.network.clone(),
            sandbox: self.build.request.sandbox.clone(),
        }
    }
}

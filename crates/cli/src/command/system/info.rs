//! `info`.

use std::fmt::Write as _;

use hako_api::system::Info;

use crate::command::OBJECT_FORMAT;
use crate::failure::Failure;
use crate::flags::Matches;
use crate::output;
use crate::render::json::Order;
use crate::render::listing::as_field_of;
use crate::render::template::{Format, unescape};
use crate::render::units::bytes_size;
use crate::render::zero;
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(crate) static INFO: Command = Command {
    usage: &["[OPTIONS]"],
    aliases: &["hako system info", "hako info"],
    flags: &[&[OBJECT_FORMAT]],
    ..Command::new("Display system-wide information", run!(info))
};

async fn info(session: &Session, found: &Matches) -> Outcome {
    let template = match found.text("format") {
        "" => None,
        "json" => Some("{{json .}}".to_owned()),
        template => Some(unescape(template)),
    };
    let asked = match session.client() {
        Ok(daemon) => daemon.system().info().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    if let Some(source) = template {
        let format =
            Format::of_record(&source, Order::default()).map_err(|message| Failure::Usage { message, code: 64 })?;
        return formatted(&format, session, &asked?);
    }
    let mut out = client_text(session);
    out += "\nServer:\n";
    if let Ok(info) = &asked {
        out += &server_text(info);
    }
    output::print(out)?;
    for warning in asked?.warnings.iter().flatten() {
        output::complain(format!("{warning}\n"))?;
    }
    Ok(())
}

fn formatted(format: &Format, session: &Session, info: &Info) -> Outcome {
    let failed = |error: serde_json::Error| Failure::local(error.to_string());
    let mut text = serde_json::to_string(info).map_err(failed)?;
    // The client's half stands beside the server's, as docker has it.
    let client = serde_json::json!({
        "Debug": session.debug(), "Version": crate::VERSION, "Context": session.context_name(), "Plugins": [], "Warnings": null
    });
    text.pop();
    let _ = write!(text, ",\"ClientInfo\":{client}}}");
    let value = format.order().read(&text).map_err(failed)?;
    let shown = format.run(&value).or_else(|as_it_came| {
        let whole = format.order().read(&zero::filled(&text)).map_err(|error| error.to_string())?;
        format.run_over_record(&whole).map_err(|_| as_it_came)
    });
    // Docker has an empty line for what could not be shown, and no word about templates.
    let wrong = |error: String| as_field_of(error.replacen("template parsing error: ", "", 1), "system.dockerInfo");
    output::line(shown.as_deref().unwrap_or_default())?;
    shown.map(drop).map_err(|error| Failure::local(wrong(error)))
}

fn client_text(session: &Session) -> String {
    format!(
        "Client: hako\n Version:    {}\n Context:    {}\n Debug Mode: {}\n",
        crate::VERSION,
        session.context_name(),
        session.debug()
    )
}

fn server_text(info: &Info) -> String {
    let mut out = String::new();
    let mut fact = |name: &str, value: &dyn std::fmt::Display| {
        let value = value.to_string();
        if !value.is_empty() {
            let _ = writeln!(out, " {name}: {value}");
        }
    };
    fact("Containers", &info.containers);
    fact(" Running", &info.containers_running);
    fact(" Paused", &info.containers_paused);
    fact(" Stopped", &info.containers_stopped);
    fact("Images", &info.images);
    fact("Server Version", &info.server_version);
    fact("Storage Driver", &info.driver);
    for [name, value] in &info.driver_status {
        fact(&format!(" {name}"), value);
    }
    fact("Logging Driver", &info.logging_driver);
    fact("Cgroup Driver", &info.cgroup_driver);
    fact("Cgroup Version", &info.cgroup_version);
    out += &plugins(info);
    out += &devices(info);
    out += &runtimes(info);
    out += &machine(info);
    out
}

fn plugins(info: &Info) -> String {
    let joined = |names: &[String]| names.join(" ");
    format!(
        " Plugins:\n  Volume: {}\n  Network: {}\n  Log: {}\n",
        joined(&info.plugins.volume),
        joined(&info.plugins.network),
        joined(&info.plugins.log)
    )
}

fn devices(info: &Info) -> String {
    let mut out = String::new();
    if !info.cdi_spec_dirs.is_empty() {
        out += &format!(" CDI spec directories:\n  {}\n", info.cdi_spec_dirs.join("\n  "));
    }
    if !info.discovered_devices.is_empty() {
        out += " Discovered Devices:\n";
    }
    for device in &info.discovered_devices {
        let _ = writeln!(out, "  {}: {}", device.source, device.id);
    }
    out
}

fn runtimes(info: &Info) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        " Swarm: {}",
        if info.swarm.local_node_state.is_empty() { "inactive" } else { &info.swarm.local_node_state }
    );
    let names: Vec<&str> = info.runtimes.keys().map(String::as_str).collect();
    let _ = writeln!(out, " Runtimes: {}\n Default Runtime: {}", names.join(" "), info.default_runtime);
    if !info.init_binary.is_empty() {
        let _ = writeln!(out, " Init Binary: {}", info.init_binary);
    }
    if !info.security_options.is_empty() {
        out += " Security Options:\n";
    }
    for option in &info.security_options {
        for part in option.split(',') {
            let _ = match part.split_once('=') {
                Some(("name", name)) => writeln!(out, "  {name}"),
                Some((key, value)) => writeln!(out, "   {}: {value}", capital(key)),
                None => writeln!(out, "  {part}"),
            };
        }
    }
    out
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn machine(info: &Info) -> String {
    let mut out = String::new();
    let _ = writeln!(out, " Kernel Version: {}", info.kernel_version);
    let _ = writeln!(out, " Operating System: {}", info.operating_system);
    let _ = writeln!(out, " OSType: {}\n Architecture: {}", info.os_type, info.architecture);
    let _ = writeln!(out, " CPUs: {}\n Total Memory: {}", info.n_cpu, bytes_size(info.mem_total as f64));
    let _ = writeln!(out, " Name: {}\n ID: {}", info.name, info.id);
    let _ = writeln!(out, " Docker Root Dir: {}\n Debug Mode: {}", info.docker_root_dir, info.debug);
    for (name, value) in
        [("HTTP Proxy", &info.http_proxy), ("HTTPS Proxy", &info.https_proxy), ("No Proxy", &info.no_proxy)]
    {
        let _ = if value.is_empty() { Ok(()) } else { writeln!(out, " {name}: {value}") };
    }
    for label in &info.labels {
        let _ = writeln!(out, "  {label}");
    }
    let _ = writeln!(out, " Experimental: {}", info.experimental_build);
    out += " Insecure Registries:\n";
    for (name, index) in info.registry_config.index_configs.iter().filter(|(_, index)| !index.secure) {
        let _ = (index, writeln!(out, "  {name}"));
    }
    for range in &info.registry_config.insecure_registry_cidrs {
        let _ = writeln!(out, "  {range}");
    }
    let mirrors = info.registry_config.mirrors.as_deref().unwrap_or_default();
    if !mirrors.is_empty() {
        let _ = writeln!(out, " Registry Mirrors:\n  {}", mirrors.join("\n  "));
    }
    let _ = writeln!(out, " Live Restore Enabled: {}", info.live_restore_enabled);
    out
}

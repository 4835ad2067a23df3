//! Compiles the program of the `hello` image with the C compiler on the PATH. Where that does not work (another
//! architecture, no compiler) the image is left out and the build goes on with a warning.

use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "hello/hello.c";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=CC");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("hello");
    if let Err(reason) = compile(&out) {
        println!("cargo::warning=the hello image is left out: {reason}");
        if let Err(error) = std::fs::write(&out, []) {
            println!("cargo::error=write {}: {error}", out.display());
        }
    }
}

fn compile(out: &PathBuf) -> Result<(), String> {
    let compiler = compiler();
    let status = Command::new(&compiler)
        .args(["-static", "-nostdlib", "-no-pie", "-Os", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"])
        .args(["-fcf-protection=none"].iter().filter(|_| target() == "x86_64"))
        .args(["-Wl,--build-id=none", "-Wl,-z,norelro", "-Wl,-n", "-s", "-o"])
        .arg(out)
        .arg(SOURCE)
        .status()
        .map_err(|error| format!("run {compiler}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{compiler} ended with {status}")) }
}

/// `$CC`, the cross compiler of the target, or plain `cc`.
fn compiler() -> String {
    if let Ok(compiler) = std::env::var("CC") {
        return compiler;
    }
    let host = std::env::var("HOST").unwrap_or_default();
    if host.starts_with(&target()) { "cc".to_owned() } else { format!("{}-linux-gnu-gcc", target()) }
}

fn target() -> String {
    std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default()
}

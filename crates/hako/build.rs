//! Hands the linker the order of the runtime's functions (`runtime.ld`): optimised builds only, as others are not measured.

fn main() {
    println!("cargo::rerun-if-changed=runtime.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if optimised && linux {
        let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into());
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{directory}/runtime.ld");
    }
}

//! Builds the shipped drivers of `guest-drivers/` into components, which the crate includes from `OUT_DIR`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of `guest-drivers/` that become components: cargo's name, and the file in `OUT_DIR`. To ship or test one more
/// driver, make it a member of that workspace and name it here.
const GUESTS: [(&str, &str); 8] = [
    ("wrought-driver-agent", "agent.wasm"),
    ("wrought-driver-bootc", "bootc.wasm"),
    ("wrought-driver-custom-agent", "custom-agent.wasm"),
    ("wrought-driver-direct", "direct.wasm"),
    ("wrought-driver-fake", "fake.wasm"),
    ("wrought-driver-noop", "noop.wasm"),
    ("wrought-driver-ramdisk", "ramdisk.wasm"),
    ("wrought-driver-redfish", "redfish.wasm"),
];

/// For tests, only with the feature `hostile`.
const HOSTILE: [(&str, &str); 2] = [("wrought-driver-hostile", "hostile.wasm"), ("wrought-driver-stamp", "stamp.wasm")];

const TARGET: &str = "wasm32-unknown-unknown";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let guests = root.join("guest-drivers");
    watch(&root)?;
    provide_target()?;

    let target_dir = out.join("guests");
    let hostile = env::var_os("CARGO_FEATURE_HOSTILE").map(|_| HOSTILE).into_iter().flatten();
    let wanted: Vec<(&str, &str)> = GUESTS.into_iter().chain(hostile).collect();
    build(&guests, &target_dir, &wanted)?;
    for (package, file) in wanted {
        let module = target_dir.join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_")));
        let component = componentize(&fs::read(&module).map_err(|e| format!("reading {}: {e}", module.display()))?)
            .map_err(|e| format!("making a component of {package}: {e}"))?;
        fs::write(out.join(file), component)?;
    }
    Ok(())
}

/// Names what the components are made of; not the folder as a whole, because builds by hand put their output into it.
fn watch(root: &Path) -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.join("wit").display());
    for entry in fs::read_dir(root.join("guest-drivers"))? {
        let entry = entry?;
        if entry.file_name() != "target" {
            println!("cargo::rerun-if-changed={}", entry.path().display());
        }
    }
    Ok(())
}

/// Adds the guests' target to the toolchain in use, if it is not there.
fn provide_target() -> Result<()> {
    let rustc = env::var("RUSTC")?;
    let output = Command::new(&rustc).args(["--print", "sysroot"]).output().map_err(|e| format!("running {rustc}: {e}"))?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let installed = sysroot.join("lib/rustlib").join(TARGET);
    if installed.exists() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status().is_ok_and(|status| status.success());
    if added && installed.exists() {
        return Ok(());
    }
    Err(format!(
        "the shipped drivers are built for {TARGET}, which the toolchain at {} does not have: run `rustup target add {TARGET}`, \
         or install your distribution's package of Rust's standard library for it",
        sysroot.display()
    )
    .into())
}

/// Runs cargo in the guests' workspace, which is locked by a `Cargo.lock` of its own.
fn build(guests: &Path, target_dir: &Path, wanted: &[(&str, &str)]) -> Result<()> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.current_dir(guests).args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"]).arg(target_dir);
    for (package, _) in wanted {
        cargo.args(["--package", package]);
    }
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(hurts_guests) {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths(guests).join("\x1f"));
    let status = cargo.status().map_err(|e| format!("running cargo in {}: {e}", guests.display()))?;
    if !status.success() {
        return Err(format!("building the shipped drivers in {} failed: {status}", guests.display()).into());
    }
    Ok(())
}

/// Panic messages name source files: without the builder's paths the same sources give the same bytes in every folder. Being
/// set, these flags also keep out what a configuration file says for the host.
fn remapped_paths(guests: &Path) -> Vec<String> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registry = cargo_home.map(|home| format!("--remap-path-prefix={}=/cargo", home.join("registry/src").display()));
    let own = format!("--remap-path-prefix={}=/guest-drivers", guests.display());
    registry.into_iter().chain([own]).collect()
}

/// What the outer build says about itself. An inherited target folder deadlocks on cargo's lock, a clippy wrapper makes no
/// module, coverage or sanitizer flags do not link for the guests' target, and a profile would change the components' bytes.
/// Where cargo keeps and finds packages (`CARGO_HOME`, `CARGO_NET_*`, `CARGO_REGISTRIES_*`, ...) stays as it is.
fn hurts_guests(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "CARGO_TARGET_DIR",
        "CLIPPY_ARGS",
    ];
    const PREFIXES: [&str; 6] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_PKG_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A core module with its embedded contract becomes a component; only imports that are called remain.
fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = wit_component::ComponentEncoder::default().validate(true).module(module)?;
    Ok(encoder.encode()?)
}

//! What vendors who write C or Go need of WebAssembly's tools: `bindgen bindings` generates a world's glue, `bindgen component`
//! makes the compiler's output a component. The same as `wit-bindgen` and `wasm-tools component`, which take many times as long
//! to install.

use std::{env, fs, path::Path};

use anyhow::{Context, Result, bail};
use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER};
use wit_bindgen_core::{
    Files,
    wit_parser::{Resolve, WorldId},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

const USAGE: &str = "usage: bindgen bindings c|go WIT_FOLDER WORLD OUT_FOLDER | bindgen component CORE_MODULE OUT [WIT_FOLDER WORLD]";

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bindings", language, wit, world, out] => bindings(language, Path::new(wit), world, Path::new(out)),
        ["component", core, out] => component(&read(core)?, Path::new(out)),
        ["component", core, out, wit, world] => {
            let mut module = read(core)?;
            let (resolve, world) = select(Path::new(wit), world)?;
            embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
            component(&module, Path::new(out))
        }
        _ => bail!(USAGE),
    }
}

/// For C `WORLD.h`, `WORLD.c` and `WORLD_component_type.o`; for Go a module `wit_component` whose packages `export_*` are to be
/// written.
fn bindings(language: &str, wit: &Path, world: &str, out: &Path) -> Result<()> {
    let mut generator = match language {
        "c" => wit_bindgen_c::Opts::default().build(),
        "go" => wit_bindgen_go::Opts::default().build(),
        _ => bail!(USAGE),
    };
    let (mut resolve, world) = select(wit, world)?;
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, content) in files.iter() {
        let path = out.join(name);
        fs::create_dir_all(path.parent().unwrap_or(out))?;
        fs::write(path, content).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

fn select(wit: &Path, world: &str) -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).with_context(|| format!("reading {}", wit.display()))?;
    let world = resolve.select_world(&[package], Some(world))?;
    Ok((resolve, world))
}

fn read(core: &str) -> Result<Vec<u8>> {
    fs::read(core).with_context(|| format!("reading {core}"))
}

/// Wraps a core module, which carries its world in a custom section, into a component. What it asks of WASI 0.1, WASI 0.2 gives.
fn component(module: &[u8], out: &Path) -> Result<()> {
    let component = ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()?;
    fs::write(out, component).with_context(|| format!("writing {}", out.display()))
}

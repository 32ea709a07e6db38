//! What a vendor who writes C needs of WebAssembly's tools: `bindgen-c bindings` generates a world's header and glue,
//! `bindgen-c component` makes the compiler's output a component. The same as `wit-bindgen c` and
//! `wasm-tools component new`, which take many times as long to install.

use std::{env, fs, path::Path};

use anyhow::{Context, Result, bail};
use wit_bindgen_core::{Files, wit_parser::Resolve};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bindings", wit, world, out] => bindings(Path::new(wit), world, Path::new(out)),
        ["component", core, out] => component(Path::new(core), Path::new(out)),
        _ => bail!("usage: bindgen-c bindings WIT_FOLDER WORLD OUT_FOLDER | bindgen-c component CORE_MODULE OUT"),
    }
}

/// Writes `WORLD.h`, `WORLD.c` and `WORLD_component_type.o` into `out`.
fn bindings(wit: &Path, world: &str, out: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).with_context(|| format!("reading {}", wit.display()))?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(out)?;
    for (name, content) in files.iter() {
        fs::write(out.join(name), content).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

/// Wraps a core module, which carries its world in a custom section, into a component.
fn component(core: &Path, out: &Path) -> Result<()> {
    let module = fs::read(core).with_context(|| format!("reading {}", core.display()))?;
    let component = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    fs::write(out, component).with_context(|| format!("writing {}", out.display()))
}

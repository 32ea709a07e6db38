//! Components made on the spot.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A driver that tells who it is and exports nothing else.
pub fn only_describes(name: &str, version: &str, base: Option<&str>) -> Vec<u8> {
    with_contract(module(name, version, base, ""), "identified")
}

/// A driver on `fake` whose `prepare` makes a table grow for ever.
pub fn grows_a_table() -> Vec<u8> {
    on_fake("(loop (drop (table.grow (ref.null func) (i32.const 1000))) (br 0)) unreachable", "")
}

/// A driver on `fake` whose `prepare` fails with a message that is no UTF-8.
pub fn garbles() -> Vec<u8> {
    // An error as the canonical ABI lays it out: kind `failed`, no code, three bytes of message.
    let error = [word(1), word(13), word(3000), word(0), word(3000), word(3)].concat();
    on_fake("i32.const 3100", &format!(r#"(data (i32.const 3000) "\ff\fe\fd") (data (i32.const 3100) "{error}")"#))
}

fn on_fake(prepare: &str, more: &str) -> Vec<u8> {
    // At 4096 there are zeros, which say that all is well and done.
    let well = ["validate", "tear-down", "clean-up", "take-over"]
        .map(|name| format!(r#"(func (export "baremetal:deploy/deploy@0.1.0#{name}") (result i32) (i32.const 4096))"#))
        .concat();
    let prepare = format!(r#"(func (export "baremetal:deploy/deploy@0.1.0#prepare") (result i32) {prepare})"#);
    with_contract(module("broken", "6.6.6", Some("fake"), &format!("(table 1 funcref) {more} {well} {prepare}")), "broken")
}

/// A core module that tells who it is, and `more`.
fn module(name: &str, version: &str, base: Option<&str>, more: &str) -> Vec<u8> {
    let mut data = String::new();
    let mut text = |text: &str| {
        let place = 1024 + data.len();
        data.push_str(text);
        format!("{} {}", word(place), word(text.len()))
    };
    let fields = [name, version, "Acme", "Tells who it is."].map(&mut text).join(" ");
    let base = base.map_or_else(|| format!("{} {} {}", word(0), word(0), word(0)), |base| format!("{} {}", word(1), text(base)));
    // The record as the canonical ABI lays it out: four strings, an option of a string, an empty list.
    let record = format!("{fields} {base} {} {}", word(0), word(0)).replace(' ', "");
    let module = wat::parse_str(format!(
        r#"(module
            (memory (export "memory") 1)
            (data (i32.const 16) "{record}")
            (data (i32.const 1024) "{data}")
            (func (export "baremetal:deploy/driver@0.1.0#describe") (result i32) (i32.const 16))
            (func (export "baremetal:deploy/driver@0.1.0#get-properties") (result i32) (i32.const 512))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            {more})"#
    ));
    module.unwrap()
}

/// Something that has a driver's exports and an import that no host has.
pub fn wants_the_moon() -> Vec<u8> {
    let text = r#"(component
        (import "baremetal:deploy/moon@0.1.0" (instance))
        (instance $driver)
        (export "baremetal:deploy/driver@0.1.0" (instance $driver)))"#;
    wat::parse_str(text).unwrap()
}

/// Four bytes of a data section, the lowest first.
fn word(number: usize) -> String {
    u32::try_from(number).unwrap().to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Makes a component of a module that exports what a world does.
fn with_contract(mut module: Vec<u8>, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/wit")).unwrap();
    let broken = "package test:broken; world broken { include baremetal:deploy/identified@0.1.0; include baremetal:deploy/deploys@0.1.0; }";
    let broken = resolve.push_str("broken.wit", broken).unwrap();
    let package = if world == "broken" { broken } else { package };
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

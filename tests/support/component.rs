//! Components made on the spot.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A driver that tells who it is and exports nothing else.
pub fn only_describes(name: &str, version: &str, base: Option<&str>) -> Vec<u8> {
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
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
    ));
    with_contract(module.unwrap())
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

/// Makes a component of a module that exports the interface `driver` alone.
fn with_contract(mut module: Vec<u8>) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/wit")).unwrap();
    let world = resolve.select_world(&[package], Some("identified")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

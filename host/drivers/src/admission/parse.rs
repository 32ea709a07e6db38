//! What a component is made of, told from its bytes alone. Nothing is compiled, nothing runs.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use wasmparser::{BinaryReaderError, Encoding, Parser, Payload};

use super::report::{Dossier, Stage};
use super::{Rejected, Rejection, Verified};
use crate::config::ComponentLimits;
use crate::grants::{FREE, GRANTABLE, Grants};

/// The contract's package.
const PACKAGE: &str = "baremetal:deploy/";

/// The versions of the contract that this host serves begin so.
const VERSION: &str = "0.1.";

/// WASI packages that ordinary toolchains import; nothing is behind them.
const WASI: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// A component whose imports and exports are the contract's.
#[derive(Debug)]
pub struct Parsed {
    component: Bytes,
    shape: Shape,
    counts: Counts,
    dossier: Dossier,
}

/// What a component asks for and offers.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The capabilities that it imports.
    pub(super) requested: Grants,
    /// The interfaces of the contract that it exports.
    pub(super) exports: BTreeSet<String>,
    pub(super) wasi: bool,
}

/// How much there is of everything, in all modules together.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    functions: u64,
    memories: u64,
    tables: u64,
    globals: u64,
    data_segments: u64,
    modules: u64,
    instances: u64,
    code: u64,
    function: u64,
    nesting: u64,
}

impl Verified {
    /// Reads it through.
    ///
    /// # Errors
    /// It is no component, or not one for this host.
    pub fn parse(self) -> Result<Parsed, Box<Rejected>> {
        let began = Instant::now();
        let Self { component, dossier, .. } = self;
        let found = read(&component).map(|(shape, counts)| {
            let details = json!({ "requested": shape.requested.names(), "exports": shape.exports, "wasi": shape.wasi });
            ((shape, counts), details.into())
        });
        let ((shape, counts), dossier) = dossier.judge(Stage::Parse, began, found)?;
        Ok(Parsed { component, shape, counts, dossier })
    }
}

fn bad(error: BinaryReaderError) -> Rejection {
    Rejection::NotWasm(error.message().to_owned())
}

fn read(component: &[u8]) -> Result<(Shape, Counts), Rejection> {
    let mut counts = Counts::default();
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u64;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(bad)?;
        counts.add(&payload);
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(Rejection::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth = depth.saturating_add(1);
                counts.nesting = counts.nesting.max(depth);
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(bad)?.name.name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(bad)?.name.name);
                }
            }
            _ => {}
        }
    }
    Ok((shape(&imports, &exports)?, counts))
}

fn shape(imports: &[&str], exports: &[&str]) -> Result<Shape, Rejection> {
    // What toolchains export beside the contract is none of our business; another version of it is.
    if let Some(other) = exports.iter().find(|name| name.starts_with(PACKAGE) && interface(name).is_none()) {
        return Err(Rejection::Contract(format!("it exports {}; this host serves version 0.1", named(other))));
    }
    let exports: BTreeSet<String> = exports.iter().filter_map(|name| interface(name)).map(str::to_owned).collect();
    if !exports.contains("driver") {
        return Err(Rejection::NoDriverInterface);
    }
    let mut requested = Vec::new();
    let mut wasi = false;
    for import in imports {
        match interface(import) {
            Some(name) if GRANTABLE.contains(&name) => requested.push(name.to_owned()),
            Some(name) if FREE.contains(&name) => {}
            _ if WASI.iter().any(|package| import.starts_with(package)) && import.contains("@0.2.") => wasi = true,
            _ => return Err(Rejection::UnknownImport { import: named(import) }),
        }
    }
    let requested = Grants::of(&requested).map_err(|error| Rejection::Contract(error.to_string()))?;
    Ok(Shape { requested, exports, wasi })
}

/// A name out of the component, fit to be shown.
fn named(name: &str) -> String {
    crate::capability::escaped(&wrought_domain::node::cut(name, 120))
}

/// The name of one of our interfaces, if that is what the import or export is.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(VERSION).then_some(interface)
}

impl Counts {
    fn add(&mut self, payload: &Payload<'_>) {
        let add = |total: &mut u64, more: u32| *total = total.saturating_add(u64::from(more));
        let length = |range: std::ops::Range<usize>| u64::try_from(range.len()).unwrap_or(u64::MAX);
        match payload {
            Payload::FunctionSection(section) => add(&mut self.functions, section.count()),
            Payload::MemorySection(section) => add(&mut self.memories, section.count()),
            Payload::TableSection(section) => add(&mut self.tables, section.count()),
            Payload::GlobalSection(section) => add(&mut self.globals, section.count()),
            Payload::DataSection(section) => add(&mut self.data_segments, section.count()),
            Payload::InstanceSection(section) => add(&mut self.instances, section.count()),
            Payload::ComponentInstanceSection(section) => add(&mut self.instances, section.count()),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => add(&mut self.modules, 1),
            Payload::CodeSectionStart { range, .. } => self.code = self.code.saturating_add(length(range.clone())),
            Payload::CodeSectionEntry(body) => self.function = self.function.max(length(body.range())),
            _ => {}
        }
    }

    fn check(&self, limits: &ComponentLimits) -> Result<(), Rejection> {
        let bytes = |limit: u32, shift: u32| u64::from(limit) << shift;
        let all = [
            ("functions", self.functions, u64::from(limits.functions), "functions"),
            ("memories", self.memories, u64::from(limits.memories), "memories"),
            ("tables", self.tables, u64::from(limits.tables), "tables"),
            ("globals", self.globals, u64::from(limits.globals), "globals"),
            ("data segments", self.data_segments, u64::from(limits.data_segments), "data_segments"),
            ("modules and components inside", self.modules, u64::from(limits.modules), "modules"),
            ("instances", self.instances, u64::from(limits.instances), "instances"),
            ("bytes of code", self.code, bytes(limits.code_mib, 20), "code_mib"),
            ("bytes of code in one function", self.function, bytes(limits.function_kib, 10), "function_kib"),
            ("levels of components and modules", self.nesting, u64::from(limits.nesting), "nesting"),
        ];
        match all.into_iter().find(|(_, found, limit, _)| found > limit) {
            Some((what, found, limit, key)) => Err(Rejection::TooMany { what, found, limit, key }),
            None => Ok(()),
        }
    }
}

/// A component that is not too large in any respect: fit for the compiler.
#[derive(Debug)]
pub struct Checked(Parsed);

impl Parsed {
    /// Holds what it is made of against the limits.
    ///
    /// # Errors
    /// The first limit that it is beyond.
    pub fn check(self, limits: &ComponentLimits) -> Result<Checked, Box<Rejected>> {
        let began = Instant::now();
        let Self { component, shape, counts, dossier } = self;
        let Counts { functions, memories, tables, code, .. } = counts;
        let details = json!({ "functions": functions, "memories": memories, "tables": tables, "code_bytes": code });
        let found = counts.check(limits).map(|()| ((), details.into()));
        let ((), dossier) = dossier.judge(Stage::Check, began, found)?;
        Ok(Checked(Self { component, shape, counts, dossier }))
    }

    /// For what lies in the host's own folder: limits that were lowered since do not take a driver from the nodes that use it.
    pub(crate) fn checked_before(self) -> Checked {
        Checked(self)
    }
}

impl Checked {
    /// Component, what it asks for and offers, and what is known of it.
    pub(super) fn parts(self) -> (Bytes, Shape, Dossier) {
        let Parsed { component, shape, dossier, .. } = self.0;
        (component, shape, dossier)
    }
}

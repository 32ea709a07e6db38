//! The one unsafe call of the host: machine code from a file becomes a component.

use std::path::PathBuf;

use wasmtime::Engine;
use wasmtime::component::Component;

/// The path of code of which it was verified that this host wrote it.
pub(super) struct Genuine(PathBuf);

impl Genuine {
    /// To be called by who has verified it, and by nobody else.
    pub(super) fn verified(path: PathBuf) -> Self {
        Self(path)
    }
}

/// Maps code into memory.
///
/// # Errors
/// The engine does not take it: other settings, or more than its pool can hold.
#[allow(unsafe_code)]
pub(super) fn load(engine: &Engine, code: &Genuine) -> wasmtime::Result<Component> {
    // SAFETY: the file must be what `Engine::precompile_component` made. `Genuine` says so: the file's keyed hash was looked at,
    // the key is this host's own, and only code that the compiler wrote gets a hash. The file must not change while it is
    // mapped. It lies in a folder of this user alone, and is never written again: new code comes as a new file that is renamed.
    unsafe { Component::deserialize_file(engine, &code.0) }
}

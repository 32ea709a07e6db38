//! What a guest of an ordinary toolchain sees of the machine: by rights, nothing.

use wrought_sdk::prelude::*;

#[allow(missing_docs, clippy::all, clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used)]
mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "wrought:hostile/guest",
        generate_all,
    });
}

use bindings::wasi::{cli, clocks, filesystem, random};

/// Everything that WASI tells, as one line.
pub fn look_around() -> String {
    let now = clocks::wall_clock::now();
    format!(
        "env={} args={} cwd={} dirs={} now={}.{:09} later={} random={}",
        cli::environment::get_environment().len(),
        cli::environment::get_arguments().len(),
        cli::environment::initial_cwd().is_some(),
        filesystem::preopens::get_directories().len(),
        now.seconds,
        now.nanoseconds,
        clocks::monotonic_clock::now() < clocks::monotonic_clock::now(),
        random::random::get_random_u64(),
    )
}

/// Takes handles and never gives one back.
pub fn hoard() -> Result<Outcome> {
    let mut handles = Vec::new();
    loop {
        handles.push(cli::stdout::get_stdout());
    }
}

/// Has the host make so many random bytes.
pub fn random(length: u64) -> String {
    random::random::get_random_bytes(length).len().to_string()
}

/// Ends the process that it believes to be.
pub fn exit() -> Result<Outcome> {
    cli::exit::exit(Err(()));
    Ok(Outcome::Done)
}

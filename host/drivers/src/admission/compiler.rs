//! Who turns components into machine code: a process of its own, so that a component that is made to hurt the compiler takes
//! no more than it may have, and takes nothing else down.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasmtime::Engine;

use super::Rejection;
use super::artifacts::settings;
use crate::config::CompileLimits;
use crate::runtime::hardened;

/// The component cannot be compiled.
const REFUSED: u8 = 65;
/// The compiler and the host that started it do not fit.
const UNFIT: u8 = 70;
/// The code cannot be written.
const UNWRITTEN: u8 = 74;

/// What is kept of the words of a compiler that failed.
const MAX_WORDS: u64 = 4096;

/// Threads of one compiler.
const MAX_THREADS: usize = 4;

/// Who compiles.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// This process, without bounds: for tests, benchmarks, and tools that compile what their own user chose.
    InProcess,
    /// A child process within [`CompileLimits`].
    Process {
        /// A program that hands its last argument to [`compile_driver`].
        program: PathBuf,
        /// What goes before.
        arguments: Vec<OsString>,
    },
}

impl Compiler {
    /// The program that runs now, also when its file was replaced since, with one argument before the order.
    pub fn this_program(argument: &str) -> Self {
        Self::Process { program: PathBuf::from("/proc/self/exe"), arguments: vec![argument.into()] }
    }

    /// Compiles into `code`.
    pub(super) async fn compile(&self, engine: &Engine, limits: CompileLimits, component: Bytes, code: File) -> Result<(), Rejection> {
        match self {
            Self::InProcess => {
                let engine = engine.clone();
                let compiled = tokio::task::spawn_blocking(move || {
                    let compiled = engine.precompile_component(&component).map_err(|error| Rejection::Contract(format!("{error:#}")))?;
                    let mut code = code;
                    code.write_all(&compiled).map_err(|error| Rejection::storing("writing compiled code", &error))
                });
                compiled.await.map_err(|error| Rejection::Host(error.to_string()))?
            }
            Self::Process { program, arguments } => {
                let order = CompileOrder { settings: settings(engine), limits };
                let order = serde_json::to_string(&order).map_err(|error| Rejection::Host(error.to_string()))?;
                let mut command = tokio::process::Command::new(program);
                command.arg0("wrought").args(arguments).arg(order).env_clear().env("RAYON_NUM_THREADS", threads().to_string());
                command.current_dir("/").stdin(Stdio::piped()).stdout(code).stderr(Stdio::piped()).kill_on_drop(true);
                in_child(command, limits, &component).await
            }
        }
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |threads| threads.get().min(MAX_THREADS))
}

async fn in_child(mut command: tokio::process::Command, limits: CompileLimits, component: &[u8]) -> Result<(), Rejection> {
    let host = |what: &str, error: &std::io::Error| Rejection::Host(format!("{what}: {error}"));
    let mut child = command.spawn().map_err(|error| host("starting the compiler", &error))?;
    let (input, words) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        if let Some(mut input) = input {
            // A compiler that ends early says why by its status.
            let _ = input.write_all(component).await;
        }
    };
    let listen = async {
        let mut text = Vec::new();
        if let Some(mut words) = words {
            let _ = (&mut words).take(MAX_WORDS).read_to_end(&mut text).await;
            // It may say more than is kept, and must not wait for a reader.
            let _ = tokio::io::copy(&mut words, &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let all = async { tokio::join!(feed, listen, child.wait()) };
    match tokio::time::timeout(Duration::from_secs(u64::from(limits.wall_s)), all).await {
        Ok(((), words, status)) => outcome(status.map_err(|error| host("waiting for the compiler", &error))?, &words, limits),
        Err(_) => {
            // The one child that was started above.
            child.kill().await.map_err(|error| host("ending the compiler", &error))?;
            Err(Rejection::CompileTime { limit_s: limits.wall_s, key: "wall_s" })
        }
    }
}

fn outcome(status: ExitStatus, words: &str, limits: CompileLimits) -> Result<(), Rejection> {
    const SIGABRT: i32 = 6;
    const SIGXCPU: i32 = 24;
    const SIGXFSZ: i32 = 25;
    let words = crate::capability::escaped(wrought_domain::node::cut(words.trim(), 500).trim());
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(match (code, status.signal()) {
        (Some(0), _) => return Ok(()),
        (Some(REFUSED), _) => Rejection::Contract(words),
        (Some(UNWRITTEN), _) => Rejection::NoSpace,
        (Some(UNFIT), _) => Rejection::Host(words),
        (_, Some(SIGXCPU)) => Rejection::CompileTime { limit_s: limits.cpu_s, key: "cpu_s" },
        (_, Some(SIGXFSZ)) => Rejection::CompiledTooLarge { limit_mib: limits.code_mib },
        // How Rust ends a process that gets no memory; there is no other sign of it.
        (_, Some(SIGABRT)) if words.contains("memory allocation of") => Rejection::CompileMemory { limit_mib: limits.memory_mib },
        (_, Some(signal)) => Rejection::CompilerCrashed(format!("signal {signal}; {words}")),
        (_, None) => Rejection::CompilerCrashed(format!("{status}; {words}")),
    })
}

/// What a compiler process is told. The component comes by standard input, the code goes to standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileOrder {
    /// What the code must fit.
    pub settings: String,
    /// What the process bounds itself to before it reads the component.
    pub limits: CompileLimits,
}

enum Failed {
    Refused(String),
    Unfit(String),
    Unwritten(String),
}

/// The whole of a compiler process: bounds itself, then compiles. `order` is a [`CompileOrder`] as JSON.
pub fn compile_driver(order: &str) -> ExitCode {
    let (code, words) = match compile(order) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Refused(words)) => (REFUSED, words),
        Err(Failed::Unfit(words)) => (UNFIT, words),
        Err(Failed::Unwritten(words)) => (UNWRITTEN, words),
    };
    let _ = std::io::stderr().write_all(words.as_bytes());
    ExitCode::from(code)
}

fn compile(order: &str) -> Result<(), Failed> {
    let unfit = |error: &dyn std::fmt::Display| Failed::Unfit(format!("the compiler: {error}"));
    let order: CompileOrder = serde_json::from_str(order).map_err(|error| unfit(&error))?;
    bound(order.limits).map_err(|error| unfit(&error))?;
    let engine = Engine::new(&hardened()).map_err(|error| unfit(&error))?;
    if settings(&engine) != order.settings {
        return Err(unfit(&"it is of another version than the host; restart the host"));
    }
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component).map_err(|error| unfit(&error))?;
    let code = engine.precompile_component(&component).map_err(|error| Failed::Refused(format!("{error:#}")))?;
    let mut output = std::io::stdout().lock();
    output.write_all(&code).and_then(|()| output.flush()).map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failed::Unwritten(error.to_string()),
        _ => unfit(&error),
    })
}

/// Nothing of this can be taken back by what is compiled.
fn bound(limits: CompileLimits) -> rustix::io::Result<()> {
    let exactly = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let cpu = u64::from(limits.cpu_s);
    // The first limit tells by a signal that can be told apart; the second one kills.
    setrlimit(Resource::Cpu, Rlimit { current: Some(cpu), maximum: Some(cpu.saturating_add(1)) })?;
    setrlimit(Resource::Data, exactly(u64::from(limits.memory_mib) << 20))?;
    setrlimit(Resource::Fsize, exactly(u64::from(limits.code_mib) << 20))?;
    setrlimit(Resource::Core, exactly(0))
}

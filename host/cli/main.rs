//! The `wrought` binary: the host itself (`serve`), a fleet to try it on (`simulator`, `demo`), and thin clients of its HTTP API.
//!
//! Results go to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 wrong usage or configuration;
//! of `replay`: 0 identical, 1 diverged, 2 not replayed.

mod artifact;
mod audit;
mod client;
mod config;
mod demo;
mod driver;
mod journal;
mod lock;
mod logging;
mod node;
mod output;
mod recover;
mod replay;
mod secrets;
mod serve;
mod shutdown;
mod simulator;
mod token;
mod webhook;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Threads that still block on something, such as standard input, do not keep the process alive for longer.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Deploys operating systems onto bare-metal servers with sandboxed WebAssembly drivers
#[derive(Debug, Parser)]
#[command(name = "wrought", version)]
struct Cli {
    /// More log lines: -v debug, -vv trace
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the host: the API, the conductor and the drivers, in one process
    Serve(serve::Serve),
    /// Deploy, hot-swap a driver under way, undeploy and clean a simulated fleet
    Demo(demo::Demo),
    /// Print or check the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Upload, list and activate drivers of a running host
    #[command(subcommand)]
    Driver(driver::DriverCommand),
    /// Upload, list and delete files that drivers hand on to machines
    #[command(subcommand)]
    Artifact(artifact::ArtifactCommand),
    /// Look at the nodes of a running host, or end what holds one
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Change the key that the data folder is sealed with
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Locks that nodes of a running host share
    #[command(subcommand)]
    Lock(lock::LockCommand),
    Audit(audit::Audit),
    /// Receivers that a running host tells of events
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// What drivers did on a running host, call by call
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Run recorded driver calls again, without a machine or a host; status 1 when they diverge
    Replay(replay::Replay),
    /// Show what the next start will do with the operations that were cut off
    Recover(recover::Recover),
    /// Tokens by which callers of the API prove who they are
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Run simulated servers: Redfish controllers and agents
    Simulator(simulator::Simulator),
    /// Compile a component from standard input to standard output; the host calls this
    #[command(name = COMPILE_DRIVER, hide = true)]
    CompileDriver {
        order: String,
    },
}

/// How the host calls itself to compile a driver.
const COMPILE_DRIVER: &str = "compile-driver";

/// The user asked for something that cannot be: ends with status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before any thread is there: it bounds itself.
    if let Command::CompileDriver { order } = &cli.command {
        return wrought_drivers::admission::compile_driver(order);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&anyhow::Error::new(error).context("starting the threads")),
    };
    let result = runtime.block_on(run(cli));
    runtime.shutdown_timeout(LAST_WAIT);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    // One provider of cryptography for the process; who installed it first does not matter, as there is only this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli.command {
        Command::Serve(serve) => serve.run(cli.verbose).await,
        Command::Demo(demo) => demo.run(cli.verbose).await,
        Command::Config(config) => config.run(),
        Command::Driver(driver) => driver.run().await,
        Command::Artifact(artifact) => artifact.run().await,
        Command::Node(node) => node.run().await,
        Command::Secrets(secrets) => secrets.run().await,
        Command::Lock(lock) => lock.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Webhook(webhook) => webhook.run().await,
        Command::Journal(journal) => journal.run().await,
        Command::Replay(replay) => replay.run(cli.verbose).await,
        Command::Recover(recover) => recover.run().await,
        Command::Token(token) => token.run().await,
        Command::Simulator(simulator) => simulator.run(cli.verbose).await,
        Command::CompileDriver { .. } => anyhow::bail!("a compiler does not run beside anything else"),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    output::complain(&format!("error: {error:#}"));
    let usage =
        error.chain().any(|cause| cause.is::<UsageError>() || cause.is::<config::ConfigError>() || cause.is::<replay::NotReplayed>());
    ExitCode::from(if usage { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}

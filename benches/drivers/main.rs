//! What an operator waits for: from an upload until the driver is in force, and the start of a host that has many.
//!
//! The host is the real binary in a process of its own, asked over HTTP.
//!
//! `cargo bench --bench drivers -- --drivers 50 --rounds 20`
#![allow(missing_docs, clippy::indexing_slicing)]

// Its tests run elsewhere.
#[allow(unused_imports)]
#[path = "../../host/cli/demo/variant.rs"]
mod variant;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use variant::with_note;
use wrought_drivers::shipped::DIRECT;

/// Measures uploads and starts.
#[derive(Parser)]
struct Options {
    /// Drivers of the host that is started, those in the binary included.
    #[arg(long, default_value_t = 50)]
    drivers: usize,
    /// Times that each thing is done.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Cargo gives it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Drivers in the binary.
const SHIPPED: usize = 2;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let folder = tempfile::tempdir()?;
    let (mut host, first) = Host::start(folder.path()).await?;

    let mut uploads = Vec::new();
    for round in 0..options.rounds {
        let component = with_note(DIRECT, &format!("round {round}"));
        let began = Instant::now();
        let digest = host.push("acme", component).await?;
        host.activate("acme", &digest).await?;
        uploads.push((began.elapsed(), digest));
    }
    let mut others = Vec::new();
    for (_, digest) in &uploads {
        let began = Instant::now();
        host.activate("acme", digest).await?;
        others.push(began.elapsed());
    }
    let mut back = Vec::new();
    for _ in 1..options.rounds {
        let began = Instant::now();
        host.roll_back("acme").await?;
        back.push(began.elapsed());
    }
    for number in SHIPPED + 1..options.drivers {
        let name = format!("acme-{number}");
        let digest = host.push(&name, with_note(DIRECT, &name)).await?;
        host.activate(&name, &digest).await?;
    }
    host.end().await?;

    let mut starts = Vec::new();
    for _ in 0..options.rounds {
        let (mut host, took) = Host::start(folder.path()).await?;
        starts.push(took);
        let compiled = host.get("/wrought/v1/stats").await?["driver_compilations"].as_u64();
        ensure!(compiled == Some(0), "a start compiled {compiled:?} drivers");
        let drivers = host.get("/wrought/v1/drivers").await?;
        let active = drivers["drivers"].as_array().into_iter().flatten().filter(|driver| !driver["active"].is_null()).count();
        ensure!(active == options.drivers, "{active} drivers are active");
        host.end().await?;
    }

    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("upload to active, a driver of {} KiB: {:.0} ms", DIRECT.len() >> 10, ms(median(uploads.into_iter().map(|(took, _)| took))));
    println!("another version in force: {:.1} ms", ms(median(others.into_iter())));
    println!("rollback: {:.1} ms", ms(median(back.into_iter())));
    println!("first start, which compiles {SHIPPED} drivers: {:.0} ms", ms(first));
    println!("start with {} drivers, all compiled: {:.0} ms", options.drivers, ms(median(starts.into_iter())));
    Ok(())
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// `wrought serve`.
struct Host {
    process: Child,
    url: String,
    http: Client,
}

impl Host {
    /// Starts one; how long it took until it served.
    async fn start(data: &Path) -> Result<(Self, Duration)> {
        let began = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wrought"));
        command.args(["serve", "--json", "--follow-stdin", "--listen", "127.0.0.1:0", "--log", "error", "--data"]).arg(data);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("it has an output")?).read_line(&mut line).await?;
        let took = began.elapsed();
        let told: Value = serde_json::from_str(&line)?;
        let url = told["url"].as_str().context("it tells its URL")?.to_owned();
        Ok((Self { process, url, http: Client::builder().no_proxy().build()? }, took))
    }

    async fn push(&self, name: &str, component: Vec<u8>) -> Result<String> {
        let request = self.http.put(format!("{}/wrought/v1/drivers/{name}", self.url)).body(component);
        Ok(answer(request).await?["digest"].as_str().context("a version has a digest")?.to_owned())
    }

    async fn activate(&self, name: &str, digest: &str) -> Result<()> {
        let grant = ["agent", "boot", "image", "network", "power", "report"];
        let request = self.http.post(format!("{}/wrought/v1/drivers/{name}/activate", self.url));
        answer(request.json(&json!({ "digest": digest, "grant": grant }))).await.map(drop)
    }

    async fn roll_back(&self, name: &str) -> Result<()> {
        answer(self.http.post(format!("{}/wrought/v1/drivers/{name}/rollback", self.url))).await.map(drop)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        answer(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Asks it to end, and waits.
    async fn end(&mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let (status, text) = (response.status(), response.text().await?);
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    Ok(serde_json::from_str(&text)?)
}

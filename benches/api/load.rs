//! The load: requests that are written out beforehand, on connections that are kept. A client library would cost more than the host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::host::Host;
use crate::report::Round;

/// Requests that are sent one after the other, and measured as one.
pub type Journey = Vec<Vec<u8>>;

const VERSION: &str = "X-OpenStack-Ironic-API-Version: 1.95";

/// `GET` of a path.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:6385\r\n{VERSION}\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// `POST` of a document.
pub fn post(path: &str, body: &Value) -> Vec<u8> {
    with_body("POST", path, body)
}

/// `PUT` of a document.
pub fn put(path: &str, body: &Value) -> Vec<u8> {
    with_body("PUT", path, body)
}

fn with_body(method: &str, path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:6385\r\n{VERSION}\r\nContent-Type: application/json\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Sends one request and expects this status.
pub async fn once(address: &str, request: &[u8], status: u16) -> Result<()> {
    let (answered, body) = Connection::open(address).await?.ask(request).await?;
    if answered != status {
        bail!("{answered} of {} bytes to {}", body, String::from_utf8_lossy(request));
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 512 << 10] })
    }

    /// Status and length of the answer.
    async fn ask(&mut self, request: &[u8]) -> Result<(u16, usize)> {
        self.stream.write_all(request).await?;
        let mut have = 0;
        let head = loop {
            let read = self.stream.read(&mut self.buffer[have..]).await?;
            if read == 0 {
                bail!("the host closed a connection");
            }
            have += read;
            if let Some(end) = self.buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let status: u16 = text.get(9..12).context("a status")?.parse()?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("answers tell their length")?.parse()?;
        let mut left = (head + length).saturating_sub(have);
        while left > 0 {
            let most = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..most]).await?;
            if read == 0 {
                bail!("the host closed a connection");
            }
            left -= read;
        }
        Ok((status, length))
    }
}

/// Asks for this long, so many at once, and measures.
pub async fn round(host: &Host, journeys: &[Journey], concurrency: usize, time: Duration) -> Result<Round> {
    let journeys = Arc::new(journeys.to_vec());
    let (commits, cpu, began) = (host.commits().await?, host.cpu()?, Instant::now());
    let clients = (0..concurrency).map(|client| tokio::spawn(client_of(host.address.clone(), journeys.clone(), client, began + time)));
    let mut round = Round::default();
    for client in futures::future::join_all(clients).await {
        let (micros, bytes) = client??;
        round.micros.extend(micros);
        round.bytes += bytes;
    }
    round.wall = began.elapsed();
    round.cpu = host.cpu()?.saturating_sub(cpu);
    round.commits = host.commits().await? - commits;
    round.micros.sort_unstable();
    Ok(round)
}

async fn client_of(address: String, journeys: Arc<Vec<Journey>>, client: usize, until: Instant) -> Result<(Vec<u64>, usize)> {
    let mut connection = Connection::open(&address).await?;
    let (mut micros, mut bytes) = (Vec::new(), 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(1 + u64::try_from(client)?);
    while Instant::now() < until {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let journey = &journeys[usize::try_from(random >> 11)? % journeys.len()];
        let began = Instant::now();
        for request in journey {
            let (status, length) = connection.ask(request).await?;
            if !(200..300).contains(&status) {
                bail!("{status} to {}", String::from_utf8_lossy(request));
            }
            bytes += length;
        }
        micros.push(u64::try_from(began.elapsed().as_micros())?);
    }
    Ok((micros, bytes))
}

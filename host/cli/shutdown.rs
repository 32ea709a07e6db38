//! What signals ask for: SIGINT and SIGTERM to stop, as does, for a child process, the end of its parent; SIGHUP to read files again.

use tokio::io::AsyncReadExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves at the first SIGINT or SIGTERM after this call.
///
/// # Errors
/// If the system refuses to deliver signals.
pub fn requested() -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    })
}

/// Each SIGHUP after this call, which ends no process any more.
///
/// # Errors
/// As [`requested`].
pub fn reloads() -> anyhow::Result<Signal> {
    Ok(signal(SignalKind::hangup())?)
}

/// As [`requested`], and when `follow_stdin`, also at the end of standard input: a parent that dies, however it dies, closes it.
///
/// # Errors
/// As [`requested`].
pub fn requested_or_orphaned(follow_stdin: bool) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let requested = requested()?;
    Ok(async move {
        tokio::select! {
            () = requested => (),
            () = end_of_stdin(), if follow_stdin => (),
        }
    })
}

async fn end_of_stdin() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 64];
    while input.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

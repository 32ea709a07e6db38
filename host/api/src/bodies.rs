//! How bodies arrive: at a pace, no longer than their route needs, and only so many in memory at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, timeout};
use wrought_domain::Principal;
use wrought_storage::NodeRef;

use crate::Api;
use crate::access::Access;
use crate::args::brief;
use crate::config::ApiConfig;
use crate::errors::Fault;

/// Bytes of a body that earn its client a second.
const PACE: u32 = 64 << 10;
/// A body up to this length is not counted, in bytes; nor is a longer one expected where nothing is changed.
const SMALL: usize = 16 << 10;
/// The longest heartbeat: its certificate and its texts, in bytes.
const HEARTBEAT: usize = 128 << 10;
/// How long a body waits for room in memory.
const TURN: Duration = Duration::from_secs(5);
/// What memory is counted in, in bytes.
const UNIT: usize = 1 << 10;

/// The client kept the host waiting for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
struct Slow;

/// A body whose client may keep the host waiting for a while, and for a second more for each [`PACE`] bytes that it sends. What the
/// host itself needs to take them is not counted.
struct Paced {
    body: Body,
    /// The longest wait, and what is left of it.
    slack: Duration,
    left: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let left = self.left;
            let (_, end) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
            return end.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(Slow))));
        };
        let waited = self.waiting.take().map(|(since, _)| since.elapsed()).unwrap_or_default();
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        let earned = Duration::from_secs(1).saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX)) / PACE;
        self.left = self.left.saturating_sub(waited).saturating_add(earned).min(self.slack);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn paced(body: Body, slack: Duration) -> Body {
    Body::new(Paced { body, slack, left: slack, waiting: None })
}

/// Lets no body keep the host waiting for ever, whoever reads it.
pub(crate) async fn pace(State(api): State<Api>, request: Request, next: Next) -> Response {
    let slack = Duration::from_secs(api.config.body_timeout.into());
    next.run(request.map(|body| paced(body, slack))).await
}

/// Room for bodies in memory. What strangers may fill is a part of its own.
pub(crate) struct Room {
    callers: Part,
    strangers: Part,
}

struct Part {
    free: Arc<Semaphore>,
    units: u32,
}

impl Part {
    fn new(bytes: usize) -> Self {
        let units = u32::try_from((bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS))), units }
    }

    /// Room for so many bytes; for more than there is at all, all of it.
    async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        match timeout(TURN, Arc::clone(&self.free).acquire_many_owned(units)).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Fault::limit(StatusCode::SERVICE_UNAVAILABLE, "Too many large request bodies arrive at the same time; retry later.")),
        }
    }
}

impl Room {
    pub(crate) fn new(config: &ApiConfig) -> Self {
        let strangers = config.max_body_memory_bytes / 4;
        Self { callers: Part::new(config.max_body_memory_bytes - strangers), strangers: Part::new(strangers) }
    }
}

/// A body in memory, with the room that it takes.
struct Held {
    bytes: Vec<u8>,
    _room: Vec<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body that was read already, as an extension of its request.
#[derive(Clone)]
pub(crate) struct Whole(pub(crate) Bytes);

/// The body of a request. The room that it takes is free again when the last clone of it is gone.
///
/// # Errors
/// 413 when it is longer than the route allows, 408 when it is too slow, 503 when there is no room, 400 when it ends early.
pub(crate) async fn whole(body: Body, parts: &Parts, api: &Api) -> Result<Bytes, Fault> {
    if let Some(Whole(bytes)) = parts.extensions.get() {
        return Ok(bytes.clone());
    }
    let limit = limit(body.size_hint().upper(), parts, api).await?;
    let stranger = parts.extensions.get::<Access>().is_none_or(|access| *access == Access::Public);
    let part = if stranger { &api.room.strangers } else { &api.room.callers };
    read(body, limit, part).await
}

/// The longest body that a request may have, in bytes. Only a node that the caller may do this with gets a config drive.
async fn limit(declared: Option<u64>, parts: &Parts, api: &Api) -> Result<usize, Fault> {
    let (path, config) = (parts.uri.path(), &api.config);
    let usual = config.max_body_bytes;
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE) {
        return Ok(usual.min(SMALL));
    }
    if path.starts_with("/v1/heartbeat") {
        return Ok(usual.min(HEARTBEAT));
    }
    let node = path.strip_prefix("/v1/nodes/").and_then(|rest| rest.strip_suffix("/states/provision"));
    let Some(node) = node else { return Ok(usual) };
    if declared.is_some_and(|declared| usize::try_from(declared).is_ok_and(|declared| declared <= usual)) {
        return Ok(usual);
    }
    let Some((who, access)) = parts.extensions.get::<Principal>().zip(parts.extensions.get::<Access>()) else { return Ok(usual) };
    let mut found = api.service.store().node(who, &NodeRef::parse(node)).await?;
    if let (None, Some(plain)) = (&found, node.strip_suffix(".json")) {
        found = api.service.store().node(who, &NodeRef::parse(plain)).await?;
    }
    let node = found.ok_or_else(|| Fault::no_node(brief(&node.into())))?;
    access.check_node(who, &node.value)?;
    Ok(config.max_provision_body_bytes)
}

async fn read(mut body: Body, limit: usize, part: &Part) -> Result<Bytes, Fault> {
    let too_long =
        || Fault::limit(StatusCode::PAYLOAD_TOO_LARGE, format!("Request body is too large: at most {limit} bytes are accepted."));
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > limit {
        return Err(too_long());
    }
    let (mut bytes, mut room, mut counted) = (Vec::new(), Vec::new(), SMALL);
    if declared > counted {
        room.push(part.take(declared).await?);
        counted = declared;
    }
    bytes.reserve_exact(declared.min(counted));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
        let Some(data) = frame.data_ref() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(too_long());
        }
        if length > counted {
            // Of unknown length: twice as much, as memory grows.
            let more = length.max(counted.saturating_mul(2)).min(limit);
            room.push(part.take(more - counted).await?);
            counted = more;
        }
        bytes.extend_from_slice(data);
    }
    Ok(if room.is_empty() { bytes.into() } else { Bytes::from_owner(Held { bytes, _room: room }) })
}

fn broken(error: axum::Error) -> Fault {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = source {
        if error.is::<Slow>() {
            return Fault::limit(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time.");
        }
        source = error.source();
    }
    Fault::limit(StatusCode::BAD_REQUEST, "The request body ended early.")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::stream;

    use super::*;

    const SLACK: Duration = Duration::from_secs(30);
    const PIECE: usize = 64 << 10;

    fn trickle(bytes: usize, each: Duration) -> Body {
        let pieces = stream::unfold((), move |()| async move {
            sleep(each).await;
            Some((Ok::<_, std::io::Error>(Bytes::from(vec![b' '; bytes])), ()))
        });
        paced(Body::from_stream(pieces), SLACK)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_sent_away_and_who_keeps_the_pace_is_not() {
        let part = Part::new(64 << 20);
        let began = Instant::now();
        assert_eq!(read(trickle(1, Duration::from_secs(1)), 1 << 20, &part).await.unwrap_err().status(), 408);
        assert!(began.elapsed() <= SLACK + Duration::from_secs(1), "{:?}", began.elapsed());
        // What was sent fast does not pay for a long silence.
        let early = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 8 << 20]))]);
        let silent = Body::from_stream(futures::StreamExt::chain(early, stream::pending()));
        let began = Instant::now();
        assert_eq!(read(paced(silent, SLACK), 16 << 20, &part).await.unwrap_err().status(), 408);
        assert!(began.elapsed() <= SLACK + Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(read(trickle(PIECE, Duration::from_secs(1)), PIECE * 90, &part).await.unwrap_err().status(), 413);
        assert_eq!(part.free.available_permits(), 64 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_unknown_length_takes_room_as_it_grows_and_gives_it_back() {
        let part = Part::new(256 << 10);
        let of = |pieces: usize| Body::from_stream(stream::iter((0..pieces).map(|_| Ok::<_, std::io::Error>(vec![b' '; 16 << 10]))));
        let small = read(of(1), 1 << 20, &part).await.unwrap();
        assert_eq!((small.len(), part.free.available_permits()), (16 << 10, 256));
        let large = read(of(9), 1 << 20, &part).await.unwrap();
        assert_eq!(large.len(), 144 << 10);
        assert!(part.free.available_permits() < 112, "{}", part.free.available_permits());
        assert_eq!(read(of(12), 1 << 20, &part).await.unwrap_err().status(), 503);
        drop(large.slice(1..9));
        drop(large);
        assert_eq!(part.free.available_permits(), 256);
    }
}

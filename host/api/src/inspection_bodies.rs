//! How the bodies arrive in which agents post what they found. They are large, and anybody may send one, so who is slow or sends many
//! hinders nobody but himself: few are taken of one address at a time, and each has to arrive at a pace.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use wrought_conductor::Refusal;

use crate::addresses::neighbourhood;
use crate::errors::Fault;

/// Bodies of one address that arrive at a time; an IPv6 network of a host counts as an address.
const OF_ONE_ADDRESS: usize = 4;
/// Bodies that are in memory at a time.
const IN_MEMORY: usize = 64;
/// Bodies that something is built of at a time.
const READ: usize = 4;
/// How long a body waits for its turn.
const TURN: Duration = Duration::from_secs(20);
/// How long a body may take to arrive at most, how long however small it is, and how many bytes each further second has to bring.
const ARRIVAL: Duration = Duration::from_secs(60);
const HEAD_START: Duration = Duration::from_secs(5);
const PACE: usize = 256 << 10;

static MEMORY: Semaphore = Semaphore::const_new(IN_MEMORY);
static READING: Semaphore = Semaphore::const_new(READ);
static ADDRESSES: Mutex<Option<HashMap<IpAddr, Arc<Semaphore>>>> = Mutex::new(None);

/// A body that has arrived, and its place in memory.
pub(crate) struct Arrived {
    pub(crate) bytes: Bytes,
    _memory: SemaphorePermit<'static>,
    _place: Place,
}

/// A place of an address; the address is forgotten with its last place.
struct Place {
    address: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut addresses = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.permit.take());
        let Some(addresses) = addresses.as_mut() else { return };
        if addresses.get(&self.address).is_some_and(|places| Arc::strong_count(places) == 1) {
            addresses.remove(&self.address);
        }
    }
}

fn busy() -> Fault {
    Fault::from(Refusal::Unavailable("Too much inspection data arrives at the same time; try again.".into()))
}

async fn place(peer: IpAddr) -> Result<Place, Fault> {
    let address = neighbourhood(peer);
    let places = {
        let mut addresses = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = addresses.get_or_insert_default();
        Arc::clone(addresses.entry(address).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_ADDRESS))))
    };
    // Made before the wait, so that the address is forgotten whatever becomes of it.
    let mut place = Place { address, permit: None };
    place.permit = places.acquire_owned().await.ok();
    Ok(place)
}

/// Takes a body in.
///
/// # Errors
/// 503 when its turn does not come, 408 when it is too slow, 413 when it is longer than `limit`, 400 when it breaks off.
pub(crate) async fn arrive(body: Body, limit: usize, peer: IpAddr) -> Result<Arrived, Fault> {
    let turn = async {
        let place = place(peer).await?;
        let memory = MEMORY.acquire().await.map_err(|_| busy())?;
        Ok::<_, Fault>((place, memory))
    };
    let (place, memory) = tokio::time::timeout(TURN, turn).await.map_err(|_| busy())??;
    Ok(Arrived { bytes: paced(body, limit).await?, _memory: memory, _place: place })
}

async fn paced(mut body: Body, limit: usize) -> Result<Bytes, Fault> {
    let began = Instant::now();
    let slow = || Fault::limit(StatusCode::REQUEST_TIMEOUT, "The inspection data did not arrive in time.");
    let mut bytes = Vec::new();
    loop {
        let seconds = u64::try_from(bytes.len() / PACE).unwrap_or(u64::MAX);
        let until = began + HEAD_START.saturating_add(Duration::from_secs(seconds)).min(ARRIVAL);
        let Some(frame) = tokio::time::timeout_at(until, body.frame()).await.map_err(|_| slow())? else { return Ok(bytes.into()) };
        let frame = frame.map_err(|_| Fault::limit(StatusCode::BAD_REQUEST, "The request body ended early."))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > limit {
            let text = format!("Request body is too large: at most {limit} bytes are accepted.");
            return Err(Fault::limit(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        bytes.extend_from_slice(data);
    }
}

/// A turn to read a body and to look for its node.
///
/// # Errors
/// 503 when it does not come.
pub(crate) async fn reading() -> Result<SemaphorePermit<'static>, Fault> {
    match tokio::time::timeout(TURN, READING.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(busy()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::stream;

    use super::*;

    fn trickle(bytes: usize, each: Duration) -> Body {
        Body::from_stream(stream::unfold((), move |()| async move {
            tokio::time::sleep(each).await;
            Some((Ok::<_, std::io::Error>(Bytes::from(vec![b' '; bytes])), ()))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_sent_away() {
        let began = Instant::now();
        assert!(paced(trickle(1, Duration::from_secs(1)), 1 << 20).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        let fault = paced(trickle(PACE * 2, Duration::from_secs(1)), PACE * 9).await.unwrap_err();
        assert!(fault.text().contains("too large"), "{}", fault.text());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_for_its_own_and_is_forgotten_afterwards() {
        let [one, other] = ["2001:db8:7::1", "2001:db8:8::1"].map(|text| text.parse::<IpAddr>().unwrap());
        let mut places = Vec::new();
        for _ in 0..OF_ONE_ADDRESS {
            places.push(place(one).await.unwrap());
        }
        let neighbour = "2001:db8:7::2".parse().unwrap();
        assert!(tokio::time::timeout(TURN, place(neighbour)).await.is_err());
        assert!(tokio::time::timeout(TURN, place(other)).await.is_ok());
        places.pop();
        assert!(tokio::time::timeout(TURN, place(neighbour)).await.is_ok());
        drop(places);
        let ours = [neighbourhood(one), neighbourhood(other)];
        let kept = ADDRESSES.lock().unwrap().as_ref().unwrap().keys().filter(|address| ours.contains(address)).count();
        assert_eq!(kept, 0);
    }
}

//! The host is stopped before and after every host call and every write, and started again.
//!
//! A run of a flow without a stop counts these moments. Then the flow runs once for each of them: there everything of the
//! host stands still, its runtime is taken away, and another host starts on the same data. The simulated server lives on and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;
use wrought_conductor::{Clock, Passed};
use wrought_drivers::journal::Moment;
use wrought_simulator::{Counts, Fleet};

use crate::run_alone;
use crate::support::{Life, MortalHost, Passage, Place, Watch, fleet_options, image_sha256, redfish_node, rests};

/// Runs at a time: most of a run is waiting for a simulated machine.
const SIDE_BY_SIDE: usize = 12;

/// No run takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts the moments of a flow, and stops everything at one of them.
#[derive(Default)]
struct Stopper {
    armed: AtomicBool,
    passed: AtomicUsize,
    /// The moment, from 1; 0 is none.
    at: AtomicUsize,
    dead: AtomicBool,
    died: Notify,
}

impl Stopper {
    async fn moment(self: Arc<Self>) {
        if self.armed.load(Ordering::SeqCst) {
            let moment = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
            if moment == self.at.load(Ordering::SeqCst) {
                self.dead.store(true, Ordering::SeqCst);
                self.died.notify_one();
            }
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn arm(&self, at: usize) {
        self.at.store(at, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    fn watch(self: &Arc<Self>) -> Watch {
        let this = self.clone();
        Arc::new(move |passage| match passage {
            // The same moment as the end of a write.
            Passage::Call(Passed { moment: Moment::Intended, .. }) => Box::pin(std::future::ready(())),
            _ => Box::pin(this.clone().moment()),
        })
    }
}

/// What is done with a node, from where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Deploy,
    Clean,
    TearDown,
    /// A manual cleaning with steps of the agent and one of the host's own.
    UserSteps,
    Service,
    Rescue,
    Unrescue,
    Inspect,
    Adopt,
}

impl Flow {
    /// The verbs and states that lead to its beginning.
    fn before(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Flow::Deploy => &[("manage", "manageable"), ("provide", "available")],
            Flow::Clean | Flow::UserSteps | Flow::Inspect | Flow::Adopt => &[("manage", "manageable")],
            Flow::TearDown | Flow::Service | Flow::Rescue => &[("manage", "manageable"), ("provide", "available"), ("active", "active")],
            Flow::Unrescue => &[("manage", "manageable"), ("provide", "available"), ("active", "active"), ("rescue", "rescue")],
        }
    }

    /// What is asked for.
    fn request(self) -> Value {
        match self {
            Flow::Deploy => body("active"),
            Flow::Clean => body("provide"),
            Flow::TearDown => body("deleted"),
            Flow::UserSteps => json!({"target": "clean", "clean_steps": [
                {"interface": "deploy", "step": "erase_devices_metadata"},
                {"interface": "deploy", "step": "erase_devices"},
                {"interface": "power", "step": "power_off"},
            ]}),
            Flow::Service => json!({"target": "service", "service_steps": [{"interface": "deploy", "step": "burnin_cpu"}]}),
            Flow::Rescue => body("rescue"),
            Flow::Unrescue => body("unrescue"),
            Flow::Inspect => body("inspect"),
            Flow::Adopt => body("adopt"),
        }
    }

    fn end(self) -> &'static str {
        match self {
            Flow::Deploy | Flow::Service | Flow::Unrescue | Flow::Adopt => "active",
            Flow::Clean | Flow::TearDown => "available",
            Flow::UserSteps | Flow::Inspect => "manageable",
            Flow::Rescue => "rescue",
        }
    }
}

/// The body of a request for a verb.
fn body(verb: &str) -> Value {
    if verb == "rescue" { json!({"target": verb, "rescue_password": "s3cret of this rescue"}) } else { json!({ "target": verb }) }
}

/// A server, its node, and the host that is about to be stopped.
struct Run {
    flow: Flow,
    place: Place,
    fleet: Fleet,
    uuid: String,
    stopper: Arc<Stopper>,
    host: Option<MortalHost>,
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    state: String,
    last_error: Option<String>,
    counts: Counts,
    moments: usize,
    stopped: bool,
}

impl Run {
    async fn new(flow: Flow) -> Self {
        let (place, stopper) = (Place::new(), Arc::new(Stopper::default()));
        let host = place.start(Life::ordinary(stopper.watch())).await;
        let api = place.api.clone();
        let mut options = fleet_options(api.url(), 1);
        (options.image_size, options.boot_delay, options.write_delay) = (1 << 16, 0.05, 0.05);
        let fleet = Fleet::start(options).await.unwrap();
        let mut body = redfish_node(&fleet, 0, &image_sha256(&fleet).await);
        // Only what the flow is about is cleaned.
        body["automated_clean"] = (flow == Flow::Clean).into();
        (body["rescue_interface"], body["inspect_interface"]) = ("agent".into(), "agent".into());
        body["rescue_interface"] = "agent".into();
        body["inspect_interface"] = "agent".into();
        let uuid = api.call(Method::POST, "/v1/nodes", &body).await.ok()["uuid"].as_str().unwrap().to_owned();
        let port = json!({"node_uuid": uuid, "address": fleet.nodes()[0].mac});
        api.call(Method::POST, "/v1/ports", &port).await.ok();
        let run = Self { flow, place, fleet, uuid, stopper, host: Some(host) };
        for (verb, state) in flow.before() {
            run.ask(verb).await;
            let node = run.rest().await;
            assert_eq!(node["provision_state"], *state, "{node}");
        }
        if flow == Flow::TearDown {
            // Behind a tear down nodes are cleaned.
            let change = json!([{"op": "replace", "path": "/automated_clean", "value": true}]);
            api.call(Method::PATCH, &format!("/v1/nodes/{}", run.uuid), &change).await.ok();
        }
        run.fleet.reset_counts();
        run
    }

    async fn ask(&self, verb: &str) {
        let path = format!("/v1/nodes/{}/states/provision", self.uuid);
        self.place.api.call(Method::PUT, &path, &body(verb)).await.ok();
    }

    /// Waits until nobody holds the node.
    async fn rest(&self) -> Value {
        let began = Instant::now();
        loop {
            let node = self.place.api.get(&format!("/v1/nodes/{}", self.uuid)).await.ok();
            if rests(&node) {
                return node;
            }
            assert!(began.elapsed() < PATIENCE, "the node is stuck: {node}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs the flow, with a stop at a moment (0: none) and a start `later`.
    async fn finish(mut self, at: usize, later: SignedDuration) -> Ended {
        let stopper = self.stopper.clone();
        stopper.arm(at);
        let asking = {
            let (api, path) = (self.place.api.clone(), format!("/v1/nodes/{}/states/provision", self.uuid));
            let body = self.flow.request();
            // The request that begins the flow may be cut off, too: then it was not granted, or was and nobody was told.
            tokio::spawn(async move { api.try_send(Method::PUT, &path, |request| request.json(&body)).await })
        };
        let watched = async { if asking.await.unwrap().is_ok() { self.rest().await } else { std::future::pending().await } };
        let stopped = tokio::select! {
            _ = watched => false,
            () = stopper.died.notified() => true,
        };
        if stopped {
            self.host.take().unwrap().vanish().await;
            let unwatched = Arc::new(Stopper::default()).watch();
            // An agent that took the rescue password is gone, so that nobody can tell whether it did: the wait for it is not the test's.
            let mut life = Life { clock: Clock::ahead(later), ..Life::ordinary(unwatched) };
            if self.flow == Flow::Rescue {
                life.recovery_timeout = 5;
            }
            self.host = Some(self.place.start(life).await);
        }
        let node = self.rest().await;
        let ended = Ended {
            state: node["provision_state"].as_str().unwrap().to_owned(),
            last_error: node["last_error"].as_str().map(str::to_owned),
            counts: self.fleet.counts(0).unwrap(),
            moments: stopper.passed.load(Ordering::SeqCst),
            stopped,
        };
        self.host.take().unwrap().vanish().await;
        ended
    }
}

/// Of the flows that go the same ways as others, every third moment; all of them where `WROUGHT_TEST_EVERY_MOMENT` is set.
fn stride() -> usize {
    if std::env::var_os("WROUGHT_TEST_EVERY_MOMENT").is_some() { 1 } else { 3 }
}

/// Every moment of a flow, or of so many one.
async fn every_moment(flow: Flow, stride: usize) {
    let uncut = Run::new(flow).await.finish(0, SignedDuration::ZERO).await;
    assert_eq!(uncut.state, flow.end(), "{uncut:?}");
    assert!(uncut.moments > 5, "{uncut:?}");
    let ends: Vec<(usize, Ended)> =
        stream::iter((1..=uncut.moments).step_by(stride))
            .map(|at| async move {
                (at, tokio::spawn(async move { Run::new(flow).await.finish(at, SignedDuration::ZERO).await }).await.unwrap())
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
    let mut faults = Vec::new();
    for (at, ended) in &ends {
        if let Some(fault) = fault(flow, &uncut, ended) {
            faults.push(format!("stopped at moment {at} of {}: {fault}: {ended:?}", uncut.moments));
        }
    }
    let stopped = ends.iter().filter(|(_, ended)| ended.stopped).count();
    println!("{flow:?}: {} moments, {stopped} stops of {}, {} faults", uncut.moments, ends.len(), faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(stopped * 10 > ends.len() * 8, "the runs take the same way: {stopped} of {}", ends.len());
}

/// What is wrong with the end of a run.
fn fault(flow: Flow, uncut: &Ended, ended: &Ended) -> Option<&'static str> {
    let (was, is) = (&uncut.counts, &ended.counts);
    let not_begun = flow.before().last().is_some_and(|(_, state)| *state == ended.state);
    if not_begun && is.resets == 0 && ended.stopped {
        // It was stopped before the request was granted.
        return None;
    }
    if ended.state != flow.end() {
        let names_its_exit = ended.last_error.as_ref().is_some_and(|error| error.contains("Next: "));
        if flow == Flow::Rescue && ended.state == "rescue failed" && names_its_exit && gone_with_its_password(ended) {
            return None;
        }
        return Some(if names_its_exit { "it ends in another state" } else { "it ends in another state without an exit" });
    }
    if is.image_writes != was.image_writes {
        return Some("another number of image writes");
    }
    if is.clean_steps != was.clean_steps {
        return Some("another number of clean steps");
    }
    if is.service_steps != was.service_steps {
        return Some("another number of service steps");
    }
    if is.agent_boots > was.agent_boots {
        return Some("more boots of the agent");
    }
    if is.resets > was.resets {
        return Some("more resets");
    }
    if is.media_inserts > was.media_inserts {
        return Some("more media inserted");
    }
    None
}

#[test]
fn a_deployment_goes_on_from_every_moment() {
    run_alone(every_moment(Flow::Deploy, 1));
}

#[test]
fn a_cleaning_goes_on_from_every_moment() {
    run_alone(every_moment(Flow::Clean, 1));
}

#[test]
fn a_tear_down_goes_on_from_every_moment() {
    run_alone(every_moment(Flow::TearDown, 1));
}

/// Whether a rescue failed because its agent was told the password and left before the host had noted it.
fn gone_with_its_password(ended: &Ended) -> bool {
    ended.last_error.as_ref().is_some_and(|error| error.contains("rescue.finalize_rescue") || error.contains("agent"))
}

#[test]
fn a_cleaning_with_steps_of_a_user_goes_on_from_every_moment() {
    run_alone(every_moment(Flow::UserSteps, stride()));
}

#[test]
fn a_service_goes_on_from_every_moment() {
    run_alone(every_moment(Flow::Service, stride()));
}

#[test]
fn a_rescue_and_the_way_back_go_on_from_every_moment() {
    run_alone(async {
        every_moment(Flow::Rescue, stride()).await;
        every_moment(Flow::Unrescue, stride()).await;
    });
}

#[test]
fn an_inspection_goes_on_from_every_moment() {
    run_alone(every_moment(Flow::Inspect, stride()));
}

#[test]
fn an_adoption_goes_on_from_every_moment() {
    run_alone(every_moment(Flow::Adopt, stride()));
}

#[test]
fn an_hour_without_a_host_lets_nothing_time_out() {
    run_alone(async {
        let later = SignedDuration::from_hours(1);
        let ends: Vec<Ended> = stream::iter(0..100)
            .map(|index| tokio::spawn(async move { Run::new(Flow::Deploy).await.finish(10 + index, later).await }))
            .buffer_unordered(SIDE_BY_SIDE)
            .map(Result::unwrap)
            .collect()
            .await;
        for ended in ends {
            assert_eq!(ended.state, "active", "{ended:?}");
        }
    });
}

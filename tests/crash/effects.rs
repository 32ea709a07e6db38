//! Walks the table of effects: each effect is had by a driver, the host is stopped around it and started again.
//!
//! In a pass every effect has a node and a simulated server of its own; a node stands still where its effect is to be cut, and
//! when all do, the host is taken away as a whole. The servers live on and count.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use wrought_conductor::{EFFECTS, EffectRule, Passed, RecoveryAction, RecoveryPlan};
use wrought_drivers::journal::Moment;
use wrought_simulator::machine::PowerState;
use wrought_simulator::{Counts, Faults, Fleet, NodeView};
use wrought_storage::Store;

use crate::run_alone;
use crate::support::{Api, Life, MortalHost, Passage, Place, Watch, fleet_options, hostile, image_sha256, redfish_node, rests, until};

/// No node takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the table says of an effect that it is asked for again, so that it fails in its own words.
const OWN_ERROR: &str = "its own error";

/// How the table says that an effect is told by nothing.
const NOTHING_TELLS: &str = "nothing tells";

/// A count that an effect drives up.
type Count = fn(&Counts) -> u64;

/// One way to have an effect.
#[derive(Clone, Copy)]
struct Case {
    rule: &'static EffectRule,
    /// For `driver_info/hostile_effect`.
    provoke: &'static str,
    /// Whether the machine is on before.
    on: bool,
    /// Whether it must never be off.
    never_off: bool,
    /// What the machine shows of the effect, and how often.
    shows: Option<(Count, u64)>,
}

impl Case {
    /// The ways to have an effect. Panics for one that nobody has thought of here.
    fn of(rule: &'static EffectRule) -> Vec<Self> {
        let effect = rule.effect;
        let plain = Self { rule, provoke: effect, on: false, never_off: false, shows: None };
        let shows = |count: Count, times: u64| Self { shows: Some((count, times)), ..plain };
        let when_on = |count: Count| Self { on: true, ..shows(count, 1) };
        match effect {
            "power.on" => vec![shows(|counts| counts.power_on, 1)],
            "power.off" | "power.soft-off" | "power.reboot-off" => vec![when_on(|counts| counts.power_off)],
            "power.reboot-on" => vec![when_on(|counts| counts.power_on)],
            "power.restart" => vec![Self { never_off: true, ..when_on(|counts| counts.resets) }],
            "agent.run" => {
                vec![shows(|counts| counts.commands, 1), Self { provoke: "agent.run power-off", ..shows(|counts| counts.power_off, 1) }]
            }
            "agent.call" => vec![shows(|counts| counts.commands, 1)],
            // The agent is asked for its steps first.
            "agent.run-step" => {
                vec![shows(|counts| counts.commands, 2), Self { provoke: "agent.run-step clean", ..shows(|counts| counts.clean_steps, 1) }]
            }
            "boot.prepare-ramdisk" | "boot.insert-media" => vec![shows(|counts| counts.media_inserts, 1)],
            "boot.clean-up-ramdisk" | "boot.prepare-instance" | "boot.eject-media" => vec![shows(|counts| counts.media_ejects, 1)],
            "boot.set-device" | "boot.set-mode" => vec![shows(|counts| counts.boot_changes, 1)],
            "boot.set-secure-boot" => vec![shows(|counts| counts.secure_boot_changes, 1)],
            "boot.clean-up-instance" => vec![plain],
            "redfish.patch" => vec![shows(|counts| counts.oem_changes, 1)],
            "redfish.post" => vec![shows(|counts| counts.oem_creations, 1)],
            "redfish.delete" => vec![shows(|counts| counts.oem_deletions, 1)],
            _ if ["network.", "locking.", "http.", "artifact."].iter().any(|interface| effect.starts_with(interface)) => vec![plain],
            other => panic!("the table has the effect {other}, and this test does not know how to provoke it"),
        }
    }

    /// All ways to have all effects of the table.
    fn all() -> Vec<Self> {
        EFFECTS.iter().flat_map(Self::of).collect()
    }

    fn asked_again(&self) -> bool {
        self.rule.neither == OWN_ERROR
    }

    fn told_by_nothing(&self) -> bool {
        self.rule.told.starts_with(NOTHING_TELLS)
    }

    fn needs_agent(&self) -> bool {
        self.provoke.starts_with("agent.")
    }

    /// Cut last, so that the next host finds the machine between two states.
    fn is_late(&self) -> bool {
        ["power.on", "power.off", "power.soft-off"].contains(&self.provoke)
    }
}

/// Why nobody can tell what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The controller answers with errors.
    NoController,
    /// The agent has started anew.
    AgentAnew,
    /// The machine lost its power.
    NoAgent,
}

/// Keeps nodes at a moment of their effect, and notes what they ask for.
#[derive(Default)]
struct Watcher {
    /// By node: the host call, and the moment of it.
    stops: Mutex<HashMap<String, (&'static str, Moment)>>,
    held: Mutex<HashSet<String>>,
    asked: Mutex<Vec<(String, String)>>,
}

impl Watcher {
    async fn passed(self: Arc<Self>, passage: Passage) {
        let Passage::Call(Passed { node, function, moment }) = passage else { return };
        let node = node.to_string();
        if moment == Moment::Asked {
            self.asked.lock().unwrap().push((node.clone(), function.clone()));
        }
        let stop = self.stops.lock().unwrap().get(&node).copied();
        if stop.is_some_and(|(effect, at)| effect == function && at == moment) {
            self.held.lock().unwrap().insert(node);
            std::future::pending::<()>().await;
        }
    }

    fn watch(self: &Arc<Self>) -> Watch {
        let this = self.clone();
        Arc::new(move |passage| Box::pin(this.clone().passed(passage)))
    }

    /// How often a node asked for an effect.
    fn asked(&self, node: &str, effect: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(by, function)| by == node && function == effect).count()
    }
}

/// How a node ended.
#[derive(Debug, Clone)]
struct Ended {
    state: String,
    last_error: String,
    /// What the effect was answered, as its driver reported it.
    answer: Value,
    machine: NodeView,
    /// What the counts were when the host stopped.
    at_stop: Counts,
    /// How often the second host asked for the effect.
    asked_again: usize,
}

/// A case with the node and the server for it.
struct Row {
    case: Case,
    trouble: Trouble,
    uuid: String,
    server: usize,
}

/// A host, and a node for each case.
struct Pass {
    place: Place,
    fleet: Fleet,
    rows: Vec<Row>,
    host: MortalHost,
    watcher: Arc<Watcher>,
}

impl Pass {
    async fn new(cases: Vec<(Case, Trouble)>) -> Self {
        let (place, watcher) = (Place::new(), Arc::new(Watcher::default()));
        let host = place.start(Life::ordinary(watcher.watch())).await;
        let mut options = fleet_options(place.api.url(), cases.len());
        // Long enough for a second host to see machines between on and off.
        (options.power_delay, options.boot_delay) = (0.4, 0.05);
        let fleet = Fleet::start(options).await.unwrap();
        let api = &place.api;
        let pushed = api.push("hostile", hostile()).await.ok();
        let mut grant = pushed["requested"].as_array().unwrap().clone();
        grant.push(format!("http=*@{}", fleet.url()).into());
        grant.push("redfish=/redfish/v1/UpdateService".into());
        api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": grant })).await.ok();
        // What the one effect on files is about.
        api.send(Method::POST, "/wrought/v1/artifacts/effect-file", |request| request.body("firmware")).await.ok();
        let sha256 = image_sha256(&fleet).await;
        let enrolled = cases.into_iter().enumerate().map(|(server, (case, trouble))| {
            let body = node(&fleet, server, &sha256, case);
            let mac = fleet.nodes()[server].mac.clone();
            async move {
                let uuid = api.call(Method::POST, "/v1/nodes", &body).await.ok()["uuid"].as_str().unwrap().to_owned();
                api.call(Method::POST, "/v1/ports", &json!({ "node_uuid": uuid, "address": mac })).await.ok();
                for (verb, state) in [("manage", "manageable"), ("provide", "available")] {
                    ask(api, &uuid, verb).await;
                    assert_eq!(rest(api, &uuid).await["provision_state"], state);
                }
                if case.on {
                    let asked = api.call(Method::PUT, &format!("/v1/nodes/{uuid}/states/power"), &json!({ "target": "power on" })).await;
                    assert_eq!(asked.status, 202, "{}", asked.text);
                    assert_eq!(rest(api, &uuid).await["power_state"], "power on");
                }
                Row { case, trouble, uuid, server }
            }
        });
        let rows = join_all(enrolled).await;
        fleet.reset_counts();
        Self { place, fleet, rows, host, watcher }
    }

    /// Every node to its end, without a stop.
    async fn uncut(self) -> HashMap<&'static str, Ended> {
        join_all(self.rows.iter().map(|row| ask(&self.place.api, &row.uuid, "active"))).await;
        let ends = self.ends(&HashMap::new(), &self.watcher).await;
        self.host.vanish().await;
        ends.into_iter().map(|(row, ended)| (self.rows[row].case.provoke, ended)).collect()
    }

    /// Every node to `moment` of its effect; then the host is gone, the troubles begin, and another host goes on.
    async fn cut(self, moment: Moment, recovery_timeout: u32) -> Vec<(Case, Trouble, Ended)> {
        for late in [false, true] {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.case.is_late() == late).collect();
            for row in &rows {
                self.watcher.stops.lock().unwrap().insert(row.uuid.clone(), (row.case.rule.effect, moment));
            }
            join_all(rows.iter().map(|row| ask(&self.place.api, &row.uuid, "active"))).await;
            until("all nodes to stand still", async || {
                rows.iter().all(|row| self.watcher.held.lock().unwrap().contains(&row.uuid)).then_some(())
            })
            .await;
        }
        let Self { place, fleet, rows, host, .. } = self;
        host.vanish().await;
        let at_stop = rows.iter().map(|row| (row.server, fleet.counts(row.server).unwrap())).collect();
        check_plan(&place, &rows).await;
        for row in &rows {
            begin(row.trouble, &fleet, row.server).await;
        }
        let watcher = Arc::new(Watcher::default());
        let host = place.start(Life { recovery_timeout, ..Life::ordinary(watcher.watch()) }).await;
        let pass = Self { place, fleet, rows, host, watcher };
        let ends = pass.ends(&at_stop, &pass.watcher).await;
        pass.host.vanish().await;
        ends.into_iter().map(|(row, ended)| (pass.rows[row].case, pass.rows[row].trouble, ended)).collect()
    }

    /// Waits for the end of each node.
    async fn ends(&self, at_stop: &HashMap<usize, Counts>, watcher: &Watcher) -> Vec<(usize, Ended)> {
        let end = async |index: usize, row: &Row| {
            let node = rest(&self.place.api, &row.uuid).await;
            let machine = until("the machine to rest", async || {
                let view = self.fleet.node(row.server).unwrap();
                matches!(view.power_state, PowerState::On | PowerState::Off).then_some(view)
            })
            .await;
            let ended = Ended {
                state: node["provision_state"].as_str().unwrap().to_owned(),
                last_error: node["last_error"].as_str().unwrap_or_default().to_owned(),
                answer: node["driver_internal_info"]["root_uuid_or_disk_id"].clone(),
                machine,
                at_stop: at_stop.get(&row.server).copied().unwrap_or_default(),
                asked_again: watcher.asked(&row.uuid, row.case.rule.effect),
            };
            (index, ended)
        };
        join_all(self.rows.iter().enumerate().map(|(index, row)| end(index, row))).await
    }
}

fn node(fleet: &Fleet, server: usize, image_sha256: &str, case: Case) -> Value {
    let mut body = redfish_node(fleet, server, image_sha256);
    body["deploy_interface"] = "hostile".into();
    body["driver_info"]["hostile_effect"] = case.provoke.into();
    // Named like the effects that are about them.
    body["properties"] = json!({ "shared_locks": ["artifact.push", "locking.acquire", "locking.release"] });
    body["disable_power_off"] = case.never_off.into();
    body["automated_clean"] = false.into();
    body
}

async fn ask(api: &Api, uuid: &str, verb: &str) {
    let asked = api.call(Method::PUT, &format!("/v1/nodes/{uuid}/states/provision"), &json!({ "target": verb })).await;
    assert_eq!(asked.status, 202, "{verb}: {}", asked.text);
}

/// The node when nobody holds it any more, or when patience is over.
async fn rest(api: &Api, uuid: &str) -> Value {
    let began = Instant::now();
    loop {
        let node = api.get(&format!("/v1/nodes/{uuid}")).await.ok();
        if rests(&node) || began.elapsed() > PATIENCE {
            return node;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// What the next host will do: find out about each effect that was cut.
async fn check_plan(place: &Place, rows: &[Row]) {
    let store = Store::open_to_read(&place.data(), None).await.unwrap();
    let plan = RecoveryPlan::of(&store, Timestamp::now()).await.unwrap();
    store.close().await;
    assert_eq!(plan.operations.len(), rows.len(), "{plan:?}");
    for Row { uuid, case, .. } in rows {
        let planned = plan.operations.iter().find(|planned| planned.node.to_string() == *uuid).unwrap();
        let RecoveryAction::Resume { effect, told, .. } = &planned.action else { panic!("{}: {planned:?}", case.provoke) };
        assert_eq!((effect.as_str(), *told), (case.rule.effect, case.rule.told));
    }
}

async fn begin(trouble: Trouble, fleet: &Fleet, server: usize) {
    match trouble {
        Trouble::None => {}
        Trouble::NoController => assert!(fleet.set_faults(server, Faults { bmc_status: Some(503), ..Faults::default() })),
        Trouble::AgentAnew => assert!(fleet.restart_agent(server)),
        Trouble::NoAgent => {
            let info = fleet.nodes()[server].clone();
            let url = format!("{}{}/Actions/ComputerSystem.Reset", fleet.url(), info.system_path);
            let reset = reqwest::Client::new().post(url).basic_auth(info.username, Some(info.password));
            assert!(reset.json(&json!({ "ResetType": "ForceOff" })).send().await.unwrap().status().is_success());
        }
    }
}

static UNCUT: OnceCell<HashMap<&'static str, Ended>> = OnceCell::const_new();

/// How all cases end without a stop.
async fn uncut() -> &'static HashMap<&'static str, Ended> {
    UNCUT.get_or_init(|| async { Pass::new(Case::all().into_iter().map(|case| (case, Trouble::None)).collect()).await.uncut().await }).await
}

/// What the machine shows at the end.
fn result(machine: &NodeView) -> impl PartialEq + std::fmt::Debug {
    (machine.power_state, machine.media.is_some(), machine.boot.clone(), machine.secure_boot, machine.cooling.clone())
}

/// What was done to a machine and must never be done once more unseen.
fn deeds(counts: &Counts) -> [u64; 12] {
    [
        counts.resets,
        counts.power_on,
        counts.power_off,
        counts.media_inserts,
        counts.media_ejects,
        counts.commands,
        counts.image_writes,
        counts.clean_steps,
        counts.agent_boots,
        counts.oem_changes,
        counts.oem_creations,
        counts.oem_deletions,
    ]
}

/// Settings, which may be made again: with the same result.
fn settings(counts: &Counts) -> u64 {
    counts.boot_changes + counts.secure_boot_changes
}

/// The fault in how a node ended, whose effect was cut and can be told or asked for again.
fn fault(case: Case, done: bool, uncut: &Ended, ended: &Ended) -> Option<&'static str> {
    let (before, after) = (&uncut.machine.counts, &ended.machine.counts);
    let again = usize::from(!done || case.asked_again());
    let settings_again = if done { settings(before) } else { 0 };
    if ended.state != uncut.state || ended.last_error != uncut.last_error {
        Some("it ends otherwise than without a stop")
    } else if ended.answer != uncut.answer {
        Some("the driver was answered otherwise")
    } else if result(&ended.machine) != result(&uncut.machine) {
        Some("the machine ends otherwise than without a stop")
    } else if ended.asked_again != again {
        Some(if again == 0 { "the effect was asked for again" } else { "the effect was not asked for exactly once more" })
    } else if deeds(after) != deeds(before) {
        Some("it was not done exactly once")
    } else if settings(after) < settings(before) || settings(after) > settings(before) + settings_again {
        Some("the settings were not made once, or once more")
    } else {
        None
    }
}

/// The fault in how a node ended of whose effect nobody can tell.
fn fault_of_unknown(case: Case, ended: &Ended) -> Option<&'static str> {
    if ended.state != "deploy failed" {
        Some("it is in no failed state")
    } else if !(ended.last_error.contains(case.rule.effect) && ended.last_error.contains("cannot be told")) {
        Some("it does not say what is not known")
    } else if !ended.last_error.contains("Next: ") {
        Some("it names no exit")
    } else if ended.asked_again > 0 {
        Some("the effect was asked for again")
    } else {
        // Power that was lost meanwhile is lost by the test's own doing.
        (ended.machine.counts.commands != ended.at_stop.commands).then_some("the agent was sent commands")
    }
}

fn tell(faults: &[String], cases: usize, what: &str) {
    println!("{what}: {cases} cases, {} faults", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// All effects, cut at a moment.
async fn walk(moment: Moment) {
    let pass = Pass::new(Case::all().into_iter().map(|case| (case, Trouble::None)).collect());
    let (uncut, ends) = tokio::join!(uncut(), async { pass.await.cut(moment, 300).await });
    let mut faults = Vec::new();
    for (case, _, ended) in &ends {
        let uncut = &uncut[case.provoke];
        assert_eq!(uncut.state, "active", "{}: {uncut:?}", case.provoke);
        if let Some((count, times)) = case.shows {
            assert_eq!(count(&uncut.machine.counts), times, "{}: {uncut:?}", case.provoke);
        }
        let found = match case.told_by_nothing() {
            true => fault_of_unknown(*case, ended),
            false => fault(*case, moment == Moment::Acted, uncut, ended),
        };
        faults.extend(found.map(|fault| format!("{}: {fault}: {ended:#?}\nuncut: {uncut:#?}", case.provoke)));
    }
    tell(&faults, ends.len(), &format!("{moment:?}"));
}

#[test]
fn an_effect_that_was_not_done_is_done_once() {
    run_alone(walk(Moment::Intended));
}

#[test]
fn an_effect_that_was_done_is_not_repeated() {
    run_alone(walk(Moment::Acted));
}

#[test]
fn what_nobody_can_tell_is_not_repeated_and_fails_by_name() {
    run_alone(async {
        let cases: Vec<(Case, Trouble)> = Case::all()
            .into_iter()
            .filter(|case| !case.told_by_nothing() && case.provoke != "agent.run power-off")
            .flat_map(|case| {
                let has_machine = case.shows.is_some();
                let troubles: &[Trouble] = match () {
                    () if case.needs_agent() => &[Trouble::AgentAnew, Trouble::NoAgent],
                    () if has_machine => &[Trouble::NoController],
                    () => &[],
                };
                troubles.iter().map(move |trouble| (case, *trouble))
            })
            .collect();
        let ends = Pass::new(cases).await.cut(Moment::Acted, 1).await;
        let mut faults = Vec::new();
        for (case, trouble, ended) in &ends {
            let found = if case.asked_again() {
                let named = ended.state == "deploy failed" && ended.last_error.contains("Next: ");
                (!named || ended.asked_again != 1).then_some("it does not fail with its own error")
            } else {
                fault_of_unknown(*case, ended)
            };
            faults.extend(found.map(|fault| format!("{}, {trouble:?}: {fault}: {ended:#?}", case.provoke)));
        }
        tell(&faults, ends.len(), "not known");
    });
}

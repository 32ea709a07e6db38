//! Agents: who may speak for a node. Lookup, heartbeat, and what is remembered of a session.
//!
//! A token is made at a lookup, shown once, and forgotten with the next change of power. What
//! starts a session or changes it is committed before the answer; other heartbeats cost no commit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use wrought_domain::{DriverError, Map, Node, NodeId, Principal, mask};
use wrought_drivers::contract::agent::StepKind;
use wrought_hardware::agent::check_callback_url;
use wrought_storage::{AgentSession, Mark, NodeRef};

use crate::conductor::Conductor;
use crate::contacts::Contact;
use crate::convert;
use crate::secrets::without_image_secrets;
use crate::{Heartbeat, Lookup, Refusal};

/// Bytes of a certificate.
const MAX_PEM: usize = 16 << 10;

/// Steps that an agent may offer.
const MAX_STEPS: usize = 256;

/// The steps that an agent offers, as it wrote them.
#[derive(Debug, Clone)]
pub(crate) struct AgentSteps {
    pub(crate) steps: Vec<Map>,
    /// `hardware_manager_version`, sent back with each step.
    pub(crate) version: Value,
}

impl AgentSteps {
    /// Reads the result of `get_deploy_steps` or `get_clean_steps`: steps by hardware manager.
    pub(crate) fn read(result: &Value, kind: &str) -> Option<Self> {
        let managers = result.get(format!("{kind}_steps"))?.as_object()?;
        let version = result.get("hardware_manager_version")?.clone();
        let steps = managers
            .values()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(Value::as_object)
            .filter(|step| step.get("interface").is_some_and(Value::is_string) && step.get("step").is_some_and(Value::is_string))
            .take(MAX_STEPS)
            .cloned()
            .collect();
        Some(Self { steps, version })
    }

    pub(crate) fn find(&self, interface: &str, step: &str) -> Option<&Map> {
        let is = |given: &&Map, key: &str, value: &str| given.get(key).and_then(Value::as_str) == Some(value);
        self.steps.iter().find(|given| is(given, "interface", interface) && is(given, "step", step))
    }
}

/// What is known of a node's agent without asking the store.
#[derive(Default)]
struct Known {
    session: Option<AgentSession>,
    /// The node when it was looked up last.
    node: Option<(Mark, Arc<Node>)>,
    last_heartbeat: Option<Timestamp>,
    deploy_steps: Option<AgentSteps>,
    clean_steps: Option<AgentSteps>,
    service_steps: Option<AgentSteps>,
}

/// The agents of nodes with an open operation. An entry goes with its operation.
#[derive(Default)]
pub(crate) struct Agents(Mutex<HashMap<NodeId, Known>>);

impl Agents {
    fn with<T>(&self, node: NodeId, f: impl FnOnce(&mut Known) -> T) -> T {
        f(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_default())
    }

    /// The node's operation has ended.
    pub(crate) fn end(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// Makes no entry: nodes without an operation are asked for as well.
    fn session(&self, node: NodeId) -> Option<AgentSession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&node)?.session.clone()
    }

    fn node(&self, node: NodeId) -> Option<(Mark, Arc<Node>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&node)?.node.clone()
    }

    /// Keeps a node that has a session, which may be looked up again and again.
    fn keep_node(&self, id: NodeId, mark: Mark, node: &Arc<Node>) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id).filter(|known| known.session.is_some()) {
            known.node = Some((mark, Arc::clone(node)));
        }
    }

    /// Whether the agent was heard after `since`.
    pub(crate) fn heard_after(&self, node: NodeId, since: Timestamp) -> bool {
        self.with(node, |known| known.last_heartbeat.is_some_and(|last| last > since))
    }

    pub(crate) fn steps(&self, node: NodeId, kind: StepKind) -> Option<AgentSteps> {
        self.with(node, |known| match kind {
            StepKind::Deploy => known.deploy_steps.clone(),
            StepKind::Clean => known.clean_steps.clone(),
            StepKind::Service => known.service_steps.clone(),
        })
    }

    /// The agent offers others now.
    pub(crate) fn forget_steps(&self, node: NodeId) {
        self.with(node, |known| (known.deploy_steps, known.clean_steps, known.service_steps) = (None, None, None));
    }

    pub(crate) fn remember_steps(&self, node: NodeId, kind: StepKind, steps: AgentSteps) {
        self.with(node, |known| match kind {
            StepKind::Deploy => known.deploy_steps = Some(steps),
            StepKind::Clean => known.clean_steps = Some(steps),
            StepKind::Service => known.service_steps = Some(steps),
        });
    }
}

fn new_token() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Compares without telling by its time where the texts differ.
fn same_secret(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0_u8, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl Conductor {
    /// The session of a node's agent.
    pub(crate) async fn agent_session(&self, node: NodeId) -> Result<Option<AgentSession>, DriverError> {
        if let Some(session) = self.0.agents.session(node) {
            return Ok(Some(session));
        }
        self.0.store.agent_session(node).await.map_err(|error| convert::store_error(&error))
    }

    /// Whether an agent has been heard since the power last changed.
    pub(crate) async fn agent_is_up(&self, node: NodeId) -> bool {
        matches!(self.agent_session(node).await, Ok(Some(session)) if session.first_heartbeat_at.is_some())
    }

    /// Forgets the agent: its machine is about to change its power state.
    pub(crate) async fn forget_agent(&self, node: NodeId) -> Result<(), DriverError> {
        // Under the gate, so that a heartbeat on its way cannot bring the session back.
        let gate = self.gate(node);
        let _inside = gate.lock().await;
        // Mostly there is none, and then it costs no commit.
        if self.agent_session(node).await?.is_some() {
            self.0.store.delete_agent_session(node).await.map_err(|error| convert::store_error(&error))?;
        }
        self.0.agents.end(node);
        Ok(())
    }

    /// An agent asks which node it runs on.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when it names neither a MAC address nor a node; [`Refusal::NotFound`]
    /// for everything else, lest a stranger learns which nodes there are.
    pub async fn lookup(&self, addresses: &[String], node: Option<NodeId>, peer: IpAddr) -> Result<Lookup, Refusal> {
        let addresses: Vec<String> = addresses.iter().filter_map(|text| wrought_domain::port::mac(text)).collect();
        if addresses.is_empty() && node.is_none() {
            return Err(Refusal::Invalid("Invalid or missing addresses: give MAC addresses or node_uuid".into()));
        }
        let not_found = || Refusal::NotFound("Node could not be found.".into());
        let store = &self.0.store;
        let (id, mark) = match node {
            Some(node) => (node, None),
            None => {
                let found = store.peek_node_with_addresses(&addresses).await.map_err(convert::refusal)?;
                found.map(|(mark, node)| (node, Some(mark))).ok_or_else(not_found)?
            }
        };
        let allowed = |node: &Arc<Node>| node.provision_state.allows_lookup();
        let mut node = self.agents_node(id, mark).await?.filter(allowed).ok_or_else(not_found)?;
        // Whoever was heard with a token, or was given one by this process, asks in vain: that much is known without the store.
        let mut token = None;
        if self.0.agents.session(id).is_none() {
            // Two lookups of one node at once must not both get a token, and none is made for an operation that has just ended.
            let gate = self.gate(id);
            let _inside = gate.lock().await;
            node = self.agents_node(id, None).await?.filter(allowed).ok_or_else(not_found)?;
            token = self.token_for(id).await?;
        }
        self.0.contacts.note(id, Contact::Lookup, self.now());
        match token {
            Some(_) => tracing::info!(node = %id, %peer, "an agent was given its token"),
            // Whoever asks in vain shall not fill the log.
            None => tracing::debug!(node = %id, %peer, "agent lookup"),
        }
        Ok(Lookup { node: lookup_node(&node), config: self.agent_config(&node, token.as_deref().unwrap_or(mask::MASK)) })
    }

    /// The node as it is now, of which it may be known already that it has this mark.
    async fn agents_node(&self, id: NodeId, now: Option<Mark>) -> Result<Option<Arc<Node>>, Refusal> {
        let known = self.0.agents.node(id);
        if let Some((mark, node)) = &known
            && now == Some(*mark)
        {
            return Ok(Some(Arc::clone(node)));
        }
        let mark = known.as_ref().map(|(mark, _)| *mark);
        let found = self.0.store.peek_node(&Principal::agent(), &NodeRef::Uuid(id), mark).await.map_err(convert::refusal)?;
        Ok(match found {
            Some((mark, Some(node))) => {
                let node = Arc::new(node);
                self.0.agents.keep_node(id, mark, &node);
                Some(node)
            }
            Some((_, None)) => known.map(|(_, node)| node),
            None => None,
        })
    }

    /// A new token, unless one was given out in this boot of the machine. The node's gate is held.
    async fn token_for(&self, node: NodeId) -> Result<Option<String>, Refusal> {
        if let Some(given) = self.0.store.agent_session(node).await.map_err(convert::refusal)? {
            // A host that was killed may have kept a token and never sent it: then nobody has shown it, and the agent asks again.
            let lost = given.first_heartbeat_at.is_none() && given.issued_at < self.0.started_at;
            if !lost {
                return Ok(None);
            }
        }
        let token = new_token();
        let session = AgentSession {
            token: token.clone(),
            pregenerated: false,
            url: None,
            verify_ca: None,
            version: None,
            issued_at: self.now(),
            first_heartbeat_at: None,
            last_heartbeat_at: None,
        };
        self.0.store.put_agent_session(node, &session).await.map_err(convert::refusal)?;
        self.0.agents.with(node, |known| known.session = Some(session));
        Ok(Some(token))
    }

    fn agent_config(&self, node: &Node, token: &str) -> Map {
        let config = json!({
            "heartbeat_timeout": self.0.config.ramdisk_heartbeat_timeout,
            "agent_token": token,
            "agent_token_required": true,
            "agent_md5_checksum_enable": self.0.image.allow_md5_checksum,
            "disable_deep_image_inspection": false,
            "permitted_image_formats": self.0.image.permitted_image_formats.join(","),
            "enable_bios_bootloader_install": false,
            "agent_skip_bmc_detect": node.driver == "redfish",
            "tls_min_version": self.0.agent.tls_min_version,
            "tls_cipher_suites": null,
            "metrics": {"backend": "noop", "prepend_host": false, "prepend_uuid": false, "prepend_host_reverse": true, "global_prefix": null},
            "metrics_statsd": {"statsd_host": "localhost", "statsd_port": 8125},
            "agent_containers": {
                "allow_arbitrary_containers": false, "allowed_containers": [],
                "container_steps_file": "/etc/ironic-python-agent.d/mysteps.yaml", "runner": "podman", "pull_options": [],
                "run_options": ["--rm", "--network=host"],
            },
        });
        match config {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// An agent shows that it is alive. The checks are Ironic's, in its order.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without the node; [`Refusal::Invalid`] for a wrong token or URL, or a
    /// URL or certificate other than the session's.
    pub async fn heartbeat(&self, node: NodeId, beat: Heartbeat) -> Result<(), Refusal> {
        let invalid = |text: &str| Refusal::Invalid(text.to_owned());
        let gate = self.gate(node);
        let inside = gate.lock().await;
        let session = self.agent_session(node).await.map_err(|error| Refusal::Internal(error.message))?;
        // A session is that of a node, so only without one it is asked whether there is a node.
        if session.is_none() && self.0.store.node_id(&NodeRef::Uuid(node)).await.map_err(convert::refusal)?.is_none() {
            return Err(Refusal::NotFound(format!("Node {node} could not be found.")));
        }
        let bad_token = || invalid("Invalid or missing agent token received.");
        let given = beat.agent_token.as_deref().ok_or_else(bad_token)?;
        let session = session.filter(|session| same_secret(&session.token, given)).ok_or_else(bad_token)?;
        let version = beat.agent_version.clone().ok_or_else(|| invalid("Missing mandatory parameter: agent_version"))?;
        if session.url.as_ref().is_some_and(|url| *url != beat.callback_url) {
            return Err(invalid("Detected change in ramdisk provided \"callback_url\""));
        }
        if beat.agent_verify_ca.as_ref().is_some_and(|pem| pem.len() > MAX_PEM) {
            return Err(invalid("agent_verify_ca is too large"));
        }
        // Whoever began without a certificate cannot bring one later either.
        let begun = session.first_heartbeat_at.is_some();
        if begun && beat.agent_verify_ca.is_some() && session.verify_ca != beat.agent_verify_ca {
            return Err(invalid("Detected change in ramdisk provided \"agent_verify_ca\""));
        }
        let networks = &self.0.agent.callback_allowed_networks;
        check_callback_url(&beat.callback_url, beat.peer, networks, self.0.agent.require_tls)
            .map_err(|error| Refusal::Invalid(error.message))?;
        self.heard(node, session, beat, version.chars().take(64).collect()).await?;
        self.0.contacts.note(node, Contact::Heartbeat, self.now());
        drop(inside);
        self.heard_from(node);
        Ok(())
    }

    /// Stores what a heartbeat changes; the node's gate is held.
    async fn heard(&self, node: NodeId, session: AgentSession, beat: Heartbeat, version: String) -> Result<(), Refusal> {
        let now = self.now();
        let next = AgentSession {
            url: Some(beat.callback_url),
            verify_ca: beat.agent_verify_ca.or_else(|| session.verify_ca.clone()),
            version: Some(version),
            first_heartbeat_at: session.first_heartbeat_at.or(Some(now)),
            last_heartbeat_at: session.last_heartbeat_at,
            ..session.clone()
        };
        if next != session {
            let next = AgentSession { last_heartbeat_at: Some(now), ..next.clone() };
            self.0.store.put_agent_session(node, &next).await.map_err(convert::refusal)?;
        }
        self.0.agents.with(node, |known| {
            known.session = Some(next);
            known.last_heartbeat = Some(now);
        });
        Ok(())
    }
}

/// What an unauthenticated agent may see of its node.
fn lookup_node(node: &Node) -> Map {
    let mut shown = Map::new();
    shown.insert("uuid".into(), node.uuid.to_string().into());
    shown.insert("properties".into(), mask::masked(&node.properties).into());
    shown.insert("instance_info".into(), mask::masked_instance_info(&without_image_secrets(&node.instance_info)).into());
    shown.insert("driver_internal_info".into(), mask::masked(&node.driver_internal_info).into());
    shown
}

//! Every effect that a driver can have, and how a restarted host finds out whether it was done.

/// How done and not done are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// By the power that the controller reports, once it is between no two states.
    Power {
        /// The state that the effect leads to.
        on: bool,
    },
    /// By the commands that the agent lists.
    Agent,
    /// By what the controller says is in the virtual drive.
    Media,
    /// By the members of the resource that it changes.
    Members,
    /// By whether the resource is there.
    Gone,
    /// By the effect itself: doing it again changes nothing that is so already, so it is asked for again.
    Itself,
    /// Nothing tells.
    Nothing,
}

/// An effect in the words of `docs/architecture.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectRule {
    /// `interface.function`, as the journal has it.
    pub effect: &'static str,
    /// What its intent records beside the arguments.
    pub records: &'static str,
    /// How done and not done are told apart.
    pub told: &'static str,
    /// What follows when neither can be told.
    pub neither: &'static str,
    pub(crate) look: Look,
}

const POWER: &str = "the machine's power, read until it rests";
const POWER_NEITHER: &str = "power is asked for until the controller answers; then the node fails by name";
const AGENT_RECORDS: &str = "the agent's start time, the ids of its commands";
const AGENT: &str = "a command of this name that was not listed before; not listed by the same agent is not done";
const AGENT_NEITHER: &str = "the agent started anew, or does not answer in time: the node fails by name";
const RESOURCE_NEITHER: &str = "the resource is asked for until the controller answers; then the node fails by name";
const ITSELF: &str = "asked for again: it looks first and changes only what is not so";
const DEVICE: &str = "asked for again: the boot device is set once more, which changes nothing";
const HTTP: &str = "asked for again: the server is to take a second one for the same (RFC 9110)";
const HTTP_ONCE: &str = "nothing tells: what the server made of it is known to the server alone";
const ITSELF_NEITHER: &str = "its own error";

const fn power(effect: &'static str, on: bool) -> EffectRule {
    EffectRule { effect, records: "nothing", told: POWER, neither: POWER_NEITHER, look: Look::Power { on } }
}

const fn agent(effect: &'static str) -> EffectRule {
    EffectRule { effect, records: AGENT_RECORDS, told: AGENT, neither: AGENT_NEITHER, look: Look::Agent }
}

const fn media(effect: &'static str) -> EffectRule {
    EffectRule {
        effect,
        records: "nothing",
        told: "the image in the virtual drive; inserted and not chosen for the boot is finished",
        neither: "the drive is asked for until the controller answers; then the node fails by name",
        look: Look::Media,
    }
}

const fn itself(effect: &'static str) -> EffectRule {
    EffectRule { effect, records: "nothing", told: ITSELF, neither: ITSELF_NEITHER, look: Look::Itself }
}

/// Controllers do not show reliably how long a boot device is set for, so that looking first would not tell.
const fn device(effect: &'static str) -> EffectRule {
    EffectRule { told: DEVICE, ..itself(effect) }
}

const fn http(effect: &'static str) -> EffectRule {
    EffectRule { told: HTTP, ..itself(effect) }
}

const fn http_once(effect: &'static str) -> EffectRule {
    EffectRule { effect, records: "nothing", told: HTTP_ONCE, neither: "the node fails by name", look: Look::Nothing }
}

/// All effects of the contract. What is not in here is never repeated.
pub const EFFECTS: &[EffectRule] = &[
    power("power.on", true),
    power("power.off", false),
    EffectRule {
        effect: "power.soft-off",
        records: "nothing",
        told: "off is done; a machine that is on is asked to shut down once more, which changes nothing if it does so already",
        neither: ITSELF_NEITHER,
        look: Look::Itself,
    },
    power("power.reboot-off", false),
    power("power.reboot-on", true),
    EffectRule {
        effect: "power.restart",
        records: "nothing",
        told: "nothing tells: the machine is on before and after",
        neither: "the node fails by name",
        look: Look::Nothing,
    },
    agent("agent.run"),
    agent("agent.call"),
    agent("agent.run-step"),
    media("boot.prepare-ramdisk"),
    media("boot.insert-media"),
    itself("boot.clean-up-ramdisk"),
    device("boot.prepare-instance"),
    itself("boot.clean-up-instance"),
    device("boot.set-device"),
    itself("boot.set-mode"),
    itself("boot.set-secure-boot"),
    itself("boot.eject-media"),
    itself("network.add-provisioning"),
    itself("network.remove-provisioning"),
    itself("network.add-cleaning"),
    itself("network.remove-cleaning"),
    itself("network.add-servicing"),
    itself("network.remove-servicing"),
    itself("network.configure-tenant"),
    itself("network.unconfigure-tenant"),
    EffectRule {
        effect: "redfish.patch",
        records: "nothing",
        told: "the members, read back: all as asked for is done, else it is asked for again",
        neither: RESOURCE_NEITHER,
        look: Look::Members,
    },
    EffectRule {
        effect: "redfish.post",
        records: "nothing",
        told: "nothing tells: no rule says what an action leaves behind",
        neither: "the node fails by name",
        look: Look::Nothing,
    },
    EffectRule {
        effect: "redfish.delete",
        records: "nothing",
        told: "the resource is gone; one that is there is deleted once more",
        neither: RESOURCE_NEITHER,
        look: Look::Gone,
    },
    EffectRule {
        effect: "artifact.push",
        records: "nothing",
        told: "nothing tells: a push ends with its host, and what the controller had by then is known to it alone",
        neither: "the node fails by name",
        look: Look::Nothing,
    },
    http_once("http.post"),
    http("http.put"),
    http_once("http.patch"),
    http("http.delete"),
    itself("locking.upgrade"),
    itself("locking.downgrade"),
    itself("locking.acquire"),
    itself("locking.release"),
];

/// The rule of an effect.
pub(crate) fn rule(effect: &str) -> Option<&'static EffectRule> {
    EFFECTS.iter().find(|rule| rule.effect == effect)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// The functions of the contract whose comment says that they are effects.
    fn of_the_contract() -> Vec<String> {
        let mut found = Vec::new();
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let (mut interface, mut effect) = (String::new(), false);
            for line in text.lines().map(str::trim) {
                if let Some(name) = line.strip_prefix("interface ") {
                    interface = name.trim_end_matches('{').trim().to_owned();
                }
                if line.starts_with("///") {
                    effect |= line.to_lowercase().contains("class: effect");
                } else if let Some((name, _)) = line.split_once(": func(") {
                    // What drivers export is called, not recorded.
                    let exported = wrought_domain::Function::ALL.iter().any(|function| function.interface() == interface);
                    if effect && !exported {
                        found.push(format!("{interface}.{name}"));
                    }
                    effect = false;
                } else {
                    effect = false;
                }
            }
        }
        found
    }

    #[test]
    fn every_effect_of_the_contract_has_a_rule() {
        let mut effects = of_the_contract();
        // A reboot is recorded as what it consists of.
        effects.retain(|effect| effect != "power.reboot");
        effects.extend(["power.reboot-off", "power.reboot-on", "power.restart"].map(str::to_owned));
        effects.sort();
        let mut rules: Vec<&str> = EFFECTS.iter().map(|rule| rule.effect).collect();
        rules.sort_unstable();
        assert_eq!(effects, rules);
    }

    #[test]
    fn the_documentation_has_the_table() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/architecture.md")).unwrap();
        for EffectRule { effect, records, told, neither, .. } in EFFECTS {
            let row = format!("| `{effect}` | {records} | {told} | {neither} |");
            assert!(text.contains(&row), "docs/architecture.md lacks:\n{row}");
        }
    }
}

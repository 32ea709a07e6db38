//! Power changes in time: from an accepted request to off, or to a booted ramdisk.

use std::sync::{Arc, Weak};

use tokio_util::sync::CancellationToken;

use crate::agent;
use crate::fleet::Shared;
use crate::machine::{Advanced, BootedFrom, ResetRefused, ResetType};
use crate::node::{AgentStage, Life, Node};

/// The BMC's reset action: returns once it is accepted.
pub(crate) fn reset(fleet: &Arc<Shared>, node: &Arc<Node>, kind: ResetType) -> Result<(), ResetRefused> {
    let change = {
        let mut inner = node.lock();
        if inner.faults.reset_ignored {
            inner.counts.resets += 1;
            return Ok(());
        }
        let change = inner.machine.reset(kind)?;
        inner.counts.resets += 1;
        if kind == ResetType::Nmi {
            inner.counts.nmis += 1;
        }
        if change.is_some_and(|change| change.software_ended) {
            inner.end_agent();
        }
        change
    };
    if let Some(change) = change {
        drive(fleet, node, change.serial);
    }
    Ok(())
}

/// The agent of the run `life` shuts its server down.
pub(crate) fn shut_down(fleet: &Arc<Shared>, node: &Arc<Node>, life: &CancellationToken) {
    let change = {
        let mut inner = node.lock();
        // Checked under the lock: an agent that is gone already has no say over the next run.
        if life.is_cancelled() { None } else { inner.machine.shut_down() }
    };
    if let Some(change) = change {
        drive(fleet, node, change.serial);
    }
}

/// The agent of the run `life` reboots its server.
pub(crate) fn restart(fleet: &Arc<Shared>, node: &Arc<Node>, life: &CancellationToken) {
    let change = {
        let mut inner = node.lock();
        let change = if life.is_cancelled() { None } else { inner.machine.restart() };
        if change.is_some() {
            inner.end_agent();
        }
        change
    };
    if let Some(change) = change {
        drive(fleet, node, change.serial);
    }
}

fn drive(fleet: &Arc<Shared>, node: &Arc<Node>, serial: u64) {
    let (fleet, node) = (Arc::clone(fleet), Arc::clone(node));
    fleet.clone().spawn(async move {
        loop {
            tokio::time::sleep(fleet.timing.power).await;
            if !advance(&fleet, &node, serial) {
                return;
            }
        }
    });
}

/// Whether there is more to come.
fn advance(fleet: &Arc<Shared>, node: &Arc<Node>, serial: u64) -> bool {
    let mut inner = node.lock();
    let was_on = inner.machine.power_state() == crate::machine::PowerState::On;
    match inner.machine.advance(serial) {
        Advanced::Superseded => false,
        Advanced::Again => {
            inner.counts.power_off += 1;
            true
        }
        Advanced::Off => {
            inner.counts.power_off += 1;
            inner.end_agent();
            false
        }
        Advanced::Boots => {
            // A warm restart is no change of power.
            if !was_on {
                inner.counts.power_on += 1;
            }
            inner.end_agent();
            if inner.machine.boot() == BootedFrom::Ramdisk && !inner.faults.vanish_on_boot {
                let stop = fleet.stop.child_token();
                inner.life = Some(Life { stop: stop.clone(), stage: AgentStage::Booting, agent: Weak::new() });
                fleet.spawn(agent::live(Arc::clone(fleet), Arc::clone(node), stop));
            }
            false
        }
    }
}

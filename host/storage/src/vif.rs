//! Virtual interfaces, recorded in the ports and groups that they are attached to.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;
use wrought_domain::vif::{KEY, Place, Wanted, attached, choose, not_attached, records};
use wrought_domain::{Map, Node, NodeId, Port, Portgroup, Principal};

use crate::document::Table;
use crate::node::{current, sees, unheld};
use crate::part::{all_with, put};
use crate::script::Script;
use crate::seal::KeyRing;
use crate::{PartQuery, Store, StoreError, document};

/// The ports and groups of a node that the principal sees and nobody holds, within the writer's transaction.
async fn places(
    db: &mut SqliteConnection,
    keys: &KeyRing,
    principal: &Principal,
    id: NodeId,
) -> Result<(Node, Vec<Port>, Vec<Portgroup>), StoreError> {
    let node = current(db, keys, id).await?.value;
    if !sees(principal, &node) {
        return Err(StoreError::no_node(id));
    }
    unheld(&node)?;
    let ports = all_with(db, keys, "node", id).await?;
    Ok((node, ports, all_with(db, keys, "node", id).await?))
}

fn has(internal_info: &Map, vif: &str) -> bool {
    attached(internal_info) == Some(vif)
}

impl Store {
    /// The VIFs that are attached to a node.
    ///
    /// # Errors
    /// The database fails.
    pub async fn vifs(&self, node: NodeId) -> Result<Vec<String>, StoreError> {
        let ports = self.ports_of(node).await?;
        let groups = self.portgroups_of(node).await?;
        let infos = ports.iter().map(|port| &port.internal_info).chain(groups.iter().map(|group| &group.internal_info));
        Ok(infos.filter_map(|info| attached(info).map(str::to_owned)).collect())
    }

    async fn portgroups_of(&self, node: NodeId) -> Result<Vec<Portgroup>, StoreError> {
        self.parts(&Principal::host(), &PartQuery { node: Some(node), ..PartQuery::default() }).await
    }

    /// Attaches a VIF to a port or group of a node, where the node's network interface records that.
    ///
    /// # Errors
    /// [`StoreError::Part`] when it is attached already or has no place; [`StoreError::Reserved`], [`StoreError::NotFound`].
    pub async fn attach_vif(&self, principal: &Principal, node: NodeId, vif: &str, wanted: Wanted) -> Result<(), StoreError> {
        let (principal, keys, vif) = (principal.clone(), Arc::clone(self.keys()), vif.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                let (node, mut ports, mut groups) = places(db, &keys, &principal, node).await?;
                if !records(&node) {
                    return Ok(());
                }
                match choose(&vif, wanted, &ports, &groups)? {
                    Place::Port(uuid) => {
                        if let Some(mut port) = taken(&mut ports, |port| port.uuid == uuid) {
                            port.internal_info.insert(KEY.into(), vif.into());
                            put(db, &keys, port).await?;
                        }
                    }
                    Place::Portgroup(uuid) => {
                        if let Some(mut group) = taken(&mut groups, |group| group.uuid == uuid) {
                            group.internal_info.insert(KEY.into(), vif.into());
                            put(db, &keys, group).await?;
                        }
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// Detaches a VIF from a node.
    ///
    /// # Errors
    /// [`StoreError::Part`] when it is not attached, where the node's network interface records that; [`StoreError::Reserved`],
    /// [`StoreError::NotFound`].
    pub async fn detach_vif(&self, principal: &Principal, node: NodeId, vif: &str) -> Result<(), StoreError> {
        let (principal, keys, vif) = (principal.clone(), Arc::clone(self.keys()), vif.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                let (node, mut ports, mut groups) = places(db, &keys, &principal, node).await?;
                if let Some(mut port) = taken(&mut ports, |port| has(&port.internal_info, &vif)) {
                    port.internal_info.remove(KEY);
                    put(db, &keys, port).await?;
                } else if let Some(mut group) = taken(&mut groups, |group| has(&group.internal_info, &vif)) {
                    group.internal_info.remove(KEY);
                    put(db, &keys, group).await?;
                } else if records(&node) {
                    return Err(not_attached(&vif, node.uuid).into());
                }
                Ok(())
            })
        })
        .await
    }

    /// Detaches all VIFs of a node whose instance is gone. Nobody but who holds the node writes its ports, so they may be read before.
    pub(crate) async fn forget_vifs(&self, script: &mut Script, node: NodeId) -> Result<(), StoreError> {
        let now = Timestamp::now();
        for mut port in self.ports_of(node).await? {
            if port.internal_info.remove(KEY).is_some() {
                port.updated_at = Some(now);
                let doc = document::seal(self.keys(), Table::Ports, port.uuid, &port)?;
                rewrite(script, "UPDATE ports SET updated_at = ?, doc = ? WHERE uuid = ?", now, doc, port.uuid);
            }
        }
        for mut group in self.portgroups_of(node).await? {
            if group.internal_info.remove(KEY).is_some() {
                group.updated_at = Some(now);
                let doc = document::seal(self.keys(), Table::Portgroups, group.uuid, &group)?;
                rewrite(script, "UPDATE portgroups SET updated_at = ?, doc = ? WHERE uuid = ?", now, doc, group.uuid);
            }
        }
        Ok(())
    }
}

/// Takes the first one that fits out of a list.
fn taken<T>(all: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> Option<T> {
    all.iter().position(fits).map(|at| all.swap_remove(at))
}

fn rewrite(script: &mut Script, sql: &'static str, now: Timestamp, doc: Vec<u8>, uuid: Uuid) {
    script.add(sql).bind(now.as_microsecond()).bind(doc).bind(uuid.to_string());
}

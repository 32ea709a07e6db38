//! Reads of nodes that open no more documents than they have to: for whoever keeps what it made of a node, and for what columns tell.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use uuid::Uuid;
use wrought_domain::node::Interfaces;
use wrought_domain::{Node, NodeId, Principal};

use crate::node::{NodeRef, Revision, Row, stored};
use crate::query::{NodeFilter, NodeQuery, Visibility};
use crate::{Store, StoreError, document};

/// Which node in which state. While the mark is the same, so is everything about the node; one that was deleted and made again under
/// its UUID has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The node's number, which no other node ever has.
    pub row: i64,
    /// Its revision.
    pub revision: Revision,
}

/// Fields of a node that a column tells as the document does; [`Store::nodes_by_columns`] reads them.
pub const COLUMNS: &[&str] = &[
    "uuid",
    "name",
    "driver",
    "instance_uuid",
    "instance_name",
    "chassis_uuid",
    "provision_state",
    "target_provision_state",
    "provision_updated_at",
    "power_state",
    "target_power_state",
    "maintenance",
    "fault",
    "resource_class",
    "conductor_group",
    "conductor",
    "owner",
    "lessee",
    "shard",
    "parent_node",
    "retired",
    "protected",
    "description",
    "created_at",
    "updated_at",
];

/// Documents that are read in one query.
const AT_ONCE: usize = 500;

/// A row of `id` and [`Row`].
type Numbered = (i64, String, Option<Vec<u8>>, Option<String>, i64, i64);

fn mark(row: i64, revision: i64) -> Mark {
    Mark { row, revision: Revision(document::unsigned(revision)) }
}

impl Store {
    /// The node, if it is there and the principal sees it; only its mark if that is still the `known` one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn peek_node(
        &self,
        principal: &Principal,
        node: &NodeRef,
        known: Option<Mark>,
    ) -> Result<Option<(Mark, Option<Node>)>, StoreError> {
        let (row, revision) = known.map_or((0, 0), |mark| (mark.row, document::signed(mark.revision.0)));
        let mut query = QueryBuilder::new("SELECT n.id, n.uuid, CASE WHEN n.id = ");
        query.push_bind(row).push(" AND n.revision = ").push_bind(revision);
        query.push(" THEN NULL ELSE n.doc END, n.reservation, n.revision, n.fence FROM nodes n WHERE ");
        match node {
            NodeRef::Uuid(id) => query.push("n.uuid = ").push_bind(id.to_string()),
            NodeRef::Name(name) => query.push("n.name = ").push_bind(name.clone()),
        };
        Visibility::of(principal).push(&mut query);
        let found: Option<Numbered> = query.build_query_as().fetch_optional(self.reads()).await?;
        found.map(|found| self.opened(found)).transpose()
    }

    /// The UUID of the node that is called so, whoever may see it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn node_id(&self, node: &NodeRef) -> Result<Option<NodeId>, StoreError> {
        let query = match node {
            NodeRef::Uuid(id) => sqlx::query_scalar("SELECT uuid FROM nodes WHERE uuid = $1").bind(id.to_string()),
            NodeRef::Name(name) => sqlx::query_scalar("SELECT uuid FROM nodes WHERE name = $1").bind(name.clone()),
        };
        let found: Option<String> = query.fetch_optional(self.reads()).await?;
        found.map(|text| document::parse("node", &text).map(NodeId)).transpose()
    }

    /// The node that has a port with one of these MAC addresses (lower case); nothing if several have. Give at most some hundreds.
    ///
    /// # Errors
    /// The database fails.
    pub async fn peek_node_with_addresses(&self, addresses: &[String]) -> Result<Option<(Mark, NodeId)>, StoreError> {
        if addresses.is_empty() {
            return Ok(None);
        }
        let mut query = QueryBuilder::new(
            "SELECT n.id, n.revision, n.uuid FROM nodes n WHERE n.uuid IN (SELECT p.node FROM ports p WHERE p.address IN (",
        );
        let mut list = query.separated(", ");
        for address in addresses {
            list.push_bind(address.to_ascii_lowercase());
        }
        query.push(")) LIMIT 2");
        let mut rows: Vec<(i64, i64, String)> = query.build_query_as().fetch_all(self.reads()).await?;
        let row = rows.pop().filter(|_| rows.is_empty());
        row.map(|(row, revision, uuid)| Ok((mark(row, revision), NodeId(document::parse("node", &uuid)?)))).transpose()
    }

    /// The marks of a page of nodes, in the order asked for.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn peek_nodes(&self, principal: &Principal, asked: &NodeQuery) -> Result<Vec<Mark>, StoreError> {
        let mut query = QueryBuilder::new("SELECT n.id, n.revision FROM nodes n");
        asked.push(principal, &mut query)?;
        let rows: Vec<(i64, i64)> = query.build_query_as().fetch_all(self.reads()).await?;
        self.check_marker(principal, asked, rows.is_empty()).await?;
        Ok(rows.into_iter().map(|(row, revision)| mark(row, revision)).collect())
    }

    /// The nodes of these rows that are there, that the principal sees and that pass the filter still, in any order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn nodes_of_rows(&self, principal: &Principal, filter: &NodeFilter, rows: &[i64]) -> Result<Vec<(Mark, Node)>, StoreError> {
        let mut nodes = Vec::with_capacity(rows.len());
        for some in rows.chunks(AT_ONCE) {
            let mut query =
                QueryBuilder::new("SELECT n.id, n.uuid, n.doc, n.reservation, n.revision, n.fence FROM nodes n WHERE n.id IN (");
            let mut list = query.separated(", ");
            for row in some {
                list.push_bind(*row);
            }
            query.push(")");
            Visibility::of(principal).push(&mut query);
            filter.push(&mut query);
            // Its text is another one for each number of rows.
            let found: Vec<Numbered> = query.build_query_as().persistent(false).fetch_all(self.reads()).await?;
            for found in found {
                if let (mark, Some(node)) = self.opened(found)? {
                    nodes.push((mark, node));
                }
            }
        }
        Ok(nodes)
    }

    fn opened(&self, found: Numbered) -> Result<(Mark, Option<Node>), StoreError> {
        let (number, uuid, doc, reservation, revision, fence) = found;
        let opened = |doc| -> Result<Node, StoreError> {
            let row: Row = (uuid, doc, reservation, revision, fence);
            Ok(stored(self.keys(), row)?.value)
        };
        Ok((mark(number, revision), doc.map(opened).transpose()?))
    }

    /// A page of nodes that have these fields, which are some of [`COLUMNS`], and whose UUIDs are known; all else is as in a new node.
    /// No document is opened.
    ///
    /// # Errors
    /// As [`Store::peek_nodes`].
    pub async fn nodes_by_columns(&self, principal: &Principal, asked: &NodeQuery, fields: &[&str]) -> Result<Vec<Node>, StoreError> {
        let columns: Vec<&'static str> = COLUMNS.iter().copied().filter(|column| *column == "uuid" || fields.contains(column)).collect();
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("SELECT ");
        for (place, column) in columns.iter().enumerate() {
            query.push(if place == 0 { "n." } else { ", n." }).push(*column);
        }
        query.push(" FROM nodes n");
        asked.push(principal, &mut query)?;
        let rows = query.build().fetch_all(self.reads()).await?;
        self.check_marker(principal, asked, rows.is_empty()).await?;
        rows.iter().map(|row| of_columns(row, &columns)).collect()
    }

    /// After a marker that is not there comes nothing, so only then is it looked for; whoever does not see all nodes learns nothing
    /// by one that it does not see.
    pub(crate) async fn check_marker(&self, principal: &Principal, asked: &NodeQuery, nothing: bool) -> Result<(), StoreError> {
        let Some(marker) = asked.marker.filter(|_| nothing || Visibility::of(principal) != Visibility::All) else { return Ok(()) };
        let mut query = QueryBuilder::new("SELECT n.id FROM nodes n WHERE n.uuid = ");
        query.push_bind(marker.to_string());
        Visibility::of(principal).push(&mut query);
        let found: Option<i64> = query.build_query_scalar().fetch_optional(self.reads()).await?;
        found.map(drop).ok_or_else(|| StoreError::UnknownMarker(marker.to_string()))
    }
}

fn of_columns(row: &SqliteRow, columns: &[&'static str]) -> Result<Node, StoreError> {
    let nothing = Interfaces {
        bios: String::new(),
        boot: String::new(),
        console: String::new(),
        deploy: String::new(),
        firmware: String::new(),
        inspect: String::new(),
        management: String::new(),
        network: String::new(),
        power: String::new(),
        raid: String::new(),
        rescue: String::new(),
        storage: String::new(),
        vendor: String::new(),
    };
    let mut node = Node::new(NodeId(Uuid::nil()), "", nothing, Timestamp::UNIX_EPOCH);
    for (place, column) in columns.iter().enumerate() {
        set(&mut node, column, row, place)?;
    }
    Ok(node)
}

fn set(node: &mut Node, column: &'static str, row: &SqliteRow, place: usize) -> Result<(), StoreError> {
    let text = || row.try_get::<Option<String>, _>(place);
    let uuid = || -> Result<Option<Uuid>, StoreError> { text()?.map(|text| document::parse(column, &text)).transpose() };
    let time = || -> Result<Option<Timestamp>, StoreError> { Ok(row.try_get::<Option<i64>, _>(place)?.map(document::moment)) };
    match column {
        "uuid" => node.uuid = NodeId(uuid()?.unwrap_or_default()),
        "name" => node.name = text()?,
        "driver" => node.driver = text()?.unwrap_or_default(),
        "instance_uuid" => node.instance_uuid = uuid()?,
        "instance_name" => node.instance_name = text()?,
        "chassis_uuid" => node.chassis_uuid = uuid()?,
        "provision_state" => node.provision_state = document::parse(column, &text()?.unwrap_or_default())?,
        "target_provision_state" => {
            node.target_provision_state = text()?.map(|text| document::parse(column, &text)).transpose()?;
        }
        "provision_updated_at" => node.provision_updated_at = time()?,
        "power_state" => node.power_state = text()?.map(|text| document::parse(column, &text)).transpose()?,
        "target_power_state" => node.target_power_state = text()?.map(|text| document::parse(column, &text)).transpose()?,
        "maintenance" => node.maintenance = row.try_get(place)?,
        "fault" => node.fault = text()?,
        "resource_class" => node.resource_class = text()?,
        "conductor_group" => node.conductor_group = text()?.unwrap_or_default(),
        "conductor" => node.conductor = text()?,
        "owner" => node.owner = text()?,
        "lessee" => node.lessee = text()?,
        "shard" => node.shard = text()?,
        "parent_node" => node.parent_node = uuid()?,
        "retired" => node.retired = row.try_get(place)?,
        "protected" => node.protected = row.try_get(place)?,
        "description" => node.description = text()?,
        "created_at" => node.created_at = time()?.unwrap_or_default(),
        "updated_at" => node.updated_at = time()?,
        _ => {}
    }
    Ok(())
}

//! Deploy templates and runbooks.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite};
use uuid::Uuid;
use wrought_domain::{DeployTemplate, Principal, Role, Runbook};

use crate::document::Table;
use crate::error::is_unique_violation;
use crate::query::{Page, Visibility};
use crate::{Duplicate, Store, StoreError, document};

mod kept {
    use super::{Table, Timestamp, Uuid};

    pub trait Kept {
        const TABLE: Table;
        /// The table's name.
        const ROWS: &'static str;
        fn uuid(&self) -> Uuid;
        fn name(&self) -> &str;
        /// When it was made, and changed last.
        fn times(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>);
        /// The project that it belongs to, and whether all see it.
        fn owner(&self) -> (Option<&str>, bool);
        fn taken_name(name: String) -> super::Duplicate;
    }
}

/// What operators keep under a name: [`DeployTemplate`] or [`Runbook`].
pub trait Recipe: kept::Kept + Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {}

impl Recipe for DeployTemplate {}
impl Recipe for Runbook {}

impl kept::Kept for DeployTemplate {
    const TABLE: Table = Table::DeployTemplates;
    const ROWS: &'static str = "deploy_templates";

    fn uuid(&self) -> Uuid {
        self.uuid
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn times(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>) {
        (&mut self.created_at, &mut self.updated_at)
    }
    fn owner(&self) -> (Option<&str>, bool) {
        (None, true)
    }
    fn taken_name(name: String) -> Duplicate {
        Duplicate::TemplateName(name)
    }
}

impl kept::Kept for Runbook {
    const TABLE: Table = Table::Runbooks;
    const ROWS: &'static str = "runbooks";

    fn uuid(&self) -> Uuid {
        self.uuid
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn times(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>) {
        (&mut self.created_at, &mut self.updated_at)
    }
    fn owner(&self) -> (Option<&str>, bool) {
        (self.owner.as_deref(), self.public)
    }
    fn taken_name(name: String) -> Duplicate {
        Duplicate::RunbookName(name)
    }
}

/// A page of templates or runbooks.
#[derive(Debug, Clone, Default)]
pub struct RecipeQuery {
    /// Rows at most; [`crate::DEFAULT_LIMIT`] if not given.
    pub limit: Option<u32>,
    /// The last one of the page before.
    pub marker: Option<Uuid>,
    /// `uuid`, `name`, `created_at` or `updated_at`; the order of creation if not given.
    pub sort_key: Option<String>,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Those of this project alone.
    pub project: Option<String>,
}

const SORT_KEYS: &[(&str, &str)] = &[("uuid", ""), ("name", ""), ("created_at", ""), ("updated_at", "0")];

type Row = (String, Vec<u8>);

/// Those that the principal sees, called `n` as [`Page`] wants it.
fn visible<R: Recipe>(principal: &Principal) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(format!("SELECT n.uuid, n.doc FROM {} n WHERE ", R::ROWS));
    match Visibility::of(principal) {
        Visibility::All => query.push("1 = 1"),
        Visibility::Project(project) => query.push("(n.public OR n.owner = ").push_bind(project.to_owned()).push(")"),
        Visibility::Nothing => query.push("n.public"),
    };
    query
}

/// Refuses a principal that may see but not change it: a project changes its own.
fn check_owner<R: Recipe>(principal: &Principal, recipe: &R) -> Result<(), StoreError> {
    let uses = principal.role() >= Some(Role::Member);
    let own = uses && (principal.project.is_none() || recipe.owner().0 == principal.project.as_deref());
    if own { Ok(()) } else { Err(missing::<R>(recipe.uuid())) }
}

fn missing<R: Recipe>(id: impl ToString) -> StoreError {
    StoreError::NotFound { what: R::TABLE.what(), id: id.to_string() }
}

fn explain<R: Recipe>(recipe: &R, error: sqlx::Error) -> StoreError {
    match is_unique_violation(&error) {
        true if error.to_string().contains(".name") => R::taken_name(recipe.name().to_owned()).into(),
        true => Duplicate::RecipeUuid(R::TABLE.what(), recipe.uuid()).into(),
        false => error.into(),
    }
}

impl Store {
    /// Adds a template or runbook.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] names what is taken; [`StoreError::NotFound`] for another project's.
    pub async fn add_recipe<R: Recipe>(&self, principal: &Principal, mut recipe: R) -> Result<R, StoreError> {
        check_owner(principal, &recipe)?;
        let doc = document::seal(self.keys(), R::TABLE, recipe.uuid(), &recipe)?;
        self.write(move |db| {
            Box::pin(async move {
                let sql = format!("INSERT INTO {} (uuid, name, created_at, owner, public, doc) VALUES ($1, $2, $3, $4, $5, $6)", R::ROWS);
                let created_at = recipe.times().0.as_microsecond();
                let query = sqlx::query(AssertSqlSafe(sql)).bind(recipe.uuid().to_string()).bind(recipe.name().to_owned());
                let (owner, public) = recipe.owner();
                let query = query.bind(created_at).bind(owner.map(str::to_owned)).bind(public).bind(doc);
                match query.execute(db).await {
                    Ok(_) => Ok(recipe),
                    Err(error) => Err(explain(&recipe, error)),
                }
            })
        })
        .await
    }

    /// The one of this UUID or name, if it is there and the principal sees it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn recipe<R: Recipe>(&self, principal: &Principal, ident: &str) -> Result<Option<R>, StoreError> {
        let mut query = visible::<R>(principal);
        match Uuid::parse_str(ident) {
            Ok(uuid) => query.push(" AND n.uuid = ").push_bind(uuid.to_string()),
            Err(_) => query.push(" AND n.name = ").push_bind(ident.to_owned()),
        };
        let row: Option<Row> = query.build_query_as().fetch_optional(self.reads()).await?;
        row.map(|(uuid, doc)| document::open(self.keys(), R::TABLE, uuid, &doc)).transpose()
    }

    /// A page of them.
    ///
    /// # Errors
    /// [`StoreError::UnknownMarker`], [`StoreError::UnknownSortKey`], or the database fails.
    pub async fn recipes<R: Recipe>(&self, principal: &Principal, asked: &RecipeQuery) -> Result<Vec<R>, StoreError> {
        if let Some(marker) = asked.marker
            && self.recipe::<R>(principal, &marker.to_string()).await?.is_none()
        {
            return Err(StoreError::UnknownMarker(marker.to_string()));
        }
        let mut query = visible::<R>(principal);
        if let Some(project) = &asked.project {
            query.push(" AND n.owner = ").push_bind(project.clone());
        }
        let page = Page {
            table: R::ROWS,
            keys: SORT_KEYS,
            sort_key: asked.sort_key.as_deref(),
            descending: asked.descending,
            marker: asked.marker.map(|uuid| uuid.to_string()),
            limit: asked.limit,
        };
        page.push(&mut query)?;
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|(uuid, doc)| document::open(self.keys(), R::TABLE, uuid, &doc)).collect()
    }

    /// The deploy templates of these names, by name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn templates_named(&self, names: &[String]) -> Result<Vec<DeployTemplate>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = visible::<DeployTemplate>(&Principal::host());
        query.push(" AND n.name IN (");
        let mut list = query.separated(", ");
        for name in names {
            list.push_bind(name.clone());
        }
        query.push(") ORDER BY n.name");
        let rows: Vec<Row> = query.build_query_as().fetch_all(self.reads()).await?;
        rows.into_iter().map(|(uuid, doc)| document::open(self.keys(), Table::DeployTemplates, uuid, &doc)).collect()
    }

    /// Writes one that was read as `before`; sets `updated_at`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody changed it since, [`StoreError::Duplicate`], [`StoreError::NotFound`].
    pub async fn update_recipe<R: Recipe>(&self, principal: &Principal, before: &R, mut after: R) -> Result<R, StoreError> {
        check_owner(principal, before)?;
        check_owner(principal, &after)?;
        let mut before = before.clone();
        *after.times().0 = *before.times().0;
        let now = Timestamp::now();
        *after.times().1 = Some(now);
        let doc = document::seal(self.keys(), R::TABLE, before.uuid(), &after)?;
        let keys = std::sync::Arc::clone(self.keys());
        self.write(move |db| {
            Box::pin(async move {
                let id = before.uuid().to_string();
                let sql = AssertSqlSafe(format!("SELECT uuid, doc FROM {} WHERE uuid = $1", R::ROWS));
                let found: Option<Row> = sqlx::query_as(sql).bind(id.clone()).fetch_optional(&mut *db).await?;
                let (uuid, stored) = found.ok_or_else(|| missing::<R>(&id))?;
                if document::open::<R>(&keys, R::TABLE, uuid, &stored)? != before {
                    return Err(StoreError::Stale { what: R::TABLE.what(), id });
                }
                let sql = format!("UPDATE {} SET name = $2, updated_at = $3, owner = $4, public = $5, doc = $6 WHERE uuid = $1", R::ROWS);
                let (owner, public) = after.owner();
                let query = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(after.name().to_owned()).bind(now.as_microsecond());
                match query.bind(owner.map(str::to_owned)).bind(public).bind(doc).execute(db).await {
                    Ok(_) => Ok(after),
                    Err(error) => Err(explain(&after, error)),
                }
            })
        })
        .await
    }

    /// Removes one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or the database fails.
    pub async fn delete_recipe<R: Recipe>(&self, principal: &Principal, recipe: &R) -> Result<(), StoreError> {
        check_owner(principal, recipe)?;
        let id = recipe.uuid();
        self.write(move |db| {
            Box::pin(async move {
                let sql = AssertSqlSafe(format!("DELETE FROM {} WHERE uuid = $1", R::ROWS));
                let done = sqlx::query(sql).bind(id.to_string()).execute(db).await?;
                if done.rows_affected() == 0 { Err(missing::<R>(id)) } else { Ok(()) }
            })
        })
        .await
    }
}

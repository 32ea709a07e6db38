//! Several statements in one trip.

use futures::TryStreamExt;
use sqlx::error::BoxDynError;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type};

/// Statements that go to the database's thread together: a trip there and back costs more than most of them. The text is one of
/// few, so the database keeps it prepared.
#[derive(Default)]
pub(crate) struct Script {
    sql: String,
    values: SqliteArguments,
    unbound: Option<BoxDynError>,
}

impl Script {
    /// Adds a statement; its values, one for each `?`, follow by [`Script::bind`].
    pub(crate) fn add(&mut self, sql: &'static str) -> &mut Self {
        if !self.sql.is_empty() {
            self.sql.push_str("; ");
        }
        self.sql.push_str(sql);
        self
    }

    /// The next value.
    pub(crate) fn bind<'t>(&mut self, value: impl Encode<'t, Sqlite> + Type<Sqlite>) -> &mut Self {
        if let Err(error) = self.values.add(value) {
            self.unbound = Some(error);
        }
        self
    }

    fn query(self) -> Result<Query<'static, Sqlite, SqliteArguments>, sqlx::Error> {
        match self.unbound {
            Some(error) => Err(sqlx::Error::Encode(error)),
            None => Ok(sqlx::query_with(AssertSqlSafe(self.sql), self.values)),
        }
    }

    /// Runs the statements in their order, up to the first that fails.
    pub(crate) async fn run(self, db: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        if self.sql.is_empty() {
            return Ok(());
        }
        self.query()?.execute(db).await.map(drop)
    }

    /// The same, where the first statement has to find a row: that row. Without it, what the other statements did must not be kept,
    /// so the unit has to be refused.
    pub(crate) async fn run_if(self, db: &mut SqliteConnection) -> Result<Option<SqliteRow>, sqlx::Error> {
        let mut steps = db.fetch_many(self.query()?);
        let Some(Either::Right(row)) = steps.try_next().await? else { return Ok(None) };
        while steps.try_next().await?.is_some() {}
        Ok(Some(row))
    }
}

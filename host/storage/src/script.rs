//! Several statements in one trip.

use futures::TryStreamExt;
use futures::stream::BoxStream;
use sqlx::error::BoxDynError;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type};

/// The row of a script's first statement.
pub(crate) type Found = Result<Option<SqliteRow>, sqlx::Error>;

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

    /// Runs them, where the first one has to find a row: that row. Without it, what the others did must not be kept.
    pub(crate) async fn run_if(self, db: &mut SqliteConnection) -> Found {
        first_row(&mut db.fetch_many(self.query()?)).await
    }

    /// The same after statements without values, whose error is told apart.
    pub(crate) async fn run_after(mut self, before: [&str; 2], db: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
        self.sql = format!("{}; {}", before.join("; "), self.sql);
        let mut steps = db.fetch_many(self.query()?);
        for _ in before {
            steps.try_next().await?;
        }
        Ok(first_row(&mut steps).await)
    }
}

type Steps<'a> = BoxStream<'a, Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>>;

async fn first_row(steps: &mut Steps<'_>) -> Found {
    let Some(Either::Right(row)) = steps.try_next().await? else { return Ok(None) };
    while steps.try_next().await?.is_some() {}
    Ok(Some(row))
}

//! The limits of drivers' calls that an operator set.

use wrought_domain::DriverName;
use wrought_domain::Map;

use crate::{Store, StoreError, document};

impl Store {
    /// What was set for each driver.
    ///
    /// # Errors
    /// The database fails.
    pub async fn driver_limits(&self) -> Result<Vec<(DriverName, Map)>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT name, doc FROM driver_limits ORDER BY name").fetch_all(self.reads()).await?;
        rows.into_iter()
            .map(|(name, doc)| Ok((document::parse("limits of driver", &name)?, document::read("limits of driver", &name, &doc)?)))
            .collect()
    }

    /// Sets a driver's limits in place of what was set before; an empty map sets none.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_driver_limits(&self, name: &DriverName, limits: &Map) -> Result<(), StoreError> {
        let doc = if limits.is_empty() { None } else { Some(document::write("limits of driver", limits)?) };
        let name = name.to_string();
        self.write(move |db| {
            Box::pin(async move {
                match doc {
                    None => sqlx::query("DELETE FROM driver_limits WHERE name = $1").bind(name).execute(db).await?,
                    Some(doc) => {
                        let sql =
                            "INSERT INTO driver_limits (name, doc) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc";
                        sqlx::query(sql).bind(name).bind(doc).execute(db).await?
                    }
                };
                Ok(())
            })
        })
        .await
    }
}

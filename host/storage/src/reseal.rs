//! Seals what is not sealed with the key in use: the documents of a database from before they were sealed, and all of them when
//! the key is changed. Killed at any instant, it goes on at the next start.

use std::path::{Path, PathBuf};

use sqlx::{Connection, SqliteConnection};

use crate::document::Table;
use crate::key_file::{KeyError, KeyFile};
use crate::seal::{KeyId, KeyRing, SealError, sealed_with};
use crate::{Durability, StoreError, connect, document, take};

/// Documents in one transaction.
const BATCH: i64 = 200;

/// What the proof of a key holds.
const PROOF: &[u8] = b"wrought";

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key in use now.
    pub key: String,
    /// The keys that are not in the key file any more.
    pub dropped: Vec<String>,
    /// Documents in the database, which are all sealed with the key in use.
    pub documents: u64,
    /// The key file.
    pub key_file: PathBuf,
}

/// How far a rotation is: documents done, and all that there are.
pub type RotationProgress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

/// Seals the database of the data folder `dir` with a new key, or goes on with a rotation that was cut off. The key file, by
/// default `secrets.key` in the folder, holds the old and the new key until every document is sealed with the new one. No host may
/// run on the folder.
///
/// # Errors
/// A process has the folder, there is no database, or the key file is no use.
pub async fn rotate(dir: &Path, key_file: Option<&Path>, progress: RotationProgress<'_>) -> Result<Rotation, StoreError> {
    let path = dir.join(crate::DATABASE);
    if let Err(error) = std::fs::metadata(&path) {
        return Err(StoreError::folder(path, error));
    }
    let _lock = take(dir)?;
    let mut db = connect(&path, Durability::Full).await?;
    let file = KeyFile { path: crate::key_path(dir, key_file), database: path };
    let mut ring = unlock(&mut db, &file).await?;
    if ring.keys().len() == 1 || complete(&mut db, &ring).await? {
        ring = ring.renewed().map_err(KeyError::from)?;
        file.write(&ring)?;
        register(&mut db, &ring).await?;
    }
    let documents = reseal(&mut db, &ring, Plain::Refuse, progress).await?;
    settle(&mut db, &ring).await?;
    let (ring, dropped) = ring.without_old();
    file.write(&ring)?;
    db.close().await?;
    let key = ring.in_use().map(|id| id.to_string()).unwrap_or_default();
    Ok(Rotation { key, dropped: dropped.iter().map(KeyId::to_string).collect(), documents, key_file: file.path })
}

/// The keys of the database, which is left as it is.
pub(crate) async fn keys(db: &mut SqliteConnection, file: &KeyFile) -> Result<KeyRing, StoreError> {
    let seals: Vec<Seal> = sqlx::query_as("SELECT key_id, proof, complete FROM seals").fetch_all(db).await?;
    let ring = file.read()?.ok_or_else(|| file.missing())?;
    prove(&ring, &seals, file)?;
    Ok(ring)
}

/// A key that documents are sealed with: its id, what proves it, and whether all documents are sealed with it.
type Seal = (String, Vec<u8>, bool);

fn prove(ring: &KeyRing, seals: &[Seal], file: &KeyFile) -> Result<(), StoreError> {
    for (id, proof, _) in seals {
        match ring.open(&proof_place(id), proof) {
            Ok(proven) if proven.as_slice() == PROOF => {}
            _ => return Err(file.wrong(id).into()),
        }
    }
    Ok(())
}

/// The keys of the database, made if it has none yet; then everything in it is sealed with one of them.
pub(crate) async fn unlock(db: &mut SqliteConnection, file: &KeyFile) -> Result<KeyRing, StoreError> {
    let seals: Vec<Seal> = sqlx::query_as("SELECT key_id, proof, complete FROM seals").fetch_all(&mut *db).await?;
    let ring = match file.read()? {
        Some(ring) => ring,
        None if seals.is_empty() => {
            let ring = KeyRing::default().renewed().map_err(KeyError::from)?;
            file.write(&ring)?;
            tracing::info!(path = %file.path.display(), "a key was made that documents are sealed with; keep a copy of it apart from the data folder");
            ring
        }
        None => return Err(file.missing().into()),
    };
    prove(&ring, &seals, file)?;
    register(db, &ring).await?;
    if !seals.iter().any(|(_, _, complete)| *complete) {
        let sealed = reseal(db, &ring, Plain::Seal, &mut |_, _| {}).await?;
        settle(db, &ring).await?;
        if sealed > 0 {
            tracing::info!(documents = sealed, "the database of an earlier version is sealed now");
        }
    }
    Ok(ring)
}

fn proof_place(id: &str) -> String {
    format!("seals/{id}")
}

/// Notes that documents may be sealed with the key in use, before the first one is.
async fn register(db: &mut SqliteConnection, ring: &KeyRing) -> Result<(), StoreError> {
    let Some(id) = ring.in_use().map(|id| id.to_string()) else { return Ok(()) };
    let proof = ring.seal::<KeyError>(&proof_place(&id), |buffer| {
        buffer.extend(PROOF);
        Ok(())
    })?;
    let sql = "INSERT INTO seals (key_id, proof, complete) VALUES ($1, $2, FALSE) ON CONFLICT (key_id) DO NOTHING";
    sqlx::query(sql).bind(id).bind(proof).execute(db).await?;
    Ok(())
}

/// Whether everything is sealed with the key in use.
async fn complete(db: &mut SqliteConnection, ring: &KeyRing) -> Result<bool, StoreError> {
    let id = ring.in_use().map(|id| id.to_string());
    let query = sqlx::query_scalar("SELECT complete FROM seals WHERE key_id = $1").bind(id);
    Ok(query.fetch_optional(db).await?.unwrap_or(false))
}

/// What to do with a document that is not sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    Seal,
    Refuse,
}

/// Seals every document with the key in use; how many there are.
async fn reseal(db: &mut SqliteConnection, ring: &KeyRing, plain: Plain, progress: RotationProgress<'_>) -> Result<u64, StoreError> {
    let mut all = 0;
    for table in Table::ALL {
        let count: i64 = sqlx::query_scalar(table.count()).fetch_one(&mut *db).await?;
        all += document::unsigned(count);
    }
    let mut done = 0;
    progress(done, all);
    for table in Table::ALL {
        let mut after = 0_i64;
        loop {
            let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
            let query = sqlx::query_as(table.page()).bind(after).bind(BATCH);
            let rows: Vec<(i64, String, Vec<u8>)> = query.fetch_all(&mut *transaction).await?;
            let Some((last, _, _)) = rows.last() else { break };
            after = *last;
            for (row, id, bytes) in rows {
                if let Some(sealed) = sealed_anew(ring, table, &id, &bytes, plain)? {
                    sqlx::query(table.put()).bind(sealed).bind(row).execute(&mut *transaction).await?;
                }
                done += 1;
            }
            transaction.commit().await?;
            progress(done, all);
        }
    }
    Ok(all)
}

/// The document under the key in use; nothing when it is already.
fn sealed_anew(ring: &KeyRing, table: Table, id: &str, bytes: &[u8], plain: Plain) -> Result<Option<Vec<u8>>, StoreError> {
    let place = table.place(id);
    let document = match sealed_with(bytes) {
        Some(key) if Some(key) == ring.in_use() => return Ok(None),
        None if plain == Plain::Seal && bytes.starts_with(b"{") => bytes.to_vec().into(),
        _ => ring.open(&place, bytes).map_err(|error| document::unreadable(table.what(), id, error.to_string()))?,
    };
    let sealed = ring.seal::<SealError>(&place, |buffer| {
        buffer.extend(document.as_slice());
        Ok(())
    });
    sealed.map(Some).map_err(|_| StoreError::Unwritable(table.what()))
}

/// Leaves nothing in the files of what was replaced, and notes that everything is sealed with the key in use.
async fn settle(db: &mut SqliteConnection, ring: &KeyRing) -> Result<(), StoreError> {
    sqlx::query("VACUUM").execute(&mut *db).await?;
    // The log still has pages from before.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *db).await?;
    let id = ring.in_use().map(|id| id.to_string());
    let mut transaction = db.begin().await?;
    sqlx::query("UPDATE seals SET complete = TRUE WHERE key_id = $1").bind(id.clone()).execute(&mut *transaction).await?;
    sqlx::query("DELETE FROM seals WHERE key_id <> $1").bind(id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

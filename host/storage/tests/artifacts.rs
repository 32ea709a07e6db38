//! What is known of files for drivers.
#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use wrought_domain::{ArtifactName, Digest};
use wrought_storage::{Artifact, Durability, Store, StoreError};

fn artifact(name: &str, byte: u8) -> Artifact {
    Artifact {
        name: name.parse().unwrap(),
        digest: Digest::from_sha256([byte; 32]),
        size: 7,
        uploaded_at: Timestamp::UNIX_EPOCH,
        uploaded_by: "me".into(),
        uploaded_from: Some("192.0.2.1".into()),
        url_until: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn a_name_keeps_its_bytes_and_bytes_stay_while_a_name_or_a_url_leads_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
    let name = |text: &str| text.parse::<ArtifactName>().unwrap();
    let now = Timestamp::now();
    assert_eq!(store.put_artifact(&artifact("b", 1)).await.unwrap(), artifact("b", 1));
    assert_eq!(store.put_artifact(&artifact("b", 2)).await.unwrap(), artifact("b", 1), "the first one stays");
    store.put_artifact(&artifact("a", 1)).await.unwrap();
    assert_eq!(store.artifacts().await.unwrap(), [artifact("a", 1), artifact("b", 1)]);

    let digest = artifact("a", 1).digest;
    let until = Timestamp::from_microsecond((now + SignedDuration::from_mins(1)).as_microsecond()).unwrap();
    assert!(store.note_artifact_url(&digest, until).await.unwrap());
    assert!(store.note_artifact_url(&digest, now).await.unwrap());
    assert!(!store.note_artifact_url(&Digest::from_sha256([9; 32]), until).await.unwrap());
    assert_eq!(store.artifacts().await.unwrap()[0].url_until, until, "it never comes nearer");

    assert!(!store.delete_artifact(&name("a"), now).await.unwrap(), "another name has the bytes");
    let refused = store.delete_artifact(&name("b"), now).await.unwrap_err();
    assert!(matches!(refused, StoreError::Referenced { .. }) && refused.to_string().contains("URL"), "{refused}");
    assert!(store.delete_artifact(&name("b"), until).await.unwrap());
    assert!(matches!(store.delete_artifact(&name("b"), now).await.unwrap_err(), StoreError::NotFound { .. }));
    assert!(store.artifacts().await.unwrap().is_empty());
}

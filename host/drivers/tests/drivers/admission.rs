//! A bad upload never becomes a driver, and the operator is told what is wrong with it.

use std::sync::Arc;

use futures::stream;
use minisign::KeyPair;
use wrought_drivers::admission::{Signature, Stage, digest};
use wrought_drivers::{
    Admitted, Catalog, Compiler, ComponentLimits, DriversConfig, Rejected, Rejection, Runtime, SignaturePolicy, shipped,
};

use crate::host::{limits, load, runtime};

/// A component with these imports that claims to be a driver.
fn claims_to_be_a_driver(imports: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(component {imports} (instance $driver) (export "baremetal:deploy/driver@0.1.0" (instance $driver)))"#))
        .unwrap()
}

/// A component around core modules that claims to be a driver.
fn with_modules(modules: &str) -> Vec<u8> {
    claims_to_be_a_driver(modules)
}

async fn refusal(bytes: Vec<u8>) -> Rejection {
    load(runtime().await, &bytes).await.unwrap_err()
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused() {
    assert!(matches!(refusal(b"MZ\x90 this is a program".to_vec()).await, Rejection::NotWasm(_)));
    assert!(matches!(refusal(b"\0asm\x0d\0\x01\0\xff\xff\xff".to_vec()).await, Rejection::NotWasm(_)));
    assert_eq!(refusal(Vec::new()).await, Rejection::Empty);
    assert_eq!(refusal(wat::parse_str("(module)").unwrap()).await, Rejection::CoreModule);
    assert_eq!(refusal(vec![0; 65 << 20]).await, Rejection::TooLarge { limit_mib: 64 });
    let cut = shipped::FAKE[..shipped::FAKE.len() / 2].to_vec();
    assert!(matches!(refusal(cut).await, Rejection::NotWasm(_)));
}

#[tokio::test]
async fn a_component_that_is_no_driver_is_refused() {
    assert_eq!(refusal(wat::parse_str("(component)").unwrap()).await, Rejection::NoDriverInterface);
    let empty = refusal(claims_to_be_a_driver("")).await;
    assert!(matches!(&empty, Rejection::Contract(text) if text.contains("describe")), "{empty}");
}

#[tokio::test]
async fn an_import_that_the_host_does_not_have_is_named() {
    for import in [
        "foo:bar/baz@1.0.0",
        "wasi:http/outgoing-handler@0.2.0",
        "baremetal:deploy/power@0.9.0",
        "baremetal:deploy/moon@0.1.0",
        "wasi:cli/run@0.3.0",
    ] {
        let refused = refusal(claims_to_be_a_driver(&format!(r#"(import "{import}" (instance))"#))).await;
        assert_eq!(refused, Rejection::UnknownImport { import: import.into() });
        assert!(refused.to_string().contains(import));
    }
}

#[tokio::test]
async fn what_a_component_imports_is_what_it_asks_for() {
    let asks = async |bytes: &[u8]| load(runtime().await, bytes).await.unwrap().requested.to_string();
    assert_eq!(asks(shipped::DIRECT).await, "agent,boot,image,network,power,report");
    assert_eq!(asks(shipped::FAKE).await, "report");
    assert_eq!(asks(shipped::NOOP).await, "");
    assert_eq!(asks(shipped::HOSTILE).await, "agent,artifact,boot,http,image,locking,network,power,redfish,report");
}

#[tokio::test]
async fn an_export_of_another_version_or_type_is_refused() {
    let text = r#"(component
        (instance $empty)
        (export "baremetal:deploy/driver@0.1.0" (instance $empty))
        (export "baremetal:deploy/deploy@0.2.0" (instance $empty)))"#;
    let refused = refusal(wat::parse_str(text).unwrap()).await;
    assert!(matches!(&refused, Rejection::Contract(text) if text.contains("deploy@0.2.0")), "{refused}");

    let odd_type = r#"(component
        (core module $code (func (export "describe")) (func (export "get-properties")))
        (core instance $code (instantiate $code))
        (func $describe (canon lift (core func $code "describe")))
        (func $get-properties (canon lift (core func $code "get-properties")))
        (instance $driver (export "describe" (func $describe)) (export "get-properties" (func $get-properties)))
        (export "baremetal:deploy/driver@0.1.0" (instance $driver)))"#;
    let refused = refusal(wat::parse_str(odd_type).unwrap()).await;
    assert!(matches!(&refused, Rejection::Contract(text) if text.contains("type")), "{refused}");
}

#[tokio::test]
async fn a_driver_that_lies_or_breaks_when_it_is_asked_who_it_is_is_refused() {
    for (mode, word) in
        [("odd-step", "unknown interface \"kitchen\""), ("double-step", "twice"), ("odd-base", "driver name"), ("no-version", "no version")]
    {
        let refused = refusal(shipped::hostile(mode, "0.1.0", "")).await;
        assert!(matches!(&refused, Rejection::Contract(text) if text.contains(word)), "{mode}: {refused}");
    }
    for (mode, word) in [
        ("loops", "300 ms of CPU time"),
        ("traps", "unreachable"),
        ("giant", "4096 KiB"),
        ("uses-task", "no import but log"),
        ("uses-power", "no import but log"),
    ] {
        let refused = refusal(shipped::hostile(mode, "0.1.0", "")).await;
        assert!(matches!(&refused, Rejection::Broken(text) if text.contains(word)), "{mode}: {refused}");
    }
    assert_eq!(load(runtime().await, &shipped::hostile("uses-log", "9.9.9", "")).await.unwrap().about.version, "9.9.9");
}

/// One limit, made small, and what goes beyond it.
type Beyond = (fn(&mut ComponentLimits), &'static str, &'static str);

#[tokio::test]
async fn each_static_limit_has_words_of_its_own() {
    let nested = format!("{}{}", "(component ".repeat(4), ")".repeat(4));
    let large = format!("(core module (func {}))", "i32.const 1 drop ".repeat(1000));
    let beyond: [Beyond; 10] = [
        (|limits| limits.functions = 2, "functions", "(core module (func) (func)) (core module (func))"),
        (|limits| limits.memories = 1, "memories", "(core module (memory 1)) (core module (memory 1))"),
        (|limits| limits.tables = 1, "tables", "(core module (table 1 funcref) (table 1 funcref))"),
        (|limits| limits.globals = 1, "globals", "(core module (global i32 (i32.const 1)) (global i32 (i32.const 1)))"),
        (|limits| limits.data_segments = 1, "data_segments", r#"(core module (data "a") (data "b"))"#),
        (|limits| limits.modules = 1, "modules", "(core module) (core module)"),
        (|limits| limits.instances = 2, "instances", "(core module $m) (core instance (instantiate $m)) (core instance (instantiate $m))"),
        (|limits| limits.code_mib = 0, "code_mib", "(core module (func))"),
        (|limits| limits.function_kib = 1, "function_kib", Box::leak(large.into_boxed_str())),
        (|limits| limits.nesting = 3, "nesting", Box::leak(nested.into_boxed_str())),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (lower, key, modules) in beyond {
        let mut config = limits();
        lower(&mut config.component);
        let catalog = Catalog::open(Runtime::new(config, Compiler::InProcess).unwrap(), folder.path()).await.unwrap();
        let rejected = catalog.admit(with_modules(modules)).await.unwrap_err();
        assert!(matches!(&rejected.why, Rejection::TooMany { key: named, .. } if *named == key), "{key}: {rejected}");
        assert!(rejected.to_string().contains(&format!("drivers.component.{key}")), "{rejected}");
        assert_eq!(rejected.report.stages.last().map(|stage| (stage.stage, stage.ok)), Some((Stage::Check, false)));
        assert_eq!(catalog.runtime().compilations(), 0, "{key}: nothing is compiled beyond a limit");
    }
}

#[tokio::test]
async fn what_the_pool_cannot_hold_is_refused_and_its_code_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(runtime().await.clone(), folder.path()).await.unwrap();
    let crowd = format!("(core module $m) {}", "(core instance (instantiate $m))".repeat(100));
    let rejected = catalog.admit(with_modules(&crowd)).await.unwrap_err();
    assert!(matches!(&rejected.why, Rejection::Contract(text) if text.contains("core module instances")), "{rejected}");
    assert_eq!(rejected.report.stages.last().map(|stage| stage.stage), Some(Stage::Compile));
    assert_eq!(std::fs::read_dir(folder.path().join("aot")).unwrap().count(), 1, "the key alone");
}

#[tokio::test]
async fn every_stage_is_in_the_report_also_the_one_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(runtime().await.clone(), folder.path()).await.unwrap();
    let admitted = catalog.admit(shipped::FAKE).await.unwrap();
    let stages: Vec<Stage> = admitted.report.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(stages, [Stage::Upload, Stage::Verify, Stage::Parse, Stage::Check, Stage::Compile, Stage::Link, Stage::Smoke]);
    assert!(admitted.report.ok());
    assert_eq!(admitted.report.stages[0].details["digest"], serde_json::json!(digest(shipped::FAKE)));

    let rejected = catalog.admit(shipped::hostile("traps", "1.0.0", "")).await.unwrap_err();
    let last = rejected.report.stages.last().unwrap();
    assert_eq!((last.stage, last.ok, last.reason.clone()), (Stage::Smoke, false, Some(rejected.why.to_string())));
    assert!(rejected.report.stages.iter().rev().skip(1).all(|stage| stage.ok));
}

/// A host that trusts these keys.
async fn trusting(policy: SignaturePolicy, keys: &[&KeyPair]) -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().unwrap();
    let trusted_keys = keys.iter().map(|pair| pair.pk.to_base64()).collect();
    let config = DriversConfig { signature_policy: policy, trusted_keys, ..limits() };
    let runtime = Runtime::new(config, Compiler::InProcess).unwrap();
    let catalog = Catalog::open(runtime, folder.path()).await.unwrap();
    (folder, catalog)
}

fn sign(pair: &KeyPair, bytes: &[u8]) -> String {
    minisign::sign(None, &pair.sk, bytes, Some("acme 1.0.0"), None).unwrap().to_string()
}

async fn judge(catalog: &Catalog, bytes: &[u8], signature: Option<&str>) -> Result<Admitted, Box<Rejected>> {
    let whole = stream::iter([Ok::<_, std::io::Error>(bytes.to_vec().into())]);
    catalog.judge(catalog.receive(None, whole).await?, signature).await
}

#[tokio::test]
async fn only_what_a_trusted_key_signed_passes_where_a_signature_is_required() {
    let (ours, theirs) = (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let (_folder, catalog) = trusting(SignaturePolicy::Require, &[&ours]).await;
    let bytes = shipped::hostile("honest", "1.0.0", "");
    let signature = sign(&ours, &bytes);

    assert_eq!(judge(&catalog, &bytes, None).await.unwrap_err().why, Rejection::NoSignature);
    let unknown = judge(&catalog, &bytes, Some(&sign(&theirs, &bytes))).await.unwrap_err().why;
    assert!(matches!(&unknown, Rejection::UnknownKey { key } if key.len() == 16), "{unknown}");
    let other = shipped::hostile("honest", "1.0.1", "");
    let tampered = judge(&catalog, &other, Some(&signature)).await.unwrap_err().why;
    assert!(matches!(tampered, Rejection::Tampered { .. }), "{tampered}");
    let changed = signature.replace("acme 1.0.0", "acme 2.0.0");
    assert!(matches!(judge(&catalog, &bytes, Some(&changed)).await.unwrap_err().why, Rejection::Tampered { .. }));
    for malformed in ["", "what is this", signature.lines().next().unwrap(), &"x".repeat(5000)] {
        let refused = judge(&catalog, &bytes, Some(malformed)).await.unwrap_err().why;
        assert!(matches!(refused, Rejection::MalformedSignature(_)), "{refused}");
    }
    assert_eq!(catalog.runtime().compilations(), 0, "what nobody vouches for is not compiled");

    let signed = judge(&catalog, &bytes, Some(&signature)).await.unwrap();
    assert!(matches!(&signed.signature, Signature::Trusted { comment, .. } if comment == "acme 1.0.0"), "{:?}", signed.signature);
    assert_eq!(judge(&catalog, &bytes, None).await.unwrap_err().why, Rejection::NoSignature, "known bytes are no exception");
    assert_eq!(judge(&catalog, shipped::FAKE, None).await.unwrap().signature, Signature::Shipped, "the host vouches for its own");
}

#[tokio::test]
async fn what_is_not_signed_passes_with_a_warning_and_what_is_tampered_with_does_not() {
    let (ours, theirs) = (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let (_folder, catalog) = trusting(SignaturePolicy::Warn, &[&ours]).await;
    let bytes = shipped::hostile("honest", "1.0.0", "");
    let warning = |admitted: &Admitted| admitted.report.stages[1].warning.clone();

    let unsigned = judge(&catalog, &bytes, None).await.unwrap();
    assert_eq!((&unsigned.signature, warning(&unsigned).as_deref()), (&Signature::Unsigned, Some("it is not signed")));
    let unknown = judge(&catalog, &bytes, Some(&sign(&theirs, &bytes))).await.unwrap();
    assert!(matches!(unknown.signature, Signature::UnknownKey { .. }) && warning(&unknown).is_some());
    let signed = judge(&catalog, &bytes, Some(&sign(&ours, &bytes))).await.unwrap();
    assert!(matches!(signed.signature, Signature::Trusted { .. }) && warning(&signed).is_none());
    let tampered = judge(&catalog, &bytes, Some(&sign(&ours, b"something else"))).await.unwrap_err().why;
    assert!(matches!(tampered, Rejection::Tampered { .. }), "{tampered}");

    let (_folder, careless) = trusting(SignaturePolicy::Off, &[]).await;
    assert_eq!(judge(&careless, &bytes, Some("what is this")).await.unwrap().signature, Signature::Unchecked);
}

#[tokio::test]
async fn trusted_keys_are_keys_or_files_and_a_wrong_one_is_named() {
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vendor.pub");
    std::fs::write(&file, pair.pk.to_box().unwrap().to_string()).unwrap();
    let open = async |key: String| {
        let config = DriversConfig { trusted_keys: vec![key], signature_policy: SignaturePolicy::Require, ..limits() };
        Catalog::open(Runtime::new(config, Compiler::InProcess).unwrap(), &folder.path().join("drivers")).await
    };
    let catalog = Arc::new(open(file.display().to_string()).await.unwrap());
    let bytes = shipped::hostile("honest", "1.0.0", "");
    judge(&catalog, &bytes, Some(&sign(&pair, &bytes))).await.unwrap();
    let wrong = open("RWnothing".into()).await.err().unwrap();
    assert!(wrong.to_string().contains("\"RWnothing\" is neither a minisign public key nor the path of one"), "{wrong}");
}

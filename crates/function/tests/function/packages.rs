//! Packages: what is signed is what is opened, and each reason for a refusal.

use super::support::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeSet;
use voltmesh_function::{Host, MAX_COMPONENT_BYTES, Manifest, Package, Refusal};
use voltmesh_telemetry::{Digest, error_chain};

fn open(bytes: &Bytes) -> Result<Package, Refusal> {
    Package::open(bytes, &[publisher().verifying_key()], &BTreeSet::new())
}

fn refused(bytes: &Bytes, reason: &str) {
    let text = error_chain(&open(bytes).unwrap_err());
    assert!(text.starts_with(reason), "{text}");
}

/// Why a component that was duly signed is no function.
fn uncompiled(component: &[u8]) -> String {
    let package = open(&sign(&manifest(1), component)).unwrap();
    error_chain(&Host::new(4).unwrap().compile(&package).unwrap_err())
}

#[test]
fn what_is_signed_is_what_is_opened() {
    let package = open(&one()).unwrap();
    assert_eq!(package.manifest, manifest(1));
    assert_eq!(package.digest, Digest::of(ONE));
    assert_eq!(package.publisher, "tests");
    assert_eq!(package.component, ONE);
    assert_eq!(Package::digest_of(&one()), Some(Digest::of(ONE)));
}

#[test]
fn refused_unsigned() {
    let by_another = Package::sign(&manifest(1), ONE, "tests", &key(9)).unwrap().into();
    refused(&by_another, "unsigned: no publisher that is trusted");
    refused(&Bytes::from_static(ONE), "not a package");
}

#[test]
fn refused_withdrawn() {
    let withdrawn = BTreeSet::from([Digest::of(ONE)]);
    let error = Package::open(&one(), &[publisher().verifying_key()], &withdrawn).unwrap_err();
    assert!(matches!(error, Refusal::Withdrawn(digest) if digest == Digest::of(ONE)));
}

#[test]
fn refused_too_large() {
    let large = [ONE, &vec![0; MAX_COMPONENT_BYTES]].concat();
    assert!(matches!(
        Package::sign(&manifest(1), &large, "tests", &publisher()),
        Err(Refusal::Oversized { .. })
    ));
    let bytes = Bytes::from([&one()[..], &vec![0; MAX_COMPONENT_BYTES]].concat());
    refused(&bytes, "too large: component");
    refused(&Bytes::from(b"VMF1\xff\xff\xff\xff".to_vec()), "too large: the signed statement");
}

#[test]
fn refused_wrong_interface() {
    let mut manifest = manifest(1);
    manifest.wit.major = 2;
    assert!(matches!(manifest.check(), Err(Refusal::Interface { .. })));
    // The component says another version than the manifest: its own word counts.
    let wrong = replaced(ONE, b"types@1.0.0", b"types@2.0.0");
    assert!(uncompiled(&wrong).starts_with("wrong WIT version: it needs 2.0.0"), "{}", uncompiled(&wrong));
}

#[test]
fn refused_not_a_component() {
    let core = b"\0asm\x01\0\0\0";
    assert!(matches!(
        Package::sign(&manifest(1), core, "tests", &publisher()),
        Err(Refusal::NotAComponent(_))
    ));
    let mut broken = ONE.to_vec();
    broken.truncate(ONE.len() / 2);
    assert!(uncompiled(&broken).starts_with("not a component"), "{}", uncompiled(&broken));
}

#[test]
fn refused_where_the_compiler_panics() {
    let why = uncompiled(include_bytes!("../guest/nested.wasm"));
    assert!(why.starts_with("not a component: the compiler of this node gave up: "), "{why}");
    assert!(why.contains("multiple memories"), "{why}");
}

/// A section of a module or component.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &number(content.len()), content].concat()
}

/// LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let last = value < 0x80;
        bytes.push((value & 0x7f) as u8 | if last { 0 } else { 0x80 });
        value >>= 7;
        if last {
            return bytes;
        }
    }
}

/// A component with a core module of functions of these bodies.
fn of_bodies(bodies: &[Vec<u8>]) -> Vec<u8> {
    let code: Vec<u8> = bodies.iter().flat_map(|body| [number(body.len()), body.clone()].concat()).collect();
    let count = number(bodies.len());
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, &[&count[..], &vec![0; bodies.len()]].concat()),
        section(10, &[count, code].concat()),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

/// What a compiler would spend minutes and gigabytes on is refused before it begins.
#[test]
fn refused_of_an_extent_that_no_function_has() {
    let check = |what: &str, component: Vec<u8>| {
        let why = uncompiled(&component);
        assert!(why.starts_with("not a component: it has ") && why.contains(what), "{what}: {why}");
    };
    // `(component (instance (instantiate 0)) (instance (instantiate 0)))` around the one before, 24 times: 2^24 instances.
    let module = section(1, b"\0asm\x01\0\0\0");
    let mut doubled = [b"\0asm\x0d\0\x01\0".to_vec(), module, section(2, b"\x01\0\0\0")].concat();
    for _ in 0..7 {
        let twice = section(5, b"\x02\0\0\0\0\0\0");
        doubled = [b"\0asm\x0d\0\x01\0".to_vec(), section(4, &doubled), twice].concat();
    }
    check("14 instances of components", doubled.clone());
    for _ in 0..17 {
        doubled = [b"\0asm\x0d\0\x01\0".to_vec(), section(4, &doubled)].concat();
    }
    assert!(uncompiled(&doubled).contains("nested too deep"), "{}", uncompiled(&doubled));
    let empty = b"\0\x0b".to_vec();
    check("10001 functions", of_bodies(&vec![empty.clone(); 10_001]));
    let blocks = [&b"\0"[..], &b"\x02\x40\x0b".repeat(50_000), b"\x0b"].concat();
    check("bytes of one function", of_bodies(&[blocks]));
    // One group of 50,000 locals of 64 bits.
    let locals = |count: usize| [b"\x01".to_vec(), number(count), b"\x7e\x0b".to_vec()].concat();
    check("50000 locals of one function", of_bodies(&[locals(50_000)]));
    let body = [locals(1_000)[..4].to_vec(), b"\x01".repeat(100_000), b"\x0b".to_vec()].concat();
    check("bytes times locals", of_bodies(&[body.clone(), body]));
    // Up to the bounds it is compiled, and found to be no function.
    let small = of_bodies(&[locals(1_000), empty]);
    assert!(uncompiled(&small).starts_with("not a function of this interface"), "{}", uncompiled(&small));
}

#[test]
fn refused_foreign_imports() {
    // An interface's name of the same length, so that the component stays well formed.
    let wrong = replaced(ONE, b"voltmesh:function/types@1.0.0", b"wasi:filesystem/types@0.2.010");
    let wrong = if uncompiled(&wrong).starts_with("imports") {
        wrong
    } else {
        replaced(ONE, b"voltmesh:function/types@1.0.0", b"voltmesh:function/clock@1.0.0")
    };
    assert!(uncompiled(&wrong).starts_with("imports what the world does not have"), "{}", uncompiled(&wrong));
}

#[test]
fn refused_missing_exports() {
    let wrong = replaced(ONE, b"export-state", b"expert-state");
    assert!(uncompiled(&wrong).starts_with("not a function of this interface"), "{}", uncompiled(&wrong));
    // A component of nothing at all.
    let empty = b"\0asm\x0d\0\x01\0";
    assert!(uncompiled(empty).starts_with("not a function of this interface"), "{}", uncompiled(empty));
}

/// `from` by `to` wherever it stands.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut found = false;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
            found = true;
        }
    }
    assert!(found, "the component names what is replaced");
    bytes
}

const TOML: &str = r#"
name = "counter"
release = "1.0.0"
wit = "1.0.0"
state-version = 2
imports-state = [1]
memory-mib = 4
fuel = 1_000_000
capabilities = ["gpu"]
latency = "second"
failure = "withdraw"
description = "Counts."
method = "Counting."
source = "None."

[configuration]
type = "object"
properties.event_every = { type = "integer", minimum = 0 }
"#;

#[test]
fn a_manifest_is_read_and_encoded() {
    let manifest = Manifest::from_toml(TOML).unwrap();
    assert_eq!(manifest.imports_state, [1]);
    assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
    assert!(manifest.imports(1) && manifest.imports(2) && !manifest.imports(3));
}

#[test]
fn a_manifest_out_of_bounds_names_its_field() {
    let cases = [
        ("name = \"counter\"", "name = \"Counter\"", "name"),
        ("release = \"1.0.0\"", "release = \"1.0\"", "release"),
        ("release = \"1.0.0\"", "release = \"1.00.0\"", "release"),
        ("state-version = 2", "state-version = 1", "imports-state"),
        ("memory-mib = 4", "memory-mib = 65", "memory-mib"),
        ("memory-mib = 4", "memory-mib = 0", "memory-mib"),
        ("fuel = 1_000_000", "fuel = 1", "fuel"),
        ("fuel = 1_000_000", "fuel = 1_000_000_000", "fuel"),
        ("method = \"Counting.\"", "method = \" \"", "method"),
        ("type = \"object\"", "type = \"obiect\"", "configuration"),
        ("capabilities = [\"gpu\"]", "capabilities = [\"g p\"]", "capabilities"),
    ];
    for (from, to, field) in cases {
        assert!(TOML.contains(from));
        let error = Manifest::from_toml(&TOML.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(&error, Refusal::Manifest { field: found, .. } if *found == field), "{to}: {error}");
    }
    assert!(matches!(Manifest::from_toml(&format!("x = 1\n{TOML}")), Err(Refusal::Toml(_))));
}

proptest! {
    /// Any flipped bit is found.
    #[test]
    fn refused_altered(at in 0usize..1_000_000, bit in 0u8..8) {
        let mut bytes = one().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(open(&bytes.into()).is_err());
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let bytes = [b"VMF1\0\0\x01\0".to_vec(), bytes].concat();
        prop_assert!(open(&bytes.into()).is_err());
    }
}

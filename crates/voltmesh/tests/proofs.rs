//! The worked example of docs/proof.md: it verifies, with our own program and with pycose, and leads to the values that the
//! document states.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the document says that the script prints.
fn stated() -> Vec<String> {
    let document = std::fs::read_to_string(project().join("docs/proof.md")).unwrap();
    let example = document.split_once("```text\n").expect("the document has an example").1;
    let lines: Vec<String> = example.split("```").next().unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 7, "{lines:?}");
    lines
}

/// Runs the script on the example, after a change of the proof's bytes.
fn by_pycose(change: impl Fn(&mut Vec<u8>)) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (example, proof) = (project().join("docs/example"), folder.path().join("r.cose"));
    let mut bytes = std::fs::read(example.join("r.cose")).unwrap();
    change(&mut bytes);
    std::fs::write(&proof, bytes).unwrap();
    Command::new("python3")
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/proofs/check.py"))
        .args([proof, example.join("trust.toml")])
        .output()
        .unwrap()
}

#[test]
fn the_documents_example_verifies() {
    let output = Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .args(["verify", "r.cose", "--trust", "trust.toml"])
        .current_dir(project().join("docs/example"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("car-1/1/42"), "{said}");
}

#[test]
fn the_documents_example_holds_by_pycose() {
    let there = Command::new("python3").args(["-c", "import pycose, cbor2, tomllib"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: pycose is not installed (pip install pycose 'cbor2<6')");
        return;
    }
    let output = by_pycose(|_| {});
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for line in stated() {
        assert!(said.lines().any(|printed| printed == line), "{line:?} is not in {said}");
    }
    // The vehicle's signature ends the file.
    assert!(!by_pycose(|bytes| *bytes.last_mut().unwrap() ^= 1).status.success(), "an altered signature");
}

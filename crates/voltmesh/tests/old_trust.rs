//! A trust file that is older than what it is to judge: told from tampering by the cause, and by the exit code.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::path::Path;
use std::process::Command;

use commonware_cryptography::Signer as _;
use voltmesh_ledger::{
    Action, Anchor, Epoch, LogProof, Transaction, Trust,
    testing::{Chain, Vehicle, key},
};

/// A proof from epoch 5 of a chain whose first two authorities were rotated, with the trust file of the beginning
/// (`old.toml`) and the one of now (`new.toml`).
fn write_case(folder: &Path) -> Vec<u8> {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    let old: Vec<_> = (0..2).map(|n| chain.network.authority(n).public_key()).collect();
    (50..52).for_each(|n| chain.network.add_key(key(n)));
    let rotate =
        |n: usize| Action::RotateAuthority { old: old[n].clone(), new: key(50 + n as u64).public_key() };
    chain.act(vec![rotate(0), rotate(1)]);
    chain.enrol(&[ev.commitment()]);
    chain.advance_to(50);
    let batch = ev.batch(1, 0, 3, None);
    let set = chain.state.authorities_for(Epoch::new(5)).unwrap().clone();
    let author = (50..52).map(key).find(|key| set.contains(&key.public_key())).unwrap();
    let anchor = Anchor::sign(&chain.state.chain(), &author, 0, 1, vec![batch.id()]);
    let block = chain.push(vec![Transaction::Anchor(anchor)]);
    let log =
        LogProof::new(block.block.header().clone(), block.certificate.clone(), block.root_receipts.clone());
    let proof = chain.prove(chain.state.height().get(), &ev, &batch, 1).encode();
    let mut new = chain.trust();
    new.set_log(log).unwrap();
    std::fs::write(folder.join("old.toml"), Trust::from_genesis(chain.network.genesis().clone()).to_toml())
        .unwrap();
    std::fs::write(folder.join("new.toml"), new.to_toml()).unwrap();
    proof
}

fn verify(folder: &Path, proof: &[u8], trust: &str, more: &[&str]) -> (Option<i32>, String) {
    std::fs::write(folder.join("r.cose"), proof).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .args(["verify", "r.cose", "--trust", trust])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_old_trust_file_ends_with_4_and_tampering_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let proof = write_case(folder.path());
    let mut altered = proof.clone();
    *altered.last_mut().unwrap() ^= 1; // The vehicle's signature ends the file.
    let check = |proof: &[u8], trust: &str, code: i32, says: &str| {
        let (found, said) = verify(folder.path(), proof, trust, &[]);
        assert!(found == Some(code) && said.contains(says), "{trust}: {found:?} {said}");
    };
    check(&proof, "new.toml", 0, "ev-1/1/1");
    check(&proof, "old.toml", 4, "CANNOT TELL");
    check(
        &proof,
        "old.toml",
        4,
        "this trust file knows the authorities until epoch 1: refresh it with `voltmesh chain trust`",
    );
    check(&altered, "new.toml", 3, "NOT PROVEN");
    check(&altered, "old.toml", 3, "NOT PROVEN");
    let (_, json) = verify(folder.path(), &proof, "old.toml", &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["valid"], &json["stage"]), (&serde_json::Value::Null, &"authorities".into()), "{json}");
}

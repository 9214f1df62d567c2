//! Mutated proofs, evidence, blocks and trust files: no panic, one encoding, nothing false believed.
//!
//! Runs for 2 s; `FUZZ_SECONDS=60 FUZZ_SEED=7 cargo test -p voltmesh-ledger --test fuzz_receipts` runs longer and from
//! another seed.

use commonware_codec::Encode;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::{Duration, Instant};
use voltmesh_ledger::{
    ActEvidence, AnchorProof, AnchoredStatement, Block, Certificate, EventProof, Handover, Leaves, LogProof,
    PolicyAct, Proof, Trust, salted_digest,
    testing::{Chain, Vehicle},
};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

/// One to four changes: flip, set, insert, remove, repeat, cut, or a piece of another input.
fn mutate(rng: &mut StdRng, inputs: &[Vec<u8>], from: usize) -> Vec<u8> {
    let mut bytes = inputs[from].clone();
    for _ in 0..rng.random_range(1..=4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        let len = rng.random_range(1..=40).min(bytes.len() - at);
        match rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = [0, 1, 0x1b, 0x5b, 0x7f, 0x80, 0x9b, 0xfe, 0xff][rng.random_range(0..9)],
            2 => bytes.insert(at, rng.random()),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let piece = bytes[at..at + len].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => bytes.truncate(at),
            _ => {
                let other = &inputs[rng.random_range(0..inputs.len())];
                let start = rng.random_range(0..other.len());
                let end = (start + len).min(other.len());
                bytes.splice(at..at + len, other[start..end].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn mutated_inputs_do_no_harm() {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment()]);
    let batch = ev.batch(1, 0, 4, None);
    let evidence = chain.anchor(&[batch.id()]).evidence(&batch.id(), &ev.commitment()).expect("anchored");
    let proof = chain.prove(2, &ev, &batch, 1);
    chain.admit_controllers(1);
    let digests = [b"first".as_slice(), b"second"].map(|event| salted_digest(&[1; 16], event)).to_vec();
    let acts = vec![chain.events(2, digests.clone()), chain.policy(0, 1, 0, PolicyAct::TakeTerm)];
    let acts_block = chain.push(acts).block.clone();
    let act = chain.act_evidence(4, 0).expect("two acts");
    let event = EventProof::of_event([1; 16], "second".into(), &digests, 1, act.clone()).expect("two events");
    chain.advance_to(9);
    let block = &chain.blocks[1];
    let log =
        LogProof::new(block.block.header().clone(), block.certificate.clone(), block.root_receipts.clone());
    let statement = AnchoredStatement { statement: batch.wire().slice(..40), evidence: evidence.clone() };
    let mut trust = chain.trust();
    trust.set_log(log.clone()).expect("it holds");
    let inputs = [
        proof.encode(),
        evidence.to_bytes().to_vec(),
        chain.blocks[0].block.encode().to_vec(),
        chain.blocks[0].certificate.encode().to_vec(),
        chain.handovers()[0].to_bytes().to_vec(),
        trust.to_toml().into_bytes(),
        log.to_bytes().to_vec(),
        statement.to_bytes().to_vec(),
        Leaves::of(&block.block, 0).encode(),
        event.to_bytes(),
        act.to_bytes().to_vec(),
        acts_block.encode().to_vec(),
    ];
    let genesis = voltmesh_ledger::State::new(chain.network.genesis());
    let seed = number("FUZZ_SEED", 1);
    println!("FUZZ_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", 2));
    let mut rounds = 0u64;
    while Instant::now() < until {
        let from = rng.random_range(0..inputs.len());
        let bytes = mutate(&mut rng, &inputs, from);
        let same = bytes == inputs[from];
        // Everything reads everything: a proof's bytes are a strange block.
        if let Ok(read) = Proof::decode(&bytes) {
            assert_eq!(read.encode(), bytes);
            assert!(read.verify(&trust).is_err() || bytes == inputs[0], "a false proof is believed");
        }
        if let Ok(read) = AnchorProof::from_bytes(&bytes) {
            assert_eq!(read.to_bytes(), bytes);
            let found = read.verify(&trust, &batch.id(), &ev.commitment());
            assert!(found.is_err() || bytes == inputs[1], "false evidence is believed");
        }
        if let Ok(read) = Block::decode_bounded(&bytes) {
            assert_eq!(read.encode(), bytes);
            assert!(genesis.execute(&read).is_err() || same || from == 2);
        }
        if let Ok(read) = Certificate::decode_bounded(&bytes) {
            assert_eq!(read.encode(), bytes);
        }
        if let Ok(read) = Handover::from_bytes(&bytes) {
            assert_eq!(read.to_bytes(), bytes);
            let _ = trust.clone().extend(&read);
        }
        if let Ok(read) = LogProof::from_bytes(&bytes) {
            assert_eq!(read.to_bytes(), bytes);
            assert!(
                read.verify(&trust).is_err() || read.header == log.header,
                "a false extent of the log is believed"
            );
        }
        if let Ok(read) = AnchoredStatement::from_bytes(&bytes) {
            assert_eq!(read.to_bytes(), bytes);
            assert!(read.verify(&trust).is_err(), "a false statement is believed");
        }
        if let Ok(read) = Leaves::decode(&bytes) {
            assert_eq!(read.encode(), bytes);
        }
        if let Ok(read) = EventProof::from_bytes(&bytes) {
            assert_eq!(read.to_bytes(), bytes);
            assert!(read.verify(&trust).is_err() || bytes == inputs[9], "a false event is believed");
        }
        if let Ok(read) = ActEvidence::from_bytes(&bytes) {
            assert_eq!(read.to_bytes(), bytes);
            assert!(read.verify(&trust).is_err() || bytes == inputs[10], "a false act is believed");
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = Trust::from_toml(text);
        }
        rounds += 1;
    }
    println!("{rounds} inputs");
}

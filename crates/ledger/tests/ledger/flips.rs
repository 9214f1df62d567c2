//! Flipped bits in everything that people hold as proof: refused, or without any meaning.

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::Signer as _;
use std::{collections::BTreeSet, ops::Range};
use voltmesh_ledger::{
    Action, AnchorProof, AnchoredStatement, Attestation, Checkpoint, EventProof, Handover, Leaves, LogProof,
    PolicyAct, Proof, RegistryProof, Snapshot, TermEvidence, Trust, salted_digest,
    testing::{Chain, Network, Vehicle, key},
};
use voltmesh_telemetry::{Digest, RecordReceipt};

/// Bits among those in `bits` whose flip is not refused. Panics if one of them changes what the bytes mean.
fn unseen_among(
    kind: &str,
    bytes: &[u8],
    bits: &[usize],
    meaning: impl Fn(&[u8]) -> Option<String> + Sync,
) -> Vec<usize> {
    let meaning = |bytes: &[u8]| meaning(bytes).map(|text| Digest::of(text.as_bytes()));
    let expected = meaning(bytes).unwrap_or_else(|| panic!("{kind}: the bytes themselves are refused"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = |part: usize| {
        let (mut bytes, meaning, expected) = (bytes.to_vec(), &meaning, &expected);
        move || {
            let mut unseen = Vec::new();
            for &bit in bits.iter().skip(part).step_by(threads) {
                bytes[bit / 8] ^= 1 << (bit % 8);
                if let Some(found) = meaning(&bytes) {
                    assert_eq!(found, *expected, "{kind}: bit {bit} changes the meaning unseen");
                    unseen.push(bit);
                }
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            unseen
        }
    };
    let mut all: Vec<usize> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|n| scope.spawn(part(n))).collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    all.sort_unstable();
    all
}

/// [`unseen_among`] all bits.
fn unseen(kind: &str, bytes: &[u8], meaning: impl Fn(&[u8]) -> Option<String> + Sync) -> Vec<usize> {
    unseen_among(kind, bytes, &(0..8 * bytes.len()).collect::<Vec<_>>(), meaning)
}

/// Each flip is refused.
fn all_seen(kind: &str, bytes: &[u8], meaning: impl Fn(&[u8]) -> Option<String> + Sync) {
    assert_eq!(unseen(kind, bytes, meaning), [] as [usize; 0], "{kind}");
}

/// A chain whose registry has `entries` entries, with a batch of `ev` in block 2.
fn chain_with(entries: usize, ev: &Vehicle) -> Chain {
    let mut chain = Chain::new(4);
    let others = (1..entries).map(|n| Vehicle::new(&format!("other-{n}")).commitment());
    chain.enrol(&others.chain([ev.commitment()]).collect::<Vec<_>>());
    let first = ev.batch(1, 0, 3, None);
    chain.anchor(&[first.id(), ev.batch(2, 0, 5, None).id(), ev.batch(3, 0, 2, None).id()]);
    chain
}

fn record_proof(bytes: &[u8], trust: &Trust) -> Option<String> {
    Some(format!("{:?}", Proof::decode(bytes).ok()?.verify(trust).ok()?))
}

#[test]
fn no_flipped_bit_of_a_record_proof_goes_unseen() {
    let ev = Vehicle::new("ev-1");
    let chain = chain_with(5, &ev);
    let trust = chain.trust();
    let proof = chain.prove(2, &ev, &ev.batch(2, 0, 5, None), 2).encode();
    all_seen("record proof", &proof, |bytes| record_proof(bytes, &trust));
}

/// Most sizes of the registry have others of the same shape, for some of the entries.
#[test]
fn no_flipped_bit_of_the_registrys_part_goes_unseen() {
    for entries in 1..=20 {
        let chain = chain_with(entries, &Vehicle::new("ev-1"));
        let root = chain.state.header().registry_root;
        for entry in chain.state.registry().entries() {
            let bytes = chain.state.prove(&entry.commitment).expect("an entry").encode();
            all_seen(&format!("proof of an entry among {entries}"), &bytes, |bytes| {
                let proof = RegistryProof::decode(Copying(bytes)).ok()?;
                proof.verify(&root).then(|| format!("{:?}", proof.entry))
            });
        }
    }
}

#[test]
fn no_flipped_bit_of_receipts_goes_unseen() {
    let ev = Vehicle::new("ev-1");
    let chain = chain_with(5, &ev);
    let (trust, batch) = (chain.trust(), ev.batch(2, 0, 5, None));
    let block = &chain.blocks[1];
    let evidence = block.evidence(&batch.id(), &ev.commitment()).expect("anchored");
    all_seen("anchor proof", &evidence.to_bytes(), |bytes| {
        let evidence = AnchorProof::from_bytes(bytes).ok()?;
        Some(format!("{:?}", evidence.verify(&trust, &batch.id(), &ev.commitment()).ok()?))
    });
    let record = batch.prove(2).expect("opens").expect("exists");
    all_seen("record receipt", &record.encode(), |bytes| {
        let receipt = RecordReceipt::decode(bytes).ok()?;
        Some(format!("{:?} {:?}", receipt.verify(&ev.key.verifying_key()).ok()?, receipt.record))
    });
    let log =
        LogProof::new(block.block.header().clone(), block.certificate.clone(), block.root_receipts.clone());
    all_seen("proof of the log's size", &log.to_bytes(), |bytes| {
        Some(format!("{:?}", LogProof::from_bytes(bytes).ok()?.verify(&trust).ok()?))
    });
    let root = log.head().root;
    all_seen("leaves", &Leaves::of(&block.block, 0).encode(), |bytes| {
        let leaves = Leaves::decode(bytes).ok()?;
        (leaves.root() == Some(root)).then(|| format!("{leaves:?}"))
    });
}

/// Authority 3 of the genesis leaves and another one joins, in a chain that puts a statement and events onto the ledger.
fn eventful() -> (Chain, Vec<EventProof>, AnchoredStatement) {
    let (mut chain, fog) = (Chain::new(4), Vehicle::new("fog-1"));
    chain.enrol(&["ev-1", "ev-2", "ev-3", "ev-4"].map(|name| Vehicle::new(name).commitment()));
    chain.enrol(&[fog.commitment()]);
    chain.admit_controllers(2);
    let digests: Vec<_> = (0..5u8).map(|n| salted_digest(&[n; 16], &[n; 30])).collect();
    let acts = vec![chain.events(3, digests.clone()), chain.policy(0, 1, 0, PolicyAct::TakeTerm)];
    chain.push(acts);
    let decision = salted_digest(&[9; 16], b"charge at 0.2 C");
    let acts = vec![chain.policy(0, 1, 0, PolicyAct::Decide { decision }), chain.events(1, vec![digests[0]])];
    chain.push(acts);
    let proofs = vec![
        EventProof::of_event(
            [2; 16],
            vec![2; 30].into(),
            &digests,
            2,
            chain.act_evidence(4, 1).expect("two"),
        )
        .expect("five"),
        EventProof::of_decision([9; 16], "charge at 0.2 C".into(), chain.act_evidence(5, 0).expect("two")),
    ];
    let statement = b"what an archive holds".as_slice();
    let leaf = AnchoredStatement::leaf(statement);
    let evidence = chain.anchor(&[leaf]).evidence(&leaf, &fog.commitment()).expect("anchored");
    chain.network.add_key(key(50));
    let old = chain.network.authority(3).public_key();
    chain.act(vec![Action::RotateAuthority { old, new: key(50).public_key() }]);
    chain.advance_to(10);
    (chain, proofs, AnchoredStatement { statement: statement.into(), evidence })
}

#[test]
fn no_flipped_bit_of_events_and_statements_goes_unseen() {
    let (chain, proofs, statement) = eventful();
    let trust = chain.trust();
    for (kind, proof) in ["event proof", "proof of a decision"].iter().zip(&proofs) {
        all_seen(kind, &proof.to_bytes(), |bytes| {
            Some(format!("{:?}", EventProof::from_bytes(bytes).ok()?.verify(&trust).ok()?))
        });
    }
    all_seen("statement", &statement.to_bytes(), |bytes| {
        let read = AnchoredStatement::from_bytes(bytes).ok()?;
        Some(format!("{:?} {:?}", read.verify(&trust).ok()?, read.statement))
    });
}

/// The term is one fact behind those of the registry's entries: each number of them gives the tree another shape.
#[test]
fn no_flipped_bit_of_the_evidence_of_a_term_goes_unseen() {
    for entries in 1..=6 {
        let mut chain = chain_with(entries, &Vehicle::new("ev-1"));
        chain.admit_controllers(2);
        let take = chain.policy(0, 1, 0, PolicyAct::TakeTerm);
        chain.push(vec![take]);
        let (last, trust) = (chain.blocks.last().expect("blocks"), chain.trust());
        let (header, certificate) = (last.block.header().clone(), last.certificate.clone());
        let proof = chain.state.prove_term().expect("a chain with controllers");
        let evidence = TermEvidence::new(header, certificate, proof).expect("a term").to_bytes();
        all_seen(&format!("evidence of a term beside {entries} entries"), &evidence, |bytes| {
            Some(format!("{:?}", TermEvidence::from_bytes(bytes).ok()?.verify(&trust).ok()?))
        });
    }
}

fn followed(genesis: &Trust, bytes: &[u8]) -> Option<String> {
    let mut trust = genesis.clone();
    trust.extend(&Handover::from_bytes(bytes).ok()?).ok()?;
    Some(format!("{trust:?}"))
}

#[test]
fn no_flipped_bit_of_the_authorities_history_goes_unseen() {
    let (chain, ..) = eventful();
    let genesis = Trust::from_genesis(chain.network.genesis().clone());
    let handover = chain.handovers().remove(0).to_bytes();
    all_seen("end of an epoch", &handover, |bytes| followed(&genesis, bytes));

    let network = Network::with_epochs(7, 5);
    let with_committee = network.genesis().clone().with_committee(Some(4)).expect("3 f + 1");
    let mut chain = Chain::of(network.with_genesis(with_committee));
    chain.advance_to(5);
    let genesis = Trust::from_genesis(chain.network.genesis().clone());
    let handover = chain.handovers().remove(0).to_bytes();
    all_seen("sealed end of an epoch", &handover, |bytes| followed(&genesis, bytes));

    chain.advance_to(7);
    chain.replace(&[0, 1, 2, 5]);
    let mut before = genesis;
    let mut handovers = chain.handovers();
    let decree = handovers.pop().expect("a decree");
    for handover in &handovers {
        before.extend(handover).expect("valid");
    }
    assert!(matches!(decree, Handover::Decree(_)));
    all_seen("decree", &decree.to_bytes(), |bytes| followed(&before, bytes));
}

#[test]
fn no_flipped_bit_of_a_checkpoint_goes_unseen() {
    let (chain, ..) = eventful();
    let snapshot =
        Snapshot { state: chain.state.clone(), epoch_start: chain.blocks[8].state.block() }.to_bytes();
    let digest = Snapshot::digest_of(&snapshot).expect("long enough");
    let height = chain.state.height();
    let attest = |n| Attestation::sign(&chain.state.chain(), chain.network.authority(n), height, digest);
    let checkpoint = Checkpoint {
        handovers: chain.trust().handovers().to_vec(),
        certificate: chain.blocks.last().expect("some").certificate.clone(),
        // One more than must be.
        attestations: (0..3).map(attest).collect(),
        snapshot,
    };
    let (genesis, bytes) = (chain.network.genesis(), checkpoint.to_bytes());
    // The snapshot at the end is compared with its SHA-256: a sample of its bits is enough.
    let before = 8 * (bytes.len() - checkpoint.snapshot.len());
    let bits: Vec<usize> = (0..before).chain((before..8 * bytes.len()).step_by(211)).collect();
    let unseen = unseen_among("checkpoint", &bytes, &bits, |bytes| {
        let (trust, snapshot) = Checkpoint::from_bytes(bytes).ok()?.verify_from(genesis.clone()).ok()?;
        Some(format!("{trust:?} {:?}", snapshot.to_bytes()))
    });
    assert_eq!(unseen, [] as [usize; 0]);
}

/// A trust file is text: some of its bytes say the same in another way. They are named here, and there are no others:
/// the case of hexadecimal digits.
#[test]
fn no_flipped_bit_of_a_trust_file_changes_what_is_trusted() {
    let (chain, _, statement) = eventful();
    let mut trust = chain.trust();
    assert_eq!(trust.handovers().len(), 1);
    for n in [60, 61] {
        assert!(trust.add_cloud(key(n).public_key()));
    }
    let block = chain.blocks.last().expect("some");
    let receipts = block.root_receipts.clone();
    trust
        .set_log(LogProof::new(block.block.header().clone(), block.certificate.clone(), receipts))
        .expect("it holds");
    trust.set_archives(vec![statement]).expect("it holds");
    let text = trust.to_toml();
    // Proofs in it are tried above as bytes: of their digits a sample is enough.
    let long: BTreeSet<usize> = hex_digits(&text).filter(|digits| digits.len() > 64).flatten().collect();
    let bits: Vec<usize> =
        (0..8 * text.len()).filter(|bit| bit % 29 == 0 || !long.contains(&(bit / 8))).collect();
    let unseen = unseen_among("trust file", text.as_bytes(), &bits, |bytes| {
        Some(format!("{:?}", Trust::from_toml(std::str::from_utf8(bytes).ok()?).ok()?))
    });
    let in_hex: BTreeSet<usize> = hex_digits(&text).flatten().collect();
    for bit in unseen {
        let (at, of) = (bit / 8, text.as_bytes()[bit / 8] as char);
        assert!(of.is_ascii_lowercase() && bit % 8 == 5 && in_hex.contains(&at), "bit {bit}, of {of:?}");
    }
}

/// Where there are texts of hexadecimal digits in quotes.
fn hex_digits(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split('"').filter_map(move |piece| {
        let range = at..at + piece.len();
        at = range.end + 1;
        (piece.len() >= 32 && piece.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(range)
    })
}

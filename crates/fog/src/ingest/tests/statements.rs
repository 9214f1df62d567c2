//! Statements of the archive, and what the cloud is told of each leaf of the log.

use voltmesh_control::{ArchiveStatement, Tree};
use voltmesh_ledger::{Anchor, AnchoredStatement};

use super::*;

fn statement(sequence: u64, batches: u64) -> ArchiveStatement {
    let tree = |size| Tree { size, root: Digest::new([size as u8; 32]) };
    ArchiveStatement {
        cloud: "cloud".into(),
        sequence,
        time: Timestamp::from_millis(1_000 * sequence),
        versions: [sequence; 3],
        records: 10 * batches,
        batches: tree(batches),
        quarantine: tree(0),
        audit: None,
    }
}

fn say(world: &mut World, statement: &ArchiveStatement) -> Bytes {
    let bytes = Bytes::from(statement.sign(&cloud_key()));
    world.give(Input::CloudStatement(bytes.clone()));
    world.tick();
    bytes
}

fn newest(world: &World) -> Option<AnchoredStatement> {
    let bytes = newest_statement(&world.statements)?;
    Some(AnchoredStatement::from_bytes(&bytes).unwrap())
}

fn sequence(world: &World) -> Option<u64> {
    newest(world).map(|kept| ArchiveStatement::peek(&kept.statement).unwrap().sequence)
}

#[test]
fn a_statement_is_anchored_and_kept_with_evidence() {
    let mut world = World::new();
    let bytes = say(&mut world, &statement(1, 5));
    assert!(world.submitted.is_empty(), "others have time to anchor it first");
    world.wait(4_000);
    world.wait(100);
    assert_eq!(world.submitted.len(), 1);
    world.block();
    let kept = newest(&world).unwrap();
    assert_eq!(kept.statement, bytes);
    let anchored = kept.verify(&world.chain.trust()).unwrap();
    assert_eq!(anchored.index, 0);
    assert_eq!((world.counter("statements_anchored"), world.counter("statements_refused")), (1, 0));
    // Once more changes nothing, after a restart too.
    world.crash();
    say(&mut world, &statement(1, 5));
    world.wait(5_000);
    assert_eq!((sequence(&world), world.submitted.len()), (Some(1), 0));
    assert_eq!(world.core.deadline(), None, "nothing is left to do");
}

#[test]
fn what_another_node_has_anchored_is_taken_over() {
    let mut world = World::new();
    let leaf = AnchoredStatement::leaf(&say(&mut world, &statement(1, 5)));
    let (chain, other) = (world.chain.state.chain(), world.chain.network.authority(2));
    world.submitted.push(Transaction::Anchor(Anchor::sign(&chain, other, 0, 0, vec![leaf])));
    world.block();
    newest(&world).unwrap().verify(&world.chain.trust()).unwrap();
    world.wait(5_000);
    assert!(world.submitted.is_empty(), "one leaf is enough");
    // A second node has anchored it at the same time: the cloud is told of both places, again when it was away.
    let (chain, other) = (world.chain.state.chain(), world.chain.network.authority(3));
    world.submitted.push(Transaction::Anchor(Anchor::sign(&chain, other, 0, 0, vec![leaf])));
    world.block();
    let places = |world: &World| -> Vec<u64> {
        let read = |bytes: &Bytes| AnchoredStatement::from_bytes(bytes).unwrap().verify(&world.chain.trust());
        world.places.iter().map(|bytes| read(bytes).unwrap().index).collect()
    };
    assert_eq!(places(&world), [0, 1]);
    world.crash();
    world.places.clear();
    world.give(Input::CloudUp);
    assert_eq!(places(&world), [0, 1]);
}

#[test]
fn an_archive_that_went_back_is_not_believed() {
    let mut world = World::new();
    let anchor = |world: &mut World, one: &ArchiveStatement| {
        say(world, one);
        world.wait(5_000);
        world.wait(100);
        world.block();
        sequence(world).unwrap()
    };
    assert_eq!(anchor(&mut world, &statement(5, 50)), 5);
    world.crash();
    let refused = [
        statement(4, 40),
        statement(6, 49),
        ArchiveStatement { batches: Tree { size: 50, root: Digest::ZERO }, ..statement(6, 50) },
        ArchiveStatement { versions: [9; 3], ..statement(5, 50) },
    ];
    for (count, one) in (1..).zip(&refused) {
        assert_eq!(anchor(&mut world, one), 5, "{one:?}");
        assert_eq!(world.counter("statements_refused"), count);
    }
    world.give(Input::CloudStatement(statement(7, 70).sign(&other_key()).into()));
    world.give(Input::CloudStatement(Bytes::from_static(b"nonsense")));
    assert_eq!(world.counter("statements_refused"), 6);
    assert_eq!(anchor(&mut world, &statement(7, 50)), 7);
}

#[test]
fn only_the_newest_few_are_kept_and_wait() {
    let mut world = World::new();
    for n in 1..=10 {
        say(&mut world, &statement(n, n));
        world.wait(5_000);
        world.wait(100);
        world.block();
    }
    let length = world.statements.len();
    assert!(length <= MAX_STATEMENTS_BYTES);
    assert_eq!(sequence(&world), Some(10));
    // The log stands still: one past the bound of those that wait, the oldest goes.
    for n in 11..=30 {
        say(&mut world, &statement(n, n));
    }
    world.wait(5_000);
    world.wait(100);
    world.block();
    world.wait(100);
    world.block();
    assert_eq!(sequence(&world), Some(30));
    assert_eq!(world.counter("statements_anchored"), 10 + 16);
    assert!(world.statements.len() < 2 * length);
    assert!(!world.core.restore_statements(b"nonsense"));
}

/// A batch is anchored by this node, and a notice comes by way of another's copy, at each moment.
fn anchored(world: &mut World) -> SealedBatch {
    let session = world.vehicle(&car());
    let batch = car().batch(1, 0, 10, None);
    world.send(session, &batch);
    world.wait(200);
    batch
}

fn noticed(world: &mut World, batch: &SealedBatch) {
    world.give(Input::CloudNotice(notice(batch, &cloud_key())));
    world.tick();
}

#[test]
fn what_is_in_the_log_is_forwarded_though_a_notice_came_before() {
    let mut world = World::new();
    let batch = anchored(&mut world);
    world.block();
    noticed(&mut world, &batch);
    assert_eq!((world.notices_told(), world.held()), (1, 2), "the vehicle is told, the batch held");
    world.give(Input::CloudUp);
    world.tick();
    assert_eq!(world.forwards.len(), 1);
    // A connection that ends before the answer does not count.
    world.give(Input::CloudDown);
    world.forwards.clear();
    world.give(Input::CloudUp);
    world.tick();
    noticed(&mut world, &batch);
    assert_eq!((world.forwards.len(), world.held()), (1, 2));
    world.cloud(false);
    assert_eq!((world.archived.len(), world.held(), world.counter("archived_batches")), (1, 0, 1));
    assert_eq!(world.core.deadline(), None, "nothing is left to do");
}

#[test]
fn an_anchor_under_way_is_awaited_and_forwarded() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let batch = anchored(&mut world);
    assert_eq!(world.submitted.len(), 1);
    noticed(&mut world, &batch);
    assert_eq!(world.held(), 1);
    world.block();
    world.cloud(false);
    assert_eq!((world.archived.len(), world.held()), (1, 0));
}

#[test]
fn what_is_not_in_the_log_yet_is_released_and_never_anchored() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let session = world.vehicle(&car());
    let both = batches(&car(), 1, 2);
    world.send(session, &both[0]);
    world.tick();
    world.send(session, &both[1]);
    world.tick();
    assert_eq!((world.submitted.len(), world.held()), (1, 2), "the second waits for the next anchor");
    noticed(&mut world, &both[1]);
    assert_eq!(world.held(), 1);
    world.wait(5_000);
    world.block();
    world.cloud(true);
    world.wait(5_000);
    world.block();
    assert_eq!((world.chain.state.log_size(), world.held()), (1, 0));
}

#[test]
fn a_restart_forwards_what_was_noticed_once_more() {
    let mut world = World::new();
    let batch = anchored(&mut world);
    world.block();
    noticed(&mut world, &batch);
    world.crash();
    world.give(Input::CloudUp);
    world.tick();
    assert_eq!(world.forwards.len(), 1);
    world.cloud(true);
    assert_eq!((world.archived.len(), world.held()), (1, 0));
}

#[test]
fn a_node_that_left_the_authorities_waits_for_no_anchor() {
    let mut world = World::new();
    world.give(Input::CloudUp);
    let batch = anchored(&mut world);
    noticed(&mut world, &batch);
    assert_eq!(world.held(), 1);
    world.submitted.clear();
    let (old, new) = (world.chain.network.authority(0).public_key(), key(60));
    world.chain.network.add_key(new.clone());
    let rotate = voltmesh_ledger::Action::RotateAuthority { old, new: new.public_key() };
    world.chain.act(vec![rotate]);
    world.chain.advance_to(25);
    world.ledger(true);
    world.wait(100);
    assert_eq!(world.held(), 0);
}

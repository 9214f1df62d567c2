use super::*;
use commonware_cryptography::Signer as _;
use voltmesh_ledger::{
    Action, Height, commitment,
    testing::{Chain, key},
};

/// A chain with a change of authorities, a big registry so that its snapshot has several pieces, and what an honest peer
/// would say of it.
struct World {
    chain: Chain,
    snapshot: bytes::Bytes,
    offer: Offer,
}

fn world() -> World {
    let mut chain = Chain::new(4);
    chain.network.add_key(key(77));
    let old = chain.network.authority(3).public_key();
    chain.act(vec![Action::RotateAuthority { old, new: key(77).public_key() }]);
    for block in 0..110_u64 {
        let commitments: Vec<_> =
            (0..64_u8).map(|n| commitment(&format!("ev-{block}-{n}"), &[n; 32], &[n; 32])).collect();
        chain.enrol(&commitments);
    }
    let height = chain.state.height();
    let epoch = chain.state.genesis().epoch_of(height.next()).get();
    let first = epoch * chain.state.genesis().epoch_length;
    let epoch_start = chain.blocks[first as usize - 2].block.header().digest();
    let snapshot = Snapshot { state: chain.state.clone(), epoch_start }.to_bytes();
    let digest = Snapshot::digest_of(&snapshot).expect("long enough");
    let attest =
        |i: usize| Attestation::sign(&chain.state.chain(), chain.network.authority(i), height, digest);
    let last = chain.blocks.last().expect("some");
    let offer = Offer {
        header: last.block.header().clone(),
        certificate: last.certificate.clone(),
        digest,
        len: snapshot.len() as u32,
        attestations: vec![attest(0), attest(1)],
    };
    assert!(offer.chunks() > 1, "{} pieces", offer.chunks());
    World { chain, snapshot, offer }
}

impl World {
    fn trust(&self) -> Trust {
        Trust::from_genesis(self.chain.network.genesis().clone())
    }

    fn piece(&self, index: u32) -> Chunk {
        let at = index as usize * CHUNK;
        let bytes = self.snapshot.slice(at..(at + CHUNK).min(self.snapshot.len()));
        Chunk { height: self.offer.header.height.get(), index, bytes }
    }
}

fn peer(n: u64) -> PublicKey {
    key(n).public_key()
}

fn ahead(keys: impl IntoIterator<Item = u64>, oldest: u64) -> Vec<Ahead> {
    keys.into_iter().map(|n| Ahead { key: peer(n), height: 111, oldest }).collect()
}

fn tick(join: &mut Join, now_ms: u64, trust: &mut Trust, peers: Vec<Ahead>) -> Vec<Output> {
    join.handle(now_ms, trust, Input::Tick { height: 0, peers })
}

/// A join that is asking, and has followed the hand-overs.
fn asking(world: &World) -> (Join, Trust) {
    let (mut join, mut trust) = (Join::default(), world.trust());
    tick(&mut join, 1_000, &mut trust, ahead(0..3, 80));
    assert!(!tick(&mut join, 1_000 + STUCK_MS, &mut trust, ahead(0..3, 80)).is_empty());
    join.handle(12_000, &mut trust, Input::Handovers(peer(0), world.chain.trust().handovers().to_vec()));
    assert_eq!(trust.handovers().len(), 1);
    (join, trust)
}

fn offer(join: &mut Join, trust: &mut Trust, from: u64, offer: Offer) -> Vec<Output> {
    join.handle(12_000, trust, Input::Offer(peer(from), Box::new(offer)))
}

fn asks_for_pieces(out: &[Output], of: u64) -> bool {
    let asks = |output: &Output| match output {
        Output::Send(to, Message::WantChunk(..)) => *to == [peer(of)],
        _ => false,
    };
    !out.is_empty() && out.iter().all(asks)
}

#[test]
fn nothing_is_asked_while_blocks_come_or_are_still_there() {
    let world = world();
    let (mut join, mut trust) = (Join::default(), world.trust());
    for now_ms in (1_000..60_000).step_by(500) {
        assert!(tick(&mut join, now_ms, &mut trust, ahead(0..3, 1)).is_empty(), "peers have everything");
    }
    let mut join = Join::default();
    for height in 0..100 {
        let peers = ahead(0..3, 110);
        let out = join.handle(1_000 + height * 1_000, &mut trust, Input::Tick { height, peers });
        assert!(out.is_empty(), "blocks come");
    }
}

#[test]
fn an_attested_snapshot_is_downloaded_and_verified() {
    let world = world();
    let (mut join, mut trust) = asking(&world);
    let mut out = offer(&mut join, &mut trust, 1, world.offer.clone());
    let mut asked = 0;
    loop {
        assert!(asks_for_pieces(&out, 1));
        let mut next = Vec::new();
        for output in out {
            let Output::Send(_, Message::WantChunk(_, index)) = output else { unreachable!() };
            asked += 1;
            next.extend(join.handle(13_000, &mut trust, Input::Chunk(peer(1), world.piece(index))));
        }
        out = next;
        if let Some(Output::Done(verified)) = out.first() {
            assert_eq!(verified.1.state.height(), Height::new(111));
            assert_eq!(asked, world.offer.chunks());
            return;
        }
    }
}

#[test]
fn what_too_few_attest_is_not_even_downloaded() {
    let world = world();
    let (mut join, mut trust) = asking(&world);
    let mut lone = world.offer.clone();
    lone.attestations.truncate(1);
    assert!(offer(&mut join, &mut trust, 1, lone.clone()).is_empty());
    // The same one again, by another peer, and one by nobody of the epoch.
    let stranger = key(5);
    let (chain, height) = (world.chain.state.chain(), world.offer.header.height);
    lone.attestations.push(Attestation::sign(&chain, &stranger, height, lone.digest));
    assert!(offer(&mut join, &mut trust, 2, lone.clone()).is_empty());
    // Rotated away before: it does not count any more.
    lone.attestations[1] = Attestation::sign(&chain, world.chain.network.authority(3), height, lone.digest);
    assert!(offer(&mut join, &mut trust, 0, lone.clone()).is_empty());
    // A second one that counts, of another peer, makes it f + 1.
    let mut other = world.offer.clone();
    other.attestations.remove(0);
    assert!(asks_for_pieces(&offer(&mut join, &mut trust, 2, other), 2));
}

#[test]
fn another_block_or_certificate_is_refused() {
    let world = world();
    for change in [
        (|offer: &mut Offer| offer.header.time = offer.header.time.plus_millis(1)) as fn(&mut Offer),
        |offer| offer.header.epoch = offer.header.epoch.next(),
        |offer| offer.digest = offer.header.parent,
    ] {
        let (mut join, mut trust) = asking(&world);
        let mut forged = world.offer.clone();
        change(&mut forged);
        assert!(offer(&mut join, &mut trust, 1, forged).is_empty());
    }
    let (mut join, mut trust) = asking(&world);
    let mut forged = world.offer.clone();
    forged.certificate = world.chain.blocks[20].certificate.clone();
    assert!(offer(&mut join, &mut trust, 1, forged).is_empty());
}

#[test]
fn a_liar_costs_time_and_the_next_peer_is_asked() {
    let world = world();
    let (mut join, mut trust) = asking(&world);
    let out = offer(&mut join, &mut trust, 1, world.offer.clone());
    for output in out {
        let Output::Send(_, Message::WantChunk(_, index)) = output else { unreachable!() };
        let mut piece = world.piece(index);
        let mut bytes = piece.bytes.to_vec();
        bytes[7] ^= 1;
        piece.bytes = bytes.into();
        let done = join.handle(13_000, &mut trust, Input::Chunk(peer(1), piece));
        assert!(!done.iter().any(|output| matches!(output, Output::Done(_))));
    }
    assert!(offer(&mut join, &mut trust, 1, world.offer.clone()).is_empty(), "shunned");
    assert!(asks_for_pieces(&offer(&mut join, &mut trust, 2, world.offer.clone()), 2));
    // That one falls silent.
    assert!(!tick(&mut join, 14_000 + STALLED_MS, &mut trust, ahead(0..3, 80)).is_empty());
    assert!(asks_for_pieces(&offer(&mut join, &mut trust, 0, world.offer.clone()), 0));
}

#[test]
fn pieces_that_were_not_asked_for_are_dropped() {
    let world = world();
    let (mut join, mut trust) = asking(&world);
    assert!(join.handle(12_000, &mut trust, Input::Chunk(peer(1), world.piece(0))).is_empty());
    offer(&mut join, &mut trust, 1, world.offer.clone());
    let mut short = world.piece(0);
    short.bytes = short.bytes.slice(..10);
    assert!(join.handle(12_000, &mut trust, Input::Chunk(peer(1), short)).is_empty());
    assert!(
        join.handle(12_000, &mut trust, Input::Chunk(peer(2), world.piece(0))).is_empty(),
        "another peer's"
    );
    let far = Chunk { height: 111, index: 1 << 20, bytes: bytes::Bytes::from_static(&[0; 4]) };
    assert!(join.handle(12_000, &mut trust, Input::Chunk(peer(1), far)).is_empty());
}

#[test]
fn a_hand_over_that_does_not_hold_is_not_followed() {
    let world = world();
    let (mut join, mut trust) = asking(&world);
    let mut forged = world.chain.trust().handovers()[0].clone();
    let Handover::Epoch(end) = &mut forged else { panic!("no epoch's end") };
    end.authorities = end.authorities.replace(&peer(77), peer(5)).expect("fits");
    join.handle(12_000, &mut trust, Input::Handovers(peer(2), vec![forged]));
    assert_eq!(trust.handovers().len(), 1);
    assert!(offer(&mut join, &mut trust, 2, world.offer.clone()).is_empty(), "shunned");
}

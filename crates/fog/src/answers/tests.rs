//! What is answered about chains that are built by hand.

use std::collections::BTreeMap;

use commonware_cryptography::{Digestible as _, Signer as _};
use serde_json::{Value, json};
use voltmesh_consensus::{DecreeProgress, Peer};
use voltmesh_ledger::{
    Action, BatchId, Header, Height, PublicKey, RoundTrips, State, Timestamp, UNREACHABLE,
    testing::{Network, Vehicle, key},
};

use super::{
    Authorities, Block, Convictions, Evidence, FinalBlock, Names, Quarantined, Role, Scores, Succession,
    Surroundings, leader,
};

/// Four authorities in epochs of four blocks; every block embeds the votes for its parent.
struct Run {
    network: Network,
    state: State,
    /// Blocks from 0 on.
    blocks: Vec<voltmesh_ledger::Block>,
}

impl Run {
    fn new(n: u64, committee: Option<u8>) -> Self {
        let network = Network::with_epochs(n, 4);
        let genesis = network.genesis().clone().with_committee(committee).unwrap();
        let network = network.with_genesis(genesis.clone());
        Self { state: State::new(&genesis), network, blocks: vec![genesis.block()] }
    }

    /// A block in the view after so many skipped ones, in which all but the last voter have voted for the parent.
    fn push(&mut self, skipped: u64, transactions: Vec<voltmesh_ledger::Transaction>) {
        let parent = self.blocks.last().unwrap().header().clone();
        let epoch = self.network.genesis().epoch_of(parent.height.next());
        let first = if epoch == parent.epoch { parent.view + 1 } else { 1 };
        let votes = (!parent.height.is_zero()).then(|| {
            let voters = &self.state.roster_for(parent.epoch).unwrap().voters;
            self.network.notarize_by(&parent, voters, &(0..voters.len() - 1).collect::<Vec<_>>())
        });
        let now = self.state.time().plus_millis(100);
        let built = self.state.build_in(first + skipped, votes, transactions, now);
        assert!(built.rejected.is_empty(), "{:?}", built.rejected);
        self.state = built.state;
        self.blocks.push(built.block);
    }

    fn advance_to(&mut self, height: u64) {
        while self.state.height() < Height::new(height) {
            self.push(0, vec![]);
        }
    }

    fn key(&self, index: usize) -> PublicKey {
        self.network.authority(index).public_key()
    }

    fn names(&self) -> Names {
        Names::new((0..2).map(|n| (self.key(n), format!("fog-{n}"))))
    }

    fn header(&self, height: usize) -> &Header {
        self.blocks[height].header()
    }

    fn explain(&self, height: usize) -> Value {
        let ancestors = (1..=height.min(16))
            .map(|back| &self.blocks[height - back])
            .map(|block| (block.digest(), block.header().clone()))
            .collect();
        let header = self.header(height);
        let around = Surroundings {
            ancestors,
            leader: self.state.roster_for(header.epoch).and_then(|r| leader(r, header.view).cloned()),
            authorities: &|epoch| self.state.authorities_for(epoch).cloned(),
            voters: &|epoch| self.state.roster_for(epoch).map(|roster| roster.voters.clone()),
            names: &self.names(),
        };
        serde_json::to_value(Block::new(&self.blocks[height], &around)).unwrap()
    }

    fn authorities(&self) -> Authorities {
        let peers = [Peer { key: self.key(1), height: Height::new(7) }];
        Authorities::new(&self.state, &self.key(0), &peers, &self.names())
    }

    fn scores(&self) -> Scores {
        Scores::new(&self.state, &self.names())
    }

    fn convictions(&self) -> Convictions {
        Convictions::new(&self.state, &BTreeMap::from([(self.key(3), 2)]), &self.names())
    }

    /// Evidence against the authority with this index, in the next block.
    fn convict(&mut self, index: usize) {
        let header = self.blocks.last().unwrap().header().clone();
        let voters = self.state.roster_for(header.epoch).unwrap().voters.clone();
        let at = voters.as_set().position(&self.key(index)).unwrap();
        let evidence = self.network.equivocation(&header, &voters, at);
        self.push(0, vec![voltmesh_ledger::Transaction::Evidence(evidence)]);
    }
}

#[test]
fn a_block_says_who_led_who_voted_and_what_happened() {
    let mut run = Run::new(4, None);
    run.push(0, vec![]);
    let (chain, signer) = (run.state.chain(), run.network.authority(1).clone());
    let micros = vec![900, 0, 1_100, UNREACHABLE];
    let trips = RoundTrips::sign(&chain, &signer, run.state.epoch(), micros);
    let vehicle = Vehicle::new("ev-1").commitment();
    let enrol = run.network.registry(0, vec![Action::EnrolVehicle { commitment: vehicle }]);
    let batches: Vec<BatchId> = vec![Vehicle::new("ev-1").batch(1, 0, 4, None).id()];
    let anchor = voltmesh_ledger::Anchor::sign(&chain, &signer, 0, 4, batches);
    run.push(
        2,
        vec![
            voltmesh_ledger::Transaction::RoundTrips(trips),
            enrol,
            voltmesh_ledger::Transaction::Anchor(anchor),
        ],
    );
    let block = run.explain(2);
    let key = |index| run.key(index).to_string();
    for (field, value) in [
        ("height", json!(2)),
        ("epoch", json!(0)),
        ("view", json!(4)),
        ("skipped_views", json!(2)),
        ("batches", json!(1)),
        ("records", json!(4)),
        ("log_size", json!(1)),
        ("digest", json!(run.blocks[2].digest().to_string())),
        ("parent", json!(run.blocks[1].digest().to_string())),
        ("names", json!({ key(0): "fog-0", key(1): "fog-1" })),
        (
            "transactions",
            json!([
                {
                    "kind": "registry", "nonce": 0,
                    "actions": [{ "action": "enrol_vehicle", "commitment": vehicle.to_string() }],
                    "signed_by": signed_by(&run),
                },
                {
                    "kind": "round_trips", "authority": key(1), "epoch": 0,
                    "to_us": { key(0): 900, key(2): 1_100, key(3): null },
                },
                { "kind": "anchor", "authority": key(1), "sequence": 0, "records": 4, "batches": 1 },
            ]),
        ),
    ] {
        assert_eq!(block[field], value, "{field}: {block:#}");
    }
    let votes = &block["certificate"];
    for (field, value) in [
        ("kind", json!("notarization")),
        ("height", json!(1)),
        ("view", json!(1)),
        ("quorum", json!(3)),
        ("voted", json!([key(0), key(1), key(2)])),
        ("absent", json!([key(3)])),
    ] {
        assert_eq!(votes[field], value, "{field}: {block:#}");
    }
    let lengths =
        ["header_bytes", "certificate_bytes", "transaction_bytes"].map(|part| block[part].as_u64().unwrap());
    assert_eq!(lengths.iter().sum::<u64>(), block["bytes"].as_u64().unwrap());
    let roster = run.state.roster_for(run.state.epoch()).unwrap();
    assert_eq!(block["leader"], leader(roster, 4).unwrap().to_string());
}

fn signed_by(run: &Run) -> Value {
    let mut keys = [0, 1].map(|operator| run.network.operator(operator).public_key());
    keys.sort();
    json!(keys.map(|key| key.to_string()))
}

#[test]
fn block_0_was_led_by_nobody() {
    let run = Run::new(4, None);
    let block = run.explain(0);
    assert_eq!(
        (&block["height"], &block["leader"], &block["certificate"], &block["skipped_views"]),
        (&json!(0), &Value::Null, &Value::Null, &json!(0))
    );
}

#[test]
fn views_count_from_one_in_each_epoch() {
    let mut run = Run::new(4, None);
    run.advance_to(3);
    run.push(1, vec![]);
    let block = run.explain(4);
    assert_eq!((&block["epoch"], &block["view"], &block["skipped_views"]), (&json!(1), &json!(2), &json!(1)));
}

#[test]
fn a_followed_block_says_how_long_it_took() {
    let mut run = Run::new(4, None);
    run.push(1, vec![]);
    let block = &run.blocks[1];
    let roster = run.state.roster_for(run.state.epoch()).map(|roster| &**roster);
    let at = Timestamp::from_millis(block.header().time.as_millis() + 42);
    let line = |at| FinalBlock::new(block, Some(run.header(0)), roster, at, &run.names());
    let seen = line(Some(at));
    assert_eq!((seen.height, seen.view, seen.skipped_views, seen.final_after_ms), (1, 2, 1, Some(42)));
    assert_eq!(seen.leader, leader(roster.unwrap(), 2).map(ToString::to_string));
    assert_eq!(line(None).final_after_ms, None);
    // A clock that is behind the leader's gives no negative time.
    assert_eq!(line(Some(Timestamp::from_millis(0))).final_after_ms, Some(0));
}

#[test]
fn everyone_votes_and_leads_by_default() {
    let run = Run::new(4, None);
    let answer = run.authorities();
    assert_eq!(
        (
            answer.epoch,
            answer.epoch_ends_at,
            answer.voters,
            answer.quorum,
            answer.faults,
            answer.has_committee
        ),
        (0, 3, 4, 3, 1, false)
    );
    for (index, authority) in answer.authorities.iter().enumerate() {
        assert_eq!(authority.key, run.key(index).to_string());
        assert_eq!((authority.this_epoch.role, authority.this_epoch.turns_percent), (Role::Voter, 25.0));
        assert_eq!((authority.quarantine, authority.admitted_from_epoch), (None, None));
        assert_eq!(authority.this_node, index == 0);
    }
    let heights: Vec<_> = answer.authorities.iter().map(|authority| authority.height).collect();
    assert_eq!(heights, [Some(0), Some(7), None, None]);
    let names: Vec<_> = answer.authorities.iter().map(|authority| authority.name.as_deref()).collect();
    assert_eq!(names, [Some("fog-0"), Some("fog-1"), None, None]);
}

#[test]
fn a_committee_votes_and_the_others_follow() {
    let answer = Run::new(7, Some(4)).authorities();
    let roles: Vec<_> = answer.authorities.iter().map(|authority| authority.this_epoch.role).collect();
    assert_eq!(roles, [[Role::Voter; 4].as_slice(), &[Role::Follower; 3]].concat());
    assert!(answer.has_committee && answer.voters == 4);
    assert_eq!(answer.authorities[6].this_epoch.turns_percent, 0.0);
}

#[test]
fn newcomers_and_leavers_are_seen_from_afar() {
    let mut run = Run::new(4, None);
    let newcomer = key(99).public_key();
    run.network.add_key(key(99));
    let change =
        vec![Action::AdmitAuthority { key: newcomer.clone() }, Action::RemoveAuthority { key: run.key(3) }];
    let tx = run.network.registry(0, change);
    run.push(0, vec![tx]);
    let find = |run: &Run, key: &PublicKey| {
        run.authorities().authorities.into_iter().find(|authority| authority.key == key.to_string())
    };
    let comes = find(&run, &newcomer).unwrap();
    assert_eq!((comes.this_epoch.role, comes.admitted_from_epoch), (Role::None, Some(2)));
    assert_eq!(comes.probation_epochs, 2);
    let goes = find(&run, &run.key(3)).unwrap();
    assert_eq!((goes.this_epoch.role, goes.serves_until_epoch), (Role::Voter, Some(1)));
    run.advance_to(7);
    let comes = find(&run, &newcomer).unwrap();
    // The next block is the first of epoch 2.
    assert_eq!((comes.this_epoch.role, comes.admitted_from_epoch), (Role::Voter, None));
    assert!(comes.probation_epochs > 0 && comes.this_epoch.turns_percent > 0.0);
    assert!(find(&run, &run.key(3)).is_none());
}

#[test]
fn scores_count_votes_turns_and_round_trips() {
    let mut run = Run::new(4, None);
    run.advance_to(3);
    let scores = run.scores();
    assert_eq!((scores.epoch, scores.certificates, scores.fair_votes_percent), (0, 0, 75.0));
    run.push(1, vec![]);
    run.push(0, vec![]);
    let scores = run.scores();
    assert_eq!((scores.epoch, scores.certificates), (1, 2));
    let votes: Vec<_> = scores.authorities.iter().map(|score| score.votes).collect();
    assert_eq!(votes, [2, 2, 2, 0]);
    let sum = |count: fn(&super::Score) -> u32| scores.authorities.iter().map(count).sum::<u32>();
    assert_eq!((sum(|score| score.proposed), sum(|score| score.missed)), (2, 1));
    // The one that is never among the first three votes has lost most of its score in the first epoch.
    let percents: Vec<_> = scores.authorities.iter().map(|score| score.score_percent).collect();
    assert!(percents[..3].iter().all(|percent| *percent == 100.0) && percents[3] < 50.0, "{percents:?}");
    assert!(scores.authorities[3].round_trip_ms.is_none() && !scores.authorities[3].reported);
}

#[test]
fn the_convicted_leave_or_wait_for_a_place() {
    let mut run = Run::new(7, None);
    run.push(0, vec![]);
    run.convict(6);
    run.convict(5);
    run.convict(4);
    let states = |run: &Run| {
        let answer = run.convictions();
        answer.convictions.iter().map(|c| (c.authority.clone(), c.state)).collect::<Vec<_>>()
    };
    let key = |run: &Run, index| run.key(index).to_string();
    // Two of seven may be out at once.
    let expected = |run: &Run, first| {
        vec![(key(run, 6), first), (key(run, 5), first), (key(run, 4), Quarantined::Waiting)]
    };
    assert_eq!(states(&run), expected(&run, Quarantined::Leaving));
    run.advance_to(7);
    assert_eq!(states(&run), expected(&run, Quarantined::Out));
    let answer = run.convictions();
    assert_eq!(answer.convictions[0].offence, "two blocks notarised in one view");
    assert_eq!(
        (answer.convictions[0].height, answer.convictions[0].epoch, answer.convictions[0].view),
        (2, 0, 1)
    );
    assert_eq!(answer.seen_here, BTreeMap::from([(key(&run, 3), 2)]));

    let pardon = run.network.registry(0, vec![Action::PardonAuthority { key: run.key(6) }]);
    run.push(0, vec![pardon]);
    assert_eq!(run.convictions().convictions.len(), 2);
    let authorities = run.authorities().authorities;
    let pardoned = authorities.iter().find(|authority| authority.key == key(&run, 6)).unwrap();
    assert_eq!((pardoned.quarantine, pardoned.admitted_from_epoch), (None, Some(4)));
    assert!(pardoned.probation_epochs > 0);
}

#[test]
fn evidence_shows_both_votes() {
    let mut run = Run::new(4, None);
    run.push(0, vec![]);
    run.convict(2);
    let voters = |epoch| run.state.roster_for(epoch).map(|roster| roster.voters.clone());
    let at =
        |height: usize| Evidence::in_block(&run.blocks[height], &run.state.chain(), voters, &run.names());
    assert!(at(1).is_none());
    let evidence = at(2).unwrap();
    assert_eq!((evidence.height, evidence.accusations.len()), (2, 1));
    let accusation = &evidence.accusations[0];
    assert_eq!(accusation.authority, Some(run.key(2).to_string()));
    assert_eq!((accusation.epoch, accusation.view, accusation.votes.len()), (0, 1, 2));
    let block = run.blocks[1].digest().to_string();
    assert_eq!(accusation.votes[0].block.as_ref(), Some(&block));
    assert_ne!(accusation.votes[1].block.as_ref(), Some(&block));
    for vote in &accusation.votes {
        assert_eq!((vote.kind.as_str(), vote.signature_hex.len()), ("notarize", 128));
    }
    let block = run.explain(2);
    assert_eq!(block["transactions"][0]["kind"], "evidence");
    assert_eq!(block["transactions"][0]["authority"], run.key(2).to_string());
}

/// Nobody is chosen who cannot be reached, or is convicted.
#[test]
fn operators_learn_who_could_vote_after_which_block() {
    let mut run = Run::new(8, Some(4));
    run.advance_to(2);
    let said = |run: &Run, height: u64, after_ms: u64| {
        let peers: Vec<Peer> =
            (1..6).map(|n| Peer { key: run.key(n), height: Height::new(height) }).collect();
        let now = run.state.time().plus_millis(after_ms);
        let progress =
            DecreeProgress { after: run.state.height(), epoch: run.state.epoch(), followed: 2, needed: 6 };
        Succession::new(&run.state, &run.key(0), &peers, Some(progress), &run.names(), now)
    };
    let still = said(&run, 2, 10_000);
    assert_eq!(
        (still.height, still.epoch, still.nonce, still.committee, still.needed),
        (2, 0, 0, Some(4), 6)
    );
    assert_eq!(still.block, run.state.block().to_string());
    assert!(still.stalled && !said(&run, 2, 9_999).stalled && !said(&run, 3, 10_000).stalled);
    assert_eq!(still.decree.map(|decree| (decree.followed, decree.is_in_force())), Some((2, false)));
    assert_eq!(still.authorities.iter().filter(|one| one.votes).count(), 4);
    let json = serde_json::to_string(&still).unwrap();
    assert_eq!(serde_json::from_str::<Succession>(&json).unwrap(), still);
    let mut scored = still;
    for (n, score) in [(7, 100.0), (1, 90.0), (2, 80.0), (3, 70.0), (4, 60.0), (5, 50.0), (0, 10.0)] {
        let key = run.key(n).to_string();
        scored.authorities.iter_mut().find(|one| one.key == key).unwrap().score_percent = score;
    }
    let best =
        |of: &Succession| of.best().map(|keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>());
    let keys = |indices: [usize; 4]| Some(indices.map(|n| run.key(n).to_string()).to_vec());
    assert_eq!(best(&scored), keys([1, 2, 3, 4]));
    let second = run.key(2).to_string();
    scored.authorities.iter_mut().find(|one| one.key == second).unwrap().convicted = true;
    assert_eq!(best(&scored), keys([1, 3, 4, 5]));
    scored.authorities.iter_mut().for_each(|one| one.reachable &= one.score_percent > 60.0);
    assert_eq!(best(&scored), None);
}

//! Scores, leaders, convictions: what blocks lead to.

use commonware_cryptography::Signer as _;
use proptest::prelude::*;
use voltmesh_ledger::{
    Action, Epoch, EquivocationProof, Error, PERFECT, PublicKey, RoundTrips, State, Timestamp, Transaction,
    UNREACHABLE,
    testing::{Network, key},
};

/// A chain whose blocks embed the votes of whoever a test wants.
struct Run {
    network: Network,
    state: State,
    parent: Option<voltmesh_ledger::Header>,
}

impl Run {
    fn new(n: u64, epoch_length: u64) -> Self {
        let network = Network::with_epochs(n, epoch_length);
        Self { state: State::new(network.genesis()), network, parent: None }
    }

    /// A block `skipped` views after the next one; `voters` (indices) notarised its parent.
    fn push(&mut self, skipped: u64, voters: &[usize], transactions: Vec<Transaction>) -> Vec<Error> {
        let next_epoch = self.state.genesis().epoch_of(self.state.height().next());
        let first = if next_epoch == self.state.epoch() { self.state.header().view + 1 } else { 1 };
        let votes = self.parent.as_ref().map(|header| {
            let set = &self.state.roster_for(header.epoch).expect("recent").voters;
            self.network.notarize_by(header, set, voters)
        });
        let now = Timestamp::from_millis(self.state.time().as_millis() + 100);
        let mandate = self.network.mandate(&self.state);
        let built = self.state.build_opening(mandate, first + skipped, votes, transactions, now);
        let (executed, _) = self.state.execute(&built.block).expect("what was built can be executed");
        assert_eq!(executed.header(), built.state.header());
        self.parent = Some(built.block.header().clone());
        self.state = built.state;
        built.rejected.into_iter().map(|(_, why)| why).collect()
    }

    fn key(&self, index: usize) -> PublicKey {
        self.network.authority(index).public_key()
    }

    fn score(&self, index: usize) -> u32 {
        self.state.standing(&self.key(index)).expect("known").score
    }

    /// Whole epochs in which `voters` vote, views led by `dead` are skipped, and `report` says each one's round trips.
    fn epochs(
        &mut self,
        count: u64,
        voters: &[usize],
        dead: &[usize],
        report: impl Fn(usize) -> Option<Vec<u32>>,
    ) {
        let length = self.state.genesis().epoch_length;
        let end = (self.state.height().get() / length + count) * length + length - 1;
        while self.state.height().get() < end {
            let epoch = self.state.genesis().epoch_of(self.state.height().next());
            let roster = self.state.roster_for(epoch).expect("next").clone();
            let first = if epoch == self.state.epoch() { self.state.header().view + 1 } else { 1 };
            let leads =
                |skipped: u64| roster.voters.get(roster.leaders.leader(first + skipped)).expect("a voter");
            let dead: Vec<PublicKey> = dead.iter().map(|index| self.key(*index)).collect();
            let skipped = (0..).find(|skipped| !dead.contains(leads(*skipped))).expect("someone is alive");
            let chain = self.state.chain();
            let reports = (0..self.network.genesis().authorities.len()).filter_map(|index| {
                let signer = self.network.authority(index);
                let open = roster.authorities.contains(&signer.public_key())
                    && (epoch != self.state.epoch() || !self.state.has_reported(&signer.public_key()));
                let micros = report(index).filter(|_| open)?;
                Some(Transaction::RoundTrips(RoundTrips::sign(&chain, signer, epoch, micros)))
            });
            let reports: Vec<_> = reports.collect();
            let rejected = self.push(skipped, voters, reports);
            assert!(rejected.is_empty(), "{rejected:?}");
        }
    }

    /// Share of turns in the epoch after the next, in parts per million.
    fn share(&self, index: usize) -> u32 {
        let roster = self.state.planned();
        roster.voters.as_set().position(&self.key(index)).map_or(0, |at| roster.leaders.share_ppm(at))
    }
}

fn all(n: usize) -> Vec<usize> {
    (0..n).collect()
}

#[test]
fn equal_service_leaves_equal_turns() {
    let mut run = Run::new(7, 14);
    run.epochs(3, &all(7), &[], |_| None);
    assert!(
        (0..7).all(|index| run.score(index) == PERFECT && (142_000..=143_500).contains(&run.share(index)))
    );
}

#[test]
fn the_dead_lose_their_turns_and_get_them_back() {
    let mut run = Run::new(7, 30);
    let alive = [0, 1, 2, 3, 4];
    run.epochs(3, &alive, &[5, 6], |_| None);
    for dead in [5, 6] {
        assert!(run.score(dead) < PERFECT / 50, "{}", run.score(dead));
        assert!((1..5_000).contains(&run.share(dead)), "a small share for exploration: {}", run.share(dead));
    }
    assert!((0..5).all(|index| run.share(index) > 180_000));
    run.epochs(12, &all(7), &[], |_| None);
    for recovered in [5, 6] {
        assert!(run.share(recovered) > 120_000, "{}", run.share(recovered));
    }
}

#[test]
fn the_far_lead_seldom() {
    let mut run = Run::new(7, 21);
    let far = |index: usize| index >= 5;
    let trips = |from: usize| {
        Some((0..7).map(|to| if far(from) || far(to) { 150_000 } else { 10_000 }).collect::<Vec<u32>>())
    };
    run.epochs(4, &all(7), &[], trips);
    assert!(run.share(6) < 50_000, "{}", run.share(6));
    assert_eq!(run.state.standing(&run.key(0)).expect("known").round_trip_us, Some(10_000));
    assert_eq!(run.state.standing(&run.key(6)).expect("known").round_trip_us, Some(150_000));
}

#[test]
fn liars_about_round_trips_gain_little() {
    // Two of seven, both far away, call each other near and everyone else far.
    let mut run = Run::new(7, 21);
    let liar = |index: usize| index >= 5;
    let trips = |from: usize| {
        let said = |to: usize| match (liar(from), liar(to)) {
            (true, true) => 1,
            (true, false) => UNREACHABLE,
            (false, true) => 150_000,
            (false, false) => 10_000,
        };
        Some((0..7).map(said).collect::<Vec<u32>>())
    };
    run.epochs(6, &all(7), &[], trips);
    assert!(run.share(5) + run.share(6) < 100_000, "{} {}", run.share(5), run.share(6));
    assert!((0..5).all(|index| run.share(index) > 150_000));
}

#[test]
fn reports_count_once_and_only_in_their_epoch() {
    let mut run = Run::new(4, 10);
    let report = |run: &Run, epoch, len| {
        let chain = run.state.chain();
        let report = RoundTrips::sign(&chain, run.network.authority(1), Epoch::new(epoch), vec![5; len]);
        Transaction::RoundTrips(report)
    };
    let early = report(&run, 1, 4);
    assert!(matches!(run.push(0, &[], vec![early])[..], [Error::RoundTrips { .. }]));
    let short = report(&run, 0, 3);
    assert!(matches!(run.push(0, &all(4), vec![short])[..], [Error::RoundTrips { .. }]));
    let good = report(&run, 0, 4);
    assert!(run.push(0, &all(4), vec![good.clone()]).is_empty());
    assert!(matches!(run.push(0, &all(4), vec![good])[..], [Error::RoundTrips { .. }]));
    let Transaction::RoundTrips(mut forged) = report(&run, 0, 4) else { unreachable!("a report") };
    forged.authority = run.key(2);
    assert!(matches!(
        run.push(0, &all(4), vec![Transaction::RoundTrips(forged)])[..],
        [Error::Signature { .. }]
    ));
}

#[test]
fn votes_are_embedded_once_and_only_for_ancestors() {
    let mut run = Run::new(4, 10);
    run.push(0, &[], vec![]);
    let first = run.parent.clone().expect("pushed");
    let set = run.network.genesis().authorities.clone();
    run.push(0, &[0, 1, 2], vec![]);
    assert_eq!(run.state.certificates(), 1);
    let votes = run.network.notarize_by(&first, &set, &[0, 1, 2]);
    let now = run.state.time();
    let again = run.state.build_in(3, Some(votes.clone()), [], now);
    assert!(again.block.justification().is_none(), "it was embedded before");
    // Votes with a forged signature.
    let mut header = run.parent.clone().expect("pushed");
    let good = run.network.notarize_by(&header, &set, &[0, 1, 3]);
    let built = run.state.build_in(3, Some(good), [], now);
    assert!(run.state.execute(&built.block).is_ok());
    header.view += 1;
    let other_round = run.network.notarize_by(&header, &set, &[0, 1, 3]);
    let mut forged = built.block.header().clone();
    forged.time = now;
    let block = voltmesh_ledger::Block::new(forged, Some(other_round), vec![]);
    assert!(run.state.execute(&block).is_err());
}

#[test]
fn a_view_must_be_after_its_parents() {
    let mut run = Run::new(4, 10);
    run.push(4, &[], vec![]);
    let built = run.state.build_in(6, None, [], run.state.time());
    let mut early = built.block.header().clone();
    early.view = 5;
    let block = voltmesh_ledger::Block::new(early, None, vec![]);
    assert!(matches!(run.state.execute(&block), Err(Error::View { found: 5, parent: 5 })));
}

fn equivocation(run: &Run, index: usize) -> EquivocationProof {
    let set = &run.state.roster_for(run.state.epoch()).expect("its own").voters;
    let at = set.as_set().position(&run.key(index)).expect("a voter");
    run.network.equivocation(run.state.header(), set, at)
}

#[test]
fn the_convicted_leave_and_return_only_by_the_operators() {
    let mut run = Run::new(7, 10);
    run.push(0, &[], vec![]);
    let evidence = equivocation(&run, 3);
    assert!(run.push(0, &all(7), vec![Transaction::Evidence(evidence.clone())]).is_empty());
    assert!(run.state.convicted().contains_key(&run.key(3)));
    let again = run.push(0, &all(7), vec![Transaction::Evidence(evidence.clone())]);
    assert!(matches!(again[..], [Error::Convicted(_)]));
    run.epochs(0, &all(7), &[], |_| None);
    assert_eq!(run.state.roster_for(Epoch::new(1)).expect("next").voters.len(), 7, "settled before");
    assert_eq!(run.state.roster_for(Epoch::new(2)).expect("planned").voters.len(), 6);
    // It is never admitted again by its own doing, only pardoned by the operators.
    let nonce = run.state.nonce();
    let pardon = run.network.registry(nonce, vec![Action::PardonAuthority { key: run.key(3) }]);
    assert!(run.push(0, &all(7), vec![pardon.clone()]).is_empty());
    run.epochs(0, &all(7), &[], |_| None);
    assert_eq!(run.state.roster_for(Epoch::new(3)).expect("planned").voters.len(), 7);
    assert!(run.share(3) < 30_000, "on probation: {}", run.share(3));
    let nonce = run.state.nonce();
    let twice = run.network.registry(nonce, vec![Action::PardonAuthority { key: run.key(3) }]);
    assert!(matches!(run.push(0, &all(6)[..6], vec![twice])[..], [Error::NotConvicted(_)]));
}

#[test]
fn at_most_f_are_out_at_a_time() {
    let mut run = Run::new(7, 10);
    run.push(0, &[], vec![]);
    let all_evidence = (2..5).map(|index| Transaction::Evidence(equivocation(&run, index))).collect();
    assert!(run.push(0, &all(7), all_evidence).is_empty());
    assert_eq!(run.state.convicted().len(), 3);
    assert_eq!(run.state.quarantined().len(), 2);
    run.epochs(0, &all(7), &[], |_| None);
    let roster = run.state.planned();
    assert_eq!(roster.voters.len(), 5);
    // The third still votes but does not lead.
    let barred: Vec<usize> = (2..5).filter(|index| roster.voters.contains(&run.key(*index))).collect();
    assert_eq!(barred.len(), 1);
    assert_eq!(run.share(barred[0]), 0);
}

#[test]
fn four_authorities_stay_four() {
    let mut run = Run::new(4, 10);
    run.push(0, &[], vec![]);
    let evidence = equivocation(&run, 1);
    run.push(0, &all(4), vec![Transaction::Evidence(evidence)]);
    run.epochs(0, &all(4), &[], |_| None);
    assert_eq!(run.state.planned().voters.len(), 4, "with three no fault would be tolerated");
    assert_eq!(run.share(1), 0);
}

#[test]
fn evidence_must_hold() {
    let mut run = Run::new(4, 10);
    run.push(0, &[], vec![]);
    // Signed for another chain.
    let other = Network::with_epochs(4, 11);
    let foreign = other.equivocation(run.state.header(), &other.genesis().authorities, 1);
    assert!(matches!(
        run.push(0, &all(4), vec![Transaction::Evidence(foreign)])[..],
        [Error::Evidence { .. }]
    ));
    // Of an epoch that has not begun, and of one that is forgotten.
    let evidence = equivocation(&run, 1);
    run.epochs(2, &all(4), &[], |_| None);
    assert!(matches!(
        run.push(0, &all(4), vec![Transaction::Evidence(evidence)])[..],
        [Error::Evidence { .. }]
    ));
}

#[test]
fn a_committee_of_the_best_votes() {
    let genesis = Network::with_epochs(10, 20);
    let genesis = genesis.genesis().clone().with_committee(Some(4)).expect("3 f + 1");
    let network = Network::with_epochs(10, 20).with_genesis(genesis.clone());
    let mut run = Run { state: State::new(&genesis), network, parent: None };
    let far = |index: usize| index < 4;
    let trips = |from: usize| {
        Some((0..10).map(|to| if far(from) || far(to) { 90_000 } else { 10_000 }).collect::<Vec<u32>>())
    };
    assert!((0..4).all(|index| run.share(index) > 0), "the first by key begin");
    run.epochs(8, &all(4), &[], trips);
    let roster = run.state.planned().clone();
    assert_eq!((roster.authorities.len(), roster.voters.len()), (10, 4));
    assert!((4..10).filter(|index| roster.voters.contains(&run.key(*index))).count() == 4);
}

#[test]
fn a_newcomer_begins_with_the_floor() {
    let mut run = Run::new(7, 10);
    let newcomer = key(70);
    run.network.add_key(newcomer.clone());
    let admit = run.network.registry(0, vec![Action::AdmitAuthority { key: newcomer.public_key() }]);
    run.push(0, &[], vec![admit]);
    run.epochs(0, &all(7), &[], |_| None);
    let roster = run.state.planned();
    let at = roster.voters.as_set().position(&newcomer.public_key()).expect("serves");
    assert!((1..30_000).contains(&roster.leaders.share_ppm(at)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Whoever replays the same blocks holds the same scores; and no set of f voters gets more than its cap.
    #[test]
    fn scores_are_a_function_of_blocks(skips in prop::collection::vec(0_u64..3, 40), absent in 0_usize..7) {
        let mut run = Run::new(7, 8);
        let voters: Vec<usize> = (0..7).filter(|index| *index != absent).collect();
        let mut replayed = State::new(run.network.genesis());
        for skipped in skips {
            let before = run.state.clone();
            let parent = run.parent.clone();
            run.push(skipped, &voters, vec![]);
            let first = run.state.header().view - skipped;
            prop_assert!(first >= 1);
            let votes = parent.map(|header| {
                let set = before.roster_for(header.epoch).expect("recent").voters.clone();
                run.network.notarize_by(&header, &set, &voters)
            });
            let built = replayed.build_in(run.state.header().view, votes, [], run.state.time());
            prop_assert_eq!(built.block.header(), run.state.header());
            replayed = built.state;
        }
        let shares: Vec<u32> = (0..7).map(|index| run.share(index)).collect();
        prop_assert!(shares.iter().all(|share| *share > 0 && *share <= 240_000), "{:?}", shares);
    }
}

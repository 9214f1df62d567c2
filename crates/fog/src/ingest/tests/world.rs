//! A fog node's core and everything around it, owned by the test.

use super::*;

/// A fog node's core and everything around it.
pub struct World {
    pub chain: Chain,
    pub core: Ingest,
    pub settings: Settings,
    pub now: u64,
    /// What was appended, by position; `None` once released.
    pub disk: Vec<Option<Bytes>>,
    pub durable: usize,
    /// Whether appends become durable at once.
    pub syncs: bool,
    pub quarantine: Vec<Bytes>,
    pub answers: BTreeMap<u64, u8>,
    /// What rejected publishes were told.
    pub whys: BTreeMap<u64, String>,
    pub ended: Vec<(SessionId, u8, String)>,
    pub submitted: Vec<Transaction>,
    pub forwards: Vec<(BatchId, Position, Position)>,
    pub told: Vec<(Topic, Bytes)>,
    /// Where commands went, by ticket, and what vehicles answered.
    pub routed: BTreeMap<u64, Result<(SessionId, VehicleId, Bytes), NotRouted>>,
    pub answered: Vec<(VehicleId, CommandAnswer)>,
    pub copies: Vec<(PublicKey, Bytes)>,
    pub archived: BTreeSet<BatchId>,
    /// Entries of the ledger's log that the cloud was told of, by index.
    pub told_entries: Vec<u64>,
    /// Digests of the archived records.
    pub archived_records: BTreeSet<Digest>,
    pub statements: Bytes,
    pub places: Vec<Bytes>,
    pub fed: Vec<Feed>,
    pub tokens: u64,
    pub sessions: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(chain(), 0, Foreign { second_copy: false, ..Foreign::default() })
    }

    pub fn with(chain: Chain, authority: usize, foreign: Foreign) -> Self {
        let settings = settings(&chain, authority, foreign);
        Self::of(chain, settings)
    }

    pub fn of(chain: Chain, settings: Settings) -> Self {
        let mut world = Self {
            core: Ingest::new(settings.clone(), Position(0)),
            settings,
            chain,
            // After the samples of the tests.
            now: 1_700_001_000_000,
            disk: Vec::new(),
            durable: 0,
            syncs: true,
            quarantine: Vec::new(),
            answers: BTreeMap::new(),
            whys: BTreeMap::new(),
            ended: Vec::new(),
            submitted: Vec::new(),
            forwards: Vec::new(),
            told: Vec::new(),
            routed: BTreeMap::new(),
            answered: Vec::new(),
            copies: Vec::new(),
            archived: BTreeSet::new(),
            told_entries: Vec::new(),
            archived_records: BTreeSet::new(),
            statements: Bytes::new(),
            places: Vec::new(),
            fed: Vec::new(),
            tokens: 0,
            sessions: 0,
        };
        world.ledger(true);
        world
    }

    pub fn ledger(&mut self, caught_up: bool) {
        let state = Arc::new(self.chain.state.clone());
        self.give(Input::Ledger { state, caught_up });
    }

    /// One input with all that follows at once.
    pub fn give(&mut self, input: Input) {
        let outputs = self.core.handle(Timestamp::from_millis(self.now), input);
        self.perform(outputs);
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Append(entry) => self.disk.push(Some(entry)),
                Output::Quarantine { head, .. } => self.quarantine.push(head),
                Output::Release(positions) => {
                    for Position(at) in positions {
                        assert!((at as usize) < self.durable, "released before it was durable");
                        assert!(self.disk[at as usize].take().is_some(), "released twice: {at}");
                    }
                }
                Output::Answer(answers) => {
                    for answer in answers {
                        let twice = self.answers.insert(answer.claim.token, answer.reason);
                        assert_eq!(twice, None, "answered twice");
                    }
                }
                Output::Reject(rejections) => {
                    for rejection in rejections {
                        let twice = self.answers.insert(rejection.claim.token, rejection.reason);
                        assert_eq!(twice, None, "answered twice");
                        self.whys.insert(rejection.claim.token, rejection.why);
                    }
                }
                Output::Disconnect { session, reason, why } => self.ended.push((session, reason, why)),
                Output::Work(job) => self.give(Input::Done(job.run())),
                Output::Submit(transaction) => self.submitted.push(*transaction),
                Output::Copy { to, message } => self.copies.push((to, message)),
                Output::ToVehicle { topic, payload, .. } => self.told.push((topic, payload)),
                Output::ReceiptsFromSpool { entries, .. } => {
                    let entries = entries.iter().filter_map(|at| self.disk[at.0 as usize].clone());
                    self.told.push((Topic::Receipt, receipts(entries).unwrap()));
                }
                Output::Forward { batch, entry, evidence } => self.forwards.push((batch, entry, evidence)),
                Output::Load(position) => {
                    let entry = self.disk[position.0 as usize].clone();
                    self.give(Input::Loaded(position, entry));
                }
                Output::CommandRouted { ticket, routed } => {
                    assert!(self.routed.insert(ticket, routed).is_none(), "routed twice");
                }
                Output::Answered { vehicle, answer } => self.answered.push((vehicle, *answer)),
                Output::KeepStatements(bytes) => self.statements = bytes,
                Output::AnchoredToCloud(bytes) => self.places.push(bytes),
                Output::Feed(feed) => self.fed.push(feed),
                Output::TrustToCloud(_) | Output::Log(_) | Output::LogRejection { .. } => {}
            }
        }
    }

    /// Ends a group; if the disk works, what was appended becomes durable.
    pub fn tick(&mut self) {
        self.give(Input::Tick);
        if self.syncs {
            self.sync();
            self.give(Input::Tick); // what became durable last goes on its way
        }
    }

    pub fn sync(&mut self) {
        self.durable = self.disk.len();
        self.give(Input::QuarantineDurable(Position(self.quarantine.len() as u64)));
        self.give(Input::Durable(Position(self.durable as u64)));
        self.give(Input::Tick);
        self.durable = self.durable.max(if self.syncs { self.disk.len() } else { 0 });
        if self.syncs {
            self.give(Input::Durable(Position(self.durable as u64)));
        }
    }

    pub fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.tick();
    }

    pub fn connect(&mut self, peer: &str) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let identity = format!("urn:voltmesh:{peer}").parse().unwrap();
        let peer = Peer { identity, serial: "01".parse().unwrap(), expires_s: i64::MAX };
        self.give(Input::Connected { session, peer });
        session
    }

    /// Publishes; returns the token to look the answer up with.
    pub fn publish(&mut self, session: SessionId, topic: &str, payload: impl Into<Bytes>) -> u64 {
        self.tokens += 1;
        let token = Token::from_bits(self.tokens).to_bits();
        let claim = Claim { session, token, arrived_us: 0 };
        self.give(Input::Publish { claim, topic: topic.into(), payload: payload.into() });
        token
    }

    /// A vehicle's session that has said hello.
    pub fn vehicle(&mut self, vehicle: &Vehicle) -> SessionId {
        let session = self.connect(&format!("edge:{}", vehicle.id));
        let token = self.hello(session, vehicle);
        self.tick();
        assert_eq!(self.answers.get(&token), Some(&0), "hello of {}: {:?}", vehicle.id, self.ended);
        session
    }

    pub fn hello(&mut self, session: SessionId, vehicle: &Vehicle) -> u64 {
        let opening = Opening { salt: vehicle.opening.salt, key: vehicle.opening.key };
        let hello = Hello { opening, boot: voltmesh_telemetry::Boot::new(1), client_version: "test".into() };
        self.publish(session, &format!("v1/{}/hello", vehicle.id), hello.encode())
    }

    pub fn send(&mut self, session: SessionId, batch: &SealedBatch) -> u64 {
        self.publish(session, &format!("v1/{}/batch", batch.header().vehicle), batch.wire().clone())
    }

    /// The next block, with what was submitted.
    pub fn block(&mut self) {
        let transactions = std::mem::take(&mut self.submitted);
        // The same anchor again is refused by the ledger; here it is left out.
        let transactions = transactions.into_iter().filter(|tx| self.chain.state.check(tx).is_ok());
        let mut once = BTreeSet::new();
        let transactions: Vec<_> = transactions.filter(|tx| once.insert(tx.digest().to_string())).collect();
        self.chain.push(transactions);
        self.deliver(self.chain.blocks.len() - 1);
        self.tick();
    }

    pub fn deliver(&mut self, index: usize) {
        let last = self.chain.blocks[index].clone();
        let header = last.block.header().clone();
        self.give(Input::Finalized(Box::new(Finalized {
            block: Arc::new(last.block),
            header,
            certificate: last.certificate,
            entries: last.entries,
            acts: Vec::new(),
            root_signatures: last.root_receipts,
            state: Arc::new(last.state),
            replayed: false,
        })));
    }

    /// The cloud answers what was forwarded, checking it as a cloud does, and gives its notices.
    pub fn cloud(&mut self, with_notices: bool) {
        let forwards = std::mem::take(&mut self.forwards);
        let mut notices = Vec::new();
        for (batch, entry, evidence) in forwards {
            let (Some(entry), Some(evidence)) =
                (self.disk[entry.0 as usize].clone(), self.disk[evidence.0 as usize].clone())
            else {
                continue;
            };
            let envelope = envelope(&self.settings.fog, &entry, &evidence).expect("a batch and its evidence");
            let envelope = Envelope::decode(&envelope).unwrap();
            let sealed = SealedBatch::parse(envelope.batch).unwrap();
            let header = sealed.header();
            let records = sealed.verify(&VerifyingKey::from_bytes(&envelope.opening.key).unwrap()).unwrap();
            let of = |record: &voltmesh_telemetry::Record| {
                Digest::of(&[header.vehicle.as_str().as_bytes(), &record.to_canonical()].concat())
            };
            self.archived_records.extend(records.iter().map(of));
            let signer = match &header.signer {
                Signer::Vehicle => header.vehicle.clone(),
                Signer::Fog(fog) => fog.parse().unwrap(),
            };
            let anchor = AnchorProof::from_bytes(&envelope.evidence).unwrap();
            anchor.verify(&self.chain.trust(), &batch, &commitment(&signer, &envelope.opening)).unwrap();
            self.archived.insert(batch);
            self.told_entries.push(anchor.inclusion.index);
            notices.push(notice(&sealed, &cloud_key()));
            self.give(Input::CloudAnswer { batch, reason: 0 });
        }
        if with_notices {
            notices.into_iter().for_each(|notice| self.give(Input::CloudNotice(notice)));
        }
        self.tick();
    }

    /// Everything works until nothing is left to do.
    pub fn settle(&mut self) {
        self.syncs = true;
        self.give(Input::CloudUp);
        for _ in 0..40 {
            self.wait(1_000);
            self.block();
            self.cloud(true);
        }
    }

    /// The process dies; what was not durable is gone.
    pub fn crash(&mut self) {
        self.disk.truncate(self.durable);
        self.forwards.clear();
        self.submitted.clear();
        let mut core = Ingest::new(self.settings.clone(), Position(self.disk.len() as u64));
        core.quarantine_at(Position(self.quarantine.len() as u64));
        let mut restoring = Restoring::default();
        for (at, entry) in self.disk.iter().enumerate().filter_map(|(at, entry)| Some((at, entry.as_ref()?)))
        {
            core.restore(Timestamp::from_millis(self.now), &mut restoring, Position(at as u64), entry);
        }
        core.restored(restoring);
        assert!(core.restore_statements(&self.statements));
        let replay = core.replay_above();
        self.core = core;
        for index in replay.map_or(self.chain.blocks.len(), |height| height as usize)..self.chain.blocks.len()
        {
            self.deliver(index);
        }
        self.ledger(true);
    }

    pub fn held(&self) -> usize {
        self.disk.iter().flatten().count()
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.core.counters().all()[name]
    }

    pub fn receipts_told(&self) -> Vec<BatchId> {
        let receipts = self.told.iter().filter(|(topic, _)| *topic == Topic::Receipt);
        receipts
            .flat_map(|(_, payload)| Receipts::decode(payload).unwrap().items)
            .map(|item| item.batch)
            .collect()
    }

    pub fn notices_told(&self) -> usize {
        self.told.iter().filter(|(topic, _)| *topic == Topic::Notice).count()
    }
}

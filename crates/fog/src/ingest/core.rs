//! The core of a fog node: what it knows, and which step each input takes. The steps are in the files beside it.

use commonware_cryptography::Signer as _;
use ed25519_dalek::SigningKey;
use voltmesh_control::{Allowance, commitment};
use voltmesh_ledger::PublicKey;
use voltmesh_spool::Position;
use voltmesh_telemetry::{Digest, Timestamp};

use super::{
    counters::Counters,
    io::{Input, Output},
    job::Done,
    settings::Settings,
    state::{
        anchors::Anchors, chain::Chains, clock::Clock, disk::Disk, held::HeldBatches, holdings::Holdings,
        offers::Copies, pending::Pending, session::Sessions, statements::Statements, uplink::Uplink,
    },
};

/// The core of a fog node.
pub struct Ingest {
    pub(super) settings: Settings,
    pub(super) signing: SigningKey,
    pub(super) authority: PublicKey,
    /// This node's own place in the registry.
    pub(super) own_commitment: Digest,
    pub(super) now: Timestamp,
    pub(super) outputs: Vec<Output>,
    pub(super) counters: Counters,
    pub(super) allowance: Allowance,
    pub(super) sessions: Sessions,
    pub(super) disk: Disk,
    pub(super) held: HeldBatches,
    pub(super) chains: Chains,
    pub(super) ledger: Anchors,
    pub(super) uplink: Uplink,
    pub(super) statements: Statements,
    pub(super) foreign: Pending,
    pub(super) copies: Copies,
    pub(super) holdings: Holdings,
    pub(super) clock: Clock,
    /// Whether somebody looks into what is durable.
    pub(super) feeding: bool,
}

impl Ingest {
    /// A core with nothing in its spool, whose next entry gets `next`. Give it what the spool holds with
    /// [`Self::restore`], then [`Self::restored`].
    pub fn new(settings: Settings, next: Position) -> Self {
        Self {
            signing: voltmesh_ledger::signing_key(&settings.key),
            authority: settings.key.public_key(),
            own_commitment: commitment(&settings.fog, &settings.opening),
            now: Timestamp::from_millis(0),
            outputs: Vec::new(),
            counters: Counters::default(),
            allowance: Allowance::new(settings.spool.quarantine_bytes),
            sessions: Sessions::default(),
            disk: Disk::new(next),
            held: HeldBatches::default(),
            chains: Chains::default(),
            ledger: Anchors::default(),
            uplink: Uplink::default(),
            statements: Statements::default(),
            foreign: Pending::default(),
            copies: Copies::default(),
            holdings: Holdings::default(),
            clock: Clock::default(),
            feeding: false,
            settings,
        }
    }

    /// What happens next, given what has happened. Time never goes back: an earlier `now` counts as the latest.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Tick => self.tick(),
            Input::Connected { session, peer } => self.connected(session, peer),
            Input::Disconnected { session } => self.sessions.remove(session),
            Input::Publish { claim, topic, payload } => self.publish(claim, &topic, payload),
            Input::Will { claim, peer, topic, payload } => self.will(claim, peer, &topic, payload),
            Input::Done(done) => self.done(done),
            Input::Durable(below) => self.durable(below),
            Input::QuarantineDurable(below) => self.quarantine_durable(below),
            Input::StorageFailed(why) => self.storage_failed(why),
            Input::Space(free) => self.disk.set_free(free),
            Input::SpoolUsed(used) => self.disk.set_pinned(used),
            Input::Ledger { state, caught_up } => self.ledger_state(state, caught_up),
            Input::Finalized(finalized) => self.finalized(&finalized),
            Input::Handovers(handovers) => self.handovers(handovers),
            Input::Peers(peers) => self.copies.set_peers(peers),
            Input::Copy { from, message } => self.copy_message(from, &message),
            Input::Loaded(position, entry) => self.loaded(position, entry),
            Input::CloudUp => self.cloud_up(),
            Input::CloudDown => self.cloud_down(),
            Input::CloudAnswer { batch, reason } => self.cloud_answer(batch, reason),
            Input::CloudNotice(bytes) => self.cloud_notice(&bytes),
            Input::CloudStatement(bytes) => self.cloud_statement(&bytes),
            Input::Command { vehicle, message, ticket } => self.command(&vehicle, message, ticket),
        }
        std::mem::take(&mut self.outputs)
    }

    fn tick(&mut self) {
        self.quarantine_unreadable();
        self.flush_samples();
        self.seal_due();
        self.offer_copies();
        self.copies_due();
        self.statements_due();
        self.anchors_due();
        self.forward_due();
        self.disk.flush(&mut self.outputs);
    }

    /// When to say [`Input::Tick`] even if nothing else happens.
    pub fn deadline(&self) -> Option<Timestamp> {
        // Without its own place in the registry this node attests nothing.
        let attests = self.attests().is_ok();
        [
            self.foreign.deadline().filter(|_| attests),
            self.copies.deadline(&self.settings.foreign),
            self.holdings.deadline(),
            self.ledger.deadline(&self.settings.anchors),
            self.uplink.deadline(&self.settings.forward),
            self.statements.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Verified { ticket, result } => self.verified(ticket, result),
            Done::Sealed { ticket, batches, failed, client, sources } => {
                self.sealed(ticket, batches, failed, client, sources)
            }
        }
    }

    /// Asks for [`super::Output::Feed`] with each vehicle's batch and each sample of a client from here on; without it
    /// nothing is kept for it.
    pub fn feed(&mut self) {
        self.feeding = true;
    }

    /// What this node has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Gauges, by name.
    pub fn gauges(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("sessions", self.sessions.len() as u64),
            ("held_batches", self.held.len() as u64),
            ("spool_bytes", self.disk.used()),
            ("inflight_bytes", self.disk.inflight()),
            ("forward_queue", self.uplink.queued() as u64),
            ("samples_pending", self.foreign.pending() as u64),
            ("anchor_queue", self.ledger.queued() as u64),
            ("ledger_height", self.ledger.height()),
            ("clock_off_ms", self.clock.off_ms()),
        ]
    }

    pub(super) fn log(&mut self, text: String) {
        self.outputs.push(Output::Log(text));
    }
}

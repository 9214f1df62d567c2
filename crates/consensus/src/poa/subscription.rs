//! Final blocks in order, with everything that evidence needs.

use crate::{
    common::chain::Executed,
    poa::{
        shared::{Marshal, Shared},
        sync::snapshots::Request,
    },
};
use commonware_cryptography::Digestible as _;
use commonware_utils::channel::{mpsc, oneshot};
use std::{collections::VecDeque, sync::Arc};
use tracing::warn;
use voltmesh_ledger::{
    Act, ActEntry, ActEvidence, Block, Certificate, EventList, Header, Height, Lane, LogEntry, PublicKey,
    RootReceipt, State, Transaction,
};

/// Blocks without a certificate of their own after which one is asked for.
const LONG_GROUP: usize = 16;

/// A final block.
#[derive(Clone, Debug)]
pub struct Finalized {
    /// The block.
    pub block: Arc<Block>,
    /// The header that `certificate` is for. Mostly the block's own; if the votes for a block were scattered by a change
    /// of views, it is final through a later block, and this is that one's.
    pub header: Header,
    /// Makes `header` final, and so the block.
    pub certificate: Certificate,
    /// What the block put into the log, with paths to the log root of `header`.
    pub entries: Vec<LogEntry>,
    /// What the block put into the log of acts (event lists, decisions, terms), with paths to that log's root after the block
    /// of `header`.
    pub acts: Vec<ActEntry>,
    /// Signatures of f + 1 or more authorities over the log root of `header`; empty if `entries` is.
    pub root_signatures: Vec<RootReceipt>,
    /// The state after the block of `header`: registry proofs from it fit `header`.
    pub state: Arc<State>,
    /// Whether the block was final before this process started.
    pub replayed: bool,
}

impl Finalized {
    /// Evidence that one of `acts` is on the ledger, for [`voltmesh_ledger::EventProof`]. `None` if it is not one of them.
    pub fn act_evidence(&self, act: &Act) -> Option<ActEvidence> {
        let entry = self.acts.iter().find(|entry| entry.act == *act)?.clone();
        let extent = self.state.prove_acts()?;
        Some(ActEvidence::new(self.header.clone(), self.certificate.clone(), entry, extent))
    }

    /// Event lists of an authority in this lane that are final with this block, in their order.
    pub fn event_lists<'a>(
        &'a self,
        authority: &'a PublicKey,
        lane: Lane,
    ) -> impl Iterator<Item = &'a EventList> {
        self.block.transactions().iter().filter_map(move |transaction| match transaction {
            Transaction::Events(list) if list.authority == *authority && list.lane == lane => Some(list),
            _ => None,
        })
    }
}

/// Delivers final blocks one after the other, from the height that [`crate::Handle::subscribe`] was given.
///
/// It begins later, or leaves a gap, only if blocks are not here any more or never were: they were pruned and nobody held
/// them ([`crate::Handle::hold`]), or this node joined from a snapshot. Who must know compares heights.
///
/// Nothing is lost if the future of [`Self::next`] is dropped before it is ready.
pub struct Subscription {
    shared: Arc<Shared>,
    marshal: Marshal,
    keeper: mpsc::UnboundedSender<Request>,
    /// The state before `group`.
    before: Option<Arc<State>>,
    /// Blocks that wait for a certificate of theirs or of a later one.
    group: Vec<Executed>,
    certificate: Option<Certificate>,
    ready: VecDeque<Finalized>,
    /// Height after the last of `group`.
    next: u64,
}

impl Subscription {
    pub(crate) fn new(
        shared: Arc<Shared>,
        marshal: Marshal,
        keeper: mpsc::UnboundedSender<Request>,
        from: Height,
    ) -> Self {
        Self {
            shared,
            marshal,
            keeper,
            before: None,
            group: Vec::new(),
            certificate: None,
            ready: VecDeque::new(),
            // Block 0 is the genesis, which needs no delivery.
            next: from.get().max(1),
        }
    }

    /// The next final block; `None` once the node has stopped.
    pub async fn next(&mut self) -> Option<Finalized> {
        loop {
            if let Some(finalized) = self.ready.pop_front() {
                return Some(finalized);
            }
            self.restore().await?;
            if self.before.is_none() {
                continue;
            }
            if self.certificate.is_none() {
                self.extend().await?;
                continue;
            }
            let signatures = self.signatures().await?;
            self.release(signatures);
        }
    }

    /// Finds the state before the first block to deliver.
    async fn restore(&mut self) -> Option<()> {
        if self.before.is_some() {
            return Some(());
        }
        let mut tip = self.shared.core.tip.subscribe();
        tip.wait_for(|tip| tip.stopped || tip.height + 1 >= self.next).await.ok()?;
        self.alive()?;
        let kept = self.shared.core.chain.lock().checkpoint(self.next - 1);
        let mut state = match kept.filter(|state| state.height().get() + 1 >= self.shared.oldest()) {
            Some(state) => state,
            None => {
                let (sender, loaded) = oneshot::channel();
                self.keeper.send(Request::Load(self.next - 1, sender)).ok()?;
                loaded.await.ok()??
            }
        };
        if state.height().get() >= self.next {
            warn!(
                from = self.next,
                to = state.height().get() + 1,
                "blocks are not here any more, so they are left out"
            );
            self.next = state.height().get() + 1;
            return Some(());
        }
        while state.height().get() + 1 < self.next {
            let Some(block) = self.marshal.get_block(state.height().next()).await else {
                return self.news().await;
            };
            state = Arc::new(execute(&state, block.inner()).0);
        }
        self.before = Some(state);
        Some(())
    }

    /// What comes next is gone: begins anew with what there is.
    async fn skip(&mut self) -> Option<()> {
        self.next -= self.group.len() as u64;
        self.group.clear();
        self.before = None;
        self.news().await
    }

    /// Waits for the next final block.
    async fn news(&self) -> Option<()> {
        let mut tip = self.shared.core.tip.subscribe();
        self.alive()?;
        tip.changed().await.ok()?;
        self.alive()
    }

    /// Adds the next block to the group, and looks whether it is the one with the certificate.
    async fn extend(&mut self) -> Option<()> {
        let mut tip = self.shared.core.tip.subscribe();
        let mut signed = self.shared.signed.subscribe();
        // The last block may have got its certificate meanwhile.
        if let Some(last) = self.group.last()
            && let Some(certificate) = self.certificate_of(last.digest, self.next - 1).await
        {
            self.certificate = Some(certificate);
            return Some(());
        }
        if tip.borrow_and_update().height < self.next {
            commonware_macros::select! {
                changed = tip.changed() => changed.ok()?,
                changed = signed.changed() => changed.ok()?,
            };
            return self.alive();
        }
        let recent = self.shared.core.chain.lock().recent(self.next);
        let executed = match recent {
            Some(executed) => executed,
            None => {
                let Some(block) = self.marshal.get_block(Height::new(self.next)).await else {
                    return self.skip().await;
                };
                let state =
                    self.group.last().map(|last| last.state.clone()).or_else(|| self.before.clone())?;
                let (state, entries) = execute(&state, block.inner());
                Executed {
                    digest: block.digest(),
                    block: block.inner_shared(),
                    state: Arc::new(state),
                    entries: Arc::new(entries),
                }
            }
        };
        self.group.push(executed);
        self.next += 1;
        if self.group.len().is_multiple_of(LONG_GROUP) {
            self.shared.want_certificate(self.next - 1);
        }
        Some(())
    }

    async fn certificate_of(&self, digest: voltmesh_ledger::Digest, height: u64) -> Option<Certificate> {
        let certificate = self.shared.certificate(&self.marshal, height).await?;
        (certificate.block() == digest).then_some(certificate)
    }

    /// Waits for the signatures of the log root that the group leads to.
    async fn signatures(&self) -> Option<Vec<RootReceipt>> {
        let last = self.group.last()?;
        if self.group.iter().all(|executed| executed.entries.is_empty()) {
            return Some(Vec::new());
        }
        let header = last.block.header();
        let height = header.height.get();
        let mut signed = self.shared.signed.subscribe();
        loop {
            signed.borrow_and_update();
            if let Some(authorities) = self.shared.core.authorities_of(header.epoch.get()) {
                self.shared.roots.lock().open(header, authorities, self.shared.core.now_ms());
            }
            if let Some(signatures) = self.shared.roots.lock().enough(height) {
                return Some(signatures);
            }
            signed.changed().await.ok()?;
            self.alive()?;
        }
    }

    fn alive(&self) -> Option<()> {
        (!self.shared.core.tip.borrow().stopped).then_some(())
    }

    /// Hands the group over.
    fn release(&mut self, signatures: Vec<RootReceipt>) {
        let (Some(certificate), Some(before)) = (self.certificate.take(), self.before.take()) else { return };
        let group = std::mem::take(&mut self.group);
        let Some(last) = group.last() else { return };
        let (state, header) = (last.state.clone(), last.block.header().clone());
        // One block with its own certificate is the rule; its paths lead to its own root.
        let alone = group.len() == 1;
        let mut placed = if alone {
            Vec::new()
        } else {
            before.place(group.iter().flat_map(|executed| {
                executed.entries.iter().map(|entry| (entry.batch, entry.authority.clone()))
            }))
        }
        .into_iter();
        let mut acts = before.place_acts(group.iter().flat_map(|executed| executed.block.acts())).into_iter();
        for executed in &group {
            let entries: Vec<LogEntry> = if alone {
                executed.entries.to_vec()
            } else {
                placed.by_ref().take(executed.entries.len()).collect()
            };
            self.ready.push_back(Finalized {
                block: executed.block.clone(),
                header: header.clone(),
                certificate: certificate.clone(),
                root_signatures: if entries.is_empty() { Vec::new() } else { signatures.clone() },
                entries,
                acts: acts.by_ref().take(executed.block.acts().count()).collect(),
                state: state.clone(),
                replayed: executed.block.header().height.get() <= self.shared.restored,
            });
        }
        self.before = Some(state);
    }
}

/// Executes a block that is final here.
pub(crate) fn execute(state: &State, block: &Block) -> (State, Vec<LogEntry>) {
    match state.execute_final(block) {
        Ok(next) => next,
        // More than f authorities voted for it, or our disk or memory is broken: going on would spread it.
        Err(error) => panic!("final block {} does not follow: {error}", block.digest()),
    }
}

//! View changes (OSDI 4.4): how a replica leaves a view, and what the next one must begin with.
//!
//! Why what is committed survives. A committed block was prepared by n − f replicas, and so were all blocks after the
//! newest one they had executed, since commits are sent in order. Any n − f view changes include one of an honest replica
//! among them, which either has the block executed or claims it as prepared, and no later view can have prepared another
//! block at its height. So the chain of newest claims after the newest committed block, up to the first gap or wrong
//! parent, includes it.

use crate::pbft::{
    certificate::{Ballot, Certificate, Phase, Seat},
    log::Proposal,
    message::{Message, NewView, Proofs, ViewChange},
    replica::Core,
    vocabulary::{Output, To},
};
use commonware_consensus::types::View;
use commonware_cryptography::Digestible as _;
use std::collections::BTreeMap;
use tracing::{debug, error, info};
use voltmesh_ledger::{Header, Height, Signature};

/// Contents that a new view begins with.
struct Beginning {
    /// The newest committed block claimed.
    base: Ballot,
    /// The blocks that the primary proposes again, which is O.
    repeated: Vec<Header>,
    /// Certificates of the claims that decide this.
    proofs: Proofs,
}

impl Core {
    /// OSDI 4.4: stops taking part in the present view and asks for `view`.
    pub fn start_view_change(&mut self, view: View) {
        debug!(%view, height = %self.tip.height(), "asks for a view change");
        self.view = view;
        self.failures = self.failures.saturating_add(1);
        self.progress_at = None;
        let base = self.history.newest().map_or_else(|| self.genesis(), |certificate| certificate.ballot);
        let prepared: Vec<_> = self.slots.values().filter_map(|slot| slot.prepared.clone()).collect();
        let proofs = Proofs { committed: self.history.newest().cloned().into_iter().collect(), prepared };
        let prepared: Vec<Ballot> =
            proofs.prepared.iter().map(|(_, certificate)| certificate.ballot).collect();
        let signature = self.voters.sign(&self.key, &ViewChange::signed(view, &base, &prepared));
        let change = ViewChange { view, base, prepared, signature };
        self.changes.insert(self.me, (change.clone(), proofs.clone()));
        self.send(To::All, Message::ViewChange(change, proofs));
        self.count_changes();
    }

    /// The block before the first, final without votes.
    fn genesis(&self) -> Ballot {
        Ballot::new(Phase::Commit, View::zero(), Height::zero(), self.tip.genesis().block().digest())
    }

    pub fn view_change(&mut self, from: Seat, change: ViewChange, proofs: Proofs) {
        if change.view <= self.entered {
            if self.is_active()
                && let Some(new_view) = self.new_view.clone()
            {
                self.send(To::One(from), Message::NewView(new_view));
            }
            return;
        }
        if self.changes.get(&from).is_some_and(|(known, _)| known.view >= change.view) {
            return;
        }
        let signed = ViewChange::signed(change.view, &change.base, &change.prepared);
        let holds = self.is_well_formed(&change) && self.voters.verify(from, &signed, &change.signature);
        let Some(proofs) = holds.then(|| self.proven(&change, &proofs)).flatten() else {
            debug!(?from, view = %change.view, "a view change that does not hold");
            return;
        };
        self.catcher.heard(from, change.base.height);
        self.changes.insert(from, (change, proofs));
        self.count_changes();
    }

    /// Follows f + 1 others, begins to wait for the new view once n − f want it, and sends it as its primary.
    fn count_changes(&mut self) {
        // OSDI 4.5.2: f + 1 for later views, so an honest one among them.
        let later: Vec<View> =
            self.changes.values().map(|(change, _)| change.view).filter(|view| *view > self.view).collect();
        if later.len() >= self.voters.honest()
            && let Some(view) = later.into_iter().min()
        {
            return self.start_view_change(view);
        }
        if self.is_active() {
            return;
        }
        let wanting = self.changes.values().filter(|(change, _)| change.view >= self.view).count();
        if wanting >= self.voters.quorum() && self.progress_at.is_none() {
            self.progress_at = Some(self.patience());
        }
        let ready = self.changes.values().filter(|(change, _)| change.view == self.view).count();
        if ready >= self.voters.quorum() && self.voters.primary(self.view) == self.me {
            self.lead_new_view();
        }
    }

    /// Sends the new view whose primary this replica is.
    fn lead_new_view(&mut self) {
        let view = self.view;
        let chosen: Vec<_> = self
            .changes
            .iter()
            .filter(|(_, (change, _))| change.view == view)
            .take(self.voters.quorum())
            .collect();
        let changes: Vec<(Seat, ViewChange)> =
            chosen.iter().map(|(seat, (change, _))| (**seat, change.clone())).collect();
        let Some(beginning) = self.beginning(&changes, chosen.iter().map(|(_, (_, proofs))| proofs)) else {
            // Two blocks prepared in one view: more than f authorities are faulty, and no view can begin.
            error!(%view, "view changes contradict each other");
            return;
        };
        let proposals: Vec<Signature> = beginning
            .repeated
            .iter()
            .map(|header| {
                let ballot = Ballot::new(Phase::PrePrepare, view, header.height, header.digest());
                self.voters.sign(&self.key, &ballot.signed())
            })
            .collect();
        let signature = self.voters.sign(&self.key, &NewView::signed(view, &changes, &proposals));
        let Beginning { base, repeated, proofs } = beginning;
        let new_view = NewView { view, changes, proposals, signature, proofs };
        self.send(To::All, Message::NewView(new_view.clone()));
        self.enter(new_view, base, repeated);
    }

    /// OSDI 4.4: a backup accepts a new view if it is signed, its view changes are valid, and O is what follows from them.
    pub fn learn_new_view(&mut self, new_view: NewView) {
        let NewView { view, changes, proposals, signature, proofs } = &new_view;
        let primary = self.voters.primary(*view);
        if *view < self.view || *view <= self.entered || primary == self.me {
            return;
        }
        let ascending = changes.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let fit = |(_, change): &(Seat, ViewChange)| change.view == *view && self.is_well_formed(change);
        if !ascending || changes.len() < self.voters.quorum() || !changes.iter().all(fit) {
            debug!(%view, "a new view without enough view changes");
            return;
        }
        let Some(Beginning { base, repeated, .. }) = self.beginning(changes, [proofs]) else {
            debug!(%view, "a new view without its proofs");
            return;
        };
        let mut entries = vec![(primary, NewView::signed(*view, changes, proposals), signature)];
        for (seat, change) in changes {
            let signed = ViewChange::signed(change.view, &change.base, &change.prepared);
            entries.push((*seat, signed, &change.signature));
        }
        for (header, signature) in repeated.iter().zip(proposals) {
            let ballot = Ballot::new(Phase::PrePrepare, *view, header.height, header.digest());
            entries.push((primary, ballot.signed(), signature));
        }
        if repeated.len() != proposals.len() || !self.voters.verify_all(&entries) {
            debug!(%view, "a new view that does not hold");
            return;
        }
        self.enter(new_view, base, repeated);
    }

    fn enter(&mut self, new_view: NewView, base: Ballot, repeated: Vec<Header>) {
        let view = new_view.view;
        info!(%view, base = %base.height, repeated = repeated.len(), "enters a view");
        let executed = self.tip.height();
        self.view = view;
        self.entered = view;
        self.top = Height::new(base.height.get() + repeated.len() as u64);
        self.first = self.top.next();
        self.slots.values_mut().for_each(|slot| slot.enter(view));
        let leads = self.voters.primary(view) == self.me;
        for (header, signature) in repeated.into_iter().zip(&new_view.proposals) {
            let (height, digest) = (header.height, header.digest());
            if height > executed {
                let proposal = Proposal::new(view, header, signature.clone(), true);
                self.slots.entry(height).or_default().proposal = Some(proposal);
            } else if let Some(ours) = self.history.digest(height) {
                assert_eq!(ours, digest, "a valid new view contradicts a committed block");
                // Final here, so this replica can stand by it at once; the others may need its votes.
                if !leads {
                    self.cast(Phase::Prepare, height, digest);
                }
                self.cast(Phase::Commit, height, digest);
            }
        }
        self.slots.retain(|_, slot| slot.is_open() || slot.prepared.is_some() || slot.committed.is_some());
        self.discard();
        for (seat, change) in &new_view.changes {
            self.catcher.heard(*seat, change.base.height);
        }
        self.changes.retain(|_, (change, _)| change.view > view);
        self.new_view = Some(new_view);
        self.progress_at = Some(self.patience());
        self.out.push(Output::Entered(view));
        if base.height > executed {
            self.fetch();
        }
        self.recall_early();
    }

    /// Whether a view change claims what one may claim, proofs aside.
    fn is_well_formed(&self, change: &ViewChange) -> bool {
        let ViewChange { view, base, prepared, .. } = change;
        let last = base.height.get().saturating_add(self.window());
        let in_range = |ballot: &Ballot| ballot.height > base.height && ballot.height.get() <= last;
        base.phase == Phase::Commit
            && prepared.windows(2).all(|pair| pair[0].height < pair[1].height)
            && prepared
                .iter()
                .all(|ballot| ballot.phase == Phase::Prepare && in_range(ballot) && ballot.view < *view)
    }

    /// The certificates of all claims of a view change, each found good; `None` if one is missing.
    fn proven(&self, change: &ViewChange, attached: &Proofs) -> Option<Proofs> {
        let committed = self.committed_proof(&change.base, &attached.committed)?;
        let prepared = change.prepared.iter().map(|ballot| self.prepared_proof(ballot, &attached.prepared));
        Some(Proofs {
            committed: committed.into_iter().collect(),
            prepared: prepared.collect::<Option<_>>()?,
        })
    }

    /// The certificate that `ballot` is committed, this replica's own or one of `attached`. The genesis needs none.
    fn committed_proof(&self, ballot: &Ballot, attached: &[Certificate]) -> Option<Option<Certificate>> {
        if *ballot == self.genesis() {
            return Some(None);
        }
        let matches = |certificate: &&Certificate| certificate.ballot == *ballot;
        let ours = self.history.certificate(ballot.height).filter(matches);
        let theirs =
            || attached.iter().find(matches).filter(|certificate| self.voters.certifies(certificate));
        ours.or_else(theirs).cloned().map(Some)
    }

    /// The header of the block that `ballot` says is prepared, and the certificate: one that this replica has found good
    /// before, or one of `attached`. One that was not checked must not be passed on.
    fn prepared_proof(
        &self,
        ballot: &Ballot,
        attached: &[(Header, Certificate)],
    ) -> Option<(Header, Certificate)> {
        let matches = |proof: &&(Header, Certificate)| proof.1.ballot == *ballot;
        let ours = self.slots.get(&ballot.height).and_then(|slot| slot.prepared.as_ref()).filter(matches);
        let accepted = || self.changes.values().flat_map(|(_, proofs)| &proofs.prepared).find(matches);
        let theirs = || {
            attached.iter().find(matches).filter(|(header, certificate)| {
                header.height == ballot.height
                    && header.digest() == ballot.digest
                    && self.voters.certifies(certificate)
            })
        };
        ours.or_else(accepted).or_else(theirs).cloned()
    }

    /// What follows from view changes: OSDI 4.4 computes min-s, max-s and O from V. `None` if a proof is missing.
    fn beginning<'a>(
        &self,
        changes: &[(Seat, ViewChange)],
        proofs: impl IntoIterator<Item = &'a Proofs>,
    ) -> Option<Beginning> {
        let mut all = Proofs::default();
        for proofs in proofs {
            all.committed.extend(proofs.committed.iter().cloned());
            all.prepared.extend(proofs.prepared.iter().cloned());
        }
        let base =
            changes.iter().map(|(_, change)| change.base).max_by_key(|base| (base.height, base.view))?;
        let committed = self.committed_proof(&base, &all.committed)?;
        // Of each height the claim of the newest view.
        let mut claims: BTreeMap<Height, Ballot> = BTreeMap::new();
        for ballot in changes.iter().flat_map(|(_, change)| &change.prepared) {
            let claim = claims.entry(ballot.height).or_insert(*ballot);
            if claim.view < ballot.view {
                *claim = *ballot;
            }
        }
        let mut repeated: Vec<Header> = Vec::new();
        let mut prepared = Vec::new();
        let mut parent = base.digest;
        for height in base.height.get() + 1.. {
            let Some(claim) = claims.get(&Height::new(height)) else { break };
            let (header, certificate) = self.prepared_proof(claim, &all.prepared)?;
            let follows = header.parent == parent;
            prepared.push((header.clone(), certificate));
            if !follows {
                break;
            }
            parent = claim.digest;
            repeated.push(header);
        }
        let proofs = Proofs { committed: committed.into_iter().collect(), prepared };
        Some(Beginning { base, repeated, proofs })
    }
}

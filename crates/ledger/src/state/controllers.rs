//! What a state says of controllers, functions and events, and the log of acts: answers and proofs.

use crate::{
    block::{
        act::Act,
        event_list::Lane,
        policy::{Policy, PolicyAct},
    },
    state::{
        State,
        fact::{Controller, Fact, FactProof, Release, Term},
    },
    types::PublicKey,
};
use voltmesh_telemetry::{Digest as Hash, merkle::Inclusion};

/// Entry of the log of acts with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActEntry {
    /// The entry.
    pub act: Act,
    /// Its place in the log of acts after the block whose state gives it.
    pub inclusion: Inclusion,
}

impl State {
    /// Controllers that were ever admitted, in the order of their keys.
    pub fn controllers(&self) -> impl Iterator<Item = &Controller> {
        self.control.controllers.values()
    }

    /// Whether this controller is admitted and not removed.
    pub fn is_controller(&self, key: &PublicKey) -> bool {
        self.control.is_controller(key)
    }

    /// Who commands.
    pub fn term(&self) -> &Term {
        &self.control.term
    }

    /// A function's release, withdrawn or not.
    pub fn release(&self, component: &Hash) -> Option<&Release> {
        self.control.releases.get(component)
    }

    /// All releases, in the order of their components.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.control.releases.values()
    }

    /// Entries of the log of acts.
    pub fn acts_size(&self) -> u64 {
        self.control.acts.size()
    }

    /// The number that `authority` can surely use for its next event list of this lane: above all that were applied.
    pub fn next_event_sequence(&self, authority: &PublicKey, lane: Lane) -> u64 {
        self.control.windows.get(authority).map_or(0, |windows| windows[lane as usize].end)
    }

    /// Whether an event list of `authority` with this number was applied (or is too old to tell).
    pub fn is_event_list_applied(&self, authority: &PublicKey, lane: Lane, sequence: u64) -> bool {
        self.control.is_applied(authority, lane, sequence)
    }

    /// Whether a block after this state may hold a policy transaction of this number, signature and times aside.
    pub fn may_apply_policy(&self, policy: &Policy) -> bool {
        let Term { term, holder, next, .. } = &self.control.term;
        self.is_controller(&policy.controller)
            && policy.expires >= self.time()
            && match policy.act {
                PolicyAct::TakeTerm => term.checked_add(1) == Some(policy.term),
                _ => {
                    policy.term == *term
                        && holder.as_ref() == Some(&policy.controller)
                        && policy.number >= *next
                }
            }
    }

    /// Places of acts that follow this state's, in the log that they lead to together. For blocks that are final only through
    /// a later one: the paths of all of them lead to that one's root.
    pub fn place_acts(&self, acts: impl IntoIterator<Item = Act>) -> Vec<ActEntry> {
        let acts: Vec<Act> = acts.into_iter().collect();
        let leaves: Vec<Hash> = acts.iter().map(Act::leaf).collect();
        let inclusions = self.control.acts.clone().append(&leaves);
        acts.into_iter().zip(inclusions).map(|(act, inclusion)| ActEntry { act, inclusion }).collect()
    }

    /// Proof of the extent of the log of acts against the last header's registry root; `None` if it is empty.
    pub fn prove_acts(&self) -> Option<FactProof> {
        self.prove_fact(|fact| matches!(fact, Fact::Acts { .. }))
    }

    /// Proof of who commands; `None` on a chain that never had a controller.
    pub fn prove_term(&self) -> Option<FactProof> {
        self.prove_fact(|fact| matches!(fact, Fact::Term(_)))
    }

    /// Proof of a controller.
    pub fn prove_controller(&self, key: &PublicKey) -> Option<FactProof> {
        self.prove_fact(|fact| matches!(fact, Fact::Controller(one) if one.key == *key))
    }

    /// Proof of a function's release.
    pub fn prove_release(&self, component: &Hash) -> Option<FactProof> {
        self.prove_fact(|fact| matches!(fact, Fact::Release(one) if one.component == *component))
    }

    fn prove_fact(&self, is: impl Fn(&Fact) -> bool) -> Option<FactProof> {
        let facts = self.control.facts(self.registry.entries().len());
        let at = facts.iter().position(is)?;
        let inclusion = self.registry.prove_fact(at)?;
        facts.into_iter().nth(at).map(|fact| FactProof { fact, inclusion })
    }
}

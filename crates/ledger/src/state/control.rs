//! What chains with controllers hold beside signers and batches: controllers and their term, released functions, and what
//! is needed to put each event on the ledger once.

use crate::{
    block::{
        act::Act,
        event_list::{EventList, Lane, SaltedDigest},
        policy::{MAX_DECISIONS_PER_EPOCH, MAX_POLICY_LIFE_MS, MAX_TENURE_MS, Policy, PolicyAct},
    },
    codec::{read_hash, read_map, unordered, write_hash, write_map},
    error::Error,
    state::{
        fact::{Controller, Fact, Release, Term},
        registry::read_bounded,
        sequence::{SEQUENCE_WINDOW, Window},
    },
    types::{Epoch, Height, MAX_AUTHORITIES, PublicKey},
};
use commonware_codec::{Buf, Error as CodecError, FixedSize as _, RangeCfg, Read as _, ReadExt as _, Write};
use std::collections::{BTreeMap, VecDeque};
use voltmesh_telemetry::{Digest as Hash, Timestamp, merkle::Frontier};

/// Most controllers that were ever admitted, the removed ones included.
pub const MAX_CONTROLLERS: usize = 256;

/// Most functions that were ever released, the withdrawn ones included: six functions, a release a day, almost two years.
pub const MAX_RELEASES: usize = 4_096;

/// Newest events of each authority that are remembered to refuse them in another list: all of a block. Older ones are
/// refused by the numbers of the lists alone.
pub const MAX_RECENT_EVENTS: usize = 512;

/// Most authorities whose lists' numbers are remembered, as of anchors.
const MAX_WINDOWS: usize = 3 * MAX_AUTHORITIES;

/// Longest encoding: the above, and 1 KiB for the rest: with 384 authorities 384 × (32 + 2 × 136 + 32 + 4 + 512 × 32) B.
pub(crate) const MAX_CONTROL_BYTES: usize = MAX_CONTROLLERS * Controller::SIZE
    + MAX_RELEASES * Release::SIZE
    + MAX_WINDOWS * (32 + 2 * 136 + 32 + 4 + 32 * MAX_RECENT_EVENTS)
    + 4_096;

/// Controllers, term, releases and events as of some block. The default is a chain that has none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(super) acts: Frontier,
    pub(super) controllers: BTreeMap<PublicKey, Controller>,
    pub(super) term: Term,
    /// The epoch of the newest decision, and how many it had.
    pub(super) decided: (Epoch, u32),
    pub(super) releases: BTreeMap<Hash, Release>,
    /// Numbers of event lists by authority and lane.
    pub(super) windows: BTreeMap<PublicKey, [Window; Lane::ALL.len()]>,
    /// The newest events by authority, oldest first.
    pub(super) recent: BTreeMap<PublicKey, VecDeque<SaltedDigest>>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            acts: Frontier::new(),
            controllers: BTreeMap::new(),
            term: Term::default(),
            decided: (Epoch::zero(), 0),
            releases: BTreeMap::new(),
            windows: BTreeMap::new(),
            recent: BTreeMap::new(),
        }
    }
}

impl Control {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the registry root says of this, in the order of the leaves, which come after those of `entries`.
    pub(super) fn facts(&self, entries: usize) -> Vec<Fact> {
        let mut facts = Vec::new();
        if self.acts.size() > 0 {
            let term = usize::from(!self.controllers.is_empty());
            let leaves = (entries + 1 + term + self.controllers.len() + self.releases.len()) as u64;
            facts.push(Fact::Acts { size: self.acts.size(), root: self.acts.root(), leaves });
        }
        if !self.controllers.is_empty() {
            facts.push(Fact::Term(self.term.clone()));
        }
        facts.extend(self.controllers.values().cloned().map(Fact::Controller));
        facts.extend(self.releases.values().cloned().map(Fact::Release));
        facts
    }

    /// Leaf hashes of all facts after so many entries.
    pub(crate) fn leaves(&self, entries: usize) -> Vec<Hash> {
        self.facts(entries).iter().map(Fact::leaf).collect()
    }

    pub(super) fn is_controller(&self, key: &PublicKey) -> bool {
        self.controllers.get(key).is_some_and(|one| one.removed_at.is_none())
    }

    pub(crate) fn admit(&mut self, key: PublicKey, at: Height) -> Result<(), Error> {
        if self.controllers.contains_key(&key) {
            return Err(Error::ControllerKnown(key));
        }
        if self.controllers.len() == MAX_CONTROLLERS {
            return Err(full("controllers", MAX_CONTROLLERS));
        }
        let controller = Controller { key: key.clone(), admitted_at: at, removed_at: None };
        self.controllers.insert(key, controller);
        Ok(())
    }

    /// Removes a controller; if it holds the term, nobody does.
    pub(crate) fn remove(&mut self, key: &PublicKey, at: Height) -> Result<(), Error> {
        match self.controllers.get_mut(key) {
            Some(controller) if controller.removed_at.is_none() => controller.removed_at = Some(at),
            _ => return Err(Error::NotController(key.clone())),
        }
        if self.term.holder.as_ref() == Some(key) {
            self.term.holder = None;
        }
        Ok(())
    }

    pub(crate) fn publish(&mut self, component: Hash, publisher: PublicKey, at: Height) -> Result<(), Error> {
        if self.releases.contains_key(&component) {
            return Err(Error::Released(component));
        }
        if self.releases.len() == MAX_RELEASES {
            return Err(full("released functions", MAX_RELEASES));
        }
        self.releases
            .insert(component, Release { component, publisher, released_at: at, withdrawn_at: None });
        Ok(())
    }

    pub(crate) fn withdraw(&mut self, component: &Hash, at: Height) -> Result<(), Error> {
        match self.releases.get_mut(component) {
            Some(release) if release.withdrawn_at.is_none() => {
                release.withdrawn_at = Some(at);
                Ok(())
            }
            _ => Err(Error::NotReleased(*component)),
        }
    }

    /// Checks a list of an authority that serves against what was applied. The signature is checked apart.
    pub(crate) fn check_events(&self, list: &EventList) -> Result<(), Error> {
        list.check_shape()?;
        let (authority, sequence) = (&list.authority, list.sequence);
        let applied = self.is_applied(authority, list.lane, sequence);
        if applied || sequence == u64::MAX {
            let authority = authority.clone();
            return Err(Error::ReplayedEvents { authority, sequence, window: SEQUENCE_WINDOW });
        }
        // Only the authority's own: if another's counted, whoever sees a list in the pool could block it with a copy.
        let recent = self.recent.get(authority);
        let twice = list.events.iter().find(|event| recent.is_some_and(|recent| recent.contains(event)));
        twice.map_or(Ok(()), |event| Err(Error::EventTwice(*event)))
    }

    pub(super) fn is_applied(&self, authority: &PublicKey, lane: Lane, sequence: u64) -> bool {
        self.windows.get(authority).is_some_and(|windows| windows[lane as usize].contains(sequence))
    }

    pub(crate) fn apply_events(&mut self, list: &EventList) {
        self.windows.entry(list.authority.clone()).or_default()[list.lane as usize].insert(list.sequence);
        let recent = self.recent.entry(list.authority.clone()).or_default();
        recent.extend(list.events.iter().copied());
        let older = recent.len().saturating_sub(MAX_RECENT_EVENTS);
        recent.drain(..older);
    }

    /// Checks a policy transaction in a block of this epoch and time. The signature is checked apart.
    pub(crate) fn check_policy(&self, policy: &Policy, epoch: Epoch, time: Timestamp) -> Result<(), Error> {
        let Policy { controller, term, number, expires, until, act, .. } = policy;
        if !self.is_controller(controller) {
            return Err(Error::NotController(controller.clone()));
        }
        let fails = |why| Err(Error::Policy { by: controller.clone(), term: *term, number: *number, why });
        let ahead = |to: &Timestamp| to.as_millis().saturating_sub(time.as_millis());
        if *expires < time {
            return fails("it has expired");
        }
        if ahead(expires) > MAX_POLICY_LIFE_MS {
            return fails("it expires more than 10 minutes after the block");
        }
        if ahead(until) > MAX_TENURE_MS {
            return fails("it asks for a tenure of more than a minute after the block");
        }
        let current = self.term.term;
        if matches!(act, PolicyAct::TakeTerm) {
            if current.checked_add(1) != Some(*term) {
                return Err(Error::Term { by: controller.clone(), found: *term, current });
            }
            // The holder itself may begin anew, so that nothing of its former self counts any more.
            return match &self.term.holder {
                Some(holder) if holder != controller && time <= self.term.until => {
                    Err(Error::TermHeld { holder: holder.clone(), term: current, until: self.term.until })
                }
                _ => Ok(()),
            };
        }
        if *term != current || self.term.holder.as_ref() != Some(controller) {
            return Err(Error::Term { by: controller.clone(), found: *term, current });
        }
        if *number < self.term.next || *number == u64::MAX {
            return fails("its number, or a higher one, was applied");
        }
        match act {
            PolicyAct::Decide { .. }
                if self.decided.0 == epoch && self.decided.1 >= MAX_DECISIONS_PER_EPOCH =>
            {
                Err(Error::Quota(controller.clone()))
            }
            PolicyAct::HandOver { to } if to == controller => fails("it hands over to itself"),
            PolicyAct::HandOver { to } if !self.is_controller(to) => Err(Error::NotController(to.clone())),
            PolicyAct::HandOver { .. } if current == u32::MAX => fails("there is no term after this one"),
            _ => Ok(()),
        }
    }

    /// Applies what [`Self::check_policy`] has passed.
    pub(crate) fn apply_policy(&mut self, policy: &Policy, epoch: Epoch) {
        let held = |holder: &PublicKey, term, next| Term {
            term,
            holder: Some(holder.clone()),
            until: policy.until,
            next,
        };
        match &policy.act {
            PolicyAct::TakeTerm => self.term = held(&policy.controller, policy.term, 0),
            PolicyAct::HandOver { to } => self.term = held(to, policy.term.saturating_add(1), 0),
            PolicyAct::Renew | PolicyAct::Decide { .. } => {
                self.term.until = self.term.until.max(policy.until);
                self.term.next = policy.number.saturating_add(1);
            }
        }
        if matches!(policy.act, PolicyAct::Decide { .. }) {
            let before = if self.decided.0 == epoch { self.decided.1 } else { 0 };
            self.decided = (epoch, before + 1);
        }
    }

    /// Enters a block's acts into their log.
    pub(crate) fn append(&mut self, acts: &[Act]) {
        let leaves: Vec<Hash> = acts.iter().map(Act::leaf).collect();
        self.acts.extend(&leaves);
    }

    /// Whether numbers of authorities are remembered of whom `knows` does not know.
    pub(crate) fn has_strangers(&self, knows: impl Fn(&PublicKey) -> bool) -> bool {
        self.windows.keys().any(|key| !knows(key))
    }

    /// Forgets the numbers of all but those: who serves nowhere any more is retired.
    pub(crate) fn retain(&mut self, knows: impl Fn(&PublicKey) -> bool) {
        self.windows.retain(|key, _| knows(key));
        self.recent.retain(|key, _| knows(key));
    }

    pub(crate) fn write(&self, buf: &mut Vec<u8>) {
        let Self { acts, controllers, term, decided, releases, windows, recent } = self;
        acts.size().write(buf);
        acts.peaks().iter().for_each(|peak| write_hash(peak, buf));
        controllers.len().write(buf);
        controllers.values().for_each(|one| one.write(buf));
        term.write(buf);
        decided.0.get().write(buf);
        decided.1.write(buf);
        releases.len().write(buf);
        releases.values().for_each(|one| one.write(buf));
        write_map(windows, buf, |windows, buf| windows.iter().for_each(|window| window.write(buf)));
        write_map(recent, buf, |events, buf| {
            events.len().write(buf);
            events.iter().for_each(|event| write_hash(event, buf));
        });
    }

    pub(crate) fn read(buf: &mut impl Buf) -> Result<Self, CodecError> {
        let invalid = |why| CodecError::Invalid("voltmesh_ledger::Snapshot", why);
        let size = u64::read(buf)?;
        let peaks = (0..size.count_ones()).map(|_| read_hash(buf)).collect::<Result<_, _>>()?;
        let acts = Frontier::from_parts(size, peaks).ok_or(invalid("log of acts"))?;
        let mut controllers = BTreeMap::new();
        for controller in read_bounded::<Controller>(buf, MAX_CONTROLLERS)? {
            if controllers.last_key_value().is_some_and(|(last, _)| *last >= controller.key) {
                return Err(unordered());
            }
            controllers.insert(controller.key.clone(), controller);
        }
        let term = Term::read(buf)?;
        let decided = (Epoch::new(u64::read(buf)?), u32::read(buf)?);
        let mut releases = BTreeMap::new();
        for release in read_bounded::<Release>(buf, MAX_RELEASES)? {
            if releases.last_key_value().is_some_and(|(last, _)| *last >= release.component) {
                return Err(unordered());
            }
            releases.insert(release.component, release);
        }
        let windows = read_map(buf, MAX_WINDOWS, |buf| Ok([Window::read(buf)?, Window::read(buf)?]))?;
        let recent = read_map(buf, MAX_WINDOWS, |buf| {
            let len = usize::read_cfg(buf, &RangeCfg::from(0..=MAX_RECENT_EVENTS))?;
            (0..len).map(|_| read_hash(buf)).collect()
        })?;
        let control = Self { acts, controllers, term, decided, releases, windows, recent };
        if control.is_empty() {
            return Err(invalid("controllers and events that are none"));
        }
        Ok(control)
    }
}

fn full(what: &'static str, max: usize) -> Error {
    Error::Count { what, len: max + 1, min: 0, max }
}

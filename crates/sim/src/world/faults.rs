//! Faults: what the schedule changes, and the calm that ends them all.

use super::{INTRUDER, TWINS, World, address, secret};
use crate::{
    disk::Behaviour,
    faults::{Change, Target},
    net::{LinkQuality, MessageQuality, NodeAddress},
    node::Machine,
    roles::{cloud, fog},
    store,
};
use commonware_cryptography::Signer as _;
use commonware_runtime::Supervisor as _;
use voltmesh_cloud::Settings as ArchiveSettings;
use voltmesh_control::commitment;
use voltmesh_ledger::{Action, private_key};

impl World {
    /// Makes a change.
    pub fn apply(&mut self, change: Change) {
        self.checker.note("fault", format!("{change:?}").as_bytes());
        tracing::debug!(?change, "fault");
        match change {
            Change::PowerOff(target) | Change::Kill(target) => {
                let place = self.place(target);
                self.off.insert(place);
                self.crashed.remove(&place);
                self.stop(place, matches!(change, Change::PowerOff(_)));
            }
            Change::Wipe(index) => self.wipe(index),
            Change::Start(target) => self.boot(target),
            Change::Fill(target, free) => {
                self.behave(target, |behaviour, used| behaviour.capacity = used + free)
            }
            Change::Slow(target, ms) => {
                self.behave(target, |behaviour, _| behaviour.sync_us = 1_000..=ms * 1_000)
            }
            Change::FailSyncs(target, rate) => {
                self.behave(target, |behaviour, _| behaviour.sync_failures_per_mille = rate);
            }
            Change::Heal(target) => self.behave(target, |behaviour, _| *behaviour = Behaviour::default()),
            Change::Cut(a, b) => self.net.cut(self.place(a), self.place(b)),
            Change::Join(a, b) => self.net.heal(self.place(a), self.place(b)),
            Change::BadLinks(loss) => self.net.set(LinkQuality {
                latency_ms: 5..=300,
                loss_per_mille: loss,
                resets_per_100_000: loss * 10,
            }),
            Change::GoodLinks => self.net.set(LinkQuality::default()),
            Change::BadMesh(lost, doubled, reordered) => self.mesh.set(MessageQuality {
                latency_ms: 1..=150,
                loss_per_mille: lost,
                duplicates_per_mille: doubled,
                reordered_per_mille: reordered,
            }),
            Change::GoodMesh => self.mesh.set(MessageQuality::default()),
            Change::BadStore(fault) => self.store.set(store::Behaviour {
                latency_ms: (fault.latency_ms / 20).max(1)..=fault.latency_ms,
                refused_per_mille: fault.refused,
                unanswered_per_mille: fault.unanswered,
                list_lag_ms: fault.list_lag_ms,
            }),
            Change::GoodStore => self.store.set(store::Behaviour::default()),
            Change::Intrude => self.intrude(),
            Change::Twin(index) => self.start_twin(index),
            Change::Single(index) => self.end_twin(index),
            Change::Skew(index, ms) => {
                let place = self.fogs[index].place;
                if let Some(machine) = self.machines.get_mut(&place) {
                    machine.set_clock_error_ms(ms);
                }
                if !self.off.contains(&place) {
                    self.stop(place, false);
                    self.boot(Target::Fog(index));
                }
            }
        }
    }

    /// Ends all faults: what is off starts, what is cut is joined.
    pub fn calm(&mut self) {
        for change in [Change::GoodLinks, Change::GoodMesh, Change::GoodStore] {
            self.apply(change);
        }
        if let Some(index) = self.twin {
            self.apply(Change::Single(index));
        }
        let targets = self.targets();
        for (n, a) in targets.iter().enumerate() {
            self.apply(Change::Heal(*a));
            for b in &targets[..n] {
                if self.net.is_cut(self.place(*a), self.place(*b)) {
                    self.apply(Change::Join(*a, *b));
                }
            }
        }
        for target in targets {
            self.boot(target);
        }
    }

    fn behave(&mut self, target: Target, change: impl FnOnce(&mut Behaviour, u64)) {
        let place = self.place(target);
        self.suspect.insert(place);
        let Some(machine) = self.machines.get(&place) else { return };
        let mut behaviour = machine.disk().behaviour();
        change(&mut behaviour, machine.disk().used());
        machine.disk().set(behaviour);
    }

    /// The fog node loses its disk. It never comes back under its old key.
    fn wipe(&mut self, index: usize) {
        let place = self.fogs[index].place;
        self.off.insert(place);
        self.crashed.remove(&place);
        self.stop(place, false);
        if let Some(machine) = self.machines.get_mut(&place) {
            machine.wipe();
        }
        let old = self.fogs[index].ledger.private_key.public_key();
        let key = private_key(&secret(self.seed, "authority", self.keys));
        self.keys += 1;
        self.wanted.push(Action::RotateAuthority { old, new: key.public_key() });
        self.fogs[index].ledger.private_key = key.clone();
        self.fogs[index].settings.key = key.clone();
        // Its own enrolment names the key it attests with.
        let opening = voltmesh_fog::own_opening(&voltmesh_ledger::signing_key(&key));
        self.fogs[index].settings.opening = opening;
        self.wanted
            .push(Action::EnrolVehicle { commitment: commitment(&self.fogs[index].settings.fog, &opening) });
        let address = address(place);
        for fog in &mut self.fogs {
            fog.ledger.addresses.insert(key.public_key(), address.clone());
        }
    }

    fn intrude(&mut self) {
        let Some(machine) = self.machines.get_mut(&INTRUDER) else { return };
        machine.kill();
        let context = self.context.child("node").with_attribute("place", INTRUDER);
        let context = context.with_attribute("start", machine.starts());
        // It merges whatever there is.
        let settings = ArchiveSettings { compact_files: 2, ..self.cloud.settings };
        let store = self.store.clone();
        machine.start(context, move |context| cloud::intrude(context, store, settings));
    }

    fn start_twin(&mut self, index: usize) {
        self.twin = Some(index);
        self.suspect.insert(self.fogs[index].place);
        self.byzantine.insert(self.fogs[index].place);
        let fog = self.fogs[index].clone();
        let on = !self.off.contains(&fog.place);
        if on {
            self.stop(fog.place, false);
            self.boot(Target::Fog(index));
        }
        let place = NodeAddress(TWINS + index as u16);
        let machine = self.machines.entry(place).or_insert_with(|| Machine::new(0));
        let context = self.context.child("node").with_attribute("place", place);
        let context = context.with_attribute("start", machine.starts());
        let setup = fog::Setup { place, ..fog };
        machine.start(context, move |context| fog::twin(context, setup, false));
    }

    fn end_twin(&mut self, index: usize) {
        self.twin = None;
        let place = NodeAddress(TWINS + index as u16);
        self.stop(place, false);
        self.machines.remove(&place);
        if !self.off.contains(&self.fogs[index].place) {
            self.stop(self.fogs[index].place, false);
            self.boot(Target::Fog(index));
        }
    }
}

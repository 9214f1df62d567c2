//! Releases: compiled when they come, forgotten when nobody runs them, off when they are withdrawn.

use super::{
    Manager,
    compiler::{Compiled, Compiler},
    slot::Placed,
    steps::{Key, Step},
};
use crate::{Package, Refusal};
use bytes::Bytes;
use std::sync::Arc;
use voltmesh_telemetry::{Digest, error_chain};

/// Compiled releases that are kept: 64 of some MB each.
const MAX_COMPONENTS: usize = 64;

impl Manager {
    /// A release: checked, compiled, and what waited for it carried out.
    pub(super) fn release(&mut self, bytes: &Bytes) {
        let known = Package::digest_of(bytes).and_then(|digest| self.components.get(&digest));
        let compiled = match known {
            // What came before was signed by a publisher; this one need not be.
            Some((_, component)) => Package::open(bytes, &self.settings.publishers, &self.settings.withdrawn)
                .map(|_| component.clone())
                .map_err(|refusal| error_chain(&refusal)),
            None => return self.compiled(self.compiler().compile(bytes)),
        };
        self.compiled(Compiled { digest: Package::digest_of(bytes), result: compiled });
    }

    /// A compiler for a thread of its own; what it gives is for [`super::Input::Compiled`].
    pub fn compiler(&self) -> Compiler {
        Compiler::new(self.host.clone(), self.settings.publishers.clone())
    }

    /// A release that was compiled: what waited for it is carried out.
    pub(super) fn compiled(&mut self, compiled: Compiled) {
        let withdrawn = compiled.digest.filter(|digest| self.settings.withdrawn.contains(digest));
        let result = match withdrawn {
            Some(digest) => Err(Refusal::Withdrawn(digest).to_string()),
            None => compiled.result,
        };
        match result {
            Ok(component) => {
                let digest = component.digest();
                self.wanted.remove(&digest);
                if !self.components.contains_key(&digest) {
                    self.components_made += 1;
                    self.components.insert(digest, (self.components_made, component));
                }
                for key in self.waiting_for(digest) {
                    self.proceed(&key);
                }
                self.evict();
            }
            Err(why) => {
                self.node.counters.refused_releases += 1;
                let reason = format!("the release is refused: {why}");
                self.node.warn(reason.clone());
                let Some(digest) = compiled.digest else { return };
                for key in self.waiting_for(digest) {
                    self.drop_runs(&key, &reason, |run| run.release == digest);
                }
            }
        }
    }

    fn waiting_for(&self, release: Digest) -> Vec<Key> {
        let waits = |steps: &[Step]| steps.iter().any(|step| step.release() == Some(release));
        self.pending.iter().filter(|(_, steps)| waits(steps)).map(|(key, _)| key.clone()).collect()
    }

    /// Forgets compiled releases that nobody runs, the oldest first.
    fn evict(&mut self) {
        while self.components.len() > MAX_COMPONENTS {
            let unused =
                self.components.iter().filter(|(_, (_, component))| Arc::strong_count(component) == 1);
            let Some(oldest) = unused.min_by_key(|(_, (made, _))| *made).map(|(digest, _)| *digest) else {
                return;
            };
            self.components.remove(&oldest);
        }
    }

    /// Turns off what may not run any more.
    pub(super) fn withdraw(&mut self) {
        let withdrawn = self.settings.withdrawn.clone();
        self.components.retain(|digest, _| !withdrawn.contains(digest));
        let keys: Vec<Key> = self.pending.keys().cloned().collect();
        for key in keys {
            self.drop_runs(&key, "its release was withdrawn", |run| withdrawn.contains(&run.release));
        }
        let mut changed = Vec::new();
        for (vehicle, functions) in &mut self.slots {
            for (function, slot) in functions {
                let gone = |placed: &Placed| withdrawn.contains(&placed.component.digest);
                if slot.probation.as_ref().is_some_and(|probation| gone(&probation.placed)) {
                    slot.probation = None;
                }
                if gone(&slot.placed) {
                    slot.switch_off(&mut self.node, "its release was withdrawn");
                    changed.push((vehicle.clone(), function.clone()));
                }
            }
        }
        for key in changed {
            self.reschedule(&key);
        }
    }
}

//! Two controllers, one of which commands: what this one gives to those that stand by, and what it takes while it stands by itself.

use bytes::Bytes;
use voltmesh_control::topics::{ControllerTopic, Topic};
use voltmesh_identity::{Identity, Role};
use voltmesh_mqtt::{Outgoing, Reason};
use voltmesh_telemetry::Digest;

use super::copies::{Complete, Messages};
use super::peers::{Heard, Word};
use super::shell::{Shell, now};
use crate::controller::{Change, Input};

impl<E: voltmesh_spool::Context> Shell<E> {
    /// Gives changes that are durable to those that stand by, and all that is to be copied to those that have nothing yet.
    pub(super) fn give_copies(&mut self, changes: &[Change]) {
        if self.standby.followers.is_empty() || self.terms.held(now()).is_none() {
            return;
        }
        let without: Vec<String> =
            self.standby.followers.iter().filter(|(_, has)| !**has).map(|(id, _)| id.clone()).collect();
        let changed: Vec<Change> = changes.iter().filter(|change| change.is_copied()).cloned().collect();
        if !changed.is_empty() {
            let since = Messages::since(changed);
            let with = self.standby.followers.iter().filter(|(_, has)| **has).map(|(id, _)| id.clone());
            for peer in with.collect::<Vec<_>>() {
                self.give_copy(&peer, &since);
            }
        }
        if without.is_empty() {
            return;
        }
        let whole = Messages::whole(self.lock().kept().copy());
        for peer in without {
            tracing::info!(peer, "a controller that stands by gets a copy");
            if self.give_copy(&peer, &whole) {
                self.standby.followers.insert(peer, true);
            }
        }
    }

    fn give_copy(&mut self, peer: &str, messages: &Messages) -> bool {
        if messages.too_large > 0 && self.log.may_write(format!("{peer}: too large a copy")) {
            tracing::warn!(
                peer,
                left_out = messages.too_large,
                "what was learned is too large for a copy: left out"
            );
        }
        messages
            .payloads
            .iter()
            .all(|payload| self.tell_peer(peer, ControllerTopic::Copy, payload.clone().into()))
    }

    /// Sends to a controller that stands by. If there is no room, its session ends: it comes back for a whole copy.
    fn tell_peer(&self, peer: &str, kind: ControllerTopic, bytes: Bytes) -> bool {
        let Ok(identity) = Identity::new(Role::Controller, peer) else { return false };
        let topic = Topic::Controller(peer.to_owned(), kind).to_string();
        let mut told = false;
        for session in self.server.sessions_of(&identity) {
            match session.publish(Outgoing::new(topic.as_str(), bytes.clone(), 0)) {
                Ok(()) => told = true,
                Err(error) => {
                    tracing::warn!(peer, %error, "a controller that stands by is behind");
                    session.disconnect(Reason::QUOTA_EXCEEDED);
                }
            }
        }
        told
    }

    /// A controller that stands by asks for a release.
    pub(super) fn wanted(&mut self, peer: &str, payload: &Bytes) -> Result<(), String> {
        let digest: Digest = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or("this is no SHA-256 in hexadecimal")?;
        if let Some(package) = self.packages.read(&digest) {
            self.tell_peer(peer, ControllerTopic::Release, package);
        }
        Ok(())
    }

    /// Takes what another controller says. While this one commands, that is nothing to it.
    pub(super) fn heard(&mut self, heard: Heard) {
        let Heard { peer, what } = heard;
        let commands = self.terms.held(now()).is_some();
        match what {
            Word::Over => self.standby.incoming.entry(peer).or_default().forget(),
            Word::Copy(_) | Word::Release(_) if commands => {}
            Word::Copy(payload) => {
                match self.standby.incoming.entry(peer.clone()).or_default().take(&payload) {
                    Ok(Some(complete)) => self.copy(&peer, complete),
                    Ok(None) => {}
                    Err(why) => self.refuse_copy(&peer, &why),
                }
            }
            Word::Release(package) => self.take_release(&peer, &package),
        }
    }

    fn copy(&mut self, peer: &str, complete: Complete) {
        let Complete { whole, mut changes } = complete;
        let before = changes.len();
        let configured = self.standby.configured_rules;
        changes.retain(|change| match change {
            Change::Rules { rules } => rules.instead_of == configured,
            _ => true,
        });
        if changes.len() < before && self.log.may_write(format!("{peer}: rules")) {
            tracing::warn!(
                peer,
                "its rules are not copied: they replace other configured rules than this controller's"
            );
        }
        if whole {
            tracing::info!(
                peer,
                changes = changes.len(),
                "copied what operators decided and what was learned"
            );
            self.standby.missing.clear();
        }
        // A release is known once its package is here.
        let (known, missing): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(|change| match change {
                Change::Release { release } => release.withdrawn || self.packages.has(&release.digest),
                _ => true,
            });
        self.handle(Input::Copied { whole, changes: known });
        for change in missing {
            if let Change::Release { release } = change {
                self.peers.want(peer, release.digest);
                self.standby.missing.insert(release.digest, release);
            }
        }
    }

    fn take_release(&mut self, peer: &str, package: &Bytes) {
        let withdrawn = self.lock().kept().withdrawn();
        let checked = self.packages.check(now(), package, &withdrawn);
        let release = match checked {
            Ok(found) => match self.standby.missing.remove(&found.digest) {
                Some(release) if (&release.function, release.version) == (&found.function, found.version) => {
                    release
                }
                _ => return self.refuse_copy(peer, "a release that was not asked for"),
            },
            Err(why) => return self.refuse_copy(peer, &why),
        };
        match self.packages.keep(&release, package) {
            Ok(()) => self.handle(Input::Copied { whole: false, changes: vec![Change::Release { release }] }),
            Err(error) => tracing::error!(%error, "a package cannot be kept"),
        }
    }

    fn refuse_copy(&mut self, peer: &str, why: &str) {
        self.audit.refusal(&format!("urn:voltmesh:controller:{peer}"), "what was to be copied");
        if self.log.may_write(format!("{peer}: {why}")) {
            tracing::warn!(peer, "not copied: {why}");
        }
    }
}

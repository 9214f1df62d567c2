//! Entries of the spool: appended within its bounds, and what follows once they are durable.

use bytes::Bytes;
use voltmesh_spool::Position;

use super::{core::Ingest, io::Output, refusal::Delay, state::disk::Then};

/// Part of the spool that ingest leaves to evidence, copies and attested batches of what was taken: a sixteenth.
const OWN_SHARE: u64 = 16;

impl Ingest {
    /// Appends an entry; its position and size.
    pub(super) fn append(&mut self, entry: Bytes) -> (Position, u32) {
        let (position, size) = (self.disk.next, entry.len() as u32);
        self.disk.next = position.next();
        self.disk.used += u64::from(size);
        self.outputs.push(Output::Append(entry));
        (position, size)
    }

    /// Whether `bytes` more may be taken in.
    pub(super) fn room(&self, bytes: usize) -> Result<(), Delay> {
        self.ledger.serves()?;
        let bytes = bytes as u64;
        let disk = &self.disk;
        if let Some(why) = &disk.failing {
            return Err(Delay::SpoolFailing { why: why.clone() });
        }
        let capacity = self.settings.spool.capacity_bytes;
        let left = (capacity - capacity / OWN_SHARE).saturating_sub(disk.used());
        let left = left.min(disk.free.saturating_sub(self.settings.spool.reserve_bytes));
        if left < bytes {
            return Err(Delay::DiskFull { free: left });
        }
        if disk.inflight + bytes > self.settings.limits.inflight_bytes {
            return Err(Delay::Busy { what: "too many bytes are on their way to the disk" });
        }
        if self.held.len() >= self.settings.limits.held_batches {
            return Err(Delay::Busy { what: "too many batches wait for the cloud" });
        }
        Ok(())
    }

    pub(super) fn durable(&mut self, below: Position) {
        self.disk.failing = None;
        self.disk.durable = self.disk.durable.max(below);
        let durable = self.disk.durable;
        let mut later = std::mem::take(&mut self.disk.release_later);
        later.retain(|position| {
            let wait = *position >= durable;
            if !wait {
                self.disk.release_now.push(*position);
            }
            wait
        });
        self.disk.release_later.append(&mut later);
        let (mut all, mut feeds) = (Vec::new(), Vec::new());
        while self.disk.waiting.front().is_some_and(|waiting| waiting.below <= durable) {
            let Some(waiting) = self.disk.waiting.pop_front() else { break };
            match waiting.what {
                Then::Answer(answers, bytes) => {
                    self.disk.leave(bytes);
                    if all.is_empty() {
                        all = answers;
                    } else {
                        all.extend(answers);
                    }
                }
                Then::Anchor(batch) => self.batch_durable(batch),
                Then::Forward(batch) => self.evidence_durable(batch),
                Then::Attest(source) => self.attest(source),
                Then::Held(digest) => self.copy_durable(digest),
                Then::Feed(feed) => feeds.push(feed),
            }
        }
        if !all.is_empty() {
            self.outputs.push(Output::Answer(all));
        }
        // Answers first: nobody waits for these.
        self.outputs.extend(feeds.into_iter().map(Output::Feed));
        self.offers_durable();
    }

    pub(super) fn durable_below(&self) -> Position {
        self.disk.durable
    }

    /// Nothing that waits is acknowledged; the entries may still become durable and are then forwarded.
    pub(super) fn storage_failed(&mut self, why: String) {
        let mut sessions = Vec::new();
        let mut bytes = std::mem::take(&mut self.disk.answers_bytes);
        sessions.extend(std::mem::take(&mut self.disk.answers).iter().map(|answer| answer.claim.session));
        for waiting in &mut self.disk.waiting {
            if let Then::Answer(answers, size) = &mut waiting.what {
                bytes += std::mem::take(size);
                sessions.extend(answers.drain(..).map(|answer| answer.claim.session));
            }
        }
        sessions.extend(self.disk.refusals.drain(..).map(|(_, rejection)| rejection.claim.session));
        self.disk.leave(bytes);
        sessions.extend(self.drop_offers());
        self.disk.failing = Some(why.clone());
        let delay = Delay::SpoolFailing { why };
        self.end_sessions(sessions, &delay);
    }
}

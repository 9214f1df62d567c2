//! Recovery of a spool when it is opened: what the disk has is compared with what was confirmed.

use super::Spool;
use crate::Error;
use crate::state::Span;
use commonware_storage::Context;
use std::sync::{Arc, Mutex};

impl<E: Context> Spool<E> {
    /// Opens the files again, and finds out how far they reach.
    pub(super) async fn recover(&mut self) -> Result<(), Error> {
        self.acks = Arc::new(Mutex::new(self.contents.acks.clone()));
        let floor = self.contents.acks.floor().0;
        for span in self.contents.spans.clone() {
            self.durable = self.durable.max(span.base);
            let Some(end) = span.end else {
                let journal = self.open_journal(span.id, None).await?;
                self.durable = span.base + journal.size();
                self.publish(span, journal).await?;
                break;
            };
            if floor >= end && !self.is_last_with_entries(span) {
                continue; // acknowledged as a whole: its files go with the next checkpoint
            }
            let journal = self.open_journal(span.id, Some(end - span.base)).await?;
            let found = span.base + journal.size();
            if found < end {
                let cause = format!("confirmed entries up to {end} are missing");
                return Err(self.corrupt(found, cause));
            }
            self.durable = end;
            self.publish(span, journal).await?;
            self.live = None;
        }
        let promised = self.contents.acks.end().0;
        if self.durable < promised {
            // The disk lost what it had confirmed. Those positions were acknowledged: never use them again.
            tracing::error!(
                spool = self.config.name,
                found = self.durable,
                promised,
                "the disk lost confirmed entries"
            );
            self.live = None;
            self.cap_last();
            self.durable = promised;
        }
        if let Some(last) = self.last_entry().await? {
            self.total = last.after();
        }
        self.measure().await?;
        if self.live.is_none() {
            self.rotate().await?;
        }
        Ok(())
    }

    /// While recovering: no later span has entries, as far as known.
    fn is_last_with_entries(&self, span: Span) -> bool {
        !self.contents.spans.iter().any(|s| s.base > span.base && s.end.is_some())
    }
}

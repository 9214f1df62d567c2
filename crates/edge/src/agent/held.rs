//! The batches on their way: a bounded window over the spool.

use super::rules::{FogIndex, Rules};
use super::stage::Stage;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchHeader, BatchId, Boot, RecordNumber, Timestamp};

/// A batch that the vehicle keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its place in the spool.
    pub position: Position,
    /// Its id.
    pub id: BatchId,
    /// Its boot.
    pub boot: Boot,
    /// Its first record.
    pub first: RecordNumber,
    /// Its number of records.
    pub count: u32,
    /// Its size in the spool.
    pub bytes: usize,
    /// When it was sealed.
    pub spooled: Timestamp,
    /// How far it has come.
    pub stage: Stage,
    /// How often it was sent and acknowledged. What a lost connection has swallowed does not count: a vehicle that loses
    /// many in a short time would wait an hour for its notice.
    pub offers: u32,
    /// Through which fog node last.
    pub via: Option<FogIndex>,
    /// When to offer it again, if nothing is heard.
    pub again: Option<Timestamp>,
}

impl Held {
    /// A batch that was not sent yet.
    #[must_use]
    pub fn new(
        position: Position,
        spooled: Timestamp,
        header: &BatchHeader,
        id: BatchId,
        bytes: usize,
    ) -> Self {
        Self {
            position,
            id,
            boot: header.boot,
            first: header.first,
            count: header.count,
            bytes,
            spooled,
            stage: Stage::Spooled,
            offers: 0,
            via: None,
            again: None,
        }
    }

    /// Whether a notice speaks of this batch (its id is compared apart).
    #[must_use]
    pub fn is(&self, boot: Boot, first: RecordNumber, count: u32) -> bool {
        (self.boot, self.first, self.count) == (boot, first, count)
    }
}

/// Up to `limit` batches, oldest first. Everything below `loaded` is in the window or forgotten; what lies between
/// `loaded` and the spool's end is read when there is room.
pub(super) struct Window {
    limit: usize,
    loaded: Position,
    held: BTreeMap<Position, Held>,
    by_id: HashMap<BatchId, Position>,
    by_first: HashMap<(Boot, RecordNumber), BatchId>,
    /// To be sent, in order.
    queue: BTreeSet<Position>,
    /// Sent and not acknowledged.
    in_flight: BTreeMap<Position, FogIndex>,
    in_flight_bytes: usize,
    again: BTreeSet<(Timestamp, Position)>,
}

impl Window {
    pub fn new(floor: Position, limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            loaded: floor,
            held: BTreeMap::new(),
            by_id: HashMap::new(),
            by_first: HashMap::new(),
            queue: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            again: BTreeSet::new(),
        }
    }

    /// A batch has become durable. It enters if nothing older waits in the spool and there is room.
    pub fn offer(&mut self, _now: Timestamp, held: Held) {
        if held.position == self.loaded && self.held.len() < self.limit {
            self.loaded = held.position.next();
            self.insert(held);
        }
    }

    /// A batch was read from the spool.
    pub fn load(&mut self, _now: Timestamp, held: Held) {
        if held.position >= self.loaded {
            self.insert(held);
        }
    }

    /// Everything below `next` was read.
    pub fn loaded_to(&mut self, next: Position) {
        self.loaded = self.loaded.max(next);
    }

    fn insert(&mut self, held: Held) {
        self.by_id.insert(held.id, held.position);
        self.by_first.insert((held.boot, held.first), held.id);
        self.queue.insert(held.position);
        self.held.insert(held.position, held);
    }

    /// What to read next: when half the window is free, so that reading comes in large pieces.
    pub fn wants(&self, durable: Position) -> Option<(Position, usize)> {
        let free = self.limit - self.held.len().min(self.limit);
        (self.loaded < durable && free * 2 >= self.limit).then_some((self.loaded, free))
    }

    pub fn forget(&mut self, position: Position) {
        let Some(held) = self.held.remove(&position) else { return };
        self.by_id.remove(&held.id);
        self.by_first.remove(&(held.boot, held.first));
        self.queue.remove(&position);
        if self.in_flight.remove(&position).is_some() {
            self.in_flight_bytes -= held.bytes;
        }
        if let Some(again) = held.again {
            self.again.remove(&(again, position));
        }
    }

    /// The next batch for this fog node, if its window has room; it is in flight from now on.
    pub fn next_to_send(&mut self, now: Timestamp, fog: FogIndex, rules: &Rules) -> Option<(Position, bool)> {
        let position = *self.queue.first()?;
        let held = self.held.get_mut(&position)?;
        let full = self.in_flight.len() >= rules.in_flight
            || self.in_flight_bytes + held.bytes > rules.in_flight_bytes;
        if full && !self.in_flight.is_empty() {
            return None;
        }
        self.queue.pop_first();
        let again = held.via.replace(fog).is_some();
        let at = now.plus_millis(rules.offer_again(held.offers));
        self.in_flight.insert(position, fog);
        self.in_flight_bytes += held.bytes;
        self.set_again(position, at);
        Some((position, again))
    }

    fn set_again(&mut self, position: Position, at: Timestamp) {
        let Some(held) = self.held.get_mut(&position) else { return };
        if let Some(before) = held.again.replace(at) {
            self.again.remove(&(before, position));
        }
        self.again.insert((at, position));
    }

    /// A PUBACK has come; sets when to offer the batch again.
    pub fn answered(&mut self, position: Position, again_at: impl Fn(u32) -> Timestamp) -> Option<Held> {
        self.in_flight.remove(&position)?;
        let held = self.held.get_mut(&position)?;
        held.offers += 1;
        let held = held.clone();
        self.in_flight_bytes -= held.bytes;
        self.set_again(position, again_at(held.offers));
        Some(held)
    }

    /// What this fog node has not acknowledged is to be sent again.
    pub fn requeue(&mut self, fog: FogIndex) {
        let waiting: Vec<Position> =
            self.in_flight.iter().filter(|(_, f)| **f == fog).map(|(p, _)| *p).collect();
        for position in waiting {
            self.in_flight.remove(&position);
            self.in_flight_bytes -= self.held.get(&position).map_or(0, |held| held.bytes);
            self.queue.insert(position);
        }
    }

    /// Batches that have waited long enough.
    pub fn due(&mut self, now: Timestamp) -> Vec<Position> {
        let mut due = Vec::new();
        while let Some((at, position)) = self.again.first().copied().filter(|(at, _)| *at <= now) {
            self.again.remove(&(at, position));
            if let Some(held) = self.held.get_mut(&position) {
                held.again = None;
                due.push(position);
            }
        }
        due
    }

    /// To be sent once more, whether it was acknowledged or not.
    pub fn queue(&mut self, position: Position) {
        let Some(held) = self.held.get(&position) else { return };
        if self.in_flight.remove(&position).is_some() {
            self.in_flight_bytes -= held.bytes;
        }
        self.queue.insert(position);
    }

    pub fn next_again(&self) -> Option<Timestamp> {
        self.again.first().map(|(at, _)| *at)
    }

    pub fn position(&self, id: &BatchId) -> Option<Position> {
        self.by_id.get(id).copied()
    }

    /// Whether the window holds another batch at this place.
    pub fn contradicts(&self, boot: Boot, first: RecordNumber, id: &BatchId) -> bool {
        let other_place = self.by_id.contains_key(id);
        other_place || self.by_first.get(&(boot, first)).is_some_and(|known| known != id)
    }

    pub fn get(&self, position: Position) -> Option<&Held> {
        self.held.get(&position)
    }

    pub fn get_mut(&mut self, position: Position) -> Option<&mut Held> {
        self.held.get_mut(&position)
    }

    pub fn in_flight_is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing is kept, here or in the spool below `durable`.
    pub fn is_empty(&self, durable: Position) -> bool {
        self.held.is_empty() && self.loaded >= durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lost_connections_swallow_does_not_make_the_next_offer_later() {
        let rules = Rules::new("car".parse().unwrap(), Boot::new(1), vec!["a".into(), "b".into()]);
        let base = rules.offer_again_after_ms;
        let start = Timestamp::from_millis(1_780_300_000_000);
        let mut window = Window::new(Position(0), 8);
        window.offer(
            start,
            Held {
                position: Position(0),
                id: BatchId::from([7; 32]),
                boot: Boot::new(1),
                first: RecordNumber::new(0),
                count: 10,
                bytes: 100,
                spooled: start,
                stage: Stage::Spooled,
                offers: 0,
                via: None,
                again: None,
            },
        );
        for lost in 0..20 {
            let fog = FogIndex(lost % 2);
            assert_eq!(window.next_to_send(start, fog, &rules), Some((Position(0), lost > 0)));
            window.requeue(fog);
        }
        let mut now = start;
        for waits in [base, 2 * base, 4 * base] {
            assert!(window.next_to_send(now, FogIndex(0), &rules).is_some());
            window.answered(Position(0), |offers| now.plus_millis(rules.offer_again(offers))).unwrap();
            assert_eq!(window.next_again(), Some(now.plus_millis(waits)), "acknowledged, without a notice");
            now = now.plus_millis(waits);
            assert_eq!(window.due(now), [Position(0)]);
            window.queue(Position(0));
        }
    }
}

//! Which record numbers of foreign clients are taken, and by what content.
//!
//! A foreign record's number is its time and 21 bits of its content (ADR 3), so two samples that differ can claim one
//! number. The same content again is a redelivery; other content under a taken number is refused at this door.
//!
//! Bounded: what was answered is remembered up to a bound, the oldest goes first. Past it this node knows a number no more
//! and takes the sample; the cloud, which compares content too, archives one and keeps the other in its quarantine.

use std::collections::{HashMap, VecDeque};

use voltmesh_telemetry::{Digest, Record, VehicleId};

/// Name of a record and its content: the client's number here, the record's own, 64 bits of its content's digest that are
/// not in the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    client: u32,
    number: u64,
    content: u64,
}

/// What the memory says of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    New,
    /// The same sample is on its way and was not acknowledged yet.
    UnderWay,
    /// The same sample was acknowledged.
    Acknowledged,
    /// Another sample has this number.
    Taken,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    content: u64,
    acknowledged: bool,
    /// Whether it is in `order`.
    answered: bool,
}

/// The numbers that are taken.
#[derive(Debug, Default)]
pub struct Marks {
    clients: HashMap<VehicleId, u32>,
    taken: HashMap<(u32, u64), Taken>,
    /// Answered or given up, oldest first. What is under way is bounded by what may wait for its batch or its copy.
    order: VecDeque<(u32, u64)>,
}

impl Marks {
    /// The mark of a client's record, whose content has this digest.
    pub fn of(&mut self, client: &VehicleId, record: &Record, content: &Digest) -> Mark {
        let next = self.clients.len() as u32;
        let client = match self.clients.get(client) {
            Some(number) => *number,
            None => *self.clients.entry(client.clone()).or_insert(next),
        };
        let bytes = content.as_bytes();
        let content = bytes[3..11].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        Mark { client, number: record.number.get(), content }
    }

    /// What is known of a sample.
    pub fn look(&self, mark: &Mark) -> Known {
        match self.taken.get(&(mark.client, mark.number)) {
            None => Known::New,
            Some(taken) if taken.content != mark.content => Known::Taken,
            Some(taken) if taken.acknowledged => Known::Acknowledged,
            Some(_) => Known::UnderWay,
        }
    }

    /// A sample is taken in: its number is its own from now on.
    pub fn take(&mut self, mark: Mark) {
        let taken = Taken { content: mark.content, acknowledged: false, answered: false };
        self.taken.entry((mark.client, mark.number)).or_insert(taken);
    }

    /// Samples are acknowledged; of all that was answered, `bound` are remembered.
    pub fn acknowledged(&mut self, marks: impl IntoIterator<Item = Mark>, bound: usize) {
        self.answered(marks, true, bound);
    }

    /// Samples are not acknowledged after all. They are in the spool and will be archived, so their numbers stay taken.
    pub fn given_up(&mut self, marks: impl IntoIterator<Item = Mark>, bound: usize) {
        self.answered(marks, false, bound);
    }

    fn answered(&mut self, marks: impl IntoIterator<Item = Mark>, acknowledged: bool, bound: usize) {
        for mark in marks {
            let key = (mark.client, mark.number);
            let fresh = Taken { content: mark.content, acknowledged: false, answered: false };
            let taken = self.taken.entry(key).or_insert(fresh);
            taken.acknowledged |= acknowledged && taken.content == mark.content;
            if !std::mem::replace(&mut taken.answered, true) {
                self.order.push_back(key);
            }
        }
        while self.order.len() > bound {
            if let Some(oldest) = self.order.pop_front() {
                self.taken.remove(&oldest);
            }
        }
    }

    /// Numbers that are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_telemetry::RecordNumber;

    #[test]
    fn the_oldest_number_goes_first_and_is_new_again_one_past_the_bound() {
        let mut marks = Marks::default();
        let client: VehicleId = "meter".parse().unwrap();
        let mark = |marks: &mut Marks, number, content: &str| {
            let record = Record { number: RecordNumber::new(number), sample: Default::default() };
            marks.of(&client, &record, &Digest::of(content.as_bytes()))
        };
        for number in 0..4 {
            let mark = mark(&mut marks, number, "one");
            assert_eq!(marks.look(&mark), Known::New);
            marks.take(mark);
            assert_eq!(marks.look(&mark), Known::UnderWay);
            marks.acknowledged([mark], 3);
        }
        let looks = [(0, "one"), (0, "other"), (1, "one"), (1, "other"), (3, "other")];
        let looks = looks.map(|(number, content)| {
            let mark = mark(&mut marks, number, content);
            marks.look(&mark)
        });
        assert_eq!(looks, [Known::New, Known::New, Known::Acknowledged, Known::Taken, Known::Taken]);
        assert_eq!((marks.len(), marks.order.len()), (3, 3));
        // Given up and answered again is one place in the order, not two.
        let again = mark(&mut marks, 9, "one");
        marks.given_up([again], 3);
        assert_eq!(marks.look(&again), Known::UnderWay);
        marks.acknowledged([again], 3);
        assert_eq!(marks.look(&again), Known::Acknowledged);
        assert_eq!((marks.len(), marks.order.len()), (3, 3));
    }
}

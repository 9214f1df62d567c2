//! The network as all policies meet it, and what a driver asks for.

use super::setting::Setting;
use crate::recommend::Request;
use crate::{History, Meaning, Plug, Position};

/// The network and its history, as all policies meet it.
pub(super) struct World<'a> {
    pub(super) history: &'a History,
    /// By EVSE: whether two vehicles can charge at once, since it was seen half taken.
    pub(super) two: Vec<bool>,
    pub(super) setting: &'a Setting,
}

impl<'a> World<'a> {
    pub(super) fn new(history: &'a History, setting: &'a Setting) -> Self {
        let meanings = history.labels().meanings();
        let mut two = vec![false; history.evses().len()];
        for slot in 0..history.slots() {
            for (evse, two) in two.iter_mut().enumerate() {
                *two |=
                    history.observed(slot, evse).is_some_and(|label| meanings[label] == Meaning::PartlyFree);
            }
        }
        Self { history, two, setting }
    }

    pub(super) fn meaning(&self, slot: usize, evse: usize) -> Option<Meaning> {
        self.history.in_force(slot, evse).map(|label| self.history.labels().meanings()[label])
    }

    /// How many vehicles could plug in.
    pub(super) fn room(&self, slot: usize, evse: usize) -> usize {
        match self.meaning(slot, evse) {
            Some(Meaning::Free) => 1 + usize::from(self.two[evse]),
            Some(Meaning::PartlyFree) => 1,
            _ => 0,
        }
    }
}

/// What a simulated driver asks for.
pub(super) fn request(position: Position, soc: f64, plug: Plug, setting: &Setting) -> Request {
    Request { waste_min: setting.waste_min, top: 1, ..Request::new(position, soc, 58.0, vec![plug]) }
}

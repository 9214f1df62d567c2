//! Room for deliveries that wait for a commit or an answer, and the line of those that wait for room.
//!
//! A batch can be small as it comes and large unpacked. So what waits is counted unpacked, a vehicle has a share of the
//! whole, and a delivery that comes when its vehicle's share or the whole is used is not unpacked: it waits in line as it
//! came, and is neither refused nor sent again.

use super::Token;
use crate::verify::Delivery;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};
use voltmesh_telemetry::VehicleId;

/// Part of the room that one vehicle's batches may take: a quarter, 32 MiB by default.
const VEHICLE_SHARE: usize = 4;

/// Bytes of unpacked deliveries, in all and by vehicle.
///
/// Whether there is room is asked before a batch is unpacked, so that the last one may go beyond the bound, by what one
/// batch unpacks to at most.
#[derive(Debug)]
pub(super) struct Room {
    max: usize,
    used: usize,
    by_vehicle: BTreeMap<VehicleId, usize>,
}

impl Room {
    pub fn new(max: usize) -> Self {
        Self { max, used: 0, by_vehicle: BTreeMap::new() }
    }

    pub fn is_full(&self) -> bool {
        self.used >= self.max
    }

    /// Whether one more batch of this vehicle may be unpacked.
    pub fn has_for(&self, vehicle: &VehicleId) -> bool {
        !self.is_full() && self.own(vehicle) < self.max / VEHICLE_SHARE
    }

    pub fn is_half_used(&self) -> bool {
        self.used >= self.max / 2
    }

    /// Whether half of what this vehicle or all may take is used.
    pub fn is_scarce_for(&self, vehicle: &VehicleId) -> bool {
        self.is_half_used() || self.own(vehicle) >= self.max / VEHICLE_SHARE / 2
    }

    fn own(&self, vehicle: &VehicleId) -> usize {
        self.by_vehicle.get(vehicle).copied().unwrap_or_default()
    }

    /// Counts a batch of a vehicle.
    pub fn take(&mut self, vehicle: &VehicleId, bytes: usize) {
        self.take_anonymous(bytes);
        *self.by_vehicle.entry(vehicle.clone()).or_default() += bytes;
    }

    /// Counts what belongs to no vehicle for certain.
    pub fn take_anonymous(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// Gives back what [`take`](Self::take) took.
    pub fn give_back(&mut self, vehicle: &VehicleId, bytes: usize) {
        self.give_back_anonymous(bytes);
        if let Some(own) = self.by_vehicle.get_mut(vehicle) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                self.by_vehicle.remove(vehicle);
            }
        }
    }

    /// Gives back what [`take_anonymous`](Self::take_anonymous) took.
    pub fn give_back_anonymous(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// A delivery that is not unpacked yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub token: Token,
    pub fog: String,
    pub delivery: Delivery,
    pub raw: Bytes,
}

/// Deliveries that wait for room: each vehicle's in the order in which they came, one vehicle after the other.
#[derive(Debug, Default)]
pub(super) struct Line {
    by_vehicle: BTreeMap<VehicleId, VecDeque<Waiting>>,
    bytes: usize,
    deliveries: usize,
    /// The vehicle that was served last.
    last: Option<VehicleId>,
}

impl Line {
    pub fn len(&self) -> usize {
        self.deliveries
    }

    /// Bytes of what waits, as it came.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.raw.len();
        self.deliveries += 1;
        self.by_vehicle.entry(waiting.delivery.vehicle().clone()).or_default().push_back(waiting);
    }

    /// Takes out the next delivery that there is room for: of the next vehicle with a share left, round and round. As a
    /// share is a part of the whole, few vehicles have used theirs before the whole is used: the search is short.
    pub fn next(&mut self, room: &Room) -> Option<Waiting> {
        if room.is_full() || self.deliveries == 0 {
            return None;
        }
        let from = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.by_vehicle.range::<VehicleId, _>((from, Bound::Unbounded));
        let mut turn = after.chain(&self.by_vehicle).map(|(vehicle, _)| vehicle);
        let vehicle = turn.find(|vehicle| room.has_for(vehicle))?.clone();
        let own = self.by_vehicle.get_mut(&vehicle)?;
        let waiting = own.pop_front()?;
        if own.is_empty() {
            self.by_vehicle.remove(&vehicle);
        }
        self.bytes -= waiting.raw.len();
        self.deliveries -= 1;
        self.last = Some(vehicle);
        Some(waiting)
    }
}

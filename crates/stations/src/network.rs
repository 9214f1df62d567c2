//! Which EVSEs have to do with each other: connectors of one charger, chargers at one place, chargers near by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::charger;
use crate::{Place, Places};

/// Chargers closer than this share a forecourt, in km.
const POOL_KM: f64 = 0.15;

/// Farther than this a charger is no alternative in town, in km.
const NEAR_KM: f64 = 5.0;

/// An alternative's weight falls by e over so many km.
const NEAR_SCALE_KM: f64 = 3.0;

/// At most so many alternatives count, the nearest: a city centre has hundreds.
const MAX_NEAR: usize = 16;

/// Kinds of connectors that are told apart; all further ones are one.
pub const MAX_KINDS: usize = 16;

/// Network of EVSEs and their couplings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Network {
    /// Other connectors of the same charger, by EVSE.
    pub siblings: Vec<Vec<u32>>,
    /// Other chargers at the same place, by EVSE.
    pub pool: Vec<Vec<u32>>,
    /// Chargers within [`NEAR_KM`] and their weights, which sum to 1, by EVSE.
    pub near: Vec<Vec<(u32, f32)>>,
    /// The connector type, as an index, by EVSE.
    pub kind: Vec<u8>,
    /// Rated power in kW, NaN where it is not known, by EVSE.
    pub power_kw: Vec<f32>,
}

impl Network {
    /// From EVSE ids and what is known of them. Without a station in the list, EVSEs whose ids differ only after the last
    /// `*` or `/` are of one charger (eMI3 ids: `FR*V75*E9001*01*1`), if that is more than an operator's.
    pub fn new<'a>(evses: impl IntoIterator<Item = &'a str>, places: &Places) -> Self {
        let none = Place::default();
        let evses: Vec<(&str, &Place)> =
            evses.into_iter().map(|evse| (evse, places.get(evse).unwrap_or(&none))).collect();
        let station = |evse: &'a str, place: &Place| -> Option<String> {
            place.station.clone().or_else(|| charger(evse).map(str::to_owned))
        };
        let mut stations = BTreeMap::<String, Vec<u32>>::new();
        let mut names = BTreeMap::<&str, u8>::new();
        let mut kind = Vec::new();
        for (index, (evse, place)) in evses.iter().enumerate() {
            if let Some(station) = station(evse, place) {
                stations.entry(station).or_default().push(index as u32);
            }
            let next = names.len().min(MAX_KINDS - 1) as u8;
            kind.push(*names.entry(place.connector.as_deref().unwrap_or_default()).or_insert(next));
        }
        let power_kw =
            evses.iter().map(|(_, place)| place.power_kw.map_or(f32::NAN, |kw| kw as f32)).collect();
        let mut network = Self { kind, power_kw, ..Self::default() };
        network.siblings = vec![Vec::new(); evses.len()];
        for members in stations.values() {
            for member in members {
                network.siblings[*member as usize] =
                    members.iter().copied().filter(|m| m != member).collect();
            }
        }
        network.place(&evses);
        network
    }

    /// Whether there is one of each for every EVSE, and no kind too many.
    pub(crate) fn is_sound(&self, evses: usize) -> bool {
        let found =
            [self.siblings.len(), self.pool.len(), self.near.len(), self.kind.len(), self.power_kw.len()];
        found == [evses; 5] && self.kind.iter().all(|kind| usize::from(*kind) < MAX_KINDS)
    }

    fn place(&mut self, evses: &[(&str, &Place)]) {
        // Sorted by latitude, whoever is within reach is within a window.
        let mut order: Vec<(f64, u32)> = Vec::new();
        for (index, (_, place)) in evses.iter().enumerate() {
            order.extend(place.position.map(|position| (position.latitude, index as u32)));
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let degrees = NEAR_KM / 111.0;
        self.pool = vec![Vec::new(); evses.len()];
        self.near = vec![Vec::new(); evses.len()];
        for (at, (latitude, index)) in order.iter().enumerate() {
            let me = *index as usize;
            let south = order[..at].iter().rev().take_while(|(other, _)| latitude - other <= degrees);
            let north = order[at + 1..].iter().take_while(|(other, _)| other - latitude <= degrees);
            let mut near = Vec::new();
            for (_, other) in south.chain(north) {
                let (Some(here), Some(there)) = (evses[me].1.position, evses[*other as usize].1.position)
                else {
                    continue;
                };
                let km = here.distance_km(there);
                if self.siblings[me].contains(other) || km > NEAR_KM {
                } else if km <= POOL_KM {
                    self.pool[me].push(*other);
                } else {
                    near.push((*other, km));
                }
            }
            self.pool[me].sort_unstable();
            near.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            near.truncate(MAX_NEAR);
            let weights = near.iter().map(|(other, km)| (*other, (-km / NEAR_SCALE_KM).exp() as f32));
            let weights: Vec<(u32, f32)> = weights.collect();
            let sum: f32 = weights.iter().map(|(_, weight)| weight).sum();
            self.near[me] = weights.into_iter().map(|(other, weight)| (other, weight / sum)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Position;

    #[test]
    fn connectors_couple_by_station_and_chargers_by_distance() {
        let place = |station: Option<&str>, latitude: f64| Place {
            station: station.map(str::to_owned),
            position: Position::new(latitude, -6.0),
            ..Place::default()
        };
        let places = Places::from([
            ("S/CCS".to_owned(), place(None, 53.0)),
            ("S/CHAdeMO".to_owned(), place(None, 53.0)),
            ("next".to_owned(), place(Some("T"), 53.001)),
            ("town".to_owned(), place(Some("U"), 53.02)),
            ("far".to_owned(), place(Some("V"), 53.2)),
        ]);
        let network = Network::new(["S/CCS", "S/CHAdeMO", "next", "town", "far", "unplaced"], &places);
        assert_eq!(network.siblings, [vec![1], vec![0], vec![], vec![], vec![], vec![]]);
        assert_eq!(network.pool, [vec![2], vec![2], vec![0, 1], vec![], vec![], vec![]]);
        assert_eq!(network.near[0], [(3, 1.0)]);
        assert_eq!(network.near[3].len(), 3);
        assert!(network.near[4].is_empty() && network.near[5].is_empty());
    }
}

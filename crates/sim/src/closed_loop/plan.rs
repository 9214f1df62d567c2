//! Faults of a loop, drawn from a seed. Every one ends before the calm.

use super::world::Weather;
use rand::{RngExt as _, rngs::StdRng};

/// One change of the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The controller is killed.
    KillController,
    /// It starts again from its disk.
    StartController,
    /// A fog node is killed.
    KillFog(usize),
    /// It starts again from its disk.
    StartFog(usize),
    /// A vehicle's agent is killed and starts at once.
    RestartVehicle(usize),
    /// The way between controller and fog node is cut, or open again.
    CutFog(usize, bool),
    /// The ways between a vehicle and all fog nodes are cut, or open again.
    CutVehicle(usize, bool),
    /// A vehicle goes to another fog node.
    Roam(usize, usize),
    /// A release that traps in its third call is published.
    PublishFaulty,
    /// It is withdrawn.
    WithdrawFaulty,
    /// Messages are late, doubled, overtaken.
    Weather(Weather),
}

/// Faults by time in ms since the start, in order.
pub type Plan = Vec<(u64, Change)>;

/// Draws so many ms of faults.
pub fn draw(rng: &mut StdRng, ms: u64, fogs: usize, vehicles: usize) -> Plan {
    let mut plan = Plan::new();
    let mut at_ms = rng.random_range(1_000..8_000);
    while at_ms < ms {
        // Some last for a moment, some to the end.
        let most = if rng.random_range(0..4) == 0 { ms } else { 12_000 };
        let until_ms = (at_ms + rng.random_range(200..=most)).min(ms);
        let (fog, vehicle) = (rng.random_range(0..fogs), rng.random_range(0..vehicles));
        let during = |begin: Change, end: Change| vec![(at_ms, begin), (until_ms, end)];
        plan.extend(match rng.random_range(0..20) {
            0..=2 => during(Change::KillController, Change::StartController),
            3..=5 => during(Change::KillFog(fog), Change::StartFog(fog)),
            6..=8 => during(Change::CutFog(fog, true), Change::CutFog(fog, false)),
            9 | 10 => during(Change::CutVehicle(vehicle, true), Change::CutVehicle(vehicle, false)),
            11 => vec![(at_ms, Change::RestartVehicle(vehicle))],
            12 => during(Change::PublishFaulty, Change::WithdrawFaulty),
            13 | 14 => {
                let weather = Weather {
                    delay_ms: rng.random_range(10..3_000),
                    doubled: rng.random_range(0..300),
                    overtaken: rng.random_range(0..300),
                };
                during(Change::Weather(weather), Change::Weather(Weather::GOOD))
            }
            // Back and forth before the first state has arrived.
            15 => {
                let hops = (0..6).map(|hop| {
                    (
                        at_ms + hop * rng.random_range(50..900),
                        Change::Roam(vehicle, (fog + hop as usize) % fogs),
                    )
                });
                hops.collect()
            }
            _ => vec![(at_ms, Change::Roam(vehicle, fog))],
        });
        at_ms += rng.random_range(200..6_000);
    }
    plan.sort_by_key(|(at_ms, _)| *at_ms);
    plan
}

//! A battery that stays hot.

use super::shared::GROUPS;
use crate::closed_loop::pack;
use crate::closed_loop::vehicle::{Body, Moment};
use voltmesh_battery::trouble::{Asked, Management, Run, Script, Sees, Trouble, Work};
use voltmesh_edge::commands::Setpoints;
use voltmesh_telemetry::Timestamp;

/// A pack that is charged on a hot day, and whose chiller is broken: it stays hot, whatever is asked.
pub struct Hot(Run);

impl Hot {
    /// Of a pack whose cells differ by the seed.
    pub fn new(seed: u64) -> Result<Self, String> {
        let script = Script {
            series: GROUPS,
            soc: 0.2,
            temp_c: 54.0,
            ambient_c: 54.0,
            work: vec![Work::Charge { c_rate: 0.2, hold_v: 4.2, until: 1.2 }],
            seconds: f64::INFINITY,
            management: Management {
                sees: Sees::All,
                minds_temperature: false,
                regulates: false,
                ends_drives: true,
            },
            ..Script::from(Trouble::None)
        };
        Run::new(script, seed).map(Self).map_err(|error| error.to_string())
    }
}

impl Body for Hot {
    fn second(&mut self, now: Timestamp, setpoints: &Setpoints) -> Moment {
        let asked = Asked { target_c: None, ..pack::asked(setpoints) };
        match self.0.step(&asked) {
            Some(second) => Moment::Sample(Box::new(pack::sample(now, &second))),
            None => Moment::End,
        }
    }
}

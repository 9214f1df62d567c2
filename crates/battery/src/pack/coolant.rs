//! A coolant loop through a simulated pack, with a heater and a chiller.
//!
//! One mass of coolant touches every cell's surface. While the loop runs, the heater or the chiller brings the mean of the
//! surfaces to a target, with a power in proportion to what is missing. Between the loop's temperatures and its powers a
//! pack of 96 cells of 60 Ah (89 kJ/K) changes by some 2 K a minute. While it does not run, the coolant takes the
//! temperature of the surroundings and touches nothing.

use super::Pack;

/// Longest step in s over which heat flows are constant; longer ones are split.
const STEP_S: f64 = 1.0;

/// Construction of a coolant loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoolantLoop {
    /// Most heat that the heater puts in, in W. Default 5,000.
    pub heat_w: f64,
    /// Most heat that the chiller takes out, in W. Default 4,000.
    pub cool_w: f64,
    /// Heat for each K between target and pack, in W. Default 5,000: full power from 1 K on.
    pub gain_w_per_k: f64,
    /// Heat capacity of coolant and plates in J/K. Default 30,000: 8 l of water and glycol, and aluminium.
    pub coolant_j_per_k: f64,
    /// From the coolant to all cells together, in W/K. Default 400.
    pub exchange_w_per_k: f64,
    /// From the coolant to the surroundings while the loop stands, in W/K. Default 50.
    pub loss_w_per_k: f64,
    /// Heat that the chiller moves for each W of electric power. Default 2.5.
    pub cooling_performance: f64,
    /// Heat of the heater for each W of electric power. Default 0.95.
    pub heater_efficiency: f64,
    /// Temperatures in °C that the coolant is kept between. Default 2 to 55.
    pub coolant_c: (f64, f64),
}

impl Default for CoolantLoop {
    fn default() -> Self {
        Self {
            heat_w: 5_000.0,
            cool_w: 4_000.0,
            gain_w_per_k: 5_000.0,
            coolant_j_per_k: 30_000.0,
            exchange_w_per_k: 400.0,
            loss_w_per_k: 50.0,
            cooling_performance: 2.5,
            heater_efficiency: 0.95,
            coolant_c: (2.0, 55.0),
        }
    }
}

/// A loop and its coolant.
#[derive(Debug, Clone)]
pub struct Coolant {
    built: CoolantLoop,
    temp_c: f64,
    electric_w: f64,
}

impl Coolant {
    /// A loop that stands, with coolant of that temperature.
    #[must_use]
    pub fn new(built: CoolantLoop, temp_c: f64) -> Self {
        Self { built, temp_c, electric_w: 0.0 }
    }

    /// Of the coolant, in °C.
    #[must_use]
    pub fn temp_c(&self) -> f64 {
        self.temp_c
    }

    /// Electric power of heater or chiller in the last step, in W; the pack gives it.
    #[must_use]
    pub fn electric_w(&self) -> f64 {
        self.electric_w
    }

    /// Steps the pack with the loop beside it: towards the target, or standing. Standing it changes nothing of the pack.
    pub fn step(
        &mut self,
        pack: &mut Pack,
        target_c: Option<f64>,
        current_a: f64,
        ambient_c: f64,
        dt_s: f64,
    ) {
        let Some(target_c) = target_c else {
            pack.coolant_w.iter_mut().for_each(|heat| *heat = 0.0);
            pack.step(current_a, ambient_c, dt_s);
            self.electric_w = 0.0;
            let left = (-self.built.loss_w_per_k / self.built.coolant_j_per_k * dt_s).exp();
            self.temp_c = ambient_c + (self.temp_c - ambient_c) * left;
            return;
        };
        let steps = (dt_s / STEP_S).ceil().max(1.0);
        let mut energy_j = 0.0;
        for _ in 0..steps as u64 {
            energy_j += self.short_step(pack, target_c, current_a, ambient_c, dt_s / steps);
        }
        self.electric_w = if dt_s > 0.0 { energy_j / dt_s } else { 0.0 };
    }

    /// Returns the electric energy in J.
    fn short_step(
        &mut self,
        pack: &mut Pack,
        target_c: f64,
        current_a: f64,
        ambient_c: f64,
        dt_s: f64,
    ) -> f64 {
        let built = self.built;
        let cells = pack.surface_c.len() as f64;
        let mean_c = pack.surface_c.iter().sum::<f64>() / cells;
        let wanted_w = ((target_c - mean_c) * built.gain_w_per_k).clamp(-built.cool_w, built.heat_w);
        let each_w_per_k = built.exchange_w_per_k / cells;
        let mut given_w = 0.0;
        for (heat_w, surface_c) in pack.coolant_w.iter_mut().zip(&pack.surface_c) {
            *heat_w = each_w_per_k * (self.temp_c - surface_c);
            given_w += *heat_w;
        }
        pack.step(current_a, ambient_c, dt_s);
        // Beyond its bounds the coolant is neither heated nor cooled further.
        let (coldest_c, hottest_c) = built.coolant_c;
        let without_c = self.temp_c - given_w * dt_s / built.coolant_j_per_k;
        let with_c = without_c + wanted_w * dt_s / built.coolant_j_per_k;
        let next_c = if wanted_w > 0.0 {
            with_c.min(hottest_c.max(without_c))
        } else {
            with_c.max(coldest_c.min(without_c))
        };
        let moved_j = (next_c - without_c) * built.coolant_j_per_k;
        self.temp_c = next_c;
        if moved_j > 0.0 { moved_j / built.heater_efficiency } else { -moved_j / built.cooling_performance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Layout;
    use crate::{Cell, CellParams, Chemistry};
    use std::sync::Arc;

    fn pack(temp_c: f64) -> Pack {
        let cell = Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset");
        Pack::new(Arc::new(cell), &Layout::default(), 0.5, temp_c)
    }

    fn mean_c(pack: &Pack) -> f64 {
        pack.temps_c().iter().sum::<f64>() / 96.0
    }

    /// Temperature after so many minutes, and the highest electric power.
    fn run(start_c: f64, target_c: f64, ambient_c: f64, minutes: u64, dt_s: f64) -> (f64, f64) {
        let mut pack = pack(start_c);
        let mut coolant = Coolant::new(CoolantLoop::default(), ambient_c);
        let mut most_w: f64 = 0.0;
        for _ in 0..(minutes as f64 * 60.0 / dt_s) as u64 {
            coolant.step(&mut pack, Some(target_c), 0.0, ambient_c, dt_s);
            most_w = most_w.max(coolant.electric_w());
            // Within its bounds, but for where it begins.
            let (least, most) = (start_c.min(ambient_c).min(2.0), start_c.max(ambient_c).max(55.0));
            assert!((least..=most).contains(&coolant.temp_c()), "{}", coolant.temp_c());
        }
        (mean_c(&pack), most_w)
    }

    #[test]
    fn a_pack_is_heated_and_cooled_to_its_target_at_the_stated_rate() {
        let (warm, power_w) = run(-10.0, 20.0, -10.0, 5, 1.0);
        assert!((-3.0..2.0).contains(&warm), "some 2 K a minute: {warm}");
        assert!((4_000.0..5_300.0).contains(&power_w), "{power_w}");
        // Each K above the surroundings loses 230 W.
        let (warm, _) = run(-5.0, 10.0, -5.0, 60, 1.0);
        assert!((warm - 10.0).abs() < 1.0, "{warm}");
        let (cool, power_w) = run(45.0, 25.0, 35.0, 60, 1.0);
        assert!((cool - 25.0).abs() < 1.0, "{cool}");
        assert!((1_000.0..1_700.0).contains(&power_w), "{power_w}");
        // The length of a step does not matter.
        let (long, _) = run(45.0, 25.0, 35.0, 10, 10.0);
        let (short, _) = run(45.0, 25.0, 35.0, 10, 0.5);
        assert!((long - short).abs() < 0.5, "{long} {short}");
    }

    #[test]
    fn a_loop_that_stands_changes_nothing_of_the_pack() {
        let (mut beside, mut alone) = (pack(30.0), pack(30.0));
        let mut coolant = Coolant::new(CoolantLoop::default(), 30.0);
        for second in 0..600 {
            let current_a = f64::from(second % 90) - 45.0;
            coolant.step(&mut beside, None, current_a, 10.0, 1.0);
            alone.step(current_a, 10.0, 1.0);
        }
        assert_eq!(beside.voltages_v(0.0), alone.voltages_v(0.0));
        assert_eq!(beside.temps_c(), alone.temps_c());
        assert!(coolant.temp_c() < 30.0 && coolant.electric_w() == 0.0);
    }

    #[test]
    fn groups_that_are_bled_lose_that_current_alone() {
        let mut bled = pack(20.0);
        let before = bled.socs();
        bled.bleed(&[3, 90, 400], 0.1);
        for _ in 0..3_600 {
            bled.step(0.0, 20.0, 1.0);
        }
        for (group, (before, after)) in before.iter().zip(bled.socs()).enumerate() {
            let lost_ah = (before - after) * 60.0;
            let expected = if [3, 90].contains(&group) { 0.1 } else { 0.0 };
            assert!((lost_ah - expected).abs() < 0.002, "{group}: {lost_ah} Ah");
        }
        bled.bleed(&[], 0.1);
        let before = bled.socs();
        bled.step(0.0, 20.0, 1.0);
        assert_eq!(bled.socs(), before);
    }
}

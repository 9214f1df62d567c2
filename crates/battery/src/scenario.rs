//! What-if scenarios: a way of driving, charging and parking, and what it does to range, time, temperature and life.

use crate::{
    Cell, CellState, Chemistry, Error, Health,
    act::{ChargeRequest, plan},
    ageing::{Ageing, Loss, Rest, Use},
    drive::{Car, Schedule},
    units::HOUR_S,
};
use serde::{Deserialize, Serialize};

/// State of charge at which a drive ends.
const EMPTY: f64 = 0.05;

/// Longest drive that a range is looked for in, in h.
const MOST_H: f64 = 48.0;

/// Capacity at which a pack is worth nothing to its vehicle any more.
const END_OF_LIFE: f64 = 0.7;

/// Efficiency of a battery heater.
const HEATER: f64 = 0.9;

/// Days of ageing that are taken as one step.
const STEP_DAYS: f64 = 7.0;

/// A scenario. Every key has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What it is called in tables. Default: made of what differs.
    pub name: String,
    /// Driving schedule. Default `wltc_class3b`.
    pub cycle: Schedule,
    /// Distance driven a day in km. Default 40.
    pub daily_km: f64,
    /// Charging power in kW. Default 11.
    pub charge_kw: f64,
    /// State of charge that is charged to. Default 0.8.
    pub target_soc: f64,
    /// State of charge that the vehicle is parked at, if charging waits until just before departure. Default: the target.
    pub parking_soc: Option<f64>,
    /// Surroundings in °C. Default 20.
    pub ambient_c: f64,
    /// Temperature that the battery is heated to before it is driven and while it is charged, from the grid. Default: it is not.
    pub preheat_c: Option<f64>,
    /// Years of ageing. Default 8.
    pub years: f64,
    /// Groups in series. Default 96.
    pub series: usize,
    /// Cells in parallel. Default 1.
    pub parallel: usize,
    /// Price of a new pack for each kWh, in €. Default 120.
    pub eur_per_kwh: f64,
    /// The vehicle.
    pub car: Car,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: String::new(),
            cycle: Schedule::WltcClass3b,
            daily_km: 40.0,
            charge_kw: 11.0,
            target_soc: 0.8,
            parking_soc: None,
            ambient_c: 20.0,
            preheat_c: None,
            years: 8.0,
            series: 96,
            parallel: 1,
            eur_per_kwh: 120.0,
            car: Car::default(),
        }
    }
}

/// Outcome of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Distance from the target charge to empty, in km.
    pub range_km: f64,
    /// From the battery, in kWh / 100 km.
    pub kwh_per_100km: f64,
    /// To charge again what a day takes, in minutes; `None` if it is too cold to charge.
    pub charge_min: Option<f64>,
    /// Heating the battery before driving and while charging, in kWh a day.
    pub preheat_kwh: f64,
    /// Hottest core in driving and charging, in °C.
    pub hottest_c: f64,
    /// Capacity lost, in percent, over the years.
    pub loss_pct: f64,
    /// By the calendar alone.
    pub loss_calendar_pct: f64,
    /// Resistance gained, in percent.
    pub resistance_pct: f64,
    /// Value that is lost in a year, in €: the price of the pack times the share of what it may lose in its life.
    pub ageing_eur_per_year: f64,
    /// Share of the loss that was computed outside what the laws were measured at, in percent.
    pub outside_validity_pct: f64,
    /// Whether the day can be driven at all from the target charge.
    pub feasible: bool,
}

impl Scenario {
    /// Whether it can be computed.
    ///
    /// # Errors
    ///
    /// [`Error::Parameters`] names the key.
    pub fn check(&self) -> Result<(), Error> {
        let within = |key: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::parameters(format!("scenario {}: {key} is {value}, want {low} to {high}", self.name)))
        };
        within("daily_km", self.daily_km, 0.0, 2_000.0)?;
        within("charge_kw", self.charge_kw, 0.1, 1_000.0)?;
        within("target_soc", self.target_soc, 0.1, 1.0)?;
        within("parking_soc", self.parking_soc.unwrap_or(0.5), 0.0, 1.0)?;
        within("ambient_c", self.ambient_c, -40.0, 60.0)?;
        within("preheat_c", self.preheat_c.unwrap_or(20.0), -40.0, 50.0)?;
        within("years", self.years, 0.1, 30.0)?;
        within("series", self.series as f64, 1.0, 512.0)?;
        within("parallel", self.parallel as f64, 1.0, 512.0)?;
        within("eur_per_kwh", self.eur_per_kwh, 0.0, 10_000.0)?;
        within("car.mass_kg", self.car.mass_kg, 50.0, 60_000.0)?;
        within("car.efficiency", self.car.efficiency, 0.3, 1.0)
    }
}

struct Drive {
    km: f64,
    wh: f64,
    hottest_c: f64,
    soc: f64,
    mean_a: f64,
    mean_c: f64,
    end_c: f64,
}

/// Plays a scenario with packs of that cell.
///
/// # Errors
///
/// [`Error::Parameters`] if it is senseless.
pub fn play(cell: &Cell, scenario: &Scenario) -> Result<Outcome, Error> {
    scenario.check()?;
    let health = cell.new_health();
    let cells = (scenario.series * scenario.parallel) as f64;
    let start_c = scenario.preheat_c.unwrap_or(scenario.ambient_c).max(scenario.ambient_c);
    let whole = drive(cell, &health, scenario, start_c, f64::INFINITY);
    let day = drive(cell, &health, scenario, start_c, scenario.daily_km);
    let feasible = day.km >= scenario.daily_km * 0.999;
    let held_c = scenario.preheat_c.unwrap_or(scenario.ambient_c).max(scenario.ambient_c);
    let depth = (scenario.target_soc - day.soc).max(0.0);
    let charge_c =
        scenario.preheat_c.unwrap_or(scenario.ambient_c).max(if depth > 0.0 { day.end_c } else { start_c });
    let charge = plan(
        cell,
        &health,
        &ChargeRequest {
            soc: (day.soc, scenario.target_soc),
            temp_c: charge_c,
            // The heater goes on while it is charged.
            ambient_c: held_c,
            power_w: scenario.charge_kw * 1_000.0 / cells,
            hottest_c: 50.0,
            loss: f64::INFINITY,
        },
    );
    let thermal = &cell.params().thermal;
    let heated_k = (start_c - scenario.ambient_c).max(0.0);
    let pack_j_per_k = (thermal.core_j_per_k + thermal.surface_j_per_k) * cells;
    let held_w = heated_k / thermal.outer_k_per_w * cells;
    let preheat_kwh = (heated_k * pack_j_per_k + held_w * charge.seconds.unwrap_or(0.0)) / HEATER / 3.6e6;
    let loss = age(cell, scenario, &day, depth);
    let lost = 1.0 - loss.capacity();
    let pack_kwh = crate::estimate::power::energy_wh(cell, health.capacity_ah, 1.0, 25.0) * cells / 1_000.0;
    Ok(Outcome {
        range_km: whole.km,
        kwh_per_100km: if whole.km > 0.0 { whole.wh / whole.km / 10.0 } else { 0.0 },
        charge_min: charge.seconds.map(|seconds| seconds / 60.0),
        preheat_kwh,
        hottest_c: whole.hottest_c.max(charge.hottest_c),
        loss_pct: 100.0 * lost,
        loss_calendar_pct: 100.0 * loss.calendar,
        resistance_pct: 100.0 * loss.resistance,
        ageing_eur_per_year: pack_kwh * scenario.eur_per_kwh * lost / (1.0 - END_OF_LIFE) / scenario.years,
        outside_validity_pct: 100.0 * loss.outside,
        feasible,
    })
}

/// Drives until so many km, or empty.
fn drive(cell: &Cell, health: &Health, scenario: &Scenario, start_c: f64, km: f64) -> Drive {
    let speeds = scenario.cycle.speeds();
    let cells = (scenario.series * scenario.parallel) as f64;
    let lowest_v = cell.params().chemistry.voltage_window_v().0;
    let cabin_w = scenario.car.cabin_w(scenario.ambient_c);
    let mut state = CellState::rested(scenario.target_soc, start_c);
    let mut out = Drive {
        km: 0.0,
        wh: 0.0,
        hottest_c: start_c,
        soc: state.soc,
        mean_a: 0.0,
        mean_c: 0.0,
        end_c: start_c,
    };
    let (mut seconds, mut volts) = (0.0, cell.ocv_v(state.soc, start_c));
    let last = speeds.len().saturating_sub(1).max(1);
    while out.km < km && state.soc > EMPTY && seconds < MOST_H * HOUR_S {
        let at = seconds as usize % last;
        let (speed, next) = (speeds[at], speeds[at + 1]);
        let power_w = scenario.car.power_w(speed, next - speed) + cabin_w;
        let mut current_a = -power_w / cells / volts.max(0.5);
        volts = cell.voltage_v(health, &state, current_a);
        current_a = -power_w / cells / volts.max(0.5);
        // What the cold, nearly empty cell cannot give ends the drive.
        if volts < lowest_v {
            break;
        }
        if state.core_temp_c < 0.0 {
            // No recuperation into a frozen battery.
            current_a = current_a.min(0.0);
        }
        cell.step(health, &mut state, current_a, scenario.ambient_c, 1.0);
        out.km += f64::midpoint(speed, next) / 1_000.0;
        out.wh += -current_a * volts * cells / HOUR_S;
        out.hottest_c = out.hottest_c.max(state.core_temp_c);
        out.mean_a += current_a.abs();
        out.mean_c += state.core_temp_c;
        seconds += 1.0;
    }
    let count = f64::max(seconds, 1.0);
    out.mean_a /= count;
    out.mean_c = if seconds > 0.0 { out.mean_c / count } else { start_c };
    out.soc = state.soc;
    out.end_c = state.core_temp_c;
    out
}

/// The years, a week at a time; a smaller cell moves through more of its charge for the same distance.
fn age(cell: &Cell, scenario: &Scenario, day: &Drive, depth: f64) -> Loss {
    let chemistry: Chemistry = cell.params().chemistry;
    let mut ageing = Ageing::new(chemistry);
    let parked = scenario.parking_soc.unwrap_or(scenario.target_soc);
    let rest =
        |soc: f64| Rest { temp_c: scenario.ambient_c, soc, voltage_v: cell.ocv_v(soc, scenario.ambient_c) };
    let mut days = 0.0;
    while days < scenario.years * 365.0 {
        let step = STEP_DAYS.min(scenario.years * 365.0 - days);
        let deeper = (depth / ageing.loss().capacity().max(0.3)).min(1.0);
        let soc = scenario.target_soc - deeper / 2.0;
        // A tenth of the day at the mean of the drive, the rest parked.
        ageing.rest(&rest(soc), step * 0.1);
        ageing.rest(&rest(parked), step * 0.9);
        ageing.cycle(&Use {
            depth: deeper,
            full_cycles: deeper * step,
            soc,
            voltage_v: cell.ocv_v(soc.clamp(0.0, 1.0), day.mean_c),
            temp_c: day.mean_c,
            c_rate: day.mean_a / cell.params().capacity_ah,
        });
        days += step;
    }
    ageing.loss()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CellParams;

    fn outcome(change: impl FnOnce(&mut Scenario)) -> Outcome {
        let cell = Cell::new(CellParams::generic(Chemistry::Nmc, 156.0)).expect("a preset");
        let mut scenario = Scenario::default();
        change(&mut scenario);
        play(&cell, &scenario).expect("a sensible scenario")
    }

    #[test]
    fn what_everyone_knows_comes_out() {
        let usual = outcome(|_| {});
        assert!((200.0..400.0).contains(&usual.range_km), "{usual:?}");
        assert!((11.0..20.0).contains(&usual.kwh_per_100km) && usual.feasible, "{usual:?}");
        assert!((3.0..30.0).contains(&usual.loss_pct), "{usual:?}");
        let cold = outcome(|scenario| scenario.ambient_c = -15.0);
        assert!(
            cold.range_km < 0.9 * usual.range_km && cold.loss_calendar_pct < usual.loss_calendar_pct,
            "{cold:?}"
        );
        assert_eq!(cold.charge_min, None, "nothing is charged into a frozen battery");
        let heated = outcome(|scenario| {
            scenario.ambient_c = -15.0;
            scenario.preheat_c = Some(20.0);
        });
        assert!(
            heated.charge_min.is_some() && heated.range_km > cold.range_km && heated.preheat_kwh > 1.0,
            "{heated:?}"
        );
        let full = outcome(|scenario| scenario.target_soc = 1.0);
        assert!(full.loss_calendar_pct > usual.loss_calendar_pct && full.range_km > usual.range_km);
        let low = outcome(|scenario| scenario.parking_soc = Some(0.4));
        assert!(low.loss_pct < usual.loss_pct);
        let hot = outcome(|scenario| scenario.ambient_c = 35.0);
        assert!(hot.loss_pct > usual.loss_pct && hot.ageing_eur_per_year > usual.ageing_eur_per_year);
    }

    #[test]
    fn senseless_scenarios_are_named() {
        let cell = Cell::new(CellParams::generic(Chemistry::Nmc, 156.0)).expect("a preset");
        let scenario = Scenario { daily_km: f64::NAN, name: "x".into(), ..Scenario::default() };
        let error = play(&cell, &scenario).expect_err("NaN km").to_string();
        assert!(error.contains("daily_km"), "{error}");
    }
}

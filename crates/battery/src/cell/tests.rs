use super::*;
use crate::Chemistry;
use proptest::prelude::*;

fn cell(chemistry: Chemistry) -> Cell {
    Cell::new(CellParams::generic(chemistry, 2.9)).expect("a preset")
}

fn chemistry() -> impl Strategy<Value = Chemistry> {
    prop_oneof![Just(Chemistry::Nca), Just(Chemistry::Nmc), Just(Chemistry::Lfp)]
}

/// Of thermal runaway and of current without heat: the temperature stays where it is.
fn isothermal(cell: &Cell) -> Cell {
    let mut params = cell.params().clone();
    params.thermal.core_j_per_k = 1e6;
    params.thermal.surface_j_per_k = 1e6;
    Cell::new(params).expect("a preset")
}

proptest! {
    #[test]
    fn the_length_of_a_step_does_not_matter(
        chemistry in chemistry(),
        soc in 0.2..0.8f64,
        temp_c in -20.0..45.0f64,
        current_a in -6.0..3.0f64,
        pieces in proptest::collection::vec(0.01..30.0f64, 1..20),
    ) {
        let cell = isothermal(&cell(chemistry));
        let health = cell.new_health();
        let mut once = CellState { branch_a: [1.0, -2.0], hysteresis: 0.5, ..CellState::rested(soc, temp_c) };
        let mut often = once;
        cell.step(&health, &mut once, current_a, temp_c, pieces.iter().sum());
        for dt_s in pieces {
            cell.step(&health, &mut often, current_a, temp_c, dt_s);
        }
        prop_assert!((once.soc - often.soc).abs() < 1e-9);
        prop_assert!((once.hysteresis - often.hysteresis).abs() < 1e-9);
        for (a, b) in once.branch_a.iter().zip(often.branch_a) {
            prop_assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        let apart = cell.voltage_v(&health, &once, current_a) - cell.voltage_v(&health, &often, current_a);
        prop_assert!(apart.abs() < 1e-4, "{apart} V");
    }

    #[test]
    fn heat_is_conserved(core_c in -20.0..60.0f64, surface_c in -20.0..60.0f64, heat_w in 0.0..5.0f64, dt_s in 0.1..1e3f64) {
        let thermal = CellParams::generic(Chemistry::Nca, 2.9).thermal;
        // Next to no way out: all heat stays, but for what a difference of 80 K and the heat itself drive out.
        let closed = Thermal { outer_k_per_w: 1e6, ..thermal };
        let [core, surface] = thermal::relax(&closed, [core_c, surface_c], 20.0, heat_w, dt_s);
        let gained = (core - core_c) * closed.core_j_per_k + (surface - surface_c) * closed.surface_j_per_k;
        let warmest_k = 80.0 + heat_w * dt_s / closed.surface_j_per_k;
        let leak_j = warmest_k * dt_s / closed.outer_k_per_w + 1e-6;
        prop_assert!((gained - heat_w * dt_s).abs() < leak_j, "{gained} J of {}", heat_w * dt_s);
    }

    #[test]
    fn warmth_evens_out(core_c in -20.0..60.0f64, surface_c in -20.0..60.0f64) {
        let thermal = CellParams::generic(Chemistry::Nca, 2.9).thermal;
        let [core, surface] = thermal::relax(&thermal, [core_c, surface_c], 20.0, 0.0, 1e6);
        prop_assert!((core - 20.0).abs() < 1e-6 && (surface - 20.0).abs() < 1e-6);
    }

    #[test]
    fn voltage_at_rest_tells_soc(chemistry in chemistry(), soc in 0.0..1.0f64, temp_c in -20.0..45.0f64) {
        let cell = cell(chemistry);
        prop_assert!((cell.soc_at_rest(cell.ocv_v(soc, temp_c), temp_c) - soc).abs() < 1e-6);
    }

    #[test]
    fn current_costs_voltage_in_its_direction(
        chemistry in chemistry(), soc in 0.0..1.0f64, temp_c in -40.0..70.0f64, current_a in 0.01..20.0f64,
    ) {
        let cell = cell(chemistry);
        let cell_at = cell.at(temp_c);
        let charge = cell_at.overpotential_v(soc, [0.0; 2], current_a);
        let discharge = cell_at.overpotential_v(soc, [0.0; 2], -current_a);
        prop_assert!(charge > 0.0 && (charge + discharge).abs() < 1e-12);
        prop_assert!(cell.at(temp_c - 5.0).overpotential_v(soc, [0.0; 2], current_a) >= charge * 0.999);
    }
}

#[test]
fn a_cell_warms_under_load() {
    let cell = cell(Chemistry::Nca);
    let mut state = CellState::rested(0.9, 25.0);
    cell.step(&cell.new_health(), &mut state, -5.8, 25.0, 600.0);
    assert!(state.core_temp_c > state.surface_temp_c && state.surface_temp_c > 26.0, "{state:?}");
    assert!(state.core_temp_c < 80.0, "{state:?}");
}

#[test]
fn parameters_survive_their_file() {
    for chemistry in [Chemistry::Nca, Chemistry::Nmc, Chemistry::Lfp] {
        let params = CellParams::generic(chemistry, 60.0);
        let text = toml::to_string(&params).expect("TOML");
        assert_eq!(toml::from_str::<CellParams>(&text).expect("what was written"), params);
    }
}

#[test]
fn wrong_parameters_are_named() {
    let check = |spoil: fn(&mut CellParams), what: &str| {
        let mut params = CellParams::generic(Chemistry::Nca, 2.9);
        spoil(&mut params);
        let error = Cell::new(params).err().expect("an error").to_string();
        assert!(error.contains(what), "{error}");
    };
    check(|params| params.capacity_ah = f64::NAN, "capacity_ah has a value of NaN");
    check(|params| params.ocv.voltage_v[3] = 2.0, "does not rise with SoC");
    check(|params| params.impedance.layers.clear(), "has 0 nodes");
    check(|params| params.impedance.layers.swap(0, 1), "does not rise");
    check(|params| params.impedance.layers[1].r1_ohm.truncate(3), "r1_ohm at 0 °C has 3 values for 14 nodes");
    check(|params| params.impedance.layers[0].tau1_s = 0.0, "tau1_s at -20 °C has a value of 0");
}

//! Tests of BPX files: expressions, capacities, branches, and what is refused.

use super::*;
use crate::Cell;
use serde_json::json;
use std::path::Path;

/// A file that is right: 5.5 Ah by both electrodes, 4.13 V when full.
fn file() -> Value {
    let electrode = |ocp: &str, min: f64, max: f64, most: f64| {
        json!({
            "Particle radius [m]": 4e-6, "Thickness [m]": 5.5e-5, "Diffusivity [m2.s-1]": "3e-14 + 0 * x ** 2",
            "OCP [V]": ocp, "Entropic change coefficient [V.K-1]": -1e-5, "Conductivity [S.m-1]": 0.8,
            "Surface area per unit volume [m-1]": 4e5, "Porosity": 0.3, "Transport efficiency": 0.2,
            "Reaction rate constant [mol.m-2.s-1]": 2e-5, "Minimum stoichiometry": min,
            "Maximum stoichiometry": max, "Maximum concentration [mol.m-3]": most,
        })
    };
    json!({
        "Header": { "BPX": 0.4, "Title": "a test", "Model": "DFN" },
        "Parameterisation": {
            "Cell": { "Nominal cell capacity [A.h]": 5.5, "Electrode area [m2]": 0.35, "Density [kg.m-3]": 2_000.0,
                "Volume [m3]": 3e-5, "Specific heat capacity [J.K-1.kg-1]": 1_000.0,
                "Lower voltage cut-off [V]": 2.7, "Upper voltage cut-off [V]": 4.2 },
            "Electrolyte": { "Initial concentration [mol.m-3]": 1_000,
                "Conductivity [S.m-1]": { "x": [500.0, 1_500.0], "y": [0.8, 1.0] } },
            "Negative electrode":
                electrode("0.1 + 0.8 * exp(-30 * x) - 1e-2 * tanh(10 * (x - 0.5))", 0.01, 0.85, 23_795.5),
            "Positive electrode": electrode("4.5 - 0.9 * x", 0.3, 0.95, 30_751.1),
            "Separator": { "Thickness [m]": 2e-5, "Porosity": 0.5, "Transport efficiency": 0.35 },
        },
    })
}

fn imported(file: &Value) -> Imported {
    import(&file.to_string(), None).unwrap_or_else(|error| panic!("{error}"))
}

fn full_v(imported: &Imported) -> f64 {
    imported.params.ocv.voltage_v.last().copied().expect("a curve")
}

#[test]
fn a_file_becomes_a_cell() {
    let imported = imported(&file());
    assert_eq!(imported.params.chemistry, Chemistry::Nmc);
    let cell = Cell::new(imported.params).expect("usable");
    let expected =
        (4.5 - 0.9 * 0.625) - (0.1 + 0.8 * (-30.0 * 0.43f64).exp() - 1e-2 * (10.0 * (0.43 - 0.5f64)).tanh());
    assert!((cell.ocv_v(0.5, 25.0) - expected).abs() < 1e-4, "{} {expected}", cell.ocv_v(0.5, 25.0));
    let cost = |temp_c: f64| cell.at(temp_c).overpotential_v(0.5, [5.0; 2], 5.0);
    assert!(cost(25.0) > 0.001 && cost(25.0) < 0.5 && cost(-10.0) > cost(25.0));
    assert!(!imported.remarks.is_empty());
}

#[test]
fn what_is_missing_or_senseless_is_named() {
    let cell = "/Parameterisation/Cell";
    let positive = "/Parameterisation/Positive electrode";
    let negative = "/Parameterisation/Negative electrode";
    for (section, key, value, what) in [
        ("/Parameterisation", "Separator", Value::Null, "Separator"),
        ("/Parameterisation", "Electrolyte", Value::Null, "Electrolyte"),
        (positive, "OCP [V]", json!("4 - q"), "x only"),
        (positive, "OCP [V]", json!("4 - * ("), "OCP"),
        (positive, "OCP [V]", json!(0), "placeholder"),
        (positive, "OCP [V]", json!("4.5 - 0.9 * x ^ 2"), "exclusive or"),
        (positive, "OCP [V]", Value::Null, "there is no \"OCP [V]\""),
        (positive, "OCP [V]", json!("4.6 - 0.9 * x"), "cut-off of 4.2 V"),
        (positive, "OCP [V]", json!("3.5 + 0.5 * x"), "falls from"),
        (positive, "OCP [V]", json!("log(x - 0.5) + 4.5 - x"), "no value at a charge"),
        (positive, "OCP [V]", json!({"x": [0.5, 1.0], "y": [4.0, 3.5]}), "no value at a charge"),
        (positive, "Minimum stoichiometry", json!(0.97), "not below the maximum"),
        (positive, "Surface area per unit volume [m-1]", json!(4e6), "of the volume"),
        (positive, "Diffusivity [m2.s-1]", json!("1 + x"), "diffusivity of"),
        (negative, "OCP (lithiation) [V]", json!(0.1), "no \"OCP (delithiation) [V]\""),
        (negative, "Transport efficiency", json!("0.3"), "want a number"),
        (cell, "Electrode area [m2]", json!(-1.0), "Electrode area"),
        (cell, "Lower voltage cut-off [V]", json!(3.6), "cut-off of 3.6 V"),
        (cell, "Density [kg.m-3]", json!("2000"), "want a number"),
    ] {
        let mut file = file();
        file.pointer_mut(section).expect("a section")[key] = value;
        let error = import(&file.to_string(), None).expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    }
    assert!(import("[]", None).is_err() && import("{", None).is_err());
}

#[test]
fn capacity_is_what_the_state_of_charge_counts() {
    let mut file = file();
    let capacity = |file: &Value| {
        let imported = imported(file);
        let said =
            imported.remarks.iter().any(|remark| remark.contains("Ah") && remark.contains("stoichiometries"));
        (imported.params.capacity_ah, said)
    };
    let (ah, said) = capacity(&file);
    assert!((ah - 5.5).abs() < 0.01 && !said, "{ah}");
    file["Parameterisation"]["Cell"]["Nominal cell capacity [A.h]"] = 5.0.into();
    let (ah, said) = capacity(&file);
    assert!((ah - 5.5).abs() < 0.01 && said, "the nominal one is another: {ah}");
    file["Parameterisation"]["Negative electrode"]["Maximum concentration [mol.m-3]"] = 3e4.into();
    assert_eq!(capacity(&file), (5.0, true), "the electrodes contradict each other");
    let byte_order_mark = format!("\u{feff}{file}");
    assert_eq!(import(&byte_order_mark, None).expect("a cell").params.capacity_ah, 5.0);
}

#[test]
fn capacities_of_other_units_are_refused() {
    for (section, key, value) in [
        ("Cell", "Electrode area [m2]", 35.0),
        ("Cell", "Electrode area [m2]", 0.035),
        ("Cell", "Nominal cell capacity [A.h]", 5500.0),
        ("Positive electrode", "Maximum concentration [mol.m-3]", 3075.11),
    ] {
        let mut file = file();
        file["Parameterisation"][section][key] = value.into();
        let error = import(&file.to_string(), None).expect_err(key).to_string();
        assert!(error.contains("check the units"), "{key}: {error}");
    }
}

#[test]
fn a_full_cell_far_below_its_cut_off_is_remarked_on() {
    let remark = |file: &Value| imported(file).remarks.iter().any(|remark| remark.contains("upper cut-off"));
    let mut file = file();
    assert!(!remark(&file));
    file["Parameterisation"]["Cell"]["Upper voltage cut-off [V]"] = 4.4.into();
    assert!(remark(&file));
}

#[test]
fn each_direction_has_its_voltage() {
    let mut branched = file();
    let negative = &mut branched["Parameterisation"]["Negative electrode"];
    negative["OCP (lithiation) [V]"] = "0.10 + 0.5 * exp(-30 * x)".into();
    negative["OCP (delithiation) [V]"] = "0.12 + 0.5 * exp(-30 * x)".into();
    let standard = imported(&branched);
    assert!((standard.params.hysteresis.max_v - 0.01).abs() < 1e-6, "{:?}", standard.params.hysteresis);
    assert!((full_v(&standard) - 4.12).abs() < 1e-4, "the mean of both: {}", full_v(&standard));
    assert!(standard.remarks.iter().any(|remark| remark.contains("±10.0 mV")), "{:?}", standard.remarks);
    // The same under "User-defined", where the one potential is a placeholder.
    let mut user = file();
    user["Parameterisation"]["Negative electrode"]["OCP [V]"] = 0.into();
    user["Parameterisation"]["User-defined"] = json!({
        "Negative electrode lithiation OCP [V]": "0.10 + 0.5 * exp(-30 * x)",
        "Negative electrode delithiation OCP [V]": "0.12 + 0.5 * exp(-30 * x)",
    });
    assert_eq!(imported(&user).params, standard.params);
    // A file that has the names exchanged is said so; branches that cross are refused.
    let negative = &mut branched["Parameterisation"]["Negative electrode"];
    negative["OCP (lithiation) [V]"] = "0.12 + 0.5 * exp(-30 * x)".into();
    negative["OCP (delithiation) [V]"] = "0.10 + 0.5 * exp(-30 * x)".into();
    let swapped = imported(&branched);
    assert_eq!(swapped.params, standard.params);
    assert!(swapped.remarks.iter().any(|remark| remark.contains("exchanged")), "{:?}", swapped.remarks);
    branched["Parameterisation"]["Negative electrode"]["OCP (lithiation) [V]"] =
        "0.08 + 0.04 * x + 0.5 * exp(-30 * x)".into();
    let error = import(&branched.to_string(), None).expect_err("crossing").to_string();
    assert!(error.contains("cross"), "{error}");
}

#[test]
fn a_single_particle_model_has_no_electrolyte() {
    let mut file = file();
    file["Header"]["Model"] = "SPM".into();
    for section in ["Electrolyte", "Separator"] {
        file["Parameterisation"][section] = Value::Null;
    }
    let imported = imported(&file);
    assert!(imported.params.impedance.layers.iter().all(|layer| layer.r0_ohm.iter().all(|ohm| *ohm == 0.0)));
    assert!(
        imported.remarks.iter().any(|remark| remark.contains("no electrolyte")),
        "{:?}",
        imported.remarks
    );
}

/// A blend of a material with itself is that material.
#[test]
fn a_blend_of_equal_materials_is_one_material() {
    let mut blend = file();
    let negative = blend["Parameterisation"]["Negative electrode"].as_object_mut().expect("an object");
    let shared = ["Thickness [m]", "Porosity", "Transport efficiency", "Conductivity [S.m-1]"];
    let mut particle: serde_json::Map<_, _> = negative
        .iter()
        .filter(|(key, _)| !shared.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    negative.retain(|key, _| shared.contains(&key.as_str()));
    particle.insert("Surface area per unit volume [m-1]".into(), 2e5.into());
    negative.insert("Particle".into(), json!({ "Primary": particle, "Secondary": particle }));
    let (blend, one) = (imported(&blend), imported(&file()));
    assert!((blend.params.capacity_ah - one.params.capacity_ah).abs() < 1e-9);
    for (left, right) in blend.params.ocv.voltage_v.iter().zip(&one.params.ocv.voltage_v) {
        assert!((left - right).abs() < 1e-6, "{left} {right}");
    }
    assert!(blend.remarks.iter().any(|remark| remark.contains("blend of 2")), "{:?}", blend.remarks);
}

#[test]
fn chemistry_is_recognised_stated_or_asked_for() {
    let text = file().to_string();
    assert_eq!(import(&text, Some(Chemistry::Nca)).expect("alike").params.chemistry, Chemistry::Nca);
    let error = import(&text, Some(Chemistry::Lfp)).expect_err("no LFP").to_string();
    assert!(error.contains("--chemistry"), "{error}");
    let mut titanate = file();
    titanate["Parameterisation"]["Negative electrode"]["OCP [V]"] = "1.55 + 0*x".into();
    let error = import(&titanate.to_string(), None).expect_err("titanate").to_string();
    assert!(error.contains("--chemistry") && error.contains("V when full"), "{error}");
}

/// Files of others, where they are: capacity in Ah, volts when full, chemistry; or what the refusal says.
#[test]
fn files_that_people_share_are_right_or_refused() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let check = |file: &str, expected: Result<(f64, f64, Chemistry), &str>| {
        let Ok(text) = std::fs::read_to_string(shared.join(file)) else {
            println!("skipped: ../shared/{file} is not here");
            return;
        };
        match (import(&text, None), expected) {
            (Ok(imported), Ok((ah, full, chemistry))) => {
                // After charging: the mean and what hysteresis adds.
                let volts = full_v(&imported) + imported.params.hysteresis.max_v;
                assert!(
                    (imported.params.capacity_ah - ah).abs() < 0.01,
                    "{file}: {} Ah",
                    imported.params.capacity_ah
                );
                assert!((volts - full).abs() < 0.02, "{file}: {volts} V");
                assert_eq!(imported.params.chemistry, chemistry, "{file}");
            }
            (Err(error), Err(what)) => assert!(error.to_string().contains(what), "{file}: {error}"),
            (found, expected) => panic!("{file}: {found:?}, not {expected:?}"),
        }
    };
    use Chemistry::{Lfp, Nmc};
    check("data/bpx/chen2020.json", Ok((5.153, 4.2, Nmc)));
    check("data/bpx/lfp_18650_cell_BPX.json", Ok((2.080, 3.65, Lfp)));
    check("data/bpx/nmc_pouch_cell_BPX.json", Ok((13.187, 4.2, Nmc)));
    check("data/bpx/nmc_pouch_cell_BPX_SPM.json", Ok((13.187, 4.2, Nmc)));
    check("data/bpx/nmc_pouch_cell_BPX_user-defined_hysteresis.json", Ok((13.187, 4.2, Nmc)));
    check("data/bpx/prada2013.json", Ok((2.3035, 3.6, Lfp)));
    check("cases/vehicle/bpx-capacity.json", Ok((5.5, 4.13, Nmc)));
    check("cases/vehicle/bpx-minus-power.json", Ok((5.0, 4.13, Nmc)));
    check("cases/vehicle/bpx-user-hysteresis.json", Ok((5.5, 4.13, Nmc)));
    check("cases/vehicle/bpx-1.1-hysteresis.json", Ok((5.5, 4.13, Nmc)));
    check("cases/vehicle/bpx-lto.json", Err("--chemistry"));
}

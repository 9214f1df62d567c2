//! Import of parameter files in the Battery Parameter eXchange format (BPX, bpxstandard.com, versions 0.1 to 1.1), as far as
//! an equivalent circuit can follow a porous-electrode model: open-circuit voltage, hysteresis and entropy from the
//! electrodes' potentials, capacity from their stoichiometries, resistance from electrolyte and reaction, relaxation from
//! diffusion in the particles, heat capacity from the cell's mass. A file that contradicts itself is refused.

mod electrode;
mod expression;
mod fields;
mod open_circuit;

use crate::{
    CellParams, Chemistry, Error,
    cell::{Hysteresis, Impedance, Layer, ModelError, Ocv, Thermal},
    units::{FARADAY, GAS_CONSTANT, HOUR_S, ZERO_CELSIUS_K, arrhenius},
};
use electrode::{Electrode, Side, activation};
use fields::Section;
use open_circuit::OpenCircuit;
use serde_json::Value;

/// Temperatures of the layers that are made, in °C.
const TEMPS_C: [f64; 4] = [-20.0, 0.0, 25.0, 45.0];

/// Temperature that BPX means where a file names none, in °C.
const REFERENCE_C: f64 = 25.0;

/// Parameters, and what they leave out.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Of the cell.
    pub params: CellParams,
    /// What the reader should know.
    pub remarks: Vec<String>,
}

/// Ohmic resistances at the reference temperature in Ω, and the energy by which the electrolyte is faster when warm.
struct Electrolyte {
    ohm: f64,
    j_per_mol: f64,
}

/// Reads the electrolyte; a single-particle model has none.
fn electrolyte(
    file: &Value,
    root: &Value,
    area_m2: f64,
    remarks: &mut Vec<String>,
) -> Result<Electrolyte, Error> {
    let model = file.pointer("/Header/Model").and_then(Value::as_str).unwrap_or("");
    let found = Section::find(root, "Electrolyte");
    if found.is_none() && model == "SPM" {
        remarks.push(
            "a single-particle model has no electrolyte: its resistance is taken for 0, and voltages under load are too \
             good by it"
                .into(),
        );
        return Ok(Electrolyte { ohm: 0.0, j_per_mol: 17_000.0 });
    }
    let section = Section::of(root, "Electrolyte")?;
    let key = "Initial concentration [mol.m-3]";
    let state = file.pointer("/State/Initial conditions/Initial electrolyte concentration [mol.m-3]");
    let concentration = section.maybe(key, (1.0, 1e5))?.or_else(|| state.and_then(Value::as_f64));
    if concentration.is_none() {
        remarks.push("the electrolyte's concentration is not in the file: 1000 mol/m³ is taken".into());
    }
    let conductivity = section.function("Conductivity [S.m-1]")?.at(concentration.unwrap_or(1_000.0));
    if !(1e-4..1e3).contains(&conductivity) {
        return Err(Error::parameters(format!(
            "Electrolyte: a conductivity of {conductivity} S/m, want 0.0001 to 1000"
        )));
    }
    // A porous layer carries its current to a third of its thickness in the mean, a separator all of it.
    let layers = [(Side::Negative.name(), 3.0), (Side::Positive.name(), 3.0), ("Separator", 1.0)];
    let ohm = layers.map(|(name, part)| {
        let layer = Section::of(root, name)?;
        let thickness = layer.number("Thickness [m]", (1e-7, 1e-2))?;
        let transport = layer.maybe("Transport efficiency", (1e-3, 1.0))?.unwrap_or(0.3);
        Ok::<f64, Error>(thickness / (part * conductivity * transport * area_m2))
    });
    let ohm = ohm.into_iter().sum::<Result<f64, Error>>()?;
    Ok(Electrolyte { ohm, j_per_mol: activation_of_conductivity(&section)? })
}

fn activation_of_conductivity(section: &Section<'_>) -> Result<f64, Error> {
    let found = section.get("Conductivity activation energy [J.mol-1]").is_some();
    if found { activation(section, "Conductivity") } else { Ok(17_000.0) }
}

/// Reads a file's text. `chemistry` is what someone states; without it the voltages say it, where they can.
///
/// # Errors
///
/// [`Error::Parameters`] names what is missing, senseless, or contradicts itself.
pub fn import(text: &str, chemistry: Option<Chemistry>) -> Result<Imported, Error> {
    let file: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Error::parameters(format!("no BPX file: {error}")))?;
    let title = file.pointer("/Header/Title").and_then(Value::as_str).unwrap_or("BPX cell").to_owned();
    let empty = Value::Null;
    let root = file.get("Parameterisation").unwrap_or(&empty);
    Section::of(&file, "Parameterisation")?;
    let cell = Section::of(root, "Cell")?;
    let nominal_ah = cell.number("Nominal cell capacity [A.h]", (1e-3, 1e4))?;
    let pairs = cell.maybe("Number of electrode pairs connected in parallel to make a cell", (1.0, 1e5))?;
    let area_m2 = cell.number("Electrode area [m2]", (1e-8, 1e3))? * pairs.unwrap_or(1.0);
    let reference_k = cell.maybe("Reference temperature [K]", (250.0, 350.0))?;
    let reference_k = reference_k.unwrap_or(REFERENCE_C + ZERO_CELSIUS_K);
    let negative = Electrode::read(root, Side::Negative, area_m2, reference_k)?;
    let positive = Electrode::read(root, Side::Positive, area_m2, reference_k)?;
    let ocv = OpenCircuit::of(&negative, &positive, &cell, reference_k, chemistry)?;
    let mut remarks = ocv.remarks.clone();
    let capacity_ah = open_circuit::capacity(&negative, &positive, nominal_ah, &mut remarks)?;
    let electrolyte = electrolyte(&file, root, area_m2, &mut remarks)?;
    for (side, electrode) in [(Side::Negative, &negative), (Side::Positive, &positive)] {
        if electrode.materials() > 1 {
            remarks.push(format!(
                "{}: a blend of {} materials, which share one potential at rest; relaxation is that of the one with most \
                 charge",
                side.name(),
                electrode.materials()
            ));
        }
    }
    if negative.has_hysteresis() || positive.has_hysteresis() {
        let most = ocv.half_gap_v.iter().copied().fold(0.0, f64::max);
        remarks.push(format!(
            "hysteresis: ±{:.1} mV about the mean of both directions at all charges; the file has up to ±{:.1} mV, and the \
             difference counts as the model's error",
            1e3 * ocv.hysteresis_v(),
            1e3 * most
        ));
    }
    let curve = entropic(&negative, &positive, &ocv)?;
    let params = CellParams {
        name: title,
        chemistry: ocv.chemistry,
        capacity_ah,
        impedance: impedance(&negative, &positive, &electrolyte, reference_k, capacity_ah),
        hysteresis: Hysteresis { max_v: ocv.hysteresis_v(), ..Hysteresis::default() },
        thermal: thermal(&cell, capacity_ah, &mut remarks)?,
        residual: None,
        model_error: model_error(&curve, &ocv.half_gap_v, ocv.hysteresis_v()),
        ocv: curve,
    };
    params.check()?;
    remarks.extend([
        "left out: concentration gradients in the electrolyte, and that diffusivity and reaction vary with charge".into(),
        "assumed: how core, surface and surroundings exchange heat, and how far off the model is".into(),
    ]);
    Ok(Imported { params, remarks })
}

fn entropic(negative: &Electrode, positive: &Electrode, ocv: &OpenCircuit) -> Result<Ocv, Error> {
    let entropic_soc: Vec<f64> = (0..=20).map(|step| f64::from(step) / 20.0).collect();
    let mut entropic_mv_per_k = Vec::with_capacity(entropic_soc.len());
    for soc in &entropic_soc {
        let value = 1e3 * (positive.at_rest(*soc).entropic_v_per_k - negative.at_rest(*soc).entropic_v_per_k);
        if !(-5.0..=5.0).contains(&value) {
            return Err(Error::parameters(format!(
                "the entropic coefficients make {value} mV/K at a charge of {soc}, want -5 to 5; correct them or leave them out"
            )));
        }
        entropic_mv_per_k.push(value);
    }
    Ok(Ocv { soc: ocv.soc.clone(), voltage_v: ocv.voltage_v.clone(), entropic_soc, entropic_mv_per_k })
}

fn impedance(
    negative: &Electrode,
    positive: &Electrode,
    electrolyte: &Electrolyte,
    reference_k: f64,
    capacity_ah: f64,
) -> Impedance {
    let reference_c = reference_k - ZERO_CELSIUS_K;
    let slow = if negative.diffusion_s > positive.diffusion_s { negative } else { positive };
    let layers = TEMPS_C.map(|temp_c| {
        let reaction = |electrode: &Electrode| {
            electrode.reaction_ohm * arrhenius(electrode.reaction_j_per_mol, temp_c, reference_c)
        };
        let reaction_ohm = reaction(negative) + reaction(positive);
        let ohm = electrolyte.ohm * arrhenius(electrolyte.j_per_mol, temp_c, reference_c);
        let slower = arrhenius(slow.diffusion_j_per_mol, temp_c, reference_c);
        let kelvin = temp_c + ZERO_CELSIUS_K;
        // Butler–Volmer with equal coefficients: η = (2 R T / F) asinh(I / 2 I0), R_ct = R T / (F I0), both electrodes as one.
        let transfer_v = 2.0 * GAS_CONSTANT * kelvin / FARADAY;
        Layer {
            temp_c,
            tau1_s: 1.0,
            // The slowest mode of diffusion in a sphere (Crank, The Mathematics of Diffusion, eq. 6.19): R² / (20.2 D).
            tau2_s: (slow.diffusion_s * slower / 20.19).clamp(1.0, 1e5),
            exchange_current_a: (transfer_v / reaction_ohm).clamp(1e-6, 1e6),
            // Surface less mean at steady flux: R² / (15 D) · d(mean)/dt.
            depletion_per_a: (slow.diffusion_s * slower / 15.0 / HOUR_S / capacity_ah).min(10.0),
            ocv_shift_v: vec![0.0; 2],
            r0_ohm: vec![ohm.min(100.0); 2],
            r1_ohm: vec![0.0; 2],
            r2_ohm: vec![0.0; 2],
            transfer_v: vec![transfer_v.min(1.0); 2],
        }
    });
    Impedance {
        soc: vec![0.0, 1.0],
        layers: layers.to_vec(),
        activation_j_per_mol: slow.diffusion_j_per_mol.clamp(10_000.0, 90_000.0),
    }
}

fn thermal(cell: &Section<'_>, capacity_ah: f64, remarks: &mut Vec<String>) -> Result<Thermal, Error> {
    let known = [
        cell.maybe("Density [kg.m-3]", (100.0, 2e4))?,
        cell.maybe("Volume [m3]", (1e-9, 1.0))?,
        cell.maybe("Specific heat capacity [J.K-1.kg-1]", (100.0, 5_000.0))?,
    ];
    if known.iter().any(Option::is_none) {
        remarks.push(
            "density, volume or specific heat are not in the file: those of a usual cell are taken".into(),
        );
    }
    let usual = [2_000.0, capacity_ah * 8e-6, 950.0];
    let heat_j_per_k: f64 = known.iter().zip(usual).map(|(known, usual)| known.unwrap_or(usual)).product();
    Ok(Thermal {
        core_j_per_k: 0.85 * heat_j_per_k,
        surface_j_per_k: 0.15 * heat_j_per_k,
        inner_k_per_w: 6.0 / capacity_ah,
        outer_k_per_w: 25.0 / capacity_ah,
    })
}

/// Standard deviation of where the curves of a cell lie along the charge, beside those of another one of its kind that was
/// measured: balances of electrodes, and what counts as empty, differ.
const SHIFT: f64 = 0.02;

/// Part of the model's error that every charge has, in V: at −20, 0 and 25 °C, when nearly empty, low and half full.
const BASE_V: [[f64; 3]; 3] = [[0.2, 0.1, 0.08], [0.1, 0.05, 0.03], [0.06, 0.025, 0.015]];

/// What is assumed of the model's error: nothing in the file tells. Where the directions differ otherwise than the one
/// number for hysteresis says, that is an error, too.
fn model_error(curve: &Ocv, half_gap_v: &[f64], hysteresis_v: f64) -> ModelError {
    let nearest = |soc: f64| (soc * (half_gap_v.len() - 1) as f64).round() as usize;
    ModelError::assumed(curve, &BASE_V, SHIFT, |soc| (half_gap_v[nearest(soc)] - hysteresis_v).abs())
}

#[cfg(test)]
mod tests;

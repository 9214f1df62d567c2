//! Import of parameter files in the Battery Parameter eXchange format (BPX, bpxstandard.com), as far as an equivalent circuit
//! can follow a porous-electrode model: open-circuit voltage and entropy from the electrodes' potentials, resistance from
//! electrolyte and reaction, relaxation from diffusion in the particles, heat capacity from the cell's mass.

use crate::{
    CellParams, Chemistry, Error,
    cell::{Impedance, Layer, ModelError, Ocv, Thermal},
    units::{GAS_CONSTANT, HOUR_S, ZERO_CELSIUS_K, arrhenius},
};
use exmex::Express as _;
use serde_json::Value;

/// Faraday's constant in C/mol (CODATA 2018).
const FARADAY: f64 = 96_485.332_12;

/// Temperatures of the layers that are made, in °C.
const TEMPS_C: [f64; 4] = [-20.0, 0.0, 25.0, 45.0];

/// Intervals of SoC.
const STEPS: usize = 40;

/// Temperature that BPX means where a file names none, in °C.
const REFERENCE_C: f64 = 25.0;

/// Longest expression that is evaluated, in bytes.
const MAX_EXPRESSION: usize = 16 << 10;

/// Parameters, and what they leave out.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Of the cell.
    pub params: CellParams,
    /// What the reader should know.
    pub remarks: Vec<String>,
}

/// A constant, an expression in x, or a table.
enum Function {
    Constant(f64),
    Expression(Box<exmex::FlatEx<f64>>),
    Table(Vec<f64>, Vec<f64>),
}

impl Function {
    fn of(value: &Value, name: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::parameters(format!("{name}: {why}"));
        match value {
            Value::Number(number) => number.as_f64().map(Self::Constant).ok_or_else(|| wrong("is no number")),
            Value::String(text) if text.len() <= MAX_EXPRESSION => {
                let parsed = exmex::parse::<f64>(&plain(text)).map_err(|error| wrong(&error.to_string()))?;
                if parsed.var_names().iter().any(|variable| variable != "x") {
                    return Err(wrong("an expression may speak of x only"));
                }
                Ok(Self::Expression(Box::new(parsed)))
            }
            Value::Object(table) => {
                let column = |key: &str| -> Option<Vec<f64>> {
                    table.get(key)?.as_array()?.iter().map(Value::as_f64).collect()
                };
                let (x, y) = column("x").zip(column("y")).ok_or_else(|| wrong("a table wants x and y"))?;
                let rising = x.windows(2).all(|pair| pair[0] < pair[1]);
                if x.len() < 2 || x.len() != y.len() || !rising {
                    return Err(wrong("a table wants as many y as x, and x rising"));
                }
                Ok(Self::Table(x, y))
            }
            _ => Err(wrong("want a number, an expression in x, or a table")),
        }
    }

    fn at(&self, x: f64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Expression(parsed) => {
                let variables = if parsed.var_names().is_empty() { &[][..] } else { &[x][..] };
                parsed.eval(variables).unwrap_or(f64::NAN)
            }
            Self::Table(nodes, values) => {
                let above = nodes.partition_point(|node| *node < x).clamp(1, nodes.len() - 1);
                let share = (x - nodes[above - 1]) / (nodes[above] - nodes[above - 1]);
                values[above - 1] + (values[above] - values[above - 1]) * share.clamp(0.0, 1.0)
            }
        }
    }
}

/// An expression as BPX has it, which is Python's: powers as `^` and numbers without exponents, as the parser wants them.
fn plain(text: &str) -> String {
    let text = text.replace("**", "^");
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let in_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let starts = bytes[at].is_ascii_digit() || bytes[at] == b'.';
        let mut end = at;
        if starts && !in_name {
            let digits = |mut end: usize| {
                while bytes.get(end).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') {
                    end += 1;
                }
                end
            };
            end = digits(at);
            if bytes.get(end).is_some_and(|byte| matches!(byte, b'e' | b'E')) {
                let sign = usize::from(bytes.get(end + 1).is_some_and(|byte| matches!(byte, b'+' | b'-')));
                let after = digits(end + 1 + sign);
                end = if after > end + 1 + sign { after } else { end };
            }
        }
        match text
            .get(at..end)
            .filter(|number| !number.is_empty())
            .and_then(|number| number.parse::<f64>().ok())
        {
            Some(number) => {
                out.push_str(&number.to_string());
                at = end;
            }
            None => {
                let next = text[at..].chars().next().map_or(1, char::len_utf8);
                out.push_str(&text[at..at + next]);
                at += next;
            }
        }
    }
    out
}

/// A section of the file, for messages.
struct Section<'a> {
    name: &'a str,
    fields: &'a Value,
}

impl<'a> Section<'a> {
    fn of(root: &'a Value, name: &'a str) -> Result<Self, Error> {
        let fields =
            root.get(name).ok_or_else(|| Error::parameters(format!("there is no section \"{name}\"")))?;
        Ok(Self { name, fields })
    }

    fn field(&self, key: &str) -> Result<&'a Value, Error> {
        let missing = || Error::parameters(format!("{}: there is no \"{key}\"", self.name));
        self.fields.get(key).ok_or_else(missing)
    }

    fn number(&self, key: &str, range: (f64, f64)) -> Result<f64, Error> {
        let value = self.field(key)?.as_f64().unwrap_or(f64::NAN);
        if (range.0..=range.1).contains(&value) {
            return Ok(value);
        }
        Err(Error::parameters(format!(
            "{}: \"{key}\" is {value}, want {} to {}",
            self.name, range.0, range.1
        )))
    }

    fn or(&self, key: &str, default: f64) -> f64 {
        self.fields.get(key).and_then(Value::as_f64).unwrap_or(default)
    }

    fn function(&self, key: &str) -> Result<Function, Error> {
        Function::of(self.field(key)?, &format!("{}: \"{key}\"", self.name))
    }
}

struct Electrode {
    ocp: Function,
    entropic: Function,
    stoichiometry: (f64, f64),
    /// Resistance of the reaction at 25 °C, for small currents, in Ω.
    reaction_ohm: f64,
    reaction_j_per_mol: f64,
    /// R² / D in s at half charge.
    diffusion_s: f64,
    diffusion_j_per_mol: f64,
    /// In S of its electrolyte across its thickness, a third counting.
    ionic_ohm: f64,
}

fn electrode(root: &Value, name: &str, area_m2: f64, conductivity: f64) -> Result<Electrode, Error> {
    let section = Section::of(root, name)?;
    let stoichiometry = (
        section.number("Minimum stoichiometry", (0.0, 1.0))?,
        section.number("Maximum stoichiometry", (0.0, 1.0))?,
    );
    let middle = f64::midpoint(stoichiometry.0, stoichiometry.1);
    let thickness = section.number("Thickness [m]", (1e-7, 1e-2))?;
    let radius = section.number("Particle radius [m]", (1e-9, 1e-3))?;
    let surface = section.number("Surface area per unit volume [m-1]", (1.0, 1e9))?;
    let rate = section.number("Reaction rate constant [mol.m-2.s-1]", (1e-12, 1.0))?;
    let diffusivity = section.function("Diffusivity [m2.s-1]")?.at(middle);
    if !(1e-20..1e-6).contains(&diffusivity) {
        return Err(Error::parameters(format!("{name}: a diffusivity of {diffusivity} m²/s at half charge")));
    }
    // j0 = F K sqrt(ce/ce0) sqrt(x (1 − x)), twice that in A/m² at both directions (BPX 0.3, section 3.5).
    let exchange = FARADAY * rate * (middle * (1.0 - middle)).sqrt();
    let reaction_ohm =
        GAS_CONSTANT * (REFERENCE_C + ZERO_CELSIUS_K) / FARADAY / (exchange * surface * thickness * area_m2);
    let transport = section.or("Transport efficiency", 0.3).clamp(1e-3, 1.0);
    Ok(Electrode {
        ocp: section.function("OCP [V]")?,
        entropic: section.function("Entropic change coefficient [V.K-1]").unwrap_or(Function::Constant(0.0)),
        stoichiometry,
        reaction_ohm,
        reaction_j_per_mol: section.or("Reaction rate constant activation energy [J.mol-1]", 30_000.0),
        diffusion_s: radius * radius / diffusivity,
        diffusion_j_per_mol: section.or("Diffusivity activation energy [J.mol-1]", 30_000.0),
        ionic_ohm: thickness / (3.0 * conductivity * transport * area_m2),
    })
}

/// Reads a file's text.
///
/// # Errors
///
/// [`Error::Parameters`] names what is missing or senseless.
pub fn import(text: &str) -> Result<Imported, Error> {
    let file: Value =
        serde_json::from_str(text).map_err(|error| Error::parameters(format!("no BPX file: {error}")))?;
    let title = file.pointer("/Header/Title").and_then(Value::as_str).unwrap_or("BPX cell").to_owned();
    let root = Section::of(&file, "Parameterisation")?.fields;
    let cell = Section::of(root, "Cell")?;
    let capacity_ah = cell.number("Nominal cell capacity [A.h]", (1e-3, 1e4))?;
    let pairs = cell.or("Number of electrode pairs connected in parallel to make a cell", 1.0).max(1.0);
    let area_m2 = cell.number("Electrode area [m2]", (1e-8, 1e3))? * pairs;
    let electrolyte = Section::of(root, "Electrolyte")?;
    let concentration = electrolyte.or("Initial concentration [mol.m-3]", 1_000.0);
    let conductivity = electrolyte.function("Conductivity [S.m-1]")?.at(concentration);
    if !(1e-4..1e3).contains(&conductivity) {
        return Err(Error::parameters(format!("Electrolyte: a conductivity of {conductivity} S/m")));
    }
    let negative = electrode(root, "Negative electrode", area_m2, conductivity)?;
    let positive = electrode(root, "Positive electrode", area_m2, conductivity)?;
    let separator = Section::of(root, "Separator")?;
    let separator_ohm = separator.number("Thickness [m]", (1e-7, 1e-2))?
        / (conductivity * separator.or("Transport efficiency", 0.3).clamp(1e-3, 1.0) * area_m2);
    let ionic_ohm = negative.ionic_ohm + positive.ionic_ohm + separator_ohm;

    let socs: Vec<f64> = (0..=STEPS).map(|step| step as f64 / STEPS as f64).collect();
    let places = |soc: f64| {
        let (low, high) = negative.stoichiometry;
        let (full, empty) = positive.stoichiometry;
        (low + soc * (high - low), empty - soc * (empty - full))
    };
    let mut voltage_v: Vec<f64> = Vec::with_capacity(socs.len());
    for soc in &socs {
        let (x, y) = places(*soc);
        let volts = positive.ocp.at(y) - negative.ocp.at(x);
        if !volts.is_finite() {
            return Err(Error::parameters(format!(
                "the electrodes' potentials have no value at a charge of {soc}"
            )));
        }
        // Rounding in tables must not make it fall.
        voltage_v.push(voltage_v.last().map_or(volts, |last| volts.max(last + 1e-4)));
    }
    let entropic_soc: Vec<f64> = (0..=4).map(|step| f64::from(step) / 4.0).collect();
    let entropic = |soc: f64| {
        let (x, y) = places(soc);
        1_000.0 * (positive.entropic.at(y) - negative.entropic.at(x))
    };
    let entropic_mv_per_k = entropic_soc.iter().map(|soc| entropic(*soc).clamp(-5.0, 5.0)).collect();
    let full_v = voltage_v.last().copied().unwrap_or(4.2);
    let chemistry = if full_v < 3.8 { Chemistry::Lfp } else { Chemistry::Nmc };
    let slow = if negative.diffusion_s > positive.diffusion_s { &negative } else { &positive };
    let layers = TEMPS_C.map(|temp_c| {
        let reaction = |electrode: &Electrode| {
            electrode.reaction_ohm * arrhenius(electrode.reaction_j_per_mol, temp_c, REFERENCE_C)
        };
        let reaction_ohm = reaction(&negative) + reaction(&positive);
        let electrolyte_slower = arrhenius(
            electrolyte.or("Conductivity activation energy [J.mol-1]", 17_000.0),
            temp_c,
            REFERENCE_C,
        );
        let slower = arrhenius(slow.diffusion_j_per_mol, temp_c, REFERENCE_C);
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
            ocv_shift_v: vec![0.0; socs.len()],
            r0_ohm: vec![(ionic_ohm * electrolyte_slower).min(100.0); socs.len()],
            r1_ohm: vec![0.0; socs.len()],
            r2_ohm: vec![0.0; socs.len()],
            transfer_v: vec![transfer_v.min(1.0); socs.len()],
        }
    });
    let heat_j_per_k = cell.or("Density [kg.m-3]", 2_000.0)
        * cell.or("Volume [m3]", capacity_ah * 8e-6)
        * cell.or("Specific heat capacity [J.K-1.kg-1]", 950.0);
    let params = CellParams {
        name: title,
        chemistry,
        capacity_ah,
        ocv: Ocv { soc: socs.clone(), voltage_v, entropic_soc, entropic_mv_per_k },
        impedance: Impedance {
            soc: socs,
            layers: layers.to_vec(),
            activation_j_per_mol: slow.diffusion_j_per_mol.clamp(10_000.0, 90_000.0),
        },
        hysteresis: Default::default(),
        thermal: Thermal {
            core_j_per_k: 0.85 * heat_j_per_k,
            surface_j_per_k: 0.15 * heat_j_per_k,
            inner_k_per_w: 6.0 / capacity_ah,
            outer_k_per_w: 25.0 / capacity_ah,
        },
        residual: None,
        model_error: ModelError {
            temp_c: vec![-20.0, 0.0, 25.0],
            soc: vec![0.05, 0.2, 0.5],
            voltage_v: vec![vec![0.2, 0.1, 0.08], vec![0.1, 0.05, 0.03], vec![0.06, 0.025, 0.015]],
        },
    };
    params.check()?;
    let remarks = vec![
        format!("taken for {chemistry:?} by its {full_v:.2} V when full"),
        "left out: concentration gradients in the electrolyte, and that diffusivity and reaction vary with charge".into(),
        "assumed: how core, surface and surroundings exchange heat, and how far off the model is".into(),
    ];
    Ok(Imported { params, remarks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;

    fn file() -> Value {
        let electrode = |ocp: &str, min: f64, max: f64| {
            serde_json::json!({
                "Particle radius [m]": 4e-6, "Thickness [m]": 5.5e-5, "Diffusivity [m2.s-1]": "3e-14 + 0 * x ** 2",
                "OCP [V]": ocp, "Entropic change coefficient [V.K-1]": -1e-5, "Conductivity [S.m-1]": 0.8,
                "Surface area per unit volume [m-1]": 4e5, "Porosity": 0.3, "Transport efficiency": 0.2,
                "Reaction rate constant [mol.m-2.s-1]": 2e-5, "Minimum stoichiometry": min,
                "Maximum stoichiometry": max, "Maximum concentration [mol.m-3]": 3e4,
            })
        };
        serde_json::json!({
            "Header": { "BPX": 0.4, "Title": "a test", "Model": "DFN" },
            "Parameterisation": {
                "Cell": { "Nominal cell capacity [A.h]": 5.0, "Electrode area [m2]": 0.1, "Density [kg.m-3]": 2_000.0,
                    "Volume [m3]": 3e-5, "Specific heat capacity [J.K-1.kg-1]": 1_000.0 },
                "Electrolyte": { "Conductivity [S.m-1]": { "x": [500.0, 1_500.0], "y": [0.8, 1.0] } },
                "Negative electrode": electrode("0.1 + 0.8 * exp(-30 * x) - 1e-2 * tanh(10 * (x - 0.5))", 0.01, 0.85),
                "Positive electrode": electrode("4.5 - 0.9 * x", 0.3, 0.95),
                "Separator": { "Thickness [m]": 2e-5, "Porosity": 0.5, "Transport efficiency": 0.35 },
            },
        })
    }

    #[test]
    fn a_file_becomes_a_cell() {
        let imported = import(&file().to_string()).expect("a cell");
        let cell = Cell::new(imported.params).expect("usable");
        let expected = (4.5 - 0.9 * 0.625)
            - (0.1 + 0.8 * (-30.0 * 0.43f64).exp() - 1e-2 * (10.0 * (0.43 - 0.5f64)).tanh());
        assert!((cell.ocv_v(0.5, 25.0) - expected).abs() < 2e-3, "{} {expected}", cell.ocv_v(0.5, 25.0));
        let cost = |temp_c: f64| cell.at(temp_c).overpotential_v(0.5, [5.0; 2], 5.0);
        assert!(cost(25.0) > 0.001 && cost(25.0) < 0.5 && cost(-10.0) > cost(25.0));
        assert!(!imported.remarks.is_empty());
    }

    #[test]
    fn expressions_are_pythons() {
        for (text, expected) in [
            ("8.6e-13 * exp(-13.5 * x) + 9.5e-15", 8.6e-13 * (-13.5f64 * 0.3).exp() + 9.5e-15),
            (
                "-2.59 * x + 4.1E+00 - 11 * tanh(-9.3 * (x - 0.79))",
                -2.59 * 0.3 + 4.1 - 11.0 * (-9.3f64 * (0.3 - 0.79)).tanh(),
            ),
            ("2 * x**2 - 1e-1", 2.0 * 0.09 - 0.1),
        ] {
            let value = Function::of(&text.into(), "f").expect("an expression").at(0.3);
            assert!((value / expected - 1.0).abs() < 1e-9, "{text}: {value} {expected}");
        }
    }

    #[test]
    fn what_is_missing_or_senseless_is_named() {
        let check = |spoil: fn(&mut Value), what: &str| {
            let mut file = file();
            spoil(&mut file);
            let error = import(&file.to_string()).expect_err("an error").to_string();
            assert!(error.contains(what), "{error}");
        };
        check(|file| file["Parameterisation"]["Separator"] = Value::Null, "Separator");
        check(|file| file["Parameterisation"]["Positive electrode"]["OCP [V]"] = "4 - q".into(), "x only");
        check(|file| file["Parameterisation"]["Positive electrode"]["OCP [V]"] = "4 - * (".into(), "OCP");
        check(
            |file| file["Parameterisation"]["Cell"]["Electrode area [m2]"] = (-1.0).into(),
            "Electrode area",
        );
        assert!(import("[]").is_err() && import("{").is_err());
    }
}

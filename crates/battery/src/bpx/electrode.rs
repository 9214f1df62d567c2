//! An electrode of one or several active materials: its potential along the charge, what its reaction and diffusion cost.
//!
//! Materials of a blend have one potential at rest: at each charge the one is searched at which their contents add up. Where
//! a file has a potential for each direction (hysteresis), both are followed.

use super::fields::{Function, Section};
use crate::{
    Error,
    units::{FARADAY, GAS_CONSTANT, HOUR_S},
};
use serde_json::Value;

/// Rounds of the search for a blend's potential: 2^-40 of some volts.
const ROUNDS: usize = 40;

/// Electrode by its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Negative,
    Positive,
}

impl Side {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Negative => "Negative electrode",
            Self::Positive => "Positive electrode",
        }
    }
}

/// Potential of a material against lithium: one, or one for each direction.
#[derive(Debug, Clone, PartialEq)]
enum Potential {
    One(Function),
    Branches { lithiation: Function, delithiation: Function },
}

/// Direction in which the material is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Lithiation,
    Delithiation,
}

impl Potential {
    fn at(&self, way: Way, x: f64) -> f64 {
        match (self, way) {
            (Self::One(only), _) => only.at(x),
            (Self::Branches { lithiation, .. }, Way::Lithiation) => lithiation.at(x),
            (Self::Branches { delithiation, .. }, Way::Delithiation) => delithiation.at(x),
        }
    }
}

/// One active material.
#[derive(Debug, Clone)]
struct Material {
    potential: Potential,
    entropic: Function,
    /// Content of lithium in an empty and in a full cell, as a share of the most.
    empty: f64,
    full: f64,
    /// Charge between them in Ah.
    capacity_ah: f64,
    reaction_ohm: f64,
    reaction_j_per_mol: f64,
    diffusion_s: f64,
    diffusion_j_per_mol: f64,
}

/// An electrode of a cell.
#[derive(Debug, Clone)]
pub(super) struct Electrode {
    side: Side,
    materials: Vec<Material>,
    /// Resistance of the reaction at the reference temperature, for small currents, in Ω.
    pub reaction_ohm: f64,
    pub reaction_j_per_mol: f64,
    /// R² / D in s at half charge.
    pub diffusion_s: f64,
    pub diffusion_j_per_mol: f64,
    /// Charge between empty and full in Ah, by its materials.
    pub capacity_ah: f64,
}

/// Potential at a charge after charging and after discharging, in V against lithium, and its change with temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rest {
    pub charged_v: f64,
    pub discharged_v: f64,
    pub entropic_v_per_k: f64,
}

impl Electrode {
    /// Reads an electrode; `reference_k` is the temperature that its values are of.
    pub fn read(root: &Value, side: Side, area_m2: f64, reference_k: f64) -> Result<Self, Error> {
        let section = Section::of(root, side.name())?;
        let thickness = section.number("Thickness [m]", (1e-7, 1e-2))?;
        let user = Section::find(root, "User-defined").or_else(|| section.within("User-defined"));
        let make = |of: &Section<'_>, user| material(of, side, user, area_m2 * thickness, reference_k);
        let materials = match section.within("Particle") {
            // A blend: a section for each material.
            Some(particles) => {
                let each: Vec<_> = particles.names().filter_map(|name| particles.within(name)).collect();
                each.iter().map(|particle| make(particle, None)).collect::<Result<Vec<_>, _>>()?
            }
            None => vec![make(&section, user.as_ref())?],
        };
        let Some(most) = materials.iter().max_by(|a, b| a.capacity_ah.total_cmp(&b.capacity_ah)) else {
            return Err(Error::parameters(format!("{}: \"Particle\" names no material", section.name)));
        };
        Ok(Self {
            side,
            // Reactions of materials go side by side.
            reaction_ohm: 1.0 / materials.iter().map(|material| 1.0 / material.reaction_ohm).sum::<f64>(),
            reaction_j_per_mol: most.reaction_j_per_mol,
            diffusion_s: most.diffusion_s,
            diffusion_j_per_mol: most.diffusion_j_per_mol,
            capacity_ah: materials.iter().map(|material| material.capacity_ah).sum(),
            materials,
        })
    }

    /// How many active materials it has.
    pub fn materials(&self) -> usize {
        self.materials.len()
    }

    /// Whether some material has a potential for each direction.
    pub fn has_hysteresis(&self) -> bool {
        self.materials.iter().any(|material| matches!(material.potential, Potential::Branches { .. }))
    }

    /// At rest, at a state of charge of the cell.
    pub fn at_rest(&self, soc: f64) -> Rest {
        // Charging puts lithium into the negative electrode and takes it from the positive one.
        let (charging, discharging) = match self.side {
            Side::Negative => (Way::Lithiation, Way::Delithiation),
            Side::Positive => (Way::Delithiation, Way::Lithiation),
        };
        let charged_v = self.potential_v(charging, soc);
        let discharged_v = self.potential_v(discharging, soc);
        let middle_v = f64::midpoint(charged_v, discharged_v);
        let entropic = self.materials.iter().map(|material| {
            material.entropic.at(self.content(material, charging, middle_v, soc)) * material.capacity_ah
        });
        Rest { charged_v, discharged_v, entropic_v_per_k: entropic.sum::<f64>() / self.capacity_ah }
    }

    /// A material's content at the potential of the blend; along the charge where there is one material only.
    fn content(&self, material: &Material, way: Way, volts: f64, soc: f64) -> f64 {
        if self.materials.len() == 1 {
            return material.empty + soc * (material.full - material.empty);
        }
        // Potential falls with content: search within what the cell uses of it.
        let (mut low, mut high) = (material.empty.min(material.full), material.empty.max(material.full));
        for _ in 0..ROUNDS {
            let middle = f64::midpoint(low, high);
            if material.potential.at(way, middle) > volts { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }

    fn potential_v(&self, way: Way, soc: f64) -> f64 {
        if let [only] = self.materials.as_slice() {
            return only.potential.at(way, only.empty + soc * (only.full - only.empty));
        }
        // Lithium in Ah at a potential; falls as it rises.
        let lithium = |volts: f64| -> f64 {
            let of = |material: &Material| {
                let window = (material.full - material.empty).abs();
                self.content(material, way, volts, soc) * material.capacity_ah / window
            };
            self.materials.iter().map(of).sum()
        };
        let wanted: f64 = self
            .materials
            .iter()
            .map(|material| {
                let content = material.empty + soc * (material.full - material.empty);
                content * material.capacity_ah / (material.full - material.empty).abs()
            })
            .sum();
        let ends = self
            .materials
            .iter()
            .flat_map(|material| [material.empty, material.full].map(|x| material.potential.at(way, x)));
        let (mut low, mut high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |range, volts| {
            (range.0.min(volts), range.1.max(volts))
        });
        if !(low.is_finite() && high.is_finite()) {
            return f64::NAN;
        }
        for _ in 0..ROUNDS {
            let middle = f64::midpoint(low, high);
            if lithium(middle) > wanted { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }
}

fn material(
    section: &Section<'_>,
    side: Side,
    user: Option<&Section<'_>>,
    volume_m3: f64,
    reference_k: f64,
) -> Result<Material, Error> {
    let low = section.number("Minimum stoichiometry", (0.0, 1.0))?;
    let high = section.number("Maximum stoichiometry", (0.0, 1.0))?;
    if low >= high {
        return Err(Error::parameters(format!(
            "{}: the minimum stoichiometry {low} is not below the maximum {high}; exchange or correct them",
            section.name
        )));
    }
    let (empty, full) = if side == Side::Negative { (low, high) } else { (high, low) };
    let middle = f64::midpoint(low, high);
    let radius = section.number("Particle radius [m]", (1e-9, 1e-3))?;
    let surface = section.number("Surface area per unit volume [m-1]", (1.0, 1e9))?;
    let rate = section.number("Reaction rate constant [mol.m-2.s-1]", (1e-12, 1.0))?;
    let most = section.number("Maximum concentration [mol.m-3]", (1.0, 1e6))?;
    let diffusivity = section.function("Diffusivity [m2.s-1]")?.at(middle);
    if !(1e-20..1e-6).contains(&diffusivity) {
        return Err(Error::parameters(format!(
            "{}: a diffusivity of {diffusivity} m²/s at half charge, want 1e-20 to 1e-6",
            section.name
        )));
    }
    // j0 = F K sqrt(ce/ce0) sqrt(x (1 − x)), twice that in A/m² at both directions (BPX 0.3, section 3.5).
    let exchange = FARADAY * rate * (middle * (1.0 - middle)).sqrt();
    // Spheres: the share of solid is surface · radius / 3.
    let share = surface * radius / 3.0;
    if share > 1.0 {
        return Err(Error::parameters(format!(
            "{}: spheres of {radius} m with {surface} m² in a m³ fill {share:.2} of the volume; correct radius or surface",
            section.name
        )));
    }
    Ok(Material {
        potential: potential(section, side, user)?,
        entropic: section
            .function_if("Entropic change coefficient [V.K-1]")?
            .unwrap_or(Function::Constant(0.0)),
        empty,
        full,
        capacity_ah: volume_m3 * share * most * (high - low) * FARADAY / HOUR_S,
        reaction_ohm: GAS_CONSTANT * reference_k / FARADAY / (exchange * surface * volume_m3),
        reaction_j_per_mol: activation(section, "Reaction rate constant")?,
        diffusion_s: radius * radius / diffusivity,
        diffusion_j_per_mol: activation(section, "Diffusivity")?,
    })
}

/// Energy in J/mol by which a process is faster when warm; a usual one where the file has none.
pub(super) fn activation(section: &Section<'_>, of: &str) -> Result<f64, Error> {
    let found = section.maybe(&format!("{of} activation energy [J.mol-1]"), (0.0, 2e5))?;
    Ok(found.unwrap_or(30_000.0))
}

/// Both branches where the standard fields have them, else the one potential, else the branches of "User-defined".
fn potential(section: &Section<'_>, side: Side, user: Option<&Section<'_>>) -> Result<Potential, Error> {
    let (name, electrode) = (&section.name, side.name());
    let keys = ["OCP (lithiation) [V]", "OCP (delithiation) [V]"];
    let branches = |of: &Section<'_>, keys: [&str; 2]| -> Result<Option<Potential>, Error> {
        match (of.function_if(keys[0])?, of.function_if(keys[1])?) {
            (Some(lithiation), Some(delithiation)) => {
                Ok(Some(Potential::Branches { lithiation, delithiation }))
            }
            (None, None) => Ok(None),
            (found, _) => {
                let (there, missing) = if found.is_some() { (keys[0], keys[1]) } else { (keys[1], keys[0]) };
                Err(Error::parameters(format!(
                    "{}: there is \"{there}\" and no \"{missing}\"; add it, or leave a single \"OCP [V]\"",
                    of.name
                )))
            }
        }
    };
    if let Some(found) = branches(section, keys)? {
        return Ok(found);
    }
    let one = section.function_if("OCP [V]")?;
    let placeholder = one.as_ref().is_some_and(Function::is_placeholder);
    if let Some(one) = one.filter(|_| !placeholder) {
        return Ok(Potential::One(one));
    }
    let own = [format!("{electrode} lithiation OCP [V]"), format!("{electrode} delithiation OCP [V]")];
    if let Some(user) = user
        && let Some(found) = branches(user, [&own[0], &own[1]])?
    {
        return Ok(found);
    }
    Err(Error::parameters(if placeholder {
        format!(
            "{name}: \"OCP [V]\" is 0 throughout, a placeholder, and there are no potentials of lithiation and \
             delithiation; put the measured potential there"
        )
    } else {
        format!("{name}: there is no \"OCP [V]\"; add it to the file")
    }))
}

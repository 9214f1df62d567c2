//! Finds a cell's parameters from measurements: C/20 for the voltage at rest, pulses and drive cycles for the rest.
//!
//! For given time constants and temperature laws the circuit is linear in all its tables, so those are solved for in one
//! step (variable projection: Golub, Pereyra, SIAM J. Numer. Anal. 10:413, 1973), and Levenberg–Marquardt varies only the
//! few numbers in which it is not. Each drive cycle is then predicted from all others: that error is stated.

mod design;
mod laws;
mod points;
mod pulses;
mod report;
mod residual;
mod run;
mod solve;

pub use pulses::PulseError;
pub use report::{Report, RunError};
pub use residual::Learned;
pub use run::{LoggedRun, Role};

use crate::{
    Cell, CellParams, Chemistry, Error,
    cell::{Hysteresis, Thermal},
};
use design::Design;
use laws::Laws;

/// Request for a fit.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name of the kind of cell.
    pub name: String,
    /// Its active materials.
    pub chemistry: Chemistry,
    /// Ah between full and empty, as all states of charge here count them.
    pub capacity_ah: f64,
    /// Measurements; at least one slow discharge and one drive cycle.
    pub runs: Vec<LoggedRun>,
}

/// Progress of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub done: usize,
    /// Steps that there may be in all; it can end before.
    pub of: usize,
    /// Root mean square error so far, in V.
    pub rmse_v: f64,
}

/// Fits a cell.
///
/// # Errors
///
/// [`Error::Data`] if a run cannot be used or one is missing, [`Error::Fit`] if no parameters explain them.
pub fn fit(request: &Request, mut progress: impl FnMut(Progress)) -> Result<(CellParams, Report), Error> {
    if !(1e-3..1e4).contains(&request.capacity_ah) {
        return Err(Error::parameters(format!("a capacity of {} Ah", request.capacity_ah)));
    }
    for run in &request.runs {
        run.check()?;
    }
    let missing = |what: &str| Error::data("measurements", format!("no {what} among them"));
    let slow: Vec<&LoggedRun> = request.runs.iter().filter(|run| run.role == Role::Slow).collect();
    if slow.is_empty() {
        return Err(missing("slow discharge"));
    }
    if !request.runs.iter().any(|run| run.role == Role::Drive) {
        return Err(missing("drive cycle"));
    }
    let mut design = Design::new(request)?;
    let laws = laws::search(&design, Laws::initial(), &mut progress)?;
    design.doubt(&laws)?;
    let solution = design.solve(&laws, None)?;
    let fitted = design.errors(&laws, &solution);
    let mut left = Vec::new();
    for index in design.drives() {
        let without = design.solve(&laws, Some(index))?;
        left.push(design.left(&laws, &without, index));
    }
    let (learned, residual) = residual::learn(&mut left).unzip();
    let held_out: Vec<RunError> = left.iter().map(|left| design.error_of(left)).collect();
    let model_error = report::model_error(&held_out);
    let params = CellParams {
        name: request.name.clone(),
        chemistry: request.chemistry,
        capacity_ah: request.capacity_ah,
        ocv: design.ocv(&solution),
        impedance: design.impedance(&laws, &solution),
        hysteresis: Hysteresis::default(),
        thermal: thermal(request.capacity_ah, laws.inner_k_per_w),
        residual: residual.flatten(),
        model_error,
    };
    let cell = Cell::new(params)?;
    let pulses = pulses::pulses(&cell, &request.runs);
    Ok((cell.params().clone(), Report { fitted, held_out, pulses, learned }))
}

/// Heat capacity of the core: 0.9–1.0 J/(g K) of 16 g/Ah, as cylindrical cells have.
const CORE_J_PER_K_AH: f64 = 13.0;

fn thermal(capacity_ah: f64, inner_k_per_w: f64) -> Thermal {
    Thermal {
        core_j_per_k: CORE_J_PER_K_AH * capacity_ah,
        surface_j_per_k: 2.5 * capacity_ah,
        inner_k_per_w,
        outer_k_per_w: 25.0 / capacity_ah,
    }
}

#[cfg(test)]
mod tests;

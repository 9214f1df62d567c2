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
mod request;
mod residual;
mod run;
mod search;
mod solve;
mod thermal;

pub use pulses::PulseError;
pub use report::{Report, RunError};
pub use request::{Progress, Request};
pub use residual::Learned;
pub use run::{LoggedRun, Role};

use crate::{Cell, CellParams, Error, cell::Hysteresis};
use design::Design;
use laws::Laws;

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
    let laws = search::search(&design, Laws::initial(), &mut progress)?;
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
        thermal: thermal::thermal(request.capacity_ah, laws.inner_k_per_w),
        residual: residual.flatten(),
        model_error,
    };
    let cell = Cell::new(params)?;
    let pulses = pulses::pulses(&cell, &request.runs);
    Ok((cell.params().clone(), Report { fitted, held_out, pulses, learned }))
}

#[cfg(test)]
mod tests;

//! One cell: voltage, charge, heat, step by step.
//!
//! [`CellParams`] is what is known, [`Cell`] what computes with it, [`CellState`] how it is now. A step is exact for a
//! constant current and temperature, so its length does not matter.

mod assumed;
mod params;
mod presets;
mod residual;
mod step;
mod table;
mod thermal;

pub use params::{CellParams, Hysteresis, Impedance, Layer, ModelError, OCV_TEMP_C, Ocv, Thermal};
pub use residual::{FEATURES, Place, Residual, features};
pub use step::{CellState, Health};
pub use table::{Cell, CellAtTemperature, Local};

#[cfg(test)]
mod tests;

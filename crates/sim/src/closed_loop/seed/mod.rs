//! One seed of faults: controller, fog nodes and vehicles fail, roam and are cut off; then all is calm, and what is wanted must run.

mod hot;
mod one;
mod range;
mod shared;

pub use one::{Report, run};
pub use range::{RangeReport, run_range};
pub use shared::Shared;

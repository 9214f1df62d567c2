//! Bounds of a charger's power, by which watts and kilowatts are told apart.

/// From here on a power is taken as watts, in kW: above every charger in use, and below the least power in watts that a vehicle takes.
pub(super) const WATTS: f64 = 1_380.0;

/// Below this a power is none of a charger, in kW: six amperes from one phase, at which a vehicle begins, are 1.38 kW.
pub(crate) const LEAST_KW: f64 = 0.5;

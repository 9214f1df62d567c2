//! Constants and conversions of physics.

/// Gas constant in J/(mol K), CODATA 2018.
pub const GAS_CONSTANT: f64 = 8.314_462_618;

/// Faraday's constant in C/mol (CODATA 2018).
pub const FARADAY: f64 = 96_485.332_12;

/// Kelvin at 0 °C.
pub const ZERO_CELSIUS_K: f64 = 273.15;

/// Seconds in an hour.
pub const HOUR_S: f64 = 3_600.0;

/// Temperature in K.
#[must_use]
pub fn kelvin(temp_c: f64) -> f64 {
    temp_c + ZERO_CELSIUS_K
}

/// How much slower an activated process is at `temp_c` than at `reference_c`: Arrhenius' exp(E/R (1/T − 1/T_ref)). Above 1
/// in the cold.
#[must_use]
pub fn arrhenius(energy_j_per_mol: f64, temp_c: f64, reference_c: f64) -> f64 {
    (energy_j_per_mol / GAS_CONSTANT * (1.0 / kelvin(temp_c) - 1.0 / kelvin(reference_c))).exp()
}

//! Heat of core and surface, exactly.

use super::params::Thermal;

/// Temperatures of core and surface in °C after `dt_s` with `heat_w` in the core: C_c T_c' = heat + (T_s − T_c)/R_in,
/// C_s T_s' = (T_c − T_s)/R_in + (T_amb − T_s)/R_out (Lin et al. 2014, eq. 1–2), by the matrix exponential of the two.
pub(super) fn relax(
    thermal: &Thermal,
    [core_c, surface_c]: [f64; 2],
    ambient_c: f64,
    heat_w: f64,
    dt_s: f64,
) -> [f64; 2] {
    let Thermal { core_j_per_k, surface_j_per_k, inner_k_per_w, outer_k_per_w } = *thermal;
    let a = -1.0 / (inner_k_per_w * core_j_per_k);
    let b = -a;
    let c = 1.0 / (inner_k_per_w * surface_j_per_k);
    let d = -c - 1.0 / (outer_k_per_w * surface_j_per_k);
    // Where it would end.
    let end = [ambient_c + heat_w * (inner_k_per_w + outer_k_per_w), ambient_c + heat_w * outer_k_per_w];
    let away = [core_c - end[0], surface_c - end[1]];
    // Both eigenvalues are real, apart and negative: b c > 0.
    let (mean, spread) = (f64::midpoint(a, d), ((a - d).powi(2) / 4.0 + b * c).sqrt());
    let (slow, fast) = (mean + spread, mean - spread);
    let (e_slow, e_fast) = ((slow * dt_s).exp(), (fast * dt_s).exp());
    // Sylvester's formula: e^{At} = p + q A.
    let q = (e_slow - e_fast) / (slow - fast);
    let p = e_slow - q * slow;
    [
        end[0] + p * away[0] + q * (a * away[0] + b * away[1]),
        end[1] + p * away[1] + q * (c * away[0] + d * away[1]),
    ]
}

//! Heat capacities and thermal resistances by capacity, as far as no measurement tells them.

use crate::cell::Thermal;

/// Heat capacity of the core: 0.9–1.0 J/(g K) of 16 g/Ah, as cylindrical cells have.
pub(super) const CORE_J_PER_K_AH: f64 = 13.0;

/// Thermal model of a cell of this capacity.
pub(super) fn thermal(capacity_ah: f64, inner_k_per_w: f64) -> Thermal {
    Thermal {
        core_j_per_k: CORE_J_PER_K_AH * capacity_ah,
        surface_j_per_k: 2.5 * capacity_ah,
        inner_k_per_w,
        outer_k_per_w: 25.0 / capacity_ah,
    }
}

//! The declared model of energy: processor seconds × W + bytes sent × J per byte. A model, not a measurement; its
//! parameters are printed with every figure that comes from it.

/// Model of the energy that work and messages take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnergyModel {
    /// What a busy core takes, in W. Default 5.
    pub cpu_w: f64,
    /// What a byte takes from one node's radio to another's, in J. Default 3.92 × 10⁻⁶.
    pub j_per_byte: f64,
    /// What a node's battery holds, in J. Default 43,416.
    pub battery_j: f64,
}

impl EnergyModel {
    /// Where the defaults come from, in a line each.
    pub const SOURCES: [&'static str; 3] = [
        "5 W a core: a server processor's rated power by its cores (Intel Xeon Platinum 8480+: 350 W, 56 cores, 6.3 W; AMD EPYC 7763: 280 W, 64 cores, 4.4 W)",
        "3.92 µJ a byte: LTE, uplink 438.39 and downlink 51.97 mW per Mbit/s (Huang et al., A Close Examination of Performance and Power Characteristics of 4G LTE Networks, MobiSys 2012, table 4), 8 bit a byte, without the base power of a radio that is on",
        "43,416 J: one 18650 cell of 3.35 Ah at 3.6 V (Panasonic NCR18650B), at every node",
    ];

    /// Energy in J.
    pub fn joules(&self, cpu_s: f64, bytes: u64) -> f64 {
        cpu_s * self.cpu_w + bytes as f64 * self.j_per_byte
    }
}

impl Default for EnergyModel {
    fn default() -> Self {
        // (438.39 + 51.97) mW per Mbit/s = 0.49036 µJ a bit; 3.35 Ah × 3.6 V × 3,600 s/h.
        Self { cpu_w: 5.0, j_per_byte: 0.490_36e-6 * 8.0, battery_j: 3.35 * 3.6 * 3_600.0 }
    }
}

//! Processor time, by the clocks that the system keeps of it.

use commonware_cryptography::{Hasher as _, Sha256};
use rustix::time::{ClockId, clock_gettime};

/// Whose time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuClock {
    /// The thread that asks: a simulation runs on one.
    Thread,
    /// All threads of this process: nodes on real sockets run on many.
    Process,
}

impl CpuClock {
    /// Processor seconds used so far.
    pub fn seconds(self) -> f64 {
        let time = clock_gettime(match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Process => ClockId::ProcessCPUTime,
        });
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }
}

/// SHA-256 compressions of a calibration: some 20 ms with SHA instructions.
const CALIBRATION: u32 = 200_000;

/// SHA-256 compressions per processor second on this machine, one after the other: what a simulated puzzle would have
/// cost here.
pub fn sha256_per_second() -> f64 {
    let start = CpuClock::Thread.seconds();
    let mut digest = Sha256::hash(&[b"calibration"]);
    for _ in 0..CALIBRATION {
        // 32 bytes and their padding fill one block of 64: one compression.
        digest = Sha256::hash(&[digest.as_ref()]);
    }
    std::hint::black_box(digest);
    f64::from(CALIBRATION) / (CpuClock::Thread.seconds() - start).max(1e-6)
}

//! Processor time, by the clocks that the system keeps of it.

use rustix::time::{ClockId, clock_gettime};

/// Clock of processor time, of a thread or of the process.
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

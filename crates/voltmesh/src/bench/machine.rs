//! What a figure was measured on.

use serde::Serialize;

/// The machine, as the system tells it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Whether SHA-256 has its own instructions.
    pub sha_ni: bool,
    /// Load average of the last minute when the measurement began: others were at work if it is not small.
    pub load: f64,
}

impl Machine {
    /// Asks the system.
    pub fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            info.lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split(": ").nth(1))
                .unwrap_or("?")
        };
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Machine {
            cpu: field("model name").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            sha_ni: field("flags").split(' ').any(|flag| flag == "sha_ni"),
            load: load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let sha = if self.sha_ni { "SHA-NI" } else { "no SHA-NI" };
        format!("{}, {} cores, {sha}, load {:.1}", self.cpu, self.cores, self.load)
    }
}

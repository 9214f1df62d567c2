//! What processes have used so far, as Linux tells it in `/proc`.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Ticks a second in `/proc/PID/stat`: USER_HZ, which is 100 on x86 and ARM whatever the kernel's own rate is.
const TICKS: f64 = 100.0;

/// Use of one process since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Processor time of all its threads, in seconds; steps of 10 ms.
    pub cpu_s: f64,
    /// Resident memory now, in MB.
    pub rss_mb: f64,
    /// Most resident memory so far, in MB.
    pub peak_mb: f64,
    /// Threads now.
    pub threads: u64,
}

impl Usage {
    /// Asks for a process's use; `None` once it is gone.
    pub fn of(process: u32) -> Option<Self> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).ok();
        parse(&read("stat")?, &read("status")?)
    }

    /// This process's use so far; `None` where there is no `/proc`.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }
}

/// This process's resident memory in MB; 0 where there is no `/proc`.
pub fn resident_mb() -> f64 {
    Usage::own().map_or(0.0, |own| own.rss_mb)
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // proc_pid_stat(5): the name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
    let after_name = stat.rsplit_once(')')?.1;
    let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    let number = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let mb = |key| Some(number(key)? as f64 * 1024.0 / 1e6);
    Some(Usage {
        cpu_s: (user + system) as f64 / TICKS,
        // A process that has ended and is not waited for has none.
        rss_mb: mb("VmRSS").unwrap_or(0.0),
        peak_mb: mb("VmHWM").unwrap_or(0.0),
        threads: number("Threads").unwrap_or(0),
    })
}

/// Bytes of all files below a folder, in MB. Files that go meanwhile do not count.
pub fn folder_mb(folder: &Path) -> Result<f64> {
    Ok(folder_bytes(folder)? as f64 / 1e6)
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let Ok(entry) = entry else { continue };
        let Ok(kind) = entry.metadata() else { continue };
        bytes += if kind.is_dir() { folder_bytes(&entry.path()).unwrap_or(0) } else { kind.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 100 1 2";
        let status = "Name:\ta\nVmHWM:\t   2000 kB\nVmRSS:\t   1000 kB\nThreads:\t3\n";
        let expected = Usage { cpu_s: 2.0, rss_mb: 1.024, peak_mb: 2.048, threads: 3 };
        assert_eq!(parse(stat, status), Some(expected));
        assert_eq!(parse("42 (a) S 1", status), None);
        assert!(Usage::own().is_some_and(|own| own.rss_mb > 1.0 && own.threads > 0));
        assert!(Usage::of(u32::MAX).is_none());
    }

    #[test]
    fn folders_are_added_up() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("a")).expect("a folder");
        std::fs::write(folder.path().join("a/b"), [0; 1500]).expect("a file");
        std::fs::write(folder.path().join("c"), [0; 500]).expect("a file");
        assert_eq!(folder_mb(folder.path()).expect("readable"), 0.002);
        assert!(folder_mb(&folder.path().join("none")).is_err());
    }
}

//! Child processes of a deployment: start, SIGKILL, restart, and ask for their status over loopback HTTP.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use voltmesh_control::Status;

use crate::http::Http;

/// Lines of a log that an error message repeats.
const LAST_LINES: usize = 4;

/// One role in its own process.
pub struct Process {
    /// `fog-1`, `edge-1`, `cloud`.
    pub name: String,
    program: PathBuf,
    role: &'static str,
    config: PathBuf,
    /// Further arguments of the role.
    more: &'static [&'static str],
    log: PathBuf,
    /// Where /status and /metrics are served.
    pub http: SocketAddr,
    child: Option<Child>,
    paused: bool,
    /// The exit code once the process has ended by itself.
    pub exited: Option<i32>,
}

impl Process {
    /// A process that is not started yet; `config` is the role's TOML file.
    pub fn new(program: &Path, name: &str, role: &'static str, config: &Path, http: SocketAddr) -> Self {
        Process {
            name: name.to_owned(),
            program: program.to_owned(),
            role,
            config: config.to_owned(),
            more: &[],
            log: config.with_file_name("log.txt"),
            http,
            child: None,
            paused: false,
            exited: None,
        }
    }

    /// The same with further arguments of the role.
    #[must_use]
    pub fn with(self, more: &'static [&'static str]) -> Self {
        Process { more, ..self }
    }

    /// Other arguments of the role from its next start on.
    pub fn set_more(&mut self, more: &'static [&'static str]) {
        self.more = more;
    }

    /// Whether the process runs now.
    pub fn is_up(&mut self) -> bool {
        let Some(child) = &mut self.child else { return false };
        match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                self.exited = Some(status.code().unwrap_or(-1));
                self.child = None;
                false
            }
            Err(_) => false,
        }
    }

    /// Starts the role; its output goes to `log.txt` beside its configuration.
    pub fn start(&mut self) -> Result<()> {
        let log = open_log(&self.log)?;
        let child = Command::new(&self.program)
            .arg(self.role)
            .arg("--config")
            .arg(&self.config)
            .args(self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().context("the log file")?))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        self.child = Some(child);
        self.paused = false;
        self.exited = None;
        Ok(())
    }

    /// The id of the process that runs now.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// SIGSTOP or SIGCONT; nothing if it does not run.
    pub fn pause(&mut self, pause: bool) -> Result<()> {
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        let id = self.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name))?;
            self.paused = pause;
        }
        Ok(())
    }

    /// SIGTERM: it ends in order. Nothing if it does not run.
    pub fn terminate(&self) -> Result<()> {
        match self.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            Some(id) => {
                kill_process(id, Signal::TERM).with_context(|| format!("cannot signal {}", self.name))
            }
            None => Ok(()),
        }
    }

    /// Whether it stands still.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// SIGKILL, and waits until the process is gone.
    pub async fn kill(&mut self) -> Result<()> {
        match self.child.take() {
            Some(mut child) => child.kill().await.with_context(|| format!("cannot kill {}", self.name)),
            None => Ok(()),
        }
    }

    /// The role's counters; `None` while it does not answer.
    pub async fn status(&self, http: &Http) -> Option<Status> {
        serde_json::from_slice(&http.get(self.http, "/status").await.ok()?).ok()
    }

    /// Bytes of the process's log so far.
    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |found| found.len())
    }

    /// The last lines of the process's log, for an error message.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        format!("{}: {}", self.name, all[all.len().saturating_sub(LAST_LINES)..].join("\n  "))
    }
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

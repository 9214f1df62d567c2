//! One run: the deployment, its processes, and what happens to them until every record is archived.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::closed_loop::Driven;
use super::fault::{Fault, Kind};
use super::progress::Progress;
use super::recordings::recordings;
use super::report::Report;
use super::view::View;
use super::watch::Watch;
use super::{check, stations};
use crate::deploy::process::Process;
use crate::deploy::{CONTROLLER, EdgePlan, Recording, Site, Size, Tuning, edge_name, fog_name};
use crate::{args, output};

/// Blocks in an epoch of the demo's ledger: a rotated authority is back after two of them, some ten seconds.
const EPOCH_LENGTH: u64 = 50;

/// How often the processes are asked and the view is drawn.
const TICK: Duration = Duration::from_millis(250);

/// Longest wait for a status: a process that stands still must not delay what happens to others.
const STATUS_WAIT: Duration = Duration::from_secs(1);

/// Longest wait, after all recordings are archived, for what has not been seen yet.
const LOOP_PATIENCE: Duration = Duration::from_secs(180);

/// A run under way.
pub struct Run {
    pub(super) options: args::Demo,
    pub(super) site: Site,
    pub(super) edges: Vec<Process>,
    pub(super) recordings: Vec<Recording>,
    /// The vehicle that obeys what functions command.
    pub(super) driven: Driven,
    pub(super) watch: Watch,
    pub(super) happened: Vec<String>,
    /// The number of the next decision of the ledger's operators: the first one enrols everyone.
    pub(super) decisions: u64,
}

impl Run {
    /// Makes the deployment: keys, links, configurations.
    pub async fn prepare(dir: &Path, options: args::Demo) -> Result<Self> {
        let (fogs, vehicles) = (usize::from(options.fogs), usize::from(options.vehicles));
        // One vehicle more than those that replay recordings: it obeys what functions command.
        let size = Size {
            fogs,
            vehicles: vehicles + 1,
            cloud: true,
            epoch_length: EPOCH_LENGTH,
            election: options.election,
        };
        let program = std::env::current_exe().context("where this program is")?;
        let mut site = Site::prepare(&program, dir, size, true).await?;
        site.add_controller().await?;
        stations::prepare(&site.deployment).context("the charging stations of the demo")?;
        let recordings = recordings(&options)?;
        let mut edges = Vec::new();
        let http = site.reserve_port()?;
        let driven = Driven::prepare(&site, vehicles + 1, http).await?;
        for n in 1..=vehicles {
            let (name, http) = (edge_name(n), site.reserve_port()?);
            let mut reach = Vec::new();
            // Vehicles start at different fog nodes, as they would on the road.
            for step in 0..fogs {
                let to = (n - 1 + step) % fogs;
                reach.push(site.network.link(&name, &fog_name(to + 1), site.fog_mqtt[to]).await?);
            }
            let plan =
                EdgePlan { n, http, fogs: reach, recording: recordings[n - 1].clone(), tuning: Tuning::DEMO };
            let config = site.deployment.write_edge(&plan)?;
            // Its recording was looked at above, and each vehicle looks at its own.
            let more: &[&str] = if options.accept_doubtful { &["--accept-doubtful"] } else { &[] };
            edges.push(site.process(&name, "edge", &config, http).with(more));
        }
        Ok(Run {
            options,
            site,
            edges,
            recordings,
            driven,
            watch: Watch::default(),
            happened: Vec::new(),
            decisions: 1,
        })
    }

    /// Starts everything, lets faults happen, waits until every vehicle has its notices, and checks.
    pub async fn drive(&mut self) -> Result<Report> {
        let start = Instant::now();
        self.site.start().await?;
        self.site.publish_functions().await?;
        output::note(&format!(
            "ledger runs, {} vehicles enrolled after {:.1?}",
            self.edges.len(),
            start.elapsed()
        ));
        if let Some(controller) = &self.site.controller {
            let token = self.site.deployment.node_dir(CONTROLLER)?.join("token");
            output::note(&format!("controller at {}, token in {}", controller.http, token.display()));
        }
        // Before the vehicles start: while this works, no fault happens and nobody looks at the counters.
        let expected = check::expected(&self.recordings)?;
        self.driven.process.start()?;
        for edge in &mut self.edges {
            edge.start()?;
        }
        let mut view =
            View::new(expected.iter().map(|samples| samples.len() as u64).sum(), self.options.json);
        let start = Instant::now();
        let mut faults: std::collections::VecDeque<Fault> = self.options.fault.0.clone().into();
        let mut tick = tokio::time::interval(TICK);
        let mut progress = Progress::new(self.options.patience);
        let mut tampered = None;
        loop {
            tick.tick().await;
            while faults.front().is_some_and(|fault| fault.at <= start.elapsed()) {
                let Some(fault) = faults.pop_front() else { break };
                view.event(&fault.to_string());
                self.happened.push(fault.to_string());
                if fault.kind == Kind::Tamper {
                    tampered = Some(self.tamper().await?);
                } else {
                    self.apply(&fault).await?;
                }
            }
            self.poll(&view).await?;
            self.driven.look(&self.site.http).await;
            let up = self.up();
            view.draw(&self.watch, &up);
            if faults.is_empty() && self.edges.iter().all(|edge| edge.exited == Some(0)) {
                break;
            }
            let late = !progress.is_made(&self.watch, !faults.is_empty());
            ensure!(
                !late,
                "nothing more is archived for {:?}, and not everything is; {}",
                progress.patience(),
                self.diagnosis()
            );
        }
        let elapsed = start.elapsed();
        self.close_loop().await?;
        view.finish();
        let tampered = match tampered {
            Some(found) => found,
            // Checking a checker: it must find an alteration even if no fault asked for one.
            None => self.tamper().await?,
        };
        self.conclude(&expected, elapsed, tampered).await
    }

    /// Waits for what of the loop has not been seen, and for the vehicle's last records. What faults keep away is not waited for.
    async fn close_loop(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.happened.is_empty()
            && self.driven.process.is_up()
            && self.driven.line.missing().is_some()
            && begun.elapsed() < LOOP_PATIENCE
        {
            self.driven.look(&self.site.http).await;
            tokio::time::sleep(TICK).await;
        }
        self.driven.deliver().await.context("the vehicle that obeys")
    }

    /// Asks every process for its status; notices those that have ended.
    async fn poll(&mut self, view: &View) -> Result<()> {
        let mut asked = Vec::new();
        let Site { fogs, cloud, controller, http, .. } = &mut self.site;
        let all = fogs.iter_mut().chain(cloud).chain(controller).chain(&mut self.edges);
        for process in all.chain([&mut self.driven.process]) {
            let was_up = process.exited.is_none();
            if process.is_up() {
                if !process.is_paused() {
                    asked.push(&*process);
                }
            } else if let Some(code) = process.exited
                && was_up
            {
                view.event(&format!("{} ended with {code}", process.name));
                if code != 0 {
                    bail!("{} failed; its last words: {}", process.name, process.last_words());
                }
            }
        }
        let http = &*http;
        let answers = asked.into_iter().map(|process| async move {
            let status = tokio::time::timeout(STATUS_WAIT, process.status(http)).await;
            (process.name.clone(), status.ok().flatten())
        });
        for (name, status) in futures::future::join_all(answers).await {
            if let Some(status) = status
                && name != self.driven.process.name
            {
                self.watch.update(&name, status);
            }
        }
        Ok(())
    }

    fn up(&mut self) -> Vec<(String, bool)> {
        let Site { fogs, cloud, controller, .. } = &mut self.site;
        let all = fogs.iter_mut().chain(cloud).chain(controller).chain(&mut self.edges);
        all.chain([&mut self.driven.process]).map(|process| (process.name.clone(), process.is_up())).collect()
    }

    /// What each process said last, for an error message.
    pub(super) fn diagnosis(&self) -> String {
        let edges = self.edges.iter().map(Process::last_words).collect::<Vec<_>>().join("\n");
        format!("{}\n{edges}", self.site.last_words())
    }

    pub async fn stop(&mut self) {
        for edge in self.edges.iter_mut().chain([&mut self.driven.process]) {
            let _ = edge.kill().await;
        }
        self.site.stop().await;
    }
}

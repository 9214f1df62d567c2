//! `voltmesh demo`: the whole system as separate processes on this machine, with faults, and a check from the outside.

mod chaos;
mod check;
pub mod fault;
mod report;
mod scenario;
mod stations;
mod tamper;
mod view;
mod watch;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use voltmesh_cloud::Claims;
use voltmesh_edge::config::SourceConfig;
use voltmesh_edge::sources::ReplayConfig;
use voltmesh_ledger::{Action, Trust};
use voltmesh_recording::Battery;

use crate::commands::chain::leaves;
use crate::deploy::process::Process;
use crate::deploy::{EdgePlan, Pace, Recording, Site, Size, Tuning, edge_name, fog_name, free_ports, local};
use crate::{Outcome, args, output};
use fault::{Fault, Kind, Target};
use report::{ChaosLine, Report};
use view::View;
use watch::Watch;

/// Blocks in an epoch of the demo's ledger: a rotated authority is back after two of them, some ten seconds.
const EPOCH_LENGTH: u64 = 50;

/// How often the processes are asked and the view is drawn.
const TICK: Duration = Duration::from_millis(250);

/// Longest wait for a status: a process that stands still must not delay what happens to others.
const STATUS_WAIT: Duration = Duration::from_secs(1);

/// Runs the demo and says in its exit code whether all is well.
pub fn run(mut options: args::Demo) -> Result<Outcome> {
    if let Some(chosen) = &options.scenario {
        return scenario::run(chosen, options.dir.as_deref(), options.json);
    }
    if let Some(seed) = options.chaos {
        options.fault = chaos::draw(seed, options.fogs.into(), options.vehicles.into(), options.duration)
            .map_err(anyhow::Error::msg)?;
        output::note(&format!("chaos {seed}, to be repeated with\n--fault {}", options.fault));
    }
    options.fault.check(options.fogs.into(), options.vehicles.into()).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let temporary =
        tempfile::Builder::new().prefix("voltmesh-demo-").tempdir().context("a temporary folder")?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    let json = options.json;
    let report = runtime.block_on(async {
        let mut run = Run::prepare(&dir, options).await?;
        let result = run.drive().await;
        run.stop().await;
        result
    });
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            // What the processes said is the best explanation there is.
            let kept = temporary.keep();
            return Err(error.context(format!("the run's files are kept in {}", kept.display())));
        }
    };
    if json {
        output::json(&report)?;
    } else {
        report.print();
    }
    Ok(if report.is_good() { Outcome::Done } else { Outcome::Wrong })
}

/// A run under way.
struct Run {
    options: args::Demo,
    site: Site,
    edges: Vec<Process>,
    recordings: Vec<Recording>,
    watch: Watch,
    happened: Vec<String>,
    /// The number of the next decision of the ledger's operators: the first one enrols everyone.
    decisions: u64,
}

impl Run {
    /// Makes the deployment: keys, links, configurations.
    async fn prepare(dir: &Path, options: args::Demo) -> Result<Self> {
        let (fogs, vehicles) = (usize::from(options.fogs), usize::from(options.vehicles));
        let size =
            Size { fogs, vehicles, cloud: true, epoch_length: EPOCH_LENGTH, election: options.election };
        let program = std::env::current_exe().context("where this program is")?;
        let site = Site::prepare(&program, dir, size, true).await?;
        stations::prepare(&site.deployment).context("the charging stations of the demo")?;
        let recordings = recordings(&options)?;
        let mut edges = Vec::new();
        for (n, port) in (1..=vehicles).zip(free_ports(vehicles)?) {
            let (name, http) = (edge_name(n), local(port));
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
            watch: Watch::default(),
            happened: Vec::new(),
            decisions: 1,
        })
    }

    /// Starts everything, lets faults happen, waits until every vehicle has its notices, and checks.
    async fn drive(&mut self) -> Result<Report> {
        let start = Instant::now();
        self.site.start().await?;
        output::note(&format!(
            "ledger runs, {} vehicles enrolled after {:.1?}",
            self.edges.len(),
            start.elapsed()
        ));
        // Before the vehicles start: while this works, no fault happens and nobody looks at the counters.
        let expected = check::expected(&self.recordings)?;
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
        view.finish();
        let tampered = match tampered {
            Some(found) => found,
            // Checking a checker: it must find an alteration even if no fault asked for one.
            None => self.tamper().await?,
        };
        self.conclude(&expected, elapsed, tampered).await
    }

    /// Asks every process for its status; notices those that have ended.
    async fn poll(&mut self, view: &View) -> Result<()> {
        let mut asked = Vec::new();
        for process in self.site.fogs.iter_mut().chain(&mut self.site.cloud).chain(&mut self.edges) {
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
        let http = &self.site.http;
        let answers = asked.into_iter().map(|process| async move {
            let status = tokio::time::timeout(STATUS_WAIT, process.status(http)).await;
            (process.name.clone(), status.ok().flatten())
        });
        for (name, status) in futures::future::join_all(answers).await {
            if let Some(status) = status {
                self.watch.update(&name, status);
            }
        }
        Ok(())
    }

    fn up(&mut self) -> Vec<(String, bool)> {
        let all = self.site.fogs.iter_mut().chain(&mut self.site.cloud).chain(&mut self.edges);
        all.map(|process| (process.name.clone(), process.is_up())).collect()
    }

    fn process(&mut self, target: &Target) -> Option<&mut Process> {
        match target {
            Target::Fog(n) => self.site.fogs.get_mut(n - 1),
            Target::Edge(n) => self.edges.get_mut(n - 1),
            Target::Cloud => self.site.cloud.as_mut(),
            Target::Archive => None,
        }
    }

    async fn apply(&mut self, fault: &Fault) -> Result<()> {
        let name = fault.target.to_string();
        match fault.kind {
            Kind::Kill => {
                if let Some(process) = self.process(&fault.target) {
                    process.kill().await?;
                    self.watch.died(&name);
                }
            }
            Kind::Restart => {
                // A vehicle that has finished before its kill has nothing left to do.
                if let Some(process) = self.process(&fault.target)
                    && !process.is_up()
                    && process.exited != Some(0)
                {
                    process.start()?;
                }
            }
            Kind::Partition => self.site.network.set_partitioned(&name, true),
            Kind::Heal => self.site.network.set_partitioned(&name, false),
            Kind::Pause | Kind::Resume => {
                if let Some(process) = self.process(&fault.target) {
                    process.pause(fault.kind == Kind::Pause)?;
                }
            }
            Kind::Wipe => {
                let Target::Fog(n) = fault.target else { bail!("only a fog node can be wiped") };
                self.wipe(n).await?;
            }
            Kind::Tamper => {}
        }
        Ok(())
    }

    /// A fog node loses disk and key: two operators rotate its key on the ledger, and it starts empty.
    async fn wipe(&mut self, n: usize) -> Result<()> {
        self.site.fogs[n - 1].kill().await?;
        self.watch.died(&fog_name(n));
        let data = self.site.deployment.node_dir(&fog_name(n))?.join("data");
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot wipe {}", data.display()))?;
        let rotation = self.site.deployment.rotate(n)?;
        self.rotate_in_background(n, rotation)?;
        self.site.fogs[n - 1].start()
    }

    /// Other nodes may be away at this moment: the decision is offered until one of them has it in a block.
    fn rotate_in_background(&mut self, wiped: usize, rotation: Vec<Action>) -> Result<()> {
        let transaction = self.site.deployment.decide(self.decisions, rotation);
        self.decisions += 1;
        let addresses: Vec<_> = self
            .site
            .fogs
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != wiped - 1)
            .map(|(_, fog)| fog.http)
            .collect();
        let http = self.site.http.clone();
        // Ends with the run: a ledger that stands still decides nothing, however long it is asked.
        tokio::spawn(async move {
            for address in addresses.iter().cycle() {
                let wait = Duration::from_secs(5);
                if crate::commands::registry::submit_until_final(&http, *address, &transaction, wait)
                    .await
                    .is_ok()
                {
                    break;
                }
            }
        });
        Ok(())
    }

    /// Alters one value in a copy of the archive; says whether the check finds it.
    async fn tamper(&self) -> Result<bool> {
        let trust = self.current_trust().await?;
        tamper::is_found(&self.site.archive()?, &self.site.deployment.dir.join("tampered"), &trust).await
    }

    /// The genesis and the cloud's key, and what a fog node can prove since: hand-overs, the log's size, the archive's
    /// newest statement.
    async fn current_trust(&self) -> Result<Trust> {
        for fog in &self.site.fogs {
            let mut trust = self.site.deployment.trust();
            trust.add_cloud(self.site.deployment.cloud_key()?);
            match crate::commands::chain::refresh(&self.site.http, fog.http, &mut trust).await {
                Ok(_) => return Ok(trust),
                Err(error) => tracing::debug!(error = format!("{error:#}"), "another fog node is asked"),
            }
        }
        bail!("no fog node answers; {}", self.diagnosis())
    }

    /// The log's leaves: a batch that was offered to several nodes has several, and not all of their evidence is archived
    /// when nodes die. Nothing if no node has the whole log: then each entry must be archived.
    async fn leaves(&self, trust: &Trust) -> Result<Claims> {
        let head = trust.log().context("the trust file does not say how large the log is")?;
        let path = self.site.deployment.dir.join("leaves.bin");
        for fog in &self.site.fogs {
            match leaves::write_range(&self.site.http, fog.http, 0..head.size, Some(&head), &path).await {
                Ok(()) => {
                    let mut claims = Claims::default();
                    let file = std::fs::read(&path).context("the log's leaves cannot be read")?;
                    claims.set_leaves(&file)?;
                    return Ok(claims);
                }
                Err(error) => tracing::debug!(error = format!("{error:#}"), "another fog node is asked"),
            }
        }
        Ok(Claims::default())
    }

    /// Reads everything again from the outside.
    async fn conclude(
        &mut self,
        expected: &[check::Samples],
        elapsed: Duration,
        tampered: bool,
    ) -> Result<Report> {
        let mut report = Report {
            tamper_detected: tampered,
            anchor_latency_ms: self.watch.latency("edge-", "anchor").into(),
            archive_latency_ms: self.watch.latency("edge-", "archive").into(),
            height: self.watch.gauge_max("fog-", "height"),
            faults: self.happened.clone(),
            chaos: self.options.chaos.map(|seed| ChaosLine { seed, faults: self.options.fault.to_string() }),
            ..Report::default()
        };
        let trust = self.current_trust().await?;
        let claims = self.leaves(&trust).await?;
        check::archive(&self.site.archive()?, &trust, &claims, expected, &mut report).await?;
        report.spooled = self.watch.sum("edge-", "spooled").max(report.archived);
        // A vehicle that was killed counts what is offered again once more: no more were received than there are.
        report.received = self.watch.sum("edge-", "received").max(report.archived).min(report.spooled);
        self.ask_for_stations(&mut report).await;
        report.records_per_s = report.archived as f64 / elapsed.as_secs_f64();
        report.judge();
        Ok(report)
    }

    /// Asks the fog node that has charging stations, unless a fault keeps it away.
    async fn ask_for_stations(&mut self, report: &mut Report) {
        let fog = &mut self.site.fogs[stations::FOG - 1];
        if !fog.is_up() {
            return;
        }
        match stations::ask(&self.site.http, fog.http).await {
            Ok(line) => report.stations = Some(line),
            Err(error) => report.problems.push(format!("charging stations: {error:#}")),
        }
    }

    /// What each process said last, for an error message.
    fn diagnosis(&self) -> String {
        let edges = self.edges.iter().map(Process::last_words).collect::<Vec<_>>().join("\n");
        format!("{}\n{edges}", self.site.last_words())
    }

    async fn stop(&mut self) {
        for edge in &mut self.edges {
            let _ = edge.kill().await;
        }
        self.site.stop().await;
    }
}

/// Whether a run still gets on.
struct Progress {
    patience: Duration,
    begun: Instant,
    since: Instant,
    reached: u64,
}

/// From an offer of a batch to its notice: a commit that holds little waits 30 s.
const ANSWER: Duration = Duration::from_secs(60);

impl Progress {
    fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Progress { patience, begun: now, since: now, reached: 0 }
    }

    /// How long nothing may happen before the run has failed. A vehicle whose notice was lost offers its batch again after
    /// twice the time each time: the next offer may take as long again as all before it.
    fn patience(&self) -> Duration {
        self.patience.max(self.since.duration_since(self.begun) + ANSWER)
    }

    /// Whether a record came further within the time that is waited for one; faults to come are waited for.
    fn is_made(&mut self, watch: &Watch, faults_to_come: bool) -> bool {
        let reached = watch::STAGES.iter().map(|stage| watch.sum("edge-", stage)).sum();
        if faults_to_come || reached > self.reached {
            self.since = Instant::now();
            self.reached = self.reached.max(reached);
        }
        self.since.elapsed() < self.patience()
    }
}

/// Refuses a recording that cannot be read, or is doubtful, before anything starts.
fn plausible(file: &Path) -> Result<()> {
    let kind = voltmesh_edge::config::Kind::Replay(ReplayConfig::new(vec![file.to_path_buf()]));
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let report = SourceConfig { kind, speed: 1.0 }.inspect(Battery::default(), now_ms)?;
    match report.filter(|report| !report.usable) {
        None => Ok(()),
        Some(report) => {
            let doubts = format!("{}: {}", file.display(), report.reasons.join("; "));
            Err(voltmesh_edge::Error::Doubtful(doubts).into())
        }
    }
}

/// What each vehicle replays.
fn recordings(options: &args::Demo) -> Result<Vec<Recording>> {
    let pace = match options.speed {
        Some(times) => Pace::Recorded { times },
        None => Pace::Rate { hz: options.rate },
    };
    ensure!(options.rate > 0.0 && options.rate <= 10_000.0, "--rate wants more than 0 and at most 10000");
    let samples = (options.rate * options.duration.as_secs_f64()).ceil() as u64;
    let files = options
        .data
        .iter()
        .map(|file| file.canonicalize().with_context(|| format!("cannot find {}", file.display())))
        .collect::<Result<Vec<_>>>()?;
    if !options.accept_doubtful {
        files.iter().try_for_each(|file| plausible(file))?;
    }
    Ok((1..=usize::from(options.vehicles))
        .map(|n| Recording {
            file: (!files.is_empty()).then(|| files[(n - 1) % files.len()].clone()),
            seed: n as u64,
            series: None,
            pace,
            samples: matches!(pace, Pace::Rate { .. }).then_some(samples),
        })
        .collect())
}

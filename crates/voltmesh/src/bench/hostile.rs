//! `voltmesh bench hostile`: what honest clients of a fog node notice of attackers who come from the same address.
//!
//! Four fog nodes and a cloud as processes of this machine, as the demo runs them; the attackers are processes, too. While
//! each attack lasts, an honest vehicle opens one session after the other, and an honest client publishes samples. Figures are
//! of the attacked fog node; what attackers and honest clients compute is on the same processors.

mod report;
mod revocations;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::process::{Child, Command};
use voltmesh_identity::{Credentials, Expected, Identity, Role};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientSettings, Outgoing, Reason};

use self::report::{Memory, Percentiles, Report, Sessions};
use super::generator::{self, Load};
use super::machine::Machine;
use crate::Outcome;
use crate::args::{AttackKind, BenchHostile, GeneratorMode};
use crate::deploy::process::Process;
use crate::deploy::{Site, Size, edge_name, run_with_processes};
use crate::output;
use crate::usage::Usage;

/// Fog nodes: the fewest that tolerate one fault.
const FOGS: usize = 4;

/// Samples a second of the honest client.
const RATE: f64 = 50.0;

/// Rubbish of an honest client that is in the quarantine before the attacks: what a broken meter leaves.
const KEPT: u64 = 50;

/// Longest wait until an attack is under way, or a session ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a counter.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the command.
pub fn run(options: &BenchHostile) -> Result<Outcome> {
    let machine = Machine::this();
    if !options.json {
        output::line(machine.line());
    }
    let report = run_with_processes(measure(options, machine))?;
    if options.json {
        output::json(&report)?;
    } else {
        report.print();
    }
    Ok(Outcome::Done)
}

async fn measure(options: &BenchHostile, machine: Machine) -> Result<Report> {
    let temporary = tempfile::Builder::new().prefix("voltmesh-bench-").tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let bench = Bench::start(&dir).await?;
    bench.leave_rubbish().await?;
    let dropped = bench.counter("quarantine_dropped").await?;
    let (mut session_ms, mut puback_ms) = (BTreeMap::new(), BTreeMap::new());
    let attacks = [
        ("idle", None),
        ("silent", Some((AttackKind::Silent, options.silent))),
        ("tls_flood", Some((AttackKind::TlsFlood, options.handshakes))),
        ("hoarder", Some((AttackKind::Hoarder, options.sessions))),
        ("rubbish", Some((AttackKind::Rubbish, 1))),
    ];
    let (mut log_bytes, mut attacked) = (0, Duration::ZERO);
    let before = bench.memory()?;
    for (name, attack) in attacks {
        let (log, begun) = (bench.fog().log_bytes(), Instant::now());
        let attacker = match attack {
            Some((kind, amount)) => Some(bench.attack(kind, amount).await?),
            None => None,
        };
        let time = Duration::from_secs(options.seconds);
        let (waits, load) = tokio::join!(bench.sessions(time), generator::run(bench.load(options.seconds)));
        let load =
            load.with_context(|| format!("the honest client under {name}; {}", bench.fog().last_words()))?;
        session_ms.insert(name, waits?);
        puback_ms.insert(name, Percentiles { p50: load.puback_ms_p50, p99: load.puback_ms_p99 });
        if let Some(mut attacker) = attacker {
            attacker.kill().await?;
            log_bytes += bench.fog().log_bytes() - log;
            attacked += begun.elapsed();
        }
    }
    let after = bench.memory()?;
    // The oldest entries go first, and the honest client's are the oldest.
    let gone = bench.counter("quarantine_dropped").await?.saturating_sub(dropped).min(KEPT);
    let revocation_ms = bench.revocations().await?;
    let idle = puback_ms["idle"].p99;
    let puback_ratio = puback_ms
        .iter()
        .filter(|(name, _)| **name != "idle")
        .map(|(name, puback)| (*name, puback.p99 / idle.max(0.001)))
        .collect();
    bench.stop().await;
    Ok(Report {
        machine,
        seconds: options.seconds,
        session_ms,
        puback_ms,
        puback_ratio,
        quarantine_kept: (KEPT - gone) as f64 / KEPT as f64,
        log_bytes_per_s: log_bytes as f64 / attacked.as_secs_f64(),
        rss_mb: Memory { before, after },
        revocation_ms,
    })
}

/// A deployment whose first fog node is attacked.
struct Bench {
    site: Site,
}

impl Bench {
    async fn start(dir: &Path) -> Result<Self> {
        let election = Default::default();
        let size = Size { fogs: FOGS, vehicles: 1, cloud: true, epoch_length: 100_000, election };
        let mut site = Site::prepare(&std::env::current_exe()?, dir, size, true).await?;
        for id in ["mallory", "meter", "broken-meter"] {
            site.deployment.pki.issue(&client(id)?, &[], 30)?;
        }
        site.start().await?;
        Ok(Self { site })
    }

    fn fog(&self) -> &Process {
        &self.site.fogs[0]
    }

    fn address(&self) -> String {
        self.site.fog_mqtt[0].to_string()
    }

    async fn counter(&self, name: &str) -> Result<u64> {
        let status = self.fog().status(&self.site.http).await;
        let status =
            status.with_context(|| format!("the fog node does not answer; {}", self.fog().last_words()))?;
        Ok(status.counter(name))
    }

    fn memory(&self) -> Result<f64> {
        let usage = self.fog().id().and_then(Usage::of);
        Ok(usage.with_context(|| format!("the fog node is gone; {}", self.fog().last_words()))?.rss_mb)
    }

    /// An honest client's load.
    fn load(&self, seconds: u64) -> Load {
        let meter = self.site.deployment.dir.join("pki/client-meter");
        Load {
            mode: GeneratorMode::Json,
            address: self.address(),
            credentials: vec![meter],
            openings: Vec::new(),
            seconds: seconds as f64,
            rate: Some(RATE),
            records: 1,
            batches: 0,
            boot: 1,
        }
    }

    async fn connect(&self, identity: &Identity) -> Result<(Client, ClientEvents)> {
        self.connect_to(&self.address(), Role::Fog, identity).await
    }

    async fn connect_to(
        &self,
        address: &str,
        role: Role,
        identity: &Identity,
    ) -> Result<(Client, ClientEvents)> {
        let folder = self.site.deployment.pki.folder_of(identity);
        let tls = Credentials::load(&folder)?.client_config(Expected::role(role), None)?;
        Ok(Client::connect(address, tls, ClientSettings::default()).await?)
    }

    /// Leaves an honest client's mistakes in the quarantine.
    async fn leave_rubbish(&self) -> Result<()> {
        let (client, mut events) = self.connect(&client("broken-meter")?).await?;
        let publishes = (1..=KEPT)
            .map(|tag| Outgoing::new("v1/broken-meter/sample", format!("{{\"broken\":{tag}}}").into(), tag));
        client.publish_all(publishes)?;
        let mut refused = 0;
        while refused < KEPT {
            match events.next().await {
                Some(ClientEvent::Completed(done)) => {
                    ensure!(
                        done.iter().all(|(_, reason)| !reason.is_success()),
                        "rubbish was taken as a sample"
                    );
                    refused += done.len() as u64;
                }
                Some(ClientEvent::Ended(end)) => anyhow::bail!("the fog node ends the session: {end}"),
                Some(_) => {}
                None => anyhow::bail!("the connection is gone"),
            }
        }
        client.disconnect(Reason::SUCCESS);
        Ok(())
    }

    /// Starts an attacker, and waits until it is felt.
    async fn attack(&self, kind: AttackKind, amount: u64) -> Result<Child> {
        let felt = match kind {
            AttackKind::Silent | AttackKind::TlsFlood => ("mqtt_connections", 300),
            AttackKind::Hoarder => ("mqtt_sessions_refused_identity", 1),
            AttackKind::Rubbish => ("quarantined", 100),
        };
        let before = self.counter(felt.0).await?;
        let child = Command::new(std::env::current_exe()?)
            .args(["bench", "attack", "--kind", kind.as_str(), "--address", &self.address()])
            .args(["--amount", &amount.to_string(), "--credentials"])
            .arg(self.site.deployment.dir.join("pki/client-mallory"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the attacker")?;
        let begun = Instant::now();
        while self.counter(felt.0).await? < before + felt.1.min(amount.max(1)) {
            ensure!(begun.elapsed() < PATIENCE, "the attack {} is not felt: {} stays", kind.as_str(), felt.0);
            tokio::time::sleep(LOOK).await;
        }
        Ok(child)
    }

    /// Opens one session of an honest vehicle after the other.
    async fn sessions(&self, time: Duration) -> Result<Sessions> {
        let vehicle = Identity::new(Role::Edge, &edge_name(1))?;
        let (mut waits, mut turned_away) = (Vec::new(), 0);
        let end = Instant::now() + time;
        while Instant::now() < end {
            let begun = Instant::now();
            // As vehicles do: at once again if it was turned away.
            let session = loop {
                match self.connect(&vehicle).await {
                    Ok(session) => break session,
                    Err(error) => {
                        turned_away += 1;
                        ensure!(begun.elapsed() < PATIENCE, "no session within {PATIENCE:?}: {error:#}");
                    }
                }
            };
            waits.push(begun.elapsed());
            session.0.disconnect(Reason::SUCCESS);
        }
        waits.sort();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        ensure!(!waits.is_empty(), "no session was opened");
        Ok(Sessions { p50: at(0.5), p99: at(0.99), max: at(1.0), sessions: waits.len(), turned_away })
    }

    async fn stop(mut self) {
        self.site.stop().await;
    }
}

fn client(id: &str) -> Result<Identity> {
    Ok(Identity::new(Role::Client, id)?)
}

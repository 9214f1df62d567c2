//! The roadside and the cloud of a deployment as running processes; vehicles and clients come to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::process::Process;
use super::proxy::Network;
use super::{CONTROLLER, Deployment, FogPlan, ReservedPort, STANDBY, Size, fog_name};
use crate::commands::registry::submit_until_final;
use crate::http::Http;

/// Longest wait until the ledger runs and everyone is enrolled.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// Between two questions whether a node is ready.
const LOOK: Duration = Duration::from_millis(50);

/// Fog nodes and, if there is one, the cloud.
pub struct Site {
    /// Files and keys.
    pub deployment: Deployment,
    /// Links between processes.
    pub network: Network,
    /// Asks them.
    pub http: Http,
    /// In order.
    pub fogs: Vec<Process>,
    /// Where each fog node listens for MQTT.
    pub fog_mqtt: Vec<SocketAddr>,
    /// The archive's process.
    pub cloud: Option<Process>,
    /// The controller's process.
    pub controller: Option<Process>,
    /// The process of the controller that stands by.
    pub standby: Option<Process>,
    /// Where the first controller listens for MQTT.
    controller_mqtt: Option<SocketAddr>,
    program: PathBuf,
    ports: Vec<ReservedPort>,
}

fn reserve(ports: &mut Vec<ReservedPort>) -> Result<SocketAddr> {
    let port = ReservedPort::reserve()?;
    let address = port.address();
    ports.push(port);
    Ok(address)
}

impl Site {
    /// Makes a deployment in `dir` whose processes run `program`; none runs yet.
    pub async fn prepare(program: &Path, dir: &Path, size: Size, second_copy: bool) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let deployment = Deployment::create(&dir.canonicalize()?, size)?;
        let network = Network::default();
        let mut ports = Vec::new();
        let mut port = || reserve(&mut ports);

        let (cloud_mqtt, cloud_http) = (port()?, port()?);
        let cloud = match size.cloud {
            true => {
                let config = deployment.write_cloud(cloud_mqtt, cloud_http)?;
                Some(Process::new(program, "cloud", "cloud", &config, cloud_http))
            }
            false => None,
        };
        let mut plans = Vec::new();
        for n in 1..=size.fogs {
            let (mqtt, p2p, http) = (port()?, port()?, port()?);
            plans.push(FogPlan { n, mqtt, p2p, http, peers: Vec::new(), cloud: None, second_copy });
        }
        for from in 0..size.fogs {
            let name = fog_name(from + 1);
            for to in (0..size.fogs).filter(|to| *to != from) {
                let link = network.link(&name, &fog_name(to + 1), plans[to].p2p).await?;
                plans[from].peers.push((to, link));
            }
            if size.cloud {
                plans[from].cloud = Some(network.link(&name, "cloud", cloud_mqtt).await?);
            }
        }
        let mut fogs = Vec::new();
        for plan in &plans {
            let config = deployment.write_fog(plan)?;
            fogs.push(Process::new(program, &fog_name(plan.n), "fog", &config, plan.http));
        }
        let fog_mqtt = plans.iter().map(|plan| plan.mqtt).collect();
        let program = program.to_owned();
        let (controller, standby) = (None, None);
        Ok(Site {
            deployment,
            network,
            http: Http::new()?,
            fogs,
            fog_mqtt,
            cloud,
            controller,
            standby,
            controller_mqtt: None,
            program,
            ports,
        })
    }

    /// Where a further process may listen, kept for it as long as this site.
    pub fn reserve_port(&mut self) -> Result<SocketAddr> {
        reserve(&mut self.ports)
    }

    /// Adds a controller to which every fog node connects. Before [`Self::start`].
    pub async fn add_controller(&mut self) -> Result<()> {
        let (mqtt, http) = (self.reserve_port()?, self.reserve_port()?);
        let config = self.deployment.write_controller(CONTROLLER, mqtt, http)?;
        self.controller_mqtt = Some(mqtt);
        for n in 1..=self.fogs.len() {
            let link = self.network.link(&fog_name(n), CONTROLLER, mqtt).await?;
            self.deployment.add_controller(n, link)?;
        }
        self.controller = Some(Process::new(&self.program, CONTROLLER, "controller", &config, http));
        Ok(())
    }

    /// Adds a controller that stands by the first one, after that one. Before [`Self::start`].
    pub async fn add_standby(&mut self) -> Result<()> {
        let (mqtt, http) = (self.reserve_port()?, self.reserve_port()?);
        let config = self.deployment.write_controller(STANDBY, mqtt, http)?;
        let first = self.controller_mqtt.context("a controller stands by another one: add that one first")?;
        self.deployment.pair_controllers([(CONTROLLER, first), (STANDBY, mqtt)])?;
        for n in 1..=self.fogs.len() {
            let link = self.network.link(&fog_name(n), STANDBY, mqtt).await?;
            self.deployment.add_standby(n, link)?;
        }
        self.standby = Some(Process::new(&self.program, STANDBY, "controller", &config, http));
        Ok(())
    }

    /// Starts controller, cloud and fog nodes, and enrols vehicles and attesting fog nodes once the ledger runs.
    pub async fn start(&mut self) -> Result<()> {
        let controllers = self.controller.iter_mut().chain(&mut self.standby);
        for process in self.cloud.iter_mut().chain(controllers).chain(&mut self.fogs) {
            process.start()?;
        }
        let actions = [self.deployment.enrolments()?, self.deployment.admissions()?].concat();
        let transaction = self.deployment.decide(0, actions);
        submit_until_final(&self.http, self.fogs[0].http, &transaction, START_PATIENCE)
            .await
            .with_context(|| format!("the ledger does not start; {}", self.last_words()))?;
        self.ready().await
    }

    /// Waits until every fog node takes data.
    async fn ready(&self) -> Result<()> {
        let begun = Instant::now();
        for fog in &self.fogs {
            while !fog.status(&self.http).await.is_some_and(|status| status.ready) {
                ensure!(begun.elapsed() < START_PATIENCE, "a fog node takes no data; {}", fog.last_words());
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// A process of this site's program.
    pub fn process(&self, name: &str, role: &'static str, config: &Path, http: SocketAddr) -> Process {
        Process::new(&self.program, name, role, config, http)
    }

    /// The archive's folder.
    pub fn archive(&self) -> Result<PathBuf> {
        Ok(self.deployment.node_dir("cloud")?.join("archive"))
    }

    /// What each process said last, for an error message.
    pub fn last_words(&self) -> String {
        let controllers = self.controller.iter().chain(&self.standby);
        let tails = self.fogs.iter().chain(&self.cloud).chain(controllers).map(Process::last_words);
        format!("the last words of each:\n{}", tails.collect::<Vec<_>>().join("\n"))
    }

    /// Ends every process.
    pub async fn stop(&mut self) {
        let controllers = self.controller.iter_mut().chain(&mut self.standby);
        for process in self.fogs.iter_mut().chain(&mut self.cloud).chain(controllers) {
            let _ = process.kill().await;
        }
    }
}

//! Faults as they happen to processes and links of a run.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use voltmesh_ledger::Action;

use super::fault::{Fault, Kind, Target};
use super::run::Run;
use crate::deploy::fog_name;
use crate::deploy::process::Process;

impl Run {
    fn process(&mut self, target: &Target) -> Option<&mut Process> {
        match target {
            Target::Fog(n) => self.site.fogs.get_mut(n - 1),
            Target::Edge(n) => self.edges.get_mut(n - 1),
            Target::Cloud => self.site.cloud.as_mut(),
            Target::Controller => self.site.controller.as_mut(),
            Target::Archive => None,
        }
    }

    /// Lets a fault happen.
    pub(super) async fn apply(&mut self, fault: &Fault) -> Result<()> {
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
}

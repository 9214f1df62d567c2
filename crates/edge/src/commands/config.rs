//! `[commands]` of the configuration.

use super::core::CommandRules;
use super::outlets::{CanOutletConfig, VssConfig};
use super::own::Nameplate;
use crate::Error;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use voltmesh_control::ActionKind;
use voltmesh_telemetry::{Digest, VehicleId};

/// Controllers that a vehicle may know: an active one and its standby, of two fleets, each with a key that replaces it.
const MAX_CONTROLLERS: usize = 8;

/// What the vehicle takes from functions on fog nodes, and how it passes it on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandsConfig {
    /// Public keys of the controllers whose leases count, 64 hex digits each. Default none: every command is refused.
    pub controllers: Vec<String>,
    /// Commands taken a minute, half of them at once, 1 to 600. Default 60.
    pub max_per_minute: u32,
    /// Most charging current of the pack in A. Default: 1.5 C of `[twin]`'s pack.
    pub charge_a: Option<f64>,
    /// Most discharging current of the pack in A. Default: 4 C of `[twin]`'s pack.
    pub discharge_a: Option<f64>,
    /// Writes what is in force as VSS actuator values. Default: it does not.
    pub vss: Option<VssConfig>,
    /// Writes what is in force as CAN frames. Default: it does not.
    pub can: Option<CanOutletConfig>,
}

impl Default for CommandsConfig {
    fn default() -> Self {
        Self {
            controllers: Vec::new(),
            max_per_minute: 60,
            charge_a: None,
            discharge_a: None,
            vss: None,
            can: None,
        }
    }
}

impl CommandsConfig {
    /// Paths, to be made absolute.
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let vss = self.vss.iter_mut().flat_map(VssConfig::paths);
        vss.chain(self.can.iter_mut().flat_map(CanOutletConfig::paths))
    }

    /// Files that are written, for the process' confinement.
    pub(crate) fn written(&self) -> impl Iterator<Item = &PathBuf> {
        let vss = self.vss.iter().filter_map(|vss| vss.file.as_ref());
        vss.chain(self.can.iter().filter_map(|can| can.log.as_ref()))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.keys()?;
        if !(1..=600).contains(&self.max_per_minute) {
            let problem = format!("{} is outside 1 to 600", self.max_per_minute);
            return Err(Error::config("commands.max_per_minute", problem));
        }
        for (key, value) in [("charge_a", self.charge_a), ("discharge_a", self.discharge_a)] {
            if value.is_some_and(|value| !(0.1..=10_000.0).contains(&value)) {
                return Err(Error::config(format!("commands.{key}"), "wants 0.1 to 10000"));
            }
        }
        self.vss.as_ref().map_or(Ok(()), VssConfig::check)?;
        self.can.as_ref().map_or(Ok(()), CanOutletConfig::check)
    }

    fn keys(&self) -> Result<Vec<VerifyingKey>, Error> {
        let place = "commands.controllers";
        if self.controllers.len() > MAX_CONTROLLERS {
            return Err(Error::config(place, format!("has more than {MAX_CONTROLLERS} keys")));
        }
        let key = |text: &String| {
            let digest: Option<Digest> = text.trim().parse().ok();
            let key = digest.and_then(|bytes| VerifyingKey::from_bytes(&bytes.to_bytes()).ok());
            key.ok_or_else(|| {
                let problem = format!(
                    "{text:?} is no public key of 64 hex digits, as the controller's /status gives it"
                );
                Error::config(place, problem)
            })
        };
        self.controllers.iter().map(key).collect()
    }

    /// What the core goes by. `group_ah` is the capacity of a group of cells when new; a driven pack obeys everything.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn rules(
        &self,
        vehicle: VehicleId,
        group_ah: f64,
        groups: u16,
        driven: bool,
    ) -> Result<CommandRules, Error> {
        let mut nameplate = Nameplate::of_capacity(group_ah, groups);
        let milliamps = |amperes: f64| (amperes * 1_000.0) as u32;
        nameplate.charge_ma = self.charge_a.map_or(nameplate.charge_ma, milliamps);
        nameplate.discharge_ma = self.discharge_a.map_or(nameplate.discharge_ma, milliamps);
        let all = driven || self.vss.is_some();
        let mut obeys: BTreeSet<ActionKind> = ActionKind::ALL.into_iter().filter(|_| all).collect();
        obeys.extend(self.can.iter().flat_map(CanOutletConfig::kinds));
        let (controllers, max_per_minute) = (self.keys()?, self.max_per_minute);
        Ok(CommandRules { vehicle, controllers, max_per_minute, nameplate, obeys })
    }
}

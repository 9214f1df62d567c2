//! What closes the loop in a deployment: the shipped functions, published, and a simulated vehicle that obeys them.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use voltmesh_function::{Package, SHIPPED};
use voltmesh_identity::{Identity, Role, read_signing_key, read_token};
use voltmesh_sdn::policy::DEFAULTS;

use super::configs::quoted;
use super::{CONTROLLER, Deployment, Site, Tuning, edge_name};

/// Group of vehicles that obey, in the controller's configuration.
const GROUP: &str = "driven";

/// The simulated pack, which no vehicle says of itself.
const BATTERY: &str = "capacity_ah = 60.0\ncells = 96\n";

/// A simulated vehicle whose battery obeys commands.
#[derive(Debug, Clone)]
pub struct DrivenPlan {
    /// Counted from 1, after the vehicles that replay recordings.
    pub n: usize,
    /// Loopback interface.
    pub http: SocketAddr,
    /// Fog nodes' MQTT addresses as seen from here.
    pub fogs: Vec<SocketAddr>,
    /// State of charge at the start in percent; at 15 it charges at once.
    pub soc_pct: f64,
    /// Temperature around it in °C.
    pub ambient_c: f64,
    /// Samples a second.
    pub rate_hz: f64,
}

impl Deployment {
    /// Writes the configuration of a vehicle that obeys, and tells the controller, whose configuration is written, its battery.
    pub fn write_driven(&self, plan: &DrivenPlan) -> Result<PathBuf> {
        let key = read_signing_key(&self.pki_folder("controller", CONTROLLER).join("sign.key"))?;
        let head = self.edge_head(plan.n, plan.http, &plan.fogs, &Tuning::DEMO);
        let text = format!(
            "{head}[commands]\ncontrollers = [\"{}\"]\n\n[twin]\nchemistry = \"nmc\"\n\n\
             [source]\nkind = \"sim\"\nsoc = {:?}\nambient = {:?}\nrate_hz = {:?}\n",
            hex::encode(key.verifying_key().to_bytes()),
            plan.soc_pct,
            plan.ambient_c,
            plan.rate_hz,
        );
        self.add_battery(&edge_name(plan.n))?;
        self.write(&edge_name(plan.n), "edge.toml", &text)
    }

    /// The controller's policy is the shipped one, with the battery of this vehicle.
    fn add_battery(&self, vehicle: &str) -> Result<()> {
        let policy = format!("{DEFAULTS}\n[[battery]]\ngroups = [\"{GROUP}\"]\n{BATTERY}");
        self.write(CONTROLLER, "policy.toml", &policy)?;
        let path = self.node_dir(CONTROLLER)?.join("controller.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = format!("policy = \"policy.toml\"\n{text}\n[groups]\n{GROUP} = [{}]\n", quoted(vehicle));
        self.write(CONTROLLER, "controller.toml", &text)?;
        Ok(())
    }
}

impl Site {
    /// Signs every shipped function by the first operator's key and publishes it at the controller, which runs.
    pub async fn publish_functions(&self) -> Result<()> {
        let controller =
            self.controller.as_ref().context("there is no controller to publish functions at")?;
        let operator = self.deployment.pki.folder_of(&Identity::new(Role::Operator, "op-1")?);
        let key = read_signing_key(&operator.join("sign.key"))?;
        let token = read_token(&self.deployment.node_dir(CONTROLLER)?.join("token"))?;
        let http = self.http.clone().with_token(token.trim());
        for shipped in SHIPPED {
            let package = Package::sign(&shipped.read_manifest()?, shipped.component, "op-1", &key)?;
            http.post(controller.http, "/functions/releases", package)
                .await
                .with_context(|| format!("{} is not published", shipped.name))?;
        }
        Ok(())
    }
}

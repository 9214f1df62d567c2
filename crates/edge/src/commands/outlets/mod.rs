//! Interfaces to a real BMS: what is in force as VSS actuator values, and as CAN frames. Off until configured.
//!
//! Each outlet has its own thread, so that a bus or a reader that stands still holds up nobody. It is given what is in
//! force with the time until which it is; if nothing newer has come by then, it goes back to the vehicle's own limits by
//! itself. When the agent ends, frames and lines end: what reads them must take silence as "the vehicle's own limits".

mod can;
mod latest;
mod vss;

pub use can::{CanOutletConfig, Idle, OutletSignals};
pub use vss::VssConfig;

pub(crate) use latest::InForce;

use crate::Error;
use latest::Latest;
use std::sync::Arc;

/// The outlets of a vehicle.
#[derive(Default)]
pub(crate) struct Outlets {
    threads: Vec<Arc<Latest>>,
}

impl Outlets {
    /// Opens what is configured.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::File`] or [`Error::Recording`].
    pub fn open(vss: Option<&VssConfig>, can: Option<&CanOutletConfig>) -> Result<Self, Error> {
        let mut threads = Vec::new();
        if let Some(vss) = vss {
            let outlet = vss::VssOutlet::open(vss)?;
            threads.push(start("vss", move |latest| outlet.run(latest))?);
        }
        if let Some(can) = can {
            let outlet = can::CanOutlet::open(can)?;
            threads.push(start("can-out", move |latest| outlet.run(latest))?);
        }
        Ok(Self { threads })
    }

    /// This is in force from now on.
    pub fn give(&self, in_force: &InForce) {
        self.threads.iter().for_each(|latest| latest.put(in_force.clone()));
    }
}

impl Drop for Outlets {
    fn drop(&mut self) {
        self.threads.iter().for_each(|latest| latest.close());
    }
}

fn start(name: &str, run: impl FnOnce(&Latest) + Send + 'static) -> Result<Arc<Latest>, Error> {
    let latest = Arc::<Latest>::default();
    let given = latest.clone();
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&given));
    spawned.map_err(|error| Error::config(format!("commands.{name}"), error.to_string()))?;
    Ok(latest)
}

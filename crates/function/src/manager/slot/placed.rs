//! A release with its configuration, and instances of it.

use crate::{
    host::{Component, Failure, Guest},
    manager::State,
};
use std::sync::Arc;

/// Release with its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub component: Arc<Component>,
    pub configuration: serde_json::Value,
}

impl Placed {
    /// A configured instance with this state.
    pub fn start(&self, state: Option<&State>) -> Result<Guest, Failure> {
        let mut guest = Guest::start(&self.component)?;
        guest.configure(&self.configuration.to_string())?.map_err(Failure::Refused)?;
        if let Some(state) = state {
            guest.import(state.version, &state.bytes)?.map_err(Failure::Refused)?;
        }
        Ok(guest)
    }

    /// The state of an instance, in the format of the release.
    pub fn export(&self, guest: &mut Guest) -> Result<State, Failure> {
        Ok(State { version: self.component.manifest.state_version, bytes: guest.export()? })
    }
}

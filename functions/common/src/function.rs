//! The four calls of the interface, over a function that knows its settings and its state as types.

use serde::de::DeserializeOwned;

use crate::outputs::Outputs;
use crate::state::{Reader, Writer};
use crate::types::{Input, Output};

/// Version of the state's format that all shipped functions write; a manifest states it as `state_version`.
pub const STATE_VERSION: u32 = 1;

/// A virtual function.
pub trait Function: Clone + Default {
    /// Configuration; what a file leaves out has its default.
    type Settings: DeserializeOwned;

    /// Takes a configuration; a reason where it contradicts itself.
    fn configure(&mut self, settings: Self::Settings) -> Result<(), String>;

    /// Takes one input.
    fn take(&mut self, now_ms: u64, input: &Input, outputs: &mut Outputs);

    /// Decides, once after all inputs of a call.
    fn decide(&mut self, now_ms: u64, outputs: &mut Outputs);

    /// Writes all that must not be forgotten.
    fn save(&self, writer: &mut Writer);

    /// Reads what [`save`](Self::save) wrote.
    fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), String>;
}

/// A function with what the interface asks of each.
#[derive(Debug, Default)]
pub struct Runner<F> {
    function: F,
    configured: bool,
    now_ms: u64,
}

impl<F: Function> Runner<F> {
    /// See the interface's `configure`. A configuration that is refused leaves the former one in force.
    pub fn configure(&mut self, json: &str) -> Result<(), String> {
        let settings = serde_json::from_str(json).map_err(|error| format!("configuration: {error}"))?;
        let mut next = self.function.clone();
        next.configure(settings).map_err(|reason| format!("configuration: {reason}"))?;
        self.function = next;
        self.configured = true;
        Ok(())
    }

    /// See the interface's `handle`. Without a configuration nothing is decided.
    pub fn handle(&mut self, now_ms: u64, inputs: &[Input]) -> Vec<Output> {
        let mut outputs = Outputs::default();
        if self.configured {
            self.now_ms = self.now_ms.max(now_ms);
            for input in inputs {
                self.function.take(self.now_ms, input, &mut outputs);
            }
            self.function.decide(self.now_ms, &mut outputs);
        }
        outputs.finish()
    }

    /// See the interface's `export-state`.
    pub fn export_state(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.function.save(&mut writer);
        writer.finish()
    }

    /// See the interface's `import-state`. A state that is refused leaves the former one in force.
    pub fn import_state(&mut self, version: u32, state: &[u8]) -> Result<(), String> {
        if version != STATE_VERSION {
            return Err(format!("state of version {version}: this release reads version {STATE_VERSION}"));
        }
        let mut reader = Reader::new(state);
        let mut next = self.function.clone();
        next.restore(&mut reader)?;
        reader.finish()?;
        self.function = next;
        Ok(())
    }

    /// The function itself, for its tests.
    pub const fn function(&self) -> &F {
        &self.function
    }
}

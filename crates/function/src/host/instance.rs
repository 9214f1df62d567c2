//! One instance of a function, and calls of it.

use super::{
    Answer, Failure, MAX_STATE_BYTES,
    component::{Component, DEADLINE_TICKS},
};
use crate::bindings::{Function, Input};
use wasmtime::{Store, StoreLimits};

/// Most samples that one call gets: 10 min at 1 Hz.
pub(crate) const MAX_SAMPLES: usize = 600;

/// Instance of a function. After a failure it must not be called again.
pub(crate) struct Guest {
    store: Store<StoreLimits>,
    function: Function,
    fuel: u64,
    used: u64,
}

impl Guest {
    /// A fresh instance, not configured.
    pub fn start(component: &Component) -> Result<Self, Failure> {
        let mut store = Store::new(component.pre.engine(), component.limits());
        store.limiter(|limits| limits);
        let fuel = component.manifest.fuel;
        store.set_fuel(fuel).map_err(Failure::of)?;
        store.set_epoch_deadline(DEADLINE_TICKS);
        let function = component.pre.instantiate(&mut store).map_err(Failure::of)?;
        Ok(Self { store, function, fuel, used: 0 })
    }

    /// Fuel used since this was last asked.
    pub fn used(&mut self) -> u64 {
        std::mem::take(&mut self.used)
    }

    fn call<T>(
        &mut self,
        run: impl FnOnce(&Function, &mut Store<StoreLimits>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        self.store.set_fuel(self.fuel).map_err(Failure::of)?;
        self.store.set_epoch_deadline(DEADLINE_TICKS);
        let answer = run(&self.function, &mut self.store).map_err(Failure::of);
        let left = self.store.get_fuel().unwrap_or_default();
        self.used += self.fuel.saturating_sub(left);
        answer
    }

    /// Gives the configuration; the inner error is the function's own refusal.
    pub fn configure(&mut self, json: &str) -> Result<Result<(), String>, Failure> {
        let answer = self.call(|function, store| function.call_configure(store, json))?;
        Ok(answer.map_err(shortened))
    }

    /// Calls `handle` and checks what it answers.
    pub fn handle(&mut self, now_ms: u64, inputs: &[Input]) -> Result<Answer, Failure> {
        let outputs = self.call(|function, store| function.call_handle(store, now_ms, inputs))?;
        Answer::check(outputs)
    }

    /// The state, in the format of the release's version.
    pub fn export(&mut self) -> Result<Vec<u8>, Failure> {
        let state = self.call(|function, store| function.call_export_state(store))?;
        if state.len() > MAX_STATE_BYTES {
            let why = format!("its state has {} bytes, at most {MAX_STATE_BYTES} are taken", state.len());
            return Err(Failure::Bounds(why));
        }
        Ok(state)
    }

    /// Takes a state over; the inner error is the function's own refusal.
    pub fn import(&mut self, version: u32, state: &[u8]) -> Result<Result<(), String>, Failure> {
        let answer = self.call(|function, store| function.call_import_state(store, version, state))?;
        Ok(answer.map_err(shortened))
    }
}

/// A function's own text, short enough for a report and without control characters.
fn shortened(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}

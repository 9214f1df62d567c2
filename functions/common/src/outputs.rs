//! What a call answers.

use crate::types::{Action, Command, Event, Metric, Output, Severity};

/// Most outputs of one call; a host bounds them too.
const MOST: usize = 64;

/// Outputs of one call, in order.
#[derive(Debug, Default)]
pub struct Outputs {
    list: Vec<Output>,
}

impl Outputs {
    /// Says something. Figures that are no numbers are left out.
    pub fn event(&mut self, kind: &str, severity: Severity, text: String, figures: &[(&str, f64)]) {
        let known = figures.iter().filter(|(_, value)| value.is_finite());
        let figures = known.map(|(name, value)| ((*name).to_owned(), *value)).collect();
        self.push(Output::Event(Event { kind: kind.to_owned(), severity, text, figures }));
    }

    /// Asks something of the vehicle.
    pub fn command(&mut self, action: Action, valid_ms: u32, reason: String) {
        self.push(Output::Command(Command { action, valid_ms, reason }));
    }

    /// Shows a figure, where it is known.
    pub fn metric(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.push(Output::Metric(Metric { name: name.to_owned(), value }));
        }
    }

    fn push(&mut self, output: Output) {
        if self.list.len() < MOST {
            self.list.push(output);
        }
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> Vec<Output> {
        self.list
    }
}

//! What a function is expected to say of recordings.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use voltmesh_control::{Action, Command, FunctionEvent};

/// Difference in s, and relative one of a value, that is none: another processor rounds otherwise.
const SAME_S: f64 = 1.0;
const SAME_VALUE: f64 = 0.01;

/// An event or a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    /// Name of the recording.
    pub file: String,
    /// Seconds since its begin.
    pub at_s: f64,
    /// Unix time in ms.
    #[serde(skip)]
    pub at_ms: u64,
    /// Kind of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Kind of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Value of the command, in the interface's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Groups that a command names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u16>,
    /// The event's sentence or the command's reason.
    pub text: String,
    /// The event's figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<(String, f64)>,
}

impl Said {
    /// An event at a time in ms.
    pub fn event(at_ms: u64, event: &FunctionEvent) -> Self {
        Self {
            file: String::new(),
            at_s: 0.0,
            at_ms,
            event: Some(event.kind.clone()),
            command: None,
            value: None,
            groups: Vec::new(),
            text: event.text.clone(),
            figures: event.figures.clone(),
        }
    }

    /// A command at a time in ms.
    pub fn command(at_ms: u64, command: &Command) -> Self {
        let (name, value, groups) = match &command.action {
            Action::ChargeLimit(ma) => ("charge-limit-a", Some(f64::from(*ma) / 1e3), Vec::new()),
            Action::DischargeLimit(ma) => ("discharge-limit-a", Some(f64::from(*ma) / 1e3), Vec::new()),
            Action::TargetTemperature(centi) => {
                ("target-temperature-c", Some(f64::from(*centi) / 100.0), Vec::new())
            }
            Action::Balance(groups) => ("balance", None, groups.clone()),
            Action::SamplingRate(milli) => ("sampling-rate-hz", Some(f64::from(*milli) / 1e3), Vec::new()),
            Action::Derate(millionths) => ("derate", Some(f64::from(*millionths) / 1e6), Vec::new()),
            Action::StopCharging => ("stop-charging", None, Vec::new()),
        };
        Self {
            file: String::new(),
            at_s: 0.0,
            at_ms,
            event: None,
            command: Some(name.to_owned()),
            value,
            groups,
            text: command.reason.clone(),
            figures: Vec::new(),
        }
    }

    /// Kind, with the value of a command.
    pub fn what(&self) -> String {
        let kind = self.event.as_deref().or(self.command.as_deref()).unwrap_or_default();
        let value = self.value.map_or_else(String::new, |value| format!(" {value}"));
        let groups = if self.groups.is_empty() { String::new() } else { format!(" {:?}", self.groups) };
        format!("{kind}{value}{groups}")
    }
}

/// Value of an action in the command's unit, where it has one.
pub fn value_of(action: &Action) -> Option<i64> {
    match action {
        Action::ChargeLimit(value)
        | Action::DischargeLimit(value)
        | Action::SamplingRate(value)
        | Action::Derate(value) => Some(i64::from(*value)),
        Action::TargetTemperature(value) => Some(i64::from(*value)),
        Action::Balance(_) | Action::StopCharging => None,
    }
}

/// What is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Configuration under which it is.
    pub configuration: Option<Value>,
    /// In order.
    #[serde(default)]
    said: Vec<Line>,
}

/// One event or command that is expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    file: String,
    at_s: f64,
    event: Option<String>,
    command: Option<String>,
    value: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<u16>,
}

impl Line {
    fn of(said: &Said) -> Self {
        Self {
            file: said.file.clone(),
            at_s: said.at_s,
            event: said.event.clone(),
            command: said.command.clone(),
            value: said.value,
            groups: said.groups.clone(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        let near = |one: f64, other: f64, by: f64| (one - other).abs() <= by;
        let values = match (self.value, other.value) {
            (Some(one), Some(other)) => near(one, other, SAME_VALUE * one.abs().max(other.abs())),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.file == other.file
            && near(self.at_s, other.at_s, SAME_S)
            && self.event == other.event
            && self.command == other.command
            && self.groups == other.groups
            && values
    }

    fn text(&self) -> String {
        let kind = self.event.as_deref().or(self.command.as_deref()).unwrap_or("nothing");
        let value = self.value.map_or_else(String::new, |value| format!(" {value}"));
        let groups = if self.groups.is_empty() { String::new() } else { format!(" {:?}", self.groups) };
        format!("{} at {:.1} s: {kind}{value}{groups}", self.file, self.at_s)
    }
}

impl Expected {
    /// Reads the TOML.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).with_context(|| format!("{} is no list of what is expected", path.display()))
    }

    /// The TOML of what was said.
    pub fn write(configuration: &Value, said: &[Said]) -> Result<String> {
        #[derive(Serialize)]
        struct Written<'a> {
            configuration: &'a Value,
            said: Vec<Line>,
        }
        let written = Written { configuration, said: said.iter().map(Line::of).collect() };
        toml::to_string(&written).context("the configuration cannot be written as TOML")
    }

    /// What was said and not expected, and the other way round, up to the first line that differs in each order.
    pub fn differences(&self, said: &[Said]) -> Vec<String> {
        let said: Vec<Line> = said.iter().map(Line::of).collect();
        let mut differences: Vec<String> = self
            .said
            .iter()
            .zip(&said)
            .filter(|(expected, said)| !expected.is(said))
            .map(|(expected, said)| format!("expected {}; said {}", expected.text(), said.text()))
            .collect();
        differences.extend(
            self.said
                .iter()
                .skip(said.len())
                .map(|line| format!("expected {}; nothing was said", line.text())),
        );
        differences
            .extend(said.iter().skip(self.said.len()).map(|line| format!("not expected: {}", line.text())));
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(at_s: f64, value: f64) -> Said {
        Said {
            file: "a.csv".into(),
            at_s,
            at_ms: 0,
            event: None,
            command: Some("derate".into()),
            value: Some(value),
            groups: Vec::new(),
            text: "why".into(),
            figures: Vec::new(),
        }
    }

    #[test]
    fn what_was_written_is_expected() {
        let lines = [said(1.0, 0.5), said(16.0, 0.25)];
        let text = Expected::write(&serde_json::json!({"limit_c": 40.0}), &lines).expect("written");
        let expected = Expected::parse(&text, Path::new("expected.toml")).expect("read");
        assert_eq!(expected.configuration, Some(serde_json::json!({"limit_c": 40.0})));
        assert_eq!(expected.differences(&lines), Vec::<String>::new());
        let cases: [(&[Said], usize); 5] = [
            (&[said(1.5, 0.502), said(16.0, 0.25)], 0),
            (&[said(3.0, 0.5), said(16.0, 0.25)], 1),
            (&[said(1.0, 0.6), said(16.0, 0.25)], 1),
            (&[said(1.0, 0.5)], 1),
            (&[said(1.0, 0.5), said(16.0, 0.25), said(31.0, 0.25)], 1),
        ];
        for (lines, count) in cases {
            assert_eq!(expected.differences(lines).len(), count, "{lines:?}");
        }
    }
}

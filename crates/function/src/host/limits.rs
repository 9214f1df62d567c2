//! What a call may answer: checked before anybody sees it, all or nothing.

use crate::bindings::{
    Output,
    voltmesh::function::types::{self as wit, Action as Asks},
};
use std::collections::BTreeSet;
use voltmesh_control::{Action, MAX_GROUPS, MAX_REASON_BYTES, MAX_VALID_MS, Severity};
use wasmtime::Trap;

/// Most events of a call: a function says what changed, not what it saw.
const MAX_EVENTS: usize = 16;
/// Most commands of a call: one of each kind of action, and one more.
const MAX_COMMANDS: usize = 8;
/// Most metrics of a call.
const MAX_METRICS: usize = 64;
/// Most bytes of a name: an event's kind, a figure's or metric's name.
const MAX_NAME_BYTES: usize = 64;
/// Most bytes of an event's text.
const MAX_TEXT_BYTES: usize = 1024;
/// Most figures of an event.
const MAX_FIGURES: usize = 32;
/// Begin of the kinds of events that the host says itself.
pub(crate) const HOST_KINDS: &str = "host-";
/// Most current of a command in A: the wire's 32 bits of mA.
const MAX_CURRENT_A: f64 = 4_294_967.0;
/// Temperatures that a command can ask for, in °C: no pack is heated or cooled beyond them.
const TEMPERATURES_C: std::ops::RangeInclusive<f64> = -60.0..=120.0;
/// Most samples a second that a command can ask for.
const MAX_RATE_HZ: f64 = 1_000.0;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// It trapped.
    #[error("it trapped: {0}")]
    Trap(String),
    /// It used up its fuel.
    #[error("it used up the fuel of a call, as an endless loop does")]
    Fuel,
    /// It took too long.
    #[error("it took longer than a call may")]
    Time,
    /// It wanted more memory than its manifest says.
    #[error("it wanted more memory, tables or instances than it may have: {0}")]
    Memory(String),
    /// What it answered is out of bounds.
    #[error("it answered out of bounds: {0}")]
    Bounds(String),
    /// It refused what it had taken before.
    #[error("it does not start: {0}")]
    Refused(String),
}

impl Failure {
    pub fn of(error: wasmtime::Error) -> Self {
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Self::Fuel,
            Some(Trap::Interrupt) => Self::Time,
            Some(trap) => Self::Trap(trap.to_string()),
            None => {
                let text = format!("{error:#}");
                // The limiter's refusals are texts, no type.
                if text.contains("grow") || text.contains("limit") || text.contains("minimum size") {
                    Self::Memory(text)
                } else {
                    Self::Trap(text)
                }
            }
        }
    }
}

/// Event of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub kind: String,
    pub severity: Severity,
    pub text: String,
    pub figures: Vec<(String, f64)>,
}

/// Command of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub action: Action,
    pub valid_ms: u64,
    pub reason: String,
}

/// Checked answer of a call, each kind in the function's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub events: Vec<Said>,
    pub commands: Vec<Asked>,
    pub metrics: Vec<(String, f64)>,
}

impl Answer {
    pub fn check(outputs: Vec<Output>) -> Result<Self, Failure> {
        let mut answer = Self::default();
        for output in outputs {
            match output {
                Output::Event(event) => {
                    few("events", answer.events.len(), MAX_EVENTS)?;
                    answer.events.push(said(event)?);
                }
                Output::Command(command) => {
                    few("commands", answer.commands.len(), MAX_COMMANDS)?;
                    answer.commands.push(asked(command)?);
                }
                Output::Metric(metric) => {
                    few("metrics", answer.metrics.len(), MAX_METRICS)?;
                    name("a metric's name", &metric.name)?;
                    finite("a metric", metric.value)?;
                    answer.metrics.push((metric.name, metric.value));
                }
            }
        }
        Ok(answer)
    }
}

fn bounds<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Bounds(why.into()))
}

fn few(what: &str, have: usize, most: usize) -> Result<(), Failure> {
    if have < most { Ok(()) } else { bounds(format!("more than {most} {what} in one call")) }
}

fn finite(what: &str, value: f64) -> Result<(), Failure> {
    if value.is_finite() { Ok(()) } else { bounds(format!("{what} is not finite")) }
}

fn name(what: &str, name: &str) -> Result<(), Failure> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        bounds(format!("{what} wants 1 to {MAX_NAME_BYTES} lower case letters, digits, hyphens, underscores"))
    }
}

fn text(what: &str, text: &str, most: usize) -> Result<(), Failure> {
    if text.len() > most {
        bounds(format!("{what} has {} bytes, at most {most} are taken", text.len()))
    } else if text.chars().any(char::is_control) {
        bounds(format!("{what} has control characters"))
    } else {
        Ok(())
    }
}

fn said(event: wit::Event) -> Result<Said, Failure> {
    name("an event's kind", &event.kind)?;
    if event.kind.starts_with(HOST_KINDS) {
        return bounds(format!("kinds of events that begin with `{HOST_KINDS}` are the host's"));
    }
    text("an event's text", &event.text, MAX_TEXT_BYTES)?;
    if event.figures.len() > MAX_FIGURES {
        return bounds(format!("more than {MAX_FIGURES} figures in an event"));
    }
    let mut names = BTreeSet::new();
    for (figure, value) in &event.figures {
        name("a figure's name", figure)?;
        finite("a figure", *value)?;
        if !names.insert(figure) {
            return bounds(format!("two figures `{figure}` in an event"));
        }
    }
    let severity = match event.severity {
        wit::Severity::Information => Severity::Information,
        wit::Severity::Warning => Severity::Warning,
        wit::Severity::Protect => Severity::Protect,
    };
    Ok(Said { kind: event.kind, severity, text: event.text, figures: event.figures })
}

fn asked(command: wit::Command) -> Result<Asked, Failure> {
    text("a command's reason", &command.reason, MAX_REASON_BYTES)?;
    let valid_ms = u64::from(command.valid_ms);
    if !(1..=MAX_VALID_MS).contains(&valid_ms) {
        return bounds(format!("a command is valid for {valid_ms} ms; want 1 to {MAX_VALID_MS}"));
    }
    Ok(Asked { action: action(command.action)?, valid_ms, reason: command.reason })
}

/// The wire's integers. Limits are rounded down: never more than was meant.
fn action(asks: Asks) -> Result<Action, Failure> {
    let within = |what: &str, value: f64, range: std::ops::RangeInclusive<f64>| {
        // NaN is in no range.
        if range.contains(&value) {
            Ok(value)
        } else {
            bounds(format!("{what} is {value}; want {} to {}", range.start(), range.end()))
        }
    };
    Ok(match asks {
        Asks::ChargeLimitA(value) => {
            Action::ChargeLimit((within("a charge limit in A", value, 0.0..=MAX_CURRENT_A)? * 1e3) as u32)
        }
        Asks::DischargeLimitA(value) => Action::DischargeLimit(
            (within("a discharge limit in A", value, 0.0..=MAX_CURRENT_A)? * 1e3) as u32,
        ),
        Asks::TargetTemperatureC(value) => {
            let value = within("a target temperature in °C", value, TEMPERATURES_C)?;
            Action::TargetTemperature((value * 100.0).round() as i32)
        }
        Asks::Balance(mut groups) => {
            groups.sort_unstable();
            groups.dedup();
            if groups.len() > MAX_GROUPS {
                return bounds(format!("more than {MAX_GROUPS} groups to bleed"));
            }
            Action::Balance(groups)
        }
        Asks::SamplingRateHz(value) => {
            let value = within("a sampling rate in Hz", value, 0.001..=MAX_RATE_HZ)?;
            Action::SamplingRate((value * 1e3).round() as u32)
        }
        Asks::Derate(value) => Action::Derate((within("a derating", value, 0.0..=1.0)? * 1e6) as u32),
        Asks::StopCharging => Action::StopCharging,
    })
}

/// An answer's integer in the unit of the interface.
pub(crate) fn in_units(action: &Action, value: i64) -> f64 {
    let value = value as f64;
    match action {
        Action::ChargeLimit(_) | Action::DischargeLimit(_) | Action::SamplingRate(_) => value / 1e3,
        Action::TargetTemperature(_) => value / 100.0,
        Action::Derate(_) => value / 1e6,
        Action::Balance(_) | Action::StopCharging => value,
    }
}

//! What is in force as one cyclic CAN frame, by a DBC file.

use super::latest::{InForce, Latest};
use crate::Error;
use crate::commands::own::TARGETS;
use serde::Deserialize;
use socketcan::{CanFrame, CanSocket, EmbeddedFrame as _, ExtendedId, Id, Socket as _, StandardId};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use voltmesh_control::ActionKind;
use voltmesh_recording::can::dbc::{Message, Rounding, Signal};
use voltmesh_recording::dbc;

/// Bytes of a frame of classic CAN.
const CLASSIC: u64 = 8;
/// Times between two frames, in ms.
const PERIODS_MS: std::ops::RangeInclusive<u64> = 10..=10_000;
/// A bus that does not take frames is said once in so long.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What is sent while no command is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idle {
    /// The vehicle's own limits, nothing conditioned and nothing stopped.
    #[default]
    OwnLimits,
    /// No frame.
    Silence,
}

/// Signals of the message that carry what is in force; what is not named is not sent. All other bits are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutletSignals {
    /// Most charging current in A.
    pub charge_limit: Option<String>,
    /// Most discharging current in A.
    pub discharge_limit: Option<String>,
    /// Target temperature in °C; needs `target_active`.
    pub target_temperature: Option<String>,
    /// 1 while there is a target temperature.
    pub target_active: Option<String>,
    /// 1 while charging is ended.
    pub stop_charging: Option<String>,
    /// Counts frames, so that a bus that stands still is noticed.
    pub counter: Option<String>,
}

/// Frames to a BMS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanOutletConfig {
    /// Network interface, as `can1`.
    pub interface: Option<String>,
    /// Instead of an interface: a log in candump's format, appended to.
    pub log: Option<PathBuf>,
    /// File that says what the frame means.
    pub dbc: PathBuf,
    /// Name of its message.
    pub message: String,
    /// Time between two frames in ms, 10 to 10,000. Default 100.
    #[serde(default = "tenth")]
    pub period_ms: u64,
    /// What is sent while no command is in force. Default `own-limits`.
    #[serde(default)]
    pub idle: Idle,
    /// Signals of the message.
    pub signals: OutletSignals,
}

fn tenth() -> u64 {
    100
}

impl CanOutletConfig {
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.log.iter_mut().chain([&mut self.dbc])
    }

    /// Kinds of commands that the frame can carry.
    pub(crate) fn kinds(&self) -> Vec<ActionKind> {
        let OutletSignals { charge_limit, discharge_limit, target_temperature, stop_charging, .. } =
            &self.signals;
        let mut kinds = Vec::new();
        for (signal, kind) in [
            (charge_limit, ActionKind::ChargeLimit),
            (discharge_limit, ActionKind::DischargeLimit),
            (target_temperature, ActionKind::TargetTemperature),
            (stop_charging, ActionKind::StopCharging),
        ] {
            kinds.extend(signal.is_some().then_some(kind));
        }
        // Derating lowers both limits.
        kinds.extend((charge_limit.is_some() && discharge_limit.is_some()).then_some(ActionKind::Derate));
        kinds
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.interface.is_some() == self.log.is_some() {
            return Err(Error::config("commands.can", "wants one of interface and log"));
        }
        if !PERIODS_MS.contains(&self.period_ms) {
            return Err(Error::config("commands.can.period_ms", "wants 10 to 10000"));
        }
        if self.kinds().is_empty() {
            return Err(Error::config("commands.can.signals", "names no signal that carries a command"));
        }
        if self.signals.target_temperature.is_some() && self.signals.target_active.is_none() {
            let problem = "needs target_active: without it a BMS cannot tell a target from none";
            return Err(Error::config("commands.can.signals.target_temperature", problem));
        }
        Ok(())
    }
}

/// Makes frames of what is in force.
#[derive(Clone, Debug)]
pub(super) struct FrameWriter {
    message: Message,
    charge: Option<Signal>,
    discharge: Option<Signal>,
    target: Option<Signal>,
    target_active: Option<Signal>,
    stop: Option<Signal>,
    counter: Option<Signal>,
    idle: Idle,
}

impl FrameWriter {
    /// Finds the signals, and checks that they can say what they have to.
    pub fn new(config: &CanOutletConfig, messages: &[Message]) -> Result<Self, Error> {
        let refused = |key: &str, problem: String| Error::config(format!("commands.can.{key}"), problem);
        let message = messages.iter().find(|message| message.name == config.message);
        let message = message.cloned().ok_or_else(|| {
            refused("message", format!("{} has no message {:?}", config.dbc.display(), config.message))
        })?;
        if message.size > CLASSIC || message.size == 0 {
            return Err(refused("message", format!("{} bytes are not 1 to {CLASSIC}", message.size)));
        }
        let find = |key: &str, name: &Option<String>, units: &[&str], least: f64, most: f64| {
            let Some(name) = name else { return Ok(None) };
            let key = format!("signals.{key}");
            let signal = message.signals.iter().find(|signal| signal.name == *name);
            let signal =
                signal.ok_or_else(|| refused(&key, format!("{} has no signal {name}", message.name)))?;
            if signal.multiplexed || signal.selects {
                return Err(refused(&key, format!("{name} is multiplexed, which is not written")));
            }
            if !units.contains(&signal.unit.trim()) {
                let wanted =
                    units.iter().filter(|unit| !unit.is_empty()).copied().collect::<Vec<_>>().join(" or ");
                let problem = format!("{name} is in {:?}, {wanted} is wanted", signal.unit);
                return Err(refused(&key, problem));
            }
            for value in [least, most] {
                // Also what the file declares as "not available" is no value.
                let mut data = vec![0; message.size as usize];
                let bits = signal.encode(value, Rounding::Down);
                let bits = bits.map_err(|error| refused(&key, error.to_string()))?;
                let fits = signal.put_bits(&mut data, bits);
                if !fits || !matches!(signal.read(&data, message.j1939), Some(Ok(_))) {
                    return Err(refused(&key, format!("{name} cannot say {value}")));
                }
            }
            Ok(Some(signal.clone()))
        };
        const AMPERES: [&str; 2] = ["A", "Amp"];
        const DEGREES: [&str; 5] = ["degC", "°C", "C", "deg C", "Celsius"];
        const FLAG: [&str; 3] = ["", "-", "bool"];
        let (coldest, hottest) = (f64::from(*TARGETS.start()) / 100.0, f64::from(*TARGETS.end()) / 100.0);
        let signals = &config.signals;
        Ok(Self {
            charge: find("charge_limit", &signals.charge_limit, &AMPERES, 0.0, 0.0)?,
            discharge: find("discharge_limit", &signals.discharge_limit, &AMPERES, 0.0, 0.0)?,
            target: find("target_temperature", &signals.target_temperature, &DEGREES, coldest, hottest)?,
            target_active: find("target_active", &signals.target_active, &FLAG, 0.0, 1.0)?,
            stop: find("stop_charging", &signals.stop_charging, &FLAG, 0.0, 1.0)?,
            counter: find("counter", &signals.counter, &FLAG, 0.0, 1.0)?,
            idle: config.idle,
            message,
        })
    }

    /// The frame's data; `None` while nothing is in force and silence is asked for.
    pub fn data(&self, in_force: &InForce, count: u64) -> Option<Vec<u8>> {
        let setpoints = &in_force.setpoints;
        if self.idle == Idle::Silence && setpoints.is_idle() {
            return None;
        }
        let mut data = vec![0; self.message.size as usize];
        let mut put = |signal: &Option<Signal>, value: f64| {
            let Some(signal) = signal else { return };
            // A limit beyond what the signal can say is the most that it can say, which is less; see `new` for the rest.
            let value = value.min(signal.bounds().1);
            let bits = signal.encode(value, Rounding::Down);
            let done = bits.is_ok_and(|bits| signal.put_bits(&mut data, bits));
            debug_assert!(done, "checked when it was opened");
        };
        let (charge_ma, discharge_ma) = in_force.limits_ma();
        put(&self.charge, f64::from(charge_ma) / 1_000.0);
        put(&self.discharge, f64::from(discharge_ma) / 1_000.0);
        // Where there is no target, one that does nothing: room temperature.
        let target = setpoints.target_centidegrees;
        put(&self.target, f64::from(target.unwrap_or(2_000)) / 100.0);
        put(&self.target_active, f64::from(u8::from(target.is_some())));
        put(&self.stop, f64::from(u8::from(setpoints.stop_charging)));
        if let Some(counter) = &self.counter {
            let steps = (u64::MAX >> (64 - counter.size)).saturating_add(1).max(2);
            let _ = counter.put_bits(&mut data, count % steps);
        }
        Some(data)
    }
}

enum Bus {
    Socket { interface: String, socket: Option<CanSocket> },
    Log(File),
}

/// Sends the frame in each period.
pub(super) struct CanOutlet {
    writer: FrameWriter,
    bus: Bus,
    period: Duration,
    said: Option<Instant>,
}

impl CanOutlet {
    pub fn open(config: &CanOutletConfig) -> Result<Self, Error> {
        config.check()?;
        let writer = FrameWriter::new(config, &dbc(&config.dbc)?.messages)?;
        let bus = match (&config.log, &config.interface) {
            (Some(path), _) => {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                Bus::Log(opened.map_err(Error::file(path, "opening"))?)
            }
            (None, interface) => {
                let interface = interface.clone().unwrap_or_default();
                let socket = CanSocket::open(&interface).map_err(|error| {
                    let problem =
                        format!("cannot be opened: {error}; bring it up with `ip link set {interface} up`");
                    Error::config(format!("commands.can.interface {interface}"), problem)
                })?;
                Bus::Socket { interface, socket: Some(socket) }
            }
        };
        Ok(Self { writer, bus, period: Duration::from_millis(config.period_ms), said: None })
    }

    pub fn run(mut self, latest: &Latest) {
        let (mut seen, mut count, mut due) = (0, 0u64, Instant::now());
        while let Some((in_force, version)) = latest.wait(seen, Some(due)) {
            seen = version;
            // What is new is sent at once, too.
            due = Instant::now() + self.period;
            let Some(data) = in_force.and_then(|in_force| self.writer.data(&in_force, count)) else {
                continue;
            };
            count += 1;
            if let Err(error) = self.send(&data)
                && self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY)
            {
                self.said = Some(Instant::now());
                tracing::warn!(%error, "commands cannot be sent as CAN frames; trying again in each period");
            }
        }
    }

    fn send(&mut self, data: &[u8]) -> std::io::Result<()> {
        let Message { id, extended, .. } = self.writer.message;
        match &mut self.bus {
            Bus::Log(file) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let id = if extended { format!("{id:08X}") } else { format!("{id:03X}") };
                let hex: String = data.iter().map(|byte| format!("{byte:02X}")).collect();
                writeln!(file, "({}.{:06}) can0 {id}#{hex}", since.as_secs(), since.subsec_micros())
            }
            Bus::Socket { interface, socket } => {
                let named = if extended {
                    ExtendedId::new(id).map(Id::from)
                } else {
                    u16::try_from(id).ok().and_then(StandardId::new).map(Id::from)
                };
                let frame = named.and_then(|id| CanFrame::new(id, data));
                let frame =
                    frame.ok_or_else(|| std::io::Error::other("its identifier is none of a frame"))?;
                let open = match socket.take() {
                    Some(open) => open,
                    None => CanSocket::open(interface)?,
                };
                open.write_frame(&frame)?;
                *socket = Some(open);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! What is in force as actuator values of COVESA VSS v6, one JSON object a line.
//!
//! A line is `{"timestamp": ms, "path": "Vehicle.…", "value": …}`, written when a value changes. `null` gives the actuator
//! back to the vehicle. Current limits always have a value: the vehicle's own where no command is in force. What VSS has no
//! actuator for stands below the private branch `Voltmesh.Command`.

use super::latest::{InForce, Latest};
use crate::Error;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Root of the branch.
const ROOT: &str = "Vehicle.Powertrain.TractionBattery";
/// A file that has so many bytes begins anew, and the old one is kept beside it with `.1`.
const MAX_FILE: u64 = 64 << 20;
/// Pause before a socket that nobody listens on is tried again, and the longest wait for its reader.
const RETRY: Duration = Duration::from_secs(1);

/// Where VSS values are written: one of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VssConfig {
    /// A file, appended to.
    pub file: Option<PathBuf>,
    /// A Unix stream socket that somebody listens on. All values are written when it is connected.
    pub socket: Option<PathBuf>,
    /// Standard output. Default false.
    pub stdout: bool,
}

impl VssConfig {
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.file.iter_mut().chain(&mut self.socket)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match usize::from(self.file.is_some()) + usize::from(self.socket.is_some()) + usize::from(self.stdout)
        {
            1 => Ok(()),
            _ => Err(Error::config("commands.vss", "wants one of file, socket and stdout = true")),
        }
    }
}

/// All actuators with their values.
pub(super) fn values(in_force: &InForce) -> BTreeMap<String, Value> {
    let setpoints = &in_force.setpoints;
    let (charge_ma, discharge_ma) = in_force.limits_ma();
    let amperes = |ma: u32| json!(f64::from(ma) / 1_000.0);
    let target = setpoints.target_centidegrees.map(|c100| f64::from(c100) / 100.0);
    let hertz = setpoints.samples_per_1000_s.map(|rate| f64::from(rate) / 1_000.0);
    [
        ("Charging.StartStopCharging", if setpoints.stop_charging { json!("STOP") } else { Value::Null }),
        ("BatteryConditioning.TargetTemperature", json!(target)),
        ("BatteryConditioning.RequestedMode", target.map_or(Value::Null, |_| json!("DRIVING_PREPARATION"))),
        ("Voltmesh.Command.ChargeCurrentLimit", amperes(charge_ma)),
        ("Voltmesh.Command.DischargeCurrentLimit", amperes(discharge_ma)),
        ("Voltmesh.Command.BalancingGroups", json!(setpoints.balance)),
        ("Voltmesh.Command.SamplingRate", json!(hertz)),
    ]
    .into_iter()
    .map(|(path, value)| (format!("{ROOT}.{path}"), value))
    .collect()
}

enum Target {
    Stdout,
    File { path: PathBuf, file: File, bytes: u64 },
    Socket { path: PathBuf, stream: Option<UnixStream> },
}

/// Writes values as they change.
pub(super) struct VssOutlet {
    target: Target,
    written: BTreeMap<String, Value>,
    failing: bool,
}

impl VssOutlet {
    pub fn open(config: &VssConfig) -> Result<Self, Error> {
        config.check()?;
        let target = match (&config.file, &config.socket) {
            (Some(path), _) => {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                let mut file = opened.map_err(Error::file(path, "opening"))?;
                let bytes = file.seek(SeekFrom::End(0)).map_err(Error::file(path, "opening"))?;
                Target::File { path: path.clone(), file, bytes }
            }
            (None, Some(path)) => Target::Socket { path: path.clone(), stream: None },
            (None, None) => Target::Stdout,
        };
        Ok(Self { target, written: BTreeMap::new(), failing: false })
    }

    pub fn run(mut self, latest: &Latest) {
        let (mut seen, mut retry) = (0, None);
        while let Some((in_force, version)) = latest.wait(seen, retry) {
            seen = version;
            let Some(in_force) = in_force else { continue };
            retry = match self.write(&values(&in_force)) {
                Ok(()) => {
                    self.failing = false;
                    None
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, "commands cannot be written as VSS values; trying again each second");
                    }
                    Some(Instant::now() + RETRY)
                }
            };
        }
    }

    fn write(&mut self, values: &BTreeMap<String, Value>) -> std::io::Result<()> {
        if self.target.connect()? {
            self.written.clear();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let mut text = String::new();
        for (path, value) in values.iter().filter(|(path, value)| self.written.get(*path) != Some(value)) {
            text.push_str(&json!({ "timestamp": now, "path": path, "value": value }).to_string());
            text.push('\n');
        }
        self.target.write(text.as_bytes())?;
        self.written.clone_from(values);
        Ok(())
    }
}

impl Target {
    /// Connects a socket that is not; true if its reader knows nothing yet.
    fn connect(&mut self) -> std::io::Result<bool> {
        let Self::Socket { path, stream: stream @ None } = self else { return Ok(false) };
        let connected = UnixStream::connect(path)?;
        connected.set_write_timeout(Some(RETRY))?;
        *stream = Some(connected);
        Ok(true)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Self::File { path, file, bytes: size } => {
                if *size + bytes.len() as u64 > MAX_FILE {
                    let mut old = path.clone().into_os_string();
                    old.push(".1");
                    std::fs::rename(&*path, old)?;
                    *file = OpenOptions::new().create(true).append(true).open(&*path)?;
                    *size = 0;
                }
                file.write_all(bytes)?;
                *size += bytes.len() as u64;
                Ok(())
            }
            Self::Socket { stream, .. } => {
                let Some(connected) = stream.as_mut() else { return Ok(()) };
                let done = connected.write_all(bytes);
                if done.is_err() {
                    // A line may be cut: the next connection gets all values anew.
                    *stream = None;
                }
                done
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::own::OwnLimits;
    use crate::commands::setpoints::Setpoints;
    use std::io::BufRead as _;

    fn in_force(setpoints: Setpoints) -> InForce {
        let own = OwnLimits { charge_ma: 90_000, discharge_ma: 240_000, estimated: true };
        InForce { setpoints, own, until: None }
    }

    fn lines(text: &str) -> BTreeMap<String, Value> {
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            assert!(line["timestamp"].is_u64());
            (line["path"].as_str().expect("a path").replace(ROOT, ""), line["value"].clone())
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn values_are_written_when_they_change_and_given_back_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("orders.jsonl");
        let config = VssConfig { file: Some(file.clone()), ..VssConfig::default() };
        let mut outlet = VssOutlet::open(&config).expect("it opens");
        let mut write = |setpoints: Setpoints| {
            let before = std::fs::read_to_string(&file).expect("a file").len();
            outlet.write(&values(&in_force(setpoints))).expect("room on the disk");
            lines(&std::fs::read_to_string(&file).expect("a file")[before..])
        };
        let idle = write(Setpoints::default());
        assert_eq!(idle.len(), 7, "all of them at first");
        assert_eq!(idle[".Voltmesh.Command.ChargeCurrentLimit"], json!(90.0));
        assert_eq!(idle[".Charging.StartStopCharging"], Value::Null);
        let stop =
            Setpoints { stop_charging: true, target_centidegrees: Some(2_550), ..Setpoints::default() };
        let changed = write(stop.clone());
        assert_eq!(
            changed,
            [
                (".BatteryConditioning.RequestedMode", json!("DRIVING_PREPARATION")),
                (".BatteryConditioning.TargetTemperature", json!(25.5)),
                (".Charging.StartStopCharging", json!("STOP")),
            ]
            .map(|(path, value)| (path.to_owned(), value))
            .into()
        );
        assert!(write(stop).is_empty());
        let over = write(Setpoints::default());
        assert_eq!((over.len(), &over[".Charging.StartStopCharging"]), (3, &Value::Null));
    }

    #[test]
    fn a_socket_gets_all_values_with_each_connection() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vss.sock");
        let config = VssConfig { socket: Some(path.clone()), ..VssConfig::default() };
        let mut outlet = VssOutlet::open(&config).expect("it opens");
        let values = values(&in_force(Setpoints { charge_ma: Some(7_000), ..Setpoints::default() }));
        outlet.write(&values).expect_err("nobody listens");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        for _ in 0..2 {
            outlet.write(&values).expect("somebody listens");
            let (reader, _) = listener.accept().expect("a connection");
            let mut reader = std::io::BufReader::new(reader);
            let mut text = String::new();
            for _ in 0..7 {
                reader.read_line(&mut text).expect("a line");
            }
            assert_eq!(lines(&text)[".Voltmesh.Command.ChargeCurrentLimit"], json!(7.0));
            // The reader goes: what changes is written until that shows.
            drop(reader);
            let mut changed = values.clone();
            for count in 0.. {
                changed.insert("other".to_owned(), json!(count));
                if outlet.write(&changed).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn one_place_is_written_to() {
        for (text, fine) in [("", false), ("stdout = true", true), ("file = 'a'\nstdout = true", false)] {
            let config: VssConfig = toml::from_str(text).expect("keys");
            assert_eq!(config.check().is_ok(), fine, "{text:?}");
        }
    }

    #[test]
    fn what_is_in_force_ends_by_itself_when_the_agent_stands_still() {
        let now = Instant::now();
        let ends = now + Duration::from_secs(5);
        let stop = Setpoints { stop_charging: true, charge_ma: Some(1_000), ..Setpoints::default() };
        let held = InForce { until: Some(ends), ..in_force(stop) };
        assert_eq!(held.at(now), held);
        let over = held.at(ends);
        assert!(over.setpoints.is_idle());
        assert_eq!(over.limits_ma(), (90_000, 240_000), "the vehicle's own");
    }
}

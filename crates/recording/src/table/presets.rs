//! Names of columns that testers, loggers and portals write, and what their formats mean.

mod keys;

pub(crate) use keys::{is_elapsed, keys};

use super::header::Name;
use super::options::Level;
use crate::Quantity;

/// Rule for a current's sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignRule {
    /// Positive charges.
    Charge,
    /// Positive discharges.
    Discharge,
    /// A magnitude; another column states charge or discharge.
    Magnitude,
    /// No convention is known.
    Unknown,
}

/// A format that is recognised by its columns.
#[derive(Debug)]
pub(crate) struct Preset {
    pub name: &'static str,
    /// Keys of which all must be there.
    keys: &'static [&'static str],
    /// Titles of which one must be there, if there are any.
    titles: &'static [&'static str],
    pub level: Option<Level>,
    pub sign: SignRule,
    /// Keys of the time in the order of preference, before the general ones.
    pub times: &'static [&'static str],
    /// Word of a cell's name before its number, where it is no usual one.
    cell_word: Option<&'static str>,
    /// Whether the sign of a cell's voltage says something else than its value.
    pub marks_cells: bool,
    /// Units of quantities whose headers state none.
    units: &'static [(Quantity, &'static str)],
    /// Quantities in a unit that the file does not tell.
    pub unread: &'static [Quantity],
}

impl Preset {
    /// The unit of a quantity whose header states none.
    pub fn unit(&self, quantity: Quantity) -> Option<&'static str> {
        self.units.iter().find(|(other, _)| *other == quantity).map(|(_, unit)| *unit)
    }
}

const CELL: Option<Level> = Some(Level::Cell);
const PACK: Option<Level> = Some(Level::Pack);

macro_rules! preset {
    ($name:literal, $keys:expr, $titles:expr, $level:expr, $sign:ident, $times:expr) => {
        Preset {
            name: $name,
            keys: &$keys,
            titles: &$titles,
            level: $level,
            sign: SignRule::$sign,
            times: &$times,
            cell_word: None,
            marks_cells: false,
            units: &[],
            unread: &[],
        }
    };
}

/// Logs of LeafSpy: a positive current discharges, the state of charge is in 1e-4 %, cells are in mV (a negative one is being
/// balanced), the speed is in the unit that the phone is set to.
const LEAF_SPY: Preset = Preset {
    cell_word: Some("cp"),
    marks_cells: true,
    units: &[(Quantity::Soc, "0.0001 %"), (Quantity::Cells, "mV"), (Quantity::Ambient, "°F")],
    unread: &[Quantity::Speed],
    ..preset!(
        "LeafSpy",
        ["gids", "pack volts", "pack amps"],
        [],
        PACK,
        Discharge,
        ["epoch time", "date time"]
    )
};

/// Logs of Torque: names are the user's, and so is the sign of the current.
const TORQUE: Preset =
    preset!("Torque", ["gps time", "device time"], [], PACK, Unknown, ["device time", "gps time"]);

/// In the order in which they are tried.
const PRESETS: [Preset; 21] = [
    LEAF_SPY,
    TORQUE,
    // github.com/battery-data-alliance/battery-data-format: positive charges.
    preset!(
        "Battery Data Format",
        ["test time", "voltage", "current"],
        ["Voltage / V", "voltage_volt"],
        CELL,
        Charge,
        []
    ),
    preset!("Arbin", ["data point", "test time", "current", "voltage"], [], CELL, Charge, ["test time"]),
    // The current is a magnitude; State is C, D, R, P, S.
    preset!("Maccor", ["rec", "test time", "current", "voltage"], [], CELL, Magnitude, ["test time"]),
    preset!(
        "Maccor",
        ["test time", "step time", "md", "current", "voltage"],
        [],
        CELL,
        Magnitude,
        ["test time"]
    ),
    preset!(
        "Maccor",
        ["rec", "dpt time", "current", "voltage"],
        [],
        CELL,
        Magnitude,
        ["test time", "dpt time"]
    ),
    // Neware's "Time" begins anew with each step.
    preset!("Neware", ["step type", "total time", "current", "voltage"], [], CELL, Charge, ["total time"]),
    preset!(
        "Neware",
        ["record id", "time", "current", "voltage"],
        [],
        CELL,
        Charge,
        ["total time", "absolute time", "realtime", "real time", "date", "time"]
    ),
    preset!("BioLogic", ["ecell"], [], CELL, Charge, ["time"]),
    preset!("BioLogic", ["ewe"], [], CELL, Charge, ["time"]),
    preset!("Basytec", ["time", "u", "i"], ["~Time[h]", "~Time[s]", "~Time[min]"], CELL, Charge, ["time"]),
    preset!("Novonix", ["run time", "current", "potential"], [], CELL, Charge, ["run time"]),
    preset!("LANDT", ["test time", "sys time", "current", "voltage"], [], CELL, Charge, ["test time"]),
    preset!("Digatron", ["prog time", "voltage", "current"], [], CELL, Charge, ["prog time"]),
    // doi:10.21227/6jr9-5235: negative discharges.
    preset!(
        "BMW i3 trips",
        ["time", "battery voltage", "battery current", "max soc"],
        [],
        PACK,
        Charge,
        ["time"]
    ),
    // OVMS: v.b.current is "output=positive".
    preset!("OVMS", ["v b voltage", "v b current"], [], PACK, Discharge, []),
    // ABRP's telemetry: current has the sign of power, which is positive out of the battery.
    preset!("ABRP", ["is charging", "utc", "voltage", "current"], [], PACK, Discharge, ["utc"]),
    preset!("EVNotify", ["dc battery voltage", "dc battery current"], [], PACK, Unknown, []),
    preset!("TeslaMate", ["date", "battery level", "usable battery level"], [], PACK, Unknown, ["date"]),
    preset!("Voltmesh table", ["time", "voltage", "current"], ["voltage_v"], CELL, Charge, ["time"]),
];

/// The format of a header.
pub(crate) fn find(names: &[Name]) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| {
        preset.keys.iter().all(|key| names.iter().any(|name| name.key == *key))
            && (preset.titles.is_empty()
                || names.iter().any(|name| preset.titles.iter().any(|title| name.text == *title)))
    })
}

/// Whether a name is that of a column which states charge, discharge or rest.
pub(crate) fn is_state(key: &str) -> bool {
    const KEYS: [&str; 26] = [
        "state",
        "md",
        "mode",
        "step type",
        "status",
        "step mode",
        "step name",
        "zustand",
        "direction",
        "current direction",
        "charge state",
        "charging state",
        "charge discharge",
        "charge discharge state",
        "battery state",
        "step state",
        "schritttyp",
        "schritt typ",
        "modus",
        "état",
        "etat",
        "estado",
        "工步类型",
        "工步名称",
        "工步状态",
        "状态",
    ];
    KEYS.contains(&key)
}

/// Changes the names of a log of Torque to those of its quantities: without the control unit in front, and without the
/// number by which its lists are sorted, as in `[BMS] HV_V(V)` and `000_Battery Current(A)`.
pub(crate) fn rename(names: &mut [Name]) {
    const UNITS: [&str; 8] = ["bms", "hv", "batt", "battery", "lbc", "becm", "hvb", "ev"];
    if find(names).is_none_or(|preset| preset.name != TORQUE.name) {
        return;
    }
    for name in names {
        if let Some((unit, rest)) = name.text.strip_prefix('[').and_then(|text| text.split_once(']'))
            && UNITS.contains(&unit.trim().to_lowercase().as_str())
        {
            name.key = Name::parse(rest).key;
        }
        let number = name.key.split(' ').next().unwrap_or_default();
        if number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()) && name.key.len() > 4 {
            name.key.drain(..4);
        }
    }
}

/// Whether a name is that of one cell of several, in any table or in one of a format.
pub(crate) fn is_cell_of(name: &Name, preset: Option<&Preset>) -> bool {
    let word = preset.and_then(|preset| preset.cell_word);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_cell(name)
        || word.is_some_and(|word| {
            name.key.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')).is_some_and(is_number)
        })
}

/// Whether a name is that of one cell of several.
fn is_cell(name: &Name) -> bool {
    const ALLOWED: [&str; 11] =
        ["cell", "cells", "zelle", "voltage", "v", "u", "cv", "ucell", "vcell", "volt", "spannung"];
    let dimension = name.unit.as_deref().and_then(crate::unit::parse).map(|(dimension, _)| dimension);
    name.number().is_some()
        && name.words().any(|word| ["cell", "cells", "zelle", "cv", "ucell", "vcell"].contains(&word))
        && name.words().all(|word| word.parse::<u32>().is_ok() || ALLOWED.contains(&word))
        && dimension.is_none_or(|dimension| dimension == crate::unit::Dimension::Voltage)
}

/// Whether a name is that of a temperature of the battery.
pub(crate) fn is_temperature(name: &Name) -> bool {
    const ALLOWED: [&str; 32] = [
        "cell",
        "cells",
        "battery",
        "batt",
        "bat",
        "bms",
        "pack",
        "aux",
        "surface",
        "module",
        "v",
        "b",
        "hv",
        "max",
        "min",
        "mean",
        "avg",
        "average",
        "tab",
        "sensor",
        "temp",
        "temperature",
        "temps",
        "t",
        "probe",
        "case",
        "temperatur",
        "température",
        "temperatura",
        "温度",
        "溫度",
        "온도",
    ];
    let number = |word: &str| word.parse::<u32>().is_ok();
    let dimension = name.unit.as_deref().and_then(crate::unit::parse).map(|(dimension, _)| dimension);
    let temperature = dimension == Some(crate::unit::Dimension::Temperature);
    let words = |wanted: &[&str]| name.words().any(|word| wanted.contains(&word));
    // LeafSpy's `Pack T1 C` stands beside the same in °F.
    if name.key.strip_prefix("pack t ").is_some_and(|rest| rest.ends_with(" c") && rest.len() == 3) {
        return true;
    }
    let named = words(&[
        "temp",
        "temperature",
        "temps",
        "temperatur",
        "température",
        "temperatura",
        "温度",
        "溫度",
        "온도",
    ]) || (temperature && words(&["t"]))
        || (words(&["t"]) && name.number().is_some());
    named
        && name.words().all(|word| number(word) || ALLOWED.contains(&word))
        && (dimension.is_none() || temperature)
}

/// Whether a name is any that is known here; for finding the header.
pub(crate) fn is_known(name: &Name) -> bool {
    let single = Quantity::ALL.iter().any(|quantity| keys(*quantity).contains(&name.key.as_str()));
    let unit = name.unit.as_deref().is_some_and(|unit| crate::unit::parse(unit).is_some());
    single || unit || is_cell_of(name, None) || is_temperature(name)
}

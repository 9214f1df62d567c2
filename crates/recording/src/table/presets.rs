//! Names of columns that testers, loggers and portals write, and what their formats mean.

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
        }
    };
}

/// In the order in which they are tried.
const PRESETS: [Preset; 19] = [
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

/// Keys of a time, the most wanted first: of the whole test, then of the clock on the wall, then of the step.
const TIMES: &[&str] = &[
    "test time",
    "total time",
    "time since start",
    "prog time",
    "run time",
    "elapsed time",
    "elapsed",
    "testing time",
    "time",
    "zeit",
    "uhrzeit",
    "heure",
    "hora",
    "t",
    "timestamp",
    "time stamp",
    "unix time",
    "unixtime",
    "unix timestamp",
    "epoch",
    "epoch time",
    "ts",
    "utc",
    "utc time",
    "datetime",
    "date time",
    "date and time",
    "absolute time",
    "abs time",
    "real time",
    "realtime",
    "dpt time",
    "sys time",
    "system time",
    "record time",
    "local time",
    "datum",
    "datum zeit",
    "zeitstempel",
    "date",
    "temps",
    "tiempo",
    "tempo",
    "总时间",
    "时间",
    "relative time",
    "step time",
];
/// Keys whose numbers count from the beginning of something, never from 1970.
const ELAPSED: &[&str] = &[
    "test time",
    "total time",
    "time since start",
    "prog time",
    "run time",
    "elapsed time",
    "elapsed",
    "testing time",
    "step time",
    "relative time",
];
const VOLTAGES: &[&str] = &[
    "pack voltage",
    "battery pack voltage",
    "hv battery voltage",
    "hv voltage",
    "battery voltage",
    "dc battery voltage",
    "batt voltage",
    "bms voltage",
    "v b voltage",
    "voltage",
    "volt",
    "volts",
    "spannung",
    "pack v",
    "u",
    "ecell",
    "ewe",
    "potential",
    "cell voltage",
    "terminal voltage",
    "u batt",
    "u bat",
    "ubatt",
    "ubat",
    "v",
    "v batt",
    "v bat",
    "vbat",
    "v pack",
    "u pack",
    "dc voltage",
    "batteriespannung",
    "tension",
    "tensión",
    "tensione",
    "电压",
];
const CURRENTS: &[&str] = &[
    "pack current",
    "battery pack current",
    "hv battery current",
    "hv current",
    "battery current",
    "dc battery current",
    "batt current",
    "bms current",
    "v b current",
    "current",
    "amps",
    "amp",
    "amperes",
    "strom",
    "pack i",
    "i",
    "cell current",
    "i batt",
    "i bat",
    "ibatt",
    "ibat",
    "i pack",
    "dc current",
    "batteriestrom",
    "courant",
    "corriente",
    "corrente",
    "电流",
];
const SOCS: &[&str] = &[
    "soc",
    "soc bms",
    "bms soc",
    "state of charge",
    "battery soc",
    "pack soc",
    "v b soc",
    "battery level",
    "ladezustand",
    "soc display",
];
const AMBIENTS: &[&str] = &[
    "ambient temperature",
    "ambient temp",
    "ambient",
    "chamber temp",
    "chamber temperature",
    "outside temp",
    "outside temperature",
    "ext temp",
    "external temperature",
    "v e temp",
    "environment temperature",
];
const COOLANTS: &[&str] = &[
    "coolant temperature inlet",
    "coolant inlet temperature",
    "coolant temperature",
    "coolant temp",
    "coolant",
];
const SPEEDS: &[&str] = &["speed", "vehicle speed", "velocity", "v p speed"];
const INSULATIONS: &[&str] =
    &["insulation", "insulation resistance", "isolation resistance", "isolation", "insulation r"];
/// The net charge since the counter was 0: counters of charge and discharge apart are none.
const CHARGE_COUNTERS: &[&str] = &["net capacity", "ah", "charge counter", "net charge"];
const CHARGINGS: &[&str] = &["is charging", "charging"];
const CONTACTORS: &[&str] = &["contactor", "main contactor", "contactor closed"];

/// Keys of a quantity of one column, the most wanted first.
pub(crate) const fn keys(quantity: Quantity) -> &'static [&'static str] {
    match quantity {
        Quantity::Time => TIMES,
        Quantity::PackVoltage => VOLTAGES,
        Quantity::PackCurrent => CURRENTS,
        Quantity::Soc => SOCS,
        Quantity::Ambient => AMBIENTS,
        Quantity::Coolant => COOLANTS,
        Quantity::Speed => SPEEDS,
        Quantity::Insulation => INSULATIONS,
        Quantity::Charging => CHARGINGS,
        Quantity::Contactor => CONTACTORS,
        Quantity::ChargeCounter => CHARGE_COUNTERS,
        Quantity::Cells | Quantity::Temperatures => &[],
    }
}

/// Whether a name says that its numbers count from the beginning of the test.
pub(crate) fn is_elapsed(key: &str) -> bool {
    ELAPSED.contains(&key)
}

/// Whether a name is that of a column which states charge, discharge or rest.
pub(crate) fn is_state(key: &str) -> bool {
    ["state", "md", "mode", "step type", "status", "step mode", "step name", "zustand"].contains(&key)
}

/// Whether a name is that of one cell of several.
pub(crate) fn is_cell(name: &Name) -> bool {
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
    const ALLOWED: [&str; 27] = [
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
    ];
    let number = |word: &str| word.parse::<u32>().is_ok();
    let dimension = name.unit.as_deref().and_then(crate::unit::parse).map(|(dimension, _)| dimension);
    let temperature = dimension == Some(crate::unit::Dimension::Temperature);
    let words = |wanted: &[&str]| name.words().any(|word| wanted.contains(&word));
    let named = words(&["temp", "temperature", "temps", "temperatur"])
        || (temperature && words(&["t"]))
        || (words(&["t"]) && name.number().is_some());
    named
        && name.words().all(|word| number(word) || ALLOWED.contains(&word))
        && (dimension.is_none() || temperature)
}

/// Whether a name is any that is known here; for finding the header.
pub(crate) fn is_known(name: &Name) -> bool {
    let single = Quantity::ALL.iter().any(|quantity| keys(*quantity).contains(&name.key.as_str()));
    let unit = name.unit.as_deref().is_some_and(|unit| crate::unit::parse(unit).is_some());
    single || unit || is_cell(name) || is_temperature(name)
}

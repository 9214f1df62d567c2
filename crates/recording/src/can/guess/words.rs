//! Words of a signal's name, and those that speak of something else than a measurement of a traction battery.

/// Words that speak of a whole traction battery.
pub(super) const PACK: [&str; 8] = ["pack", "batt", "hv", "bms", "traction", "total", "accu", "bat_"];

/// Words of messages of other devices.
pub(super) const DEVICES: [&str; 12] = [
    "charger",
    "obc",
    "dcdc",
    "motor",
    "inv",
    "12v",
    "mcu",
    "evse",
    "ccs",
    "chademo",
    "heater",
    "compressor",
];

/// Words of limits, wishes, states, statistics, and of other things in a battery.
const WHOLE: [&str; 37] = [
    "min", "max", "avg", "mean", "lim", "set", "req", "cmd", "obc", "lv", "aux", "inv", "err", "mux", "nom",
    "pwr", "ref", "cnt", "idx", "fan", "thr", "ocv", "afe", "cpu", "pcb", "fet", "hall", "open", "init",
    "over", "under", "short", "link", "stat", "peak", "trip", "chip",
];

/// Beginnings of such words.
const BEGINNINGS: [&str; 58] = [
    "minim",
    "maxim",
    "averag",
    "cell",
    "modul",
    "limit",
    "setp",
    "request",
    "target",
    "command",
    "desir",
    "allow",
    "charger",
    "dcdc",
    "motor",
    "invert",
    "fault",
    "warn",
    "error",
    "status",
    "nominal",
    "rated",
    "power",
    "valid",
    "avail",
    "refer",
    "count",
    "index",
    "balanc",
    "diff",
    "delta",
    "ripple",
    "leak",
    "precharg",
    "heat",
    "pump",
    "overvolt",
    "overcurr",
    "undervolt",
    "thres",
    "offset",
    "gain",
    "calib",
    "supply",
    "shunt",
    "fuse",
    "relay",
    "contact",
    "switch",
    "evse",
    "grid",
    "mains",
    "board",
    "mosf",
    "igbt",
    "cutoff",
    "regen",
    "predict",
];

/// Words that also stand before or behind another without a separator, as in `SOCmin` and `maxvoltage`.
const ENDS: [&str; 5] = ["min", "max", "avg", "lim", "req"];

/// Parts of names without separators that speak of the same.
const PARTS: [&str; 6] = ["12v", "limit", "target", "request", "setpoint", "balanc"];

/// The words of a name in small letters: `BMS_HvBattVoltage132` has `bms`, `hv`, `batt` and `voltage`.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let (mut words, mut word) = (Vec::new(), String::new());
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let begins = letter.is_uppercase()
            && (before.is_some_and(char::is_lowercase)
                || (before.is_some_and(char::is_uppercase)
                    && letters.get(at + 1).is_some_and(|next| next.is_lowercase())));
        if !letter.is_alphabetic() || begins {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if letter.is_alphabetic() {
            word.extend(letter.to_lowercase());
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Whether a name speaks of something else than a measurement, but for the words that a quantity is known by.
pub(super) fn is_other(name: &str, known: &[&str]) -> bool {
    let small = name.to_lowercase();
    let is_known = |other: &str| known.iter().any(|known| known.contains(other));
    let is = |word: &String| {
        WHOLE.iter().any(|other| word == other && !is_known(other))
            || ENDS.iter().any(|other| (word.starts_with(other) || word.ends_with(other)) && !is_known(other))
            || BEGINNINGS.iter().any(|other| word.starts_with(other) && !is_known(other))
    };
    words(name).iter().any(is) || PARTS.iter().any(|part| small.contains(part) && !known.contains(part))
}

/// Whether a name says that it is of a traction battery.
pub(super) fn says_battery(name: &str) -> bool {
    let small = name.to_lowercase();
    PACK.iter().any(|word| small.contains(word))
}

/// Whether a name speaks of charging, and not of discharging beside it.
pub(super) fn speaks_of_charging(name: &str) -> bool {
    let words = words(name);
    let any =
        |beginnings: &[&str]| words.iter().any(|word| beginnings.iter().any(|begin| word.starts_with(begin)));
    any(&["charg", "chg", "chrg"]) && !any(&["disch", "dchg", "dis"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_words() {
        assert_eq!(words("BMS_HvBattVoltage132"), ["bms", "hv", "batt", "voltage"]);
        assert_eq!(words("CMPD_inputHVVoltage"), ["cmpd", "input", "hv", "voltage"]);
        assert_eq!(words("pack_current_a"), ["pack", "current", "a"]);
    }

    #[test]
    fn names_of_limits_and_other_things_are_told() {
        for name in [
            "PackVoltageLimit",
            "pack_current_max",
            "PackLeakageCurrent",
            "Batt12VVoltage",
            "SOCmin",
            "packvoltagelimit",
        ] {
            assert!(is_other(name, &["volt", "curr"]), "{name}");
        }
        for name in [
            "BattTerminalVoltage",
            "OverallPackVoltage",
            "PackVoltage",
            "HV_Batt_Current_HD",
            "BatteryVoltageSignal",
        ] {
            assert!(!is_other(name, &["volt", "curr"]), "{name}");
        }
        assert!(!is_other("PackIsolResistance", &["insul", "isol"]) && !is_other("CellTemp1", &["cell"]));
        assert!(speaks_of_charging("ChargeVoltage") && !speaks_of_charging("BattChargeDischargeCurrent"));
    }
}

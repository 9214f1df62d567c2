//! Names of columns: words, and the unit that they state.

use crate::unit;

/// A column's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As the file spells it.
    pub text: String,
    /// Its words without the unit, in lower case, between single spaces: `Test_Time(s)` is `test time`.
    pub key: String,
    /// The unit as the file spells it.
    pub unit: Option<String>,
}

impl Name {
    /// Reads a cell of a header.
    #[must_use]
    pub fn parse(cell: &str) -> Self {
        let text =
            cell.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\u{feff}' | '#')).to_owned();
        let (name, unit) =
            bracketed(&text).or_else(|| suffixed(&text)).unwrap_or_else(|| (text.clone(), None));
        Self { key: words(&name), unit, text }
    }

    /// The words of the key.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.key.split(' ').filter(|word| !word.is_empty())
    }

    /// The only number among the words.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        let mut numbers = self.words().filter_map(|word| word.parse().ok());
        let first = numbers.next()?;
        numbers.next().is_none().then_some(first)
    }
}

/// The number from which columns or signals are counted, by the name of the first: 0 or 1.
pub(crate) fn first_number(name: &str) -> usize {
    usize::from(Name::parse(name).number() != Some(0))
}

/// `Name [unit]`, `Name(unit)`, also with a number behind, and with the wrong bracket at the end.
fn bracketed(text: &str) -> Option<(String, Option<String>)> {
    let open = text.rfind(['[', '(', '{'])?;
    let close = open + text[open..].find([']', ')', '}'])?;
    let (inner, before, after) = (text[open + 1..close].trim(), &text[..open], &text[close + 1..]);
    if before.trim().is_empty() {
        return None;
    }
    let inner = inner.trim_start_matches('/').trim();
    let known = unit::parse(inner).is_some();
    let short =
        after.trim().is_empty() && !inner.is_empty() && inner.chars().count() <= 12 && !inner.contains(':');
    let unit = (known || short).then(|| inner.to_owned());
    Some((format!("{before} {after}"), unit))
}

/// `Name / unit`, `Name/unit`, `Name, unit`, `Name in unit`, `name_unit`, `Name unit`.
fn suffixed(text: &str) -> Option<(String, Option<String>)> {
    if let Some((name, unit)) = text.rsplit_once('/')
        && unit::parse(unit).is_some()
        && !name.trim().is_empty()
    {
        return Some((name.to_owned(), Some(unit.trim().to_owned())));
    }
    for separator in [" in ", ", ", "_", " "] {
        if let Some((name, unit)) = text.rsplit_once(separator)
            && !name.trim().is_empty()
            && stands_behind(&name.to_lowercase(), unit.trim(), separator)
        {
            return Some((name.to_owned(), Some(unit.trim().to_owned())));
        }
    }
    None
}

/// Whether `unit` is one that stands behind a name without a bracket; short ones only behind a name that they fit.
fn stands_behind(name: &str, unit: &str, separator: &str) -> bool {
    let lower = unit.to_lowercase();
    let names = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match lower.as_str() {
        "c" | "k" | "f" => {
            separator == "_" && names(&["temp", "ambient", "coolant", "chamber", "inlet", "outlet"])
        }
        "min" | "h" | "hr" | "hours" | "minutes" | "d" | "days" | "day" | "hour" | "minute" => {
            names(&["time"])
        }
        // What LeafSpy calls its columns: a pack is no quantity.
        "volts" | "amps" if name == "pack" => false,
        "s" | "a" | "v" if separator == " " => names(&["time", "current", "voltage"]),
        // Words and abbreviations more often than units.
        "1" | "w" | "m" | "ka" | "sek" | "deg c" | "cv" | "dv" | "ca" | "da" | "na" | "nv" => false,
        _ => unit::parse(unit).is_some(),
    }
}

/// Words in lower case: broken at what is no letter or digit, between letters and digits, and at `aB`.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    let mut last = ' ';
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            last = ' ';
            continue;
        }
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let hump = last.is_lowercase() && c.is_uppercase() && next.is_alphabetic();
        let kinds = last != ' ' && (last.is_ascii_digit() != c.is_ascii_digit());
        if !out.is_empty() && (last == ' ' || hump || kinds) {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
        last = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, key: &str, unit: Option<&str>) {
        let name = Name::parse(text);
        assert_eq!((name.key.as_str(), name.unit.as_deref()), (key, unit), "{text}");
    }

    #[test]
    fn names_and_units() {
        check("Voltage / mV", "voltage", Some("mV"));
        check("U[V]", "u", Some("V"));
        check("Voltage {mV}", "voltage", Some("mV"));
        check("current (mA)", "current", Some("mA"));
        check("Ecell/V", "ecell", Some("V"));
        check("time_ms", "time", Some("ms"));
        check("voltage_v", "voltage", Some("v"));
        check("test_time_second", "test time", Some("second"));
        check("cell_01_v", "cell 01", Some("v"));
        check("temp_0_c", "temp 0", Some("c"));
        check("Surface Temperature T1 / degC", "surface temperature t 1", Some("degC"));
        check("Aux_Temperature_1 (C)", "aux temperature 1", Some("C"));
        check("Temperature (C)_1", "temperature 1", Some("C"));
        check("Test_Time(s)", "test time", Some("s"));
        check("Time(h:min:s.ms)", "time", None);
        check("dcBatteryVoltage", "dc battery voltage", None);
        check("SoC [%]", "soc", Some("%"));
        check("max. SoC [%)", "max soc", Some("%"));
        check("socBMS", "soc bms", None);
        check("TestTime", "test time", None);
        check("Cycle C", "cycle c", None);
        check("~Time[h]", "time", Some("h"));
        check("Temperature/\u{fffd}C", "temperature", Some("\u{fffd}C"));
        check("temp_min", "temp min", None);
        check("Pack Volts", "pack volts", None);
        check("\u{feff}\"Test Time / s\"", "test time", Some("s"));
        check("v.b.voltage", "v b voltage", None);
        check("", "", None);
    }

    #[test]
    fn first_numbers() {
        for (name, first) in
            [("cell_0_v", 0), ("Cell00 [mV]", 0), ("Pack.Cell_1 [V]", 1), ("cell_01_v", 1), ("Voltage", 1)]
        {
            assert_eq!(first_number(name), first, "{name}");
        }
    }
}

//! Units as DBC files spell them.

use crate::Quantity;

/// Factor and offset from a unit to the base unit of a quantity: base = value · factor + offset. `None` if the unit is
/// not understood for this quantity. An empty one is not.
#[must_use]
pub fn scale(unit: &str, quantity: Quantity) -> Option<(f64, f64)> {
    let unit = unit.trim().trim_matches(['[', ']', '(', ')']).trim();
    let unit = unit.strip_prefix("Unit_").unwrap_or(unit);
    if matches!(quantity, Quantity::Contactor | Quantity::Charging) {
        return Some((1.0, 0.0));
    }
    let number = unit.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unit.len());
    if number > 0 {
        let (step, rest) = unit.split_at(number);
        let step: f64 = step.parse().ok().filter(|step| *step > 0.0 && *step != 1.0)?;
        let rest = rest.trim().trim_start_matches(['*', '·']).trim();
        let (factor, offset) = if rest.is_empty() { return None } else { scale(rest, quantity)? };
        return (offset == 0.0).then_some((step * factor, 0.0));
    }
    match quantity {
        Quantity::PackVoltage => prefixed(unit, &["V", "Volt", "Volts"]),
        Quantity::Cells => {
            let lower = unit.to_ascii_lowercase();
            let plain = lower
                .strip_suffix("/cell")
                .or_else(|| lower.strip_suffix(" per cell"))
                .map_or(unit, |s| &unit[..s.len()]);
            prefixed(plain.trim(), &["V", "Volt", "Volts"])
        }
        Quantity::PackCurrent => prefixed(unit, &["A", "Amp", "Amps", "Ampere", "Amper", "Amperes"]),
        Quantity::Insulation => prefixed(unit, &["Ω", "\u{2126}", "Ohm", "Ohms"]),
        Quantity::Soc => percent(unit),
        Quantity::Temperatures | Quantity::Ambient | Quantity::Coolant => temperature(unit),
        Quantity::Speed => speed(unit),
        Quantity::Time | Quantity::Contactor | Quantity::Charging => None,
    }
    .filter(|(factor, _)| factor.is_finite())
}

/// A unit with or without a prefix. The prefix of a word may be one too: `millivolt`.
fn prefixed(unit: &str, names: &[&str]) -> Option<(f64, f64)> {
    const PREFIXES: [(&str, f64); 13] = [
        ("", 1.0),
        ("µ", 1e-6),
        ("μ", 1e-6),
        ("u", 1e-6),
        ("m", 1e-3),
        ("c", 1e-2),
        ("d", 1e-1),
        ("k", 1e3),
        ("K", 1e3),
        ("M", 1e6),
        ("milli", 1e-3),
        ("kilo", 1e3),
        ("mega", 1e6),
    ];
    for (prefix, factor) in PREFIXES {
        let Some(rest) = unit.strip_prefix(prefix).or_else(|| {
            let head = unit.get(..prefix.len())?;
            (prefix.len() > 2 && head.eq_ignore_ascii_case(prefix)).then(|| &unit[prefix.len()..])
        }) else {
            continue;
        };
        if names.iter().any(|name| name.eq_ignore_ascii_case(rest)) {
            // MV is as likely a misspelt mV: it is not understood.
            let mega = factor == 1e6 && names[0] != "Ω";
            return (!mega).then_some((factor, 0.0));
        }
    }
    None
}

fn percent(unit: &str) -> Option<(f64, f64)> {
    let compact: String = unit.to_lowercase().chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
    match compact.as_str() {
        "%" | "percent" | "pct" | "prozent" | "%soc" | "soc%" | "perc" => Some((1.0, 0.0)),
        "‰" | "permille" | "promille" => Some((0.1, 0.0)),
        _ => None,
    }
}

fn temperature(unit: &str) -> Option<(f64, f64)> {
    // Signs of degree come in many encodings; the letters count.
    let letters: String = unit.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    match letters.as_str() {
        "c" | "degc" | "degcelsius" | "celsius" | "degreecelsius" | "degreecelsi" | "degreescelsius"
        | "degreec" | "degreesc" | "gradc" | "grdc" | "gradcelsius" | "cel" => Some((1.0, 0.0)),
        "k" | "kelvin" => Some((1.0, -273.15)),
        "f" | "degf" | "fahrenheit" | "degfahrenheit" | "degreef" => Some((5.0 / 9.0, -160.0 / 9.0)),
        _ => None,
    }
}

fn speed(unit: &str) -> Option<(f64, f64)> {
    let compact: String =
        unit.to_lowercase().chars().filter(|c| c.is_ascii_alphabetic() || *c == '/').collect();
    let factor = match compact.as_str() {
        "km/h" | "kmh" | "kph" | "kmph" | "kilometerperhour" | "kilometeperhour" => 1.0,
        "mph" | "mi/h" | "mile/h" | "miles/h" | "milesperhour" => 1.609_344,
        "m/s" | "mps" | "meterpersecond" => 3.6,
        _ => return None,
    };
    Some((factor, 0.0))
}

//! Spellings of foreign clients that have one meaning, and those that have none.

use std::borrow::Cow;

use super::{
    AIR_TEMPERATURE, AVERAGE_TEMPERATURE, CELL_TEMPERATURES, CELL_VOLTAGES, CHANNELS, COOLANT_TEMPERATURE,
    CURRENT_CURRENT, CURRENT_VOLTAGE, INSULATION, IS_CABLE_CONNECTED, IS_CHARGING, IS_POWER_CONNECTED, SPEED,
    STATE_OF_CHARGE, TIMESTAMP,
};

/// A time as RFC 3339 has it: an offset without its colon, or of hours alone, has one meaning; none at all has several.
pub(super) fn time(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let Some(place) = text.find(['T', 't', ' ']).filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return Ok(Cow::Borrowed(text));
    };
    let Some(sign) = text[place..].find(['+', '-', 'Z', 'z']) else {
        return Err("has no offset from UTC: add Z if it is UTC, else an offset such as +01:00");
    };
    let (before, offset) = text.split_at(place + sign);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    Ok(match offset.len() {
        5 if digits(&offset[1..]) => Cow::Owned(format!("{before}{}:{}", &offset[..3], &offset[3..])),
        3 if digits(&offset[1..]) => Cow::Owned(format!("{text}:00")),
        _ => Cow::Borrowed(text),
    })
}

/// The key that is meant by one which differs from it in capitals or separators alone. Such a key would be ignored like
/// any other that is not read here, and its value with it.
pub(super) fn misspelled(key: &str) -> Option<&'static str> {
    let plain = |key: &str| -> String {
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    const KEYS: [&str; 15] = [
        TIMESTAMP,
        CURRENT_VOLTAGE,
        CURRENT_CURRENT,
        CELL_VOLTAGES,
        CELL_TEMPERATURES,
        AVERAGE_TEMPERATURE,
        STATE_OF_CHARGE,
        IS_POWER_CONNECTED,
        IS_CHARGING,
        IS_CABLE_CONNECTED,
        INSULATION,
        AIR_TEMPERATURE,
        COOLANT_TEMPERATURE,
        SPEED,
        CHANNELS,
    ];
    let given = plain(key);
    KEYS.into_iter().find(|known| plain(known) == given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        for (text, want) in [
            ("2026-01-01T00:00:00Z", Ok("2026-01-01T00:00:00Z")),
            ("2026-01-01T00:00:00+0000", Ok("2026-01-01T00:00:00+00:00")),
            ("2026-01-01T00:00:00.25-0130", Ok("2026-01-01T00:00:00.25-01:30")),
            ("2026-01-01T00:00:00+01", Ok("2026-01-01T00:00:00+01:00")),
            ("2026-01-01T00:00:00+01:00", Ok("2026-01-01T00:00:00+01:00")),
            ("yesterday", Ok("yesterday")),
            ("2026-01-01T00:00:00.250", Err(())),
            ("2026-01-01 00:00:00", Err(())),
        ] {
            assert_eq!(time(text).as_deref().map_err(|_| ()), want, "{text}");
        }
    }

    #[test]
    fn keys_that_are_meant() {
        for (key, want) in [
            ("Timestamp", Some(TIMESTAMP)),
            ("vehicle/powertrain/tractionbattery/currentvoltage", Some(CURRENT_VOLTAGE)),
            ("Vehicle.Powertrain.TractionBattery.StateOfCharge.current", Some(STATE_OF_CHARGE)),
            ("vin", None),
            ("", None),
        ] {
            assert_eq!(misspelled(key), want, "{key}");
        }
    }
}

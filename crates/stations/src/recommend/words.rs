//! A recommendation in words.

use super::Request;
use super::answer::Recommended;
use super::stations::Usable;

/// A status older than this is mentioned, in s.
const OLD_S: i64 = 1800;

/// Why this station, in a sentence or two.
pub(super) fn why(request: &Request, entry: &Recommended, option: Option<&Usable>) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let mut text = format!(
        "{:.1} km away, {} likely to be free in {}",
        entry.drive_km,
        percent(entry.p_free),
        minutes(entry.drive_min)
    );
    if entry.drive_unmeasured {
        text += " (estimated: the routing service did not measure this drive)";
    }
    if entry.wait_min >= 1.0 {
        text += &format!(" (expected wait {})", minutes(entry.wait_min));
    }
    text += &match entry.charge_min {
        0.0 => "; charged enough already".to_owned(),
        charge_min => {
            format!(
                "; {} to {} at {:.0} kW",
                minutes(charge_min),
                percent(request.target_soc),
                entry.power_kw
            )
        }
    };
    if let Some(closes_min) = entry.closes_min {
        text += &format!("; it closes {} after arrival, before the charge ends", minutes(closes_min));
    }
    if let Some(option) = option.filter(|option| !option.power_known) {
        text += &format!(", as is usual for {}", option.plug.words());
    }
    let faulty = 1.0 - entry.reliability;
    if faulty >= 0.005 {
        text += &format!("; out of order {} of the last days", percent(faulty));
    }
    if let Some(price) = entry.price {
        text += &format!("; {price:.2} in all");
    } else if request.max_price_kwh.is_some() {
        text += "; its price is not known";
    }
    text.push('.');
    match entry.age_s {
        None => text += " Nothing was heard of it yet.",
        Some(age_s) if age_s > OLD_S => {
            text += &format!(" Nothing was heard of it for {}.", minutes(age_s as f64 / 60.0));
        }
        Some(_) => {}
    }
    text
}

fn minutes(minutes: f64) -> String {
    match minutes {
        ..=0.5 => "less than a minute".to_owned(),
        ..=1.5 => "a minute".to_owned(),
        ..=120.0 => format!("{minutes:.0} minutes"),
        _ => format!("{:.1} hours", minutes / 60.0),
    }
}

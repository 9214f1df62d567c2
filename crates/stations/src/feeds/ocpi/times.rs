//! OCPI's opening hours and what restricts a tariff to times (2.2.1, 8.4.14 and 11.4.6).

use serde_json::Value;
use time::{Date, Month};

use super::super::field::{list, number, text, utc_time};
use crate::hours::{Period, PriceRules, Restriction, StatedHours, Week, minute_of_day, weekday};

/// Opening hours of a location.
pub(super) fn hours(stated: Option<&Value>) -> StatedHours {
    let Some(stated) = stated.filter(|stated| stated.is_object()) else { return StatedHours::Unsaid };
    let periods = |name: &str| -> Option<Vec<(i64, i64)>> {
        let time = |period: &Value, name: &str| utc_time(period, name)?.ok();
        let period = |period: &Value| Some((time(period, "period_begin")?, time(period, "period_end")?));
        list(stated, name).iter().map(period).collect()
    };
    let (openings, closings) = (periods("exceptional_openings"), periods("exceptional_closings"));
    let always = stated.get("twentyfourseven").and_then(Value::as_bool) == Some(true);
    let regular = list(stated, "regular_hours");
    let week = if always { Some(Week::always()) } else { regular_hours(regular) };
    match (week, openings, closings) {
        (Some(_), Some(openings), Some(closings)) if openings.is_empty() && closings.is_empty() && always => {
            StatedHours::Always
        }
        (Some(_), Some(openings), Some(_)) if regular.is_empty() && !always && openings.is_empty() => {
            StatedHours::Unsaid
        }
        (Some(week), Some(openings), Some(closings)) => StatedHours::At { week, openings, closings },
        _ => StatedHours::NotUnderstood(stated.to_string()),
    }
}

/// `None` if one of them cannot be read.
fn regular_hours(regular: &[Value]) -> Option<Week> {
    let mut week = Week::default();
    for one in regular {
        let day = number(one, "weekday").filter(|day| (1.0..=7.0).contains(day) && day.fract() == 0.0)?;
        let minute = |name: &str| minute_of_day(&text(one, name)?);
        week.add(day as u16 - 1, minute("period_begin")?, minute("period_end")?);
    }
    Some(week)
}

/// The prices per kWh of a tariff, taxes included. Prices are without taxes (2.2.1, PriceComponent) unless the tariff says otherwise
/// (2.3.0, `tax_included`).
pub(super) fn price_rules(tariff: &Value) -> PriceRules {
    let of_energy = |component: &&Value| text(component, "type").as_deref() == Some("ENERGY");
    let included = text(tariff, "tax_included").is_some_and(|text| text.eq_ignore_ascii_case("YES"));
    let mut rules = PriceRules::default();
    for element in list(tariff, "elements") {
        let Some(energy) = list(element, "price_components").iter().find(of_energy) else { continue };
        let Some(restriction) = restriction(tariff, element.get("restrictions")) else { continue };
        let taxes =
            number(energy, "vat").filter(|vat| !included && (0.0..100.0).contains(vat)).unwrap_or(0.0);
        let gross = number(energy, "price").map(|price| price * (1.0 + taxes / 100.0));
        // The first that holds counts: behind one that cannot be read, nothing is known.
        let Some(gross) = gross.filter(|gross| *gross >= 0.0) else { break };
        // Prices are published to a hundredth of a cent.
        rules.push(restriction, (gross * 1e4).round() / 1e4);
    }
    rules
}

/// `None` where an element holds for reservations only.
fn restriction(tariff: &Value, stated: Option<&Value>) -> Option<Restriction> {
    const TIMES: [&str; 5] = ["start_time", "end_time", "start_date", "end_date", "day_of_week"];
    let said: Vec<(&String, &Value)> = stated
        .and_then(Value::as_object)
        .map(|rules| rules.iter().filter(|(_, value)| !value.is_null()).collect())
        .unwrap_or_default();
    if said.iter().any(|(name, _)| *name == "reservation") {
        return None;
    }
    let period = validity(tariff);
    Some(match stated.filter(|_| !said.is_empty()) {
        None if period == Some(Period::default()) => Restriction::None,
        None => period.map_or(Restriction::Other, |period| Restriction::Times(Week::always(), period)),
        Some(stated) if said.iter().all(|(name, _)| TIMES.contains(&name.as_str())) => {
            match (week(stated), period.and_then(|period| dates(stated, period))) {
                (Some(week), Some(period)) => Restriction::Times(week, period),
                _ => Restriction::Other,
            }
        }
        Some(_) => Restriction::Other,
    })
}

/// From when until when a tariff holds at all.
fn validity(tariff: &Value) -> Option<Period> {
    let at = |name: &str, open: i64| utc_time(tariff, name).map_or(Some(open), Result::ok);
    let utc = (at("start_date_time", i64::MIN)?, at("end_date_time", i64::MAX)?);
    Some(Period { utc, ..Period::default() })
}

/// The days of a restriction: `end_date` is excluded.
fn dates(stated: &Value, period: Period) -> Option<Period> {
    let at = |name: &str, open: i64| match text(stated, name) {
        None => Some(open),
        Some(date) => {
            let mut parts = date.splitn(3, '-');
            let year = parts.next()?.parse().ok()?;
            let month = Month::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
            let date = Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()?;
            Some(date.midnight().assume_utc().unix_timestamp())
        }
    };
    Some(Period { local: (at("start_date", i64::MIN)?, at("end_date", i64::MAX)?), ..period })
}

fn week(stated: &Value) -> Option<Week> {
    let minute = |name: &str| text(stated, name).map_or(Some(0), |text| minute_of_day(&text));
    // Without an end, until midnight.
    let (begin, end) = (minute("start_time")?, minute("end_time")?);
    let days: Option<Vec<u16>> =
        list(stated, "day_of_week").iter().map(|day| weekday(day.as_str()?)).collect();
    let days = days?;
    let mut week = Week::default();
    for day in (0..7).filter(|day| days.is_empty() || days.contains(day)) {
        week.add(day, begin, end);
    }
    Some(week)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_that_say_nothing_or_cannot_be_read() {
        let check = |text: &str, expected: StatedHours| {
            assert_eq!(hours(Some(&serde_json::from_str(text).unwrap())), expected, "{text}");
        };
        check("null", StatedHours::Unsaid);
        check("{}", StatedHours::Unsaid);
        check(r#"{"twentyfourseven":false,"regular_hours":[]}"#, StatedHours::Unsaid);
        check(r#"{"twentyfourseven":true}"#, StatedHours::Always);
        let closing = r#"{"twentyfourseven":true,"exceptional_closings":[{"period_begin":"2018-12-25T03:00:00Z","period_end":"2018-12-25T05:00:00Z"}]}"#;
        let closings = vec![(1_545_706_800, 1_545_714_000)];
        check(closing, StatedHours::At { week: Week::always(), openings: vec![], closings });
        for wrong in [
            r#"{"regular_hours":[{"weekday":8,"period_begin":"08:00","period_end":"18:00"}]}"#,
            r#"{"regular_hours":[{"weekday":1,"period_begin":"noon","period_end":"18:00"}]}"#,
            r#"{"twentyfourseven":true,"exceptional_closings":[{"period_begin":"soon"}]}"#,
        ] {
            let stated: Value = serde_json::from_str(wrong).unwrap();
            check(wrong, StatedHours::NotUnderstood(stated.to_string()));
        }
    }

    #[test]
    fn restrictions_of_times_are_told_from_others() {
        let check = |rules: &str, expected: Option<Restriction>| {
            let stated: Value = serde_json::from_str(rules).unwrap();
            assert_eq!(restriction(&Value::Null, Some(&stated)), expected, "{rules}");
        };
        check("{}", Some(Restriction::None));
        check(r#"{"min_kwh":null}"#, Some(Restriction::None));
        check(r#"{"max_kwh":20}"#, Some(Restriction::Other));
        check(r#"{"start_time":"22:00","max_kwh":20}"#, Some(Restriction::Other));
        check(r#"{"start_time":"late"}"#, Some(Restriction::Other));
        check(r#"{"day_of_week":["SOMEDAY"]}"#, Some(Restriction::Other));
        check(r#"{"reservation":"RESERVATION"}"#, None);
        let mut night = Week::default();
        night.add(5, 22 * 60, 6 * 60);
        check(
            r#"{"start_time":"22:00","end_time":"06:00","day_of_week":["SATURDAY"]}"#,
            Some(Restriction::Times(night, Period::default())),
        );
        let days = Period { local: (1_740_960_000, 1_741_046_400), ..Period::default() };
        check(
            r#"{"start_date":"2025-03-03","end_date":"2025-03-04"}"#,
            Some(Restriction::Times(week(&Value::Null).unwrap(), days)),
        );
    }
}

//! DATEX II's times that come again each week (Common, `OverallPeriod`): operating hours, and when a price holds.

use serde_json::Value;

use super::super::field::{elements, first, list, time, value_of};
use crate::hours::{Period, StatedHours, Week, minute_of_day, weekday};

/// What an `overallPeriod` says: times of a week, and its first and last instants; `None` where it says more, or what cannot be read.
pub(super) fn week(overall: &Value) -> Option<(Week, Period)> {
    let end = |name: &str, open: i64| time(overall, name).map_or(Some(open), Result::ok);
    let period = Period {
        utc: (end("overallStartTime", i64::MIN)?, end("overallEndTime", i64::MAX)?),
        ..Period::default()
    };
    if !list(overall, "exceptionPeriod").is_empty() {
        return None;
    }
    let periods = list(overall, "validPeriod");
    if periods.is_empty() {
        return Some((Week::always(), period));
    }
    let mut week = Week::default();
    for one in periods {
        add(&mut week, one)?;
    }
    Some((week, period))
}

/// Adds a period: of each of its days, or of all, each of its times, or all.
fn add(week: &mut Week, period: &Value) -> Option<()> {
    const KNOWN: [&str; 4] =
        ["recurringTimePeriodOfDay", "recurringDayWeekMonthPeriod", "recurringSpecialDay", "periodName"];
    if !period.as_object()?.keys().all(|name| KNOWN.contains(&name.as_str())) {
        return None;
    }
    let mut days = Vec::new();
    for recurring in list(period, "recurringDayWeekMonthPeriod") {
        if ["applicableMonth", "applicableWeek"].iter().any(|name| first(recurring, name).is_some()) {
            return None;
        }
        for day in first(recurring, "applicableDay").map_or(&[][..], elements) {
            let name = day.as_str().map(str::to_owned).or_else(|| value_of(day, "value"))?;
            days.push(weekday(&name)?);
        }
    }
    // Of public holidays only: they are not known.
    if days.is_empty() && !list(period, "recurringSpecialDay").is_empty() {
        return Some(());
    }
    let times = list(period, "recurringTimePeriodOfDay");
    for day in (0..7).filter(|day| days.is_empty() || days.contains(day)) {
        if times.is_empty() {
            week.add(day, 0, 0);
        }
        for one in times {
            let minute = |name: &str| minute_of_day(one.get(name)?.as_str()?);
            week.add(day, minute("startTimeOfPeriod")?, minute("endTimeOfPeriod")?);
        }
    }
    Some(())
}

/// The hours of a point, its station and its site: of the first that says when it is not open.
pub(super) fn hours(of: [&Value; 3]) -> StatedHours {
    let said = of.into_iter().filter_map(|one| one.get("operatingHours")).map(of_one);
    said.reduce(
        |near, far| if matches!(near, StatedHours::Unsaid | StatedHours::Always) { far } else { near },
    )
    .unwrap_or_default()
}

fn of_one(stated: &Value) -> StatedHours {
    if first(stated, "openAllHours").or_else(|| first(stated, "afacOpenAllHours")).is_some() {
        return StatedHours::Always;
    }
    let Some(overall) = first(stated, "overallPeriod") else { return StatedHours::Unsaid };
    // Whether it has begun or is over does not matter: hours that are told are those of now.
    let stated = elements(overall).first().and_then(week).map(|(week, _)| week);
    StatedHours::of(stated, || overall.to_string())
}

//! Opening hours and prices by the time of day as documents and tables state them, before it is known which local time that is.

use super::{Hours, TimedPrice, Week, Weekly, Zone};

/// Opening hours as they are stated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StatedHours {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// Open at all times.
    Always,
    /// Times of a week, further ones, and times at which it is closed all the same: begins and ends in seconds since 1970.
    At { week: Week, openings: Vec<(i64, i64)>, closings: Vec<(i64, i64)> },
    /// As written.
    NotUnderstood(String),
}

impl StatedHours {
    /// Times of a week; where they were not understood, as written.
    pub(crate) fn of(week: Option<Week>, written: impl FnOnce() -> String) -> Self {
        match week {
            Some(week) if week.is_always() => Self::Always,
            Some(week) => Self::At { week, openings: Vec::new(), closings: Vec::new() },
            None => Self::NotUnderstood(written()),
        }
    }
}

/// Period of time: what lies within both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Begin and end, the latter excluded, in seconds of local time since 1970.
    pub(crate) local: (i64, i64),
    /// The same in UTC.
    pub(crate) utc: (i64, i64),
}

impl Default for Period {
    /// All of time.
    fn default() -> Self {
        Self { local: (i64::MIN, i64::MAX), utc: (i64::MIN, i64::MAX) }
    }
}

/// When a price holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restriction {
    /// Always.
    None,
    /// At times of a week within a period.
    Times(Week, Period),
    /// Under other conditions: how much or how fast is charged, for how long.
    Other,
}

/// Price per kWh at some times.
#[derive(Debug, Clone, PartialEq)]
pub struct StatedPrice {
    pub(crate) week: Week,
    pub(crate) within: Period,
    pub(crate) price_kwh: f64,
}

/// Prices of a tariff, in the order in which they count. One that holds under other conditions than times may count or not: what
/// comes behind it is at least as high.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriceRules {
    perhaps: f64,
    /// Those at some times; the first that holds counts.
    pub(crate) timed: Vec<StatedPrice>,
    /// What counts where none of these holds.
    pub(crate) else_kwh: Option<f64>,
}

impl PriceRules {
    /// Adds what counts where nothing before does.
    pub(crate) fn push(&mut self, restriction: Restriction, price_kwh: f64) {
        if self.else_kwh.is_some() {
            return;
        }
        let price_kwh = price_kwh.max(self.perhaps);
        match restriction {
            Restriction::None => self.else_kwh = Some(price_kwh),
            Restriction::Times(week, within) => self.timed.push(StatedPrice { week, within, price_kwh }),
            Restriction::Other => self.perhaps = price_kwh,
        }
    }

    /// The highest of all.
    pub(crate) fn most(&self) -> Option<f64> {
        self.timed.iter().map(|timed| timed.price_kwh).chain(self.else_kwh).reduce(f64::max)
    }
}

/// What is stated of times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatedTimes {
    /// IANA name of the zone.
    pub(crate) zone: Option<String>,
    /// Code of the country.
    pub(crate) country: Option<String>,
    /// When it is open.
    pub(crate) hours: StatedHours,
    /// Prices at some times; the first that holds counts.
    pub(crate) prices: Vec<StatedPrice>,
}

impl StatedTimes {
    /// The local time of a place: of its zone's name, its country, or that of its EVSE's id.
    pub(crate) fn zone(&self, evse: &str, position: Option<(f64, f64)>) -> Option<Zone> {
        let of_name = |name: &String| Zone::of_name(name);
        match &self.zone {
            Some(name) => of_name(name),
            None => {
                let of_country = self.country.as_ref().and_then(|code| Zone::of_country(code, position));
                of_country.or_else(|| Zone::of_evse(evse, position))
            }
        }
    }

    /// Whether a zone is needed to make use of it.
    pub(crate) fn needs_zone(&self) -> bool {
        let weekly = matches!(&self.hours, StatedHours::At { week, .. } if !week.is_always());
        weekly || !self.prices.is_empty()
    }

    /// The hours, in a zone where they need one.
    pub(crate) fn hours_in(&self, zone: Option<Zone>) -> Option<Hours> {
        let StatedHours::At { week, openings, closings } = &self.hours else { return None };
        let weekly =
            if week.is_always() { None } else { Some(Weekly::new(zone?, week.clone(), Period::default())) };
        Some(Hours { weekly, openings: openings.clone(), closings: closings.clone() })
    }

    /// The prices in a zone.
    pub(crate) fn prices_in(&self, zone: Zone) -> Vec<TimedPrice> {
        let price = |stated: &StatedPrice| TimedPrice {
            when: Weekly::new(zone, stated.week.clone(), stated.within),
            price_kwh: stated.price_kwh,
        };
        self.prices.iter().map(price).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_count_raises_what_comes_behind_it() {
        let night = || Restriction::Times(Week::default(), Period::default());
        let check = |rules: &[(Restriction, f64)], expected: (&[f64], Option<f64>, Option<f64>)| {
            let mut found = PriceRules::default();
            rules.iter().for_each(|(restriction, price)| found.push(restriction.clone(), *price));
            let timed: Vec<f64> = found.timed.iter().map(|timed| timed.price_kwh).collect();
            assert_eq!((&timed[..], found.else_kwh, found.most()), expected, "{rules:?}");
        };
        check(&[], (&[], None, None));
        check(&[(Restriction::None, 0.4), (Restriction::None, 0.9)], (&[], Some(0.4), Some(0.4)));
        check(&[(night(), 0.3), (Restriction::None, 0.4)], (&[0.3], Some(0.4), Some(0.4)));
        check(&[(night(), 0.5), (Restriction::None, 0.4)], (&[0.5], Some(0.4), Some(0.5)));
        check(&[(night(), 0.3)], (&[0.3], None, Some(0.3)));
        let first_hour = (Restriction::Other, 0.5);
        check(&[first_hour.clone(), (Restriction::None, 0.4)], (&[], Some(0.5), Some(0.5)));
        check(
            &[first_hour.clone(), (night(), 0.3), (Restriction::None, 0.6)],
            (&[0.5], Some(0.6), Some(0.6)),
        );
        check(&[first_hour], (&[], None, None));
    }
}

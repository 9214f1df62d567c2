//! Opening hours as text: OpenStreetMap's `opening_hours`, IRVE's `horaires`, BNetzA's lists of days and times.

use super::{DAY_MIN, StatedHours, Week};
use crate::words::plain;

/// Texts that say that it is open at all times.
const ALWAYS: [&str; 15] = [
    "247",
    "24h247j7",
    "7j724h24",
    "24247j7",
    "24h24",
    "2424",
    "24h",
    "24hours",
    "open24hours",
    "24stunden",
    "rundumdieuhr",
    "durchgehend",
    "always",
    "immergeoffnet",
    "24h7j7",
];

/// Texts that say nothing.
const UNSAID: [&str; 8] =
    ["", "keineangabe", "keineangaben", "unbekannt", "unknown", "nonrenseigne", "inconnu", "nonconcerne"];

/// Names of the days from Monday on, as [`plain`] has them. `di` is none: it is Tuesday in German and Sunday in French.
const DAYS: [&str; 7] = [
    "mo mon monday montag lu lun lundi",
    "tu tue tues tuesday dienstag ma mardi",
    "we wed wednesday mi mittwoch me mer mercredi",
    "th thu thur thurs thursday do donnerstag je jeu jeudi",
    "fr fri friday freitag ve ven vendredi",
    "sa sat saturday samstag sonnabend sam samedi",
    "su sun sunday so sonntag dim dimanche",
];

/// Names of all days, of public holidays, and of being closed.
const DAILY: [&str; 5] = ["daily", "taglich", "everyday", "touslesjours", "quotidien"];
const HOLIDAYS: [&str; 6] = ["ph", "sh", "feiertag", "feiertage", "joursferies", "holidays"];
const CLOSED: [&str; 5] = ["off", "closed", "geschlossen", "ferme", "fermee"];

/// The day of a name in English, German or French, 0 for Monday.
pub(crate) fn weekday(name: &str) -> Option<u16> {
    let name = plain(name);
    let at = DAYS.iter().position(|names| names.split(' ').any(|known| known == name))?;
    Some(at as u16)
}

/// Minutes since midnight of `8:00`, `08:00:00+01:00`, `8h30`, `8h` or `8`, up to 24:00.
pub(crate) fn minute_of_day(text: &str) -> Option<u16> {
    let text = text.trim();
    // Seconds and an offset do not matter: the time is that of the place.
    let (hour, rest) = text.split_once([':', 'h', 'H']).unwrap_or((text, ""));
    let minute = rest.get(..2).unwrap_or(rest);
    let number = |digits: &str| -> Option<u16> {
        let is_one = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_one { digits.parse().ok() } else { None }
    };
    let minute = if minute.is_empty() { 0 } else { number(minute)? };
    let is_end = rest.get(2..).is_none_or(|more| more.is_empty() || more.starts_with([':', 'Z', '+', '-']));
    let of_day = 60 * number(hour)? + minute;
    (is_end && minute < 60 && of_day <= DAY_MIN).then_some(of_day)
}

/// The hours that a text tells.
pub(crate) fn read(text: &str) -> StatedHours {
    let words = plain(text);
    if UNSAID.contains(&&*words) {
        return StatedHours::Unsaid;
    }
    if ALWAYS.contains(&&*words) {
        return StatedHours::Always;
    }
    StatedHours::of(week(text), || text.trim().to_owned())
}

/// The hours of BNetzA's three columns: whether there are any, the days, and a time for each of them.
pub(crate) fn in_columns(kind: &str, days: &str, times: &str) -> StatedHours {
    let parts = |text: &str| -> Vec<String> {
        text.split(';').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    let (days, times) = (parts(days), parts(times));
    if days.is_empty() || times.is_empty() {
        return read(kind);
    }
    if matches!(read(kind), StatedHours::Always) {
        return StatedHours::Always;
    }
    if days.len() != times.len() {
        return StatedHours::NotUnderstood(format!("{}; {}", days.join("; "), times.join("; ")));
    }
    let each: Vec<String> = days.iter().zip(&times).map(|(day, time)| format!("{day} {time}")).collect();
    read(&each.join(","))
}

/// Begins and ends in minutes since midnight.
type Spans = Vec<(u16, u16)>;

fn week(text: &str) -> Option<Week> {
    let text = text.replace(['\u{2013}', '\u{2014}'], "-").replace(" - ", "-").replace(" Uhr", "");
    let mut all: [Spans; 7] = Default::default();
    for rule in text.split([';', '\n']).filter(|rule| !rule.trim().is_empty()) {
        // A later rule replaces what earlier ones say of its days.
        for (known, said) in all.iter_mut().zip(of_rule(rule)?) {
            if let Some(spans) = said {
                *known = spans;
            }
        }
    }
    let mut week = Week::default();
    for (day, spans) in all.iter().enumerate() {
        spans.iter().for_each(|(begin, end)| week.add(day as u16, *begin, *end));
    }
    Some(week)
}

/// What a rule says of each day: `Mo-Fr 08:00-12:00,14:00-18:00`, `Sa,Su off`. Parts behind commas are further days or times.
fn of_rule(rule: &str) -> Option<[Option<Spans>; 7]> {
    let mut said: [Option<Spans>; 7] = Default::default();
    let (mut days, mut is_open, mut holidays) = (Vec::new(), false, false);
    for part in rule.split(',') {
        if part.trim().is_empty() {
            return None;
        }
        let mut begins = true;
        for word in part.split_whitespace().map(|word| word.trim_end_matches(':')) {
            if let Some(more) = days_of(word) {
                if begins && is_open {
                    days.clear();
                    holidays = false;
                }
                (begins, is_open) = (false, false);
                holidays |= more.is_empty();
                days.extend(more);
                continue;
            }
            let span = if CLOSED.contains(&&*plain(word)) { None } else { Some(span(word)?) };
            if days.is_empty() && !holidays {
                days.extend(0..7);
            }
            for day in &days {
                let spans = said[usize::from(*day)].get_or_insert_default();
                match span {
                    Some(span) => spans.push(span),
                    None => spans.clear(),
                }
            }
            (begins, is_open) = (false, true);
        }
    }
    if !is_open {
        for day in &days {
            said[usize::from(*day)] = Some(vec![(0, DAY_MIN)]);
        }
    }
    Some(said)
}

/// The days of a word, `Mo` or `Mo-Fr`; none for public holidays, which are not known.
fn days_of(word: &str) -> Option<Vec<u16>> {
    let known = plain(word);
    if HOLIDAYS.contains(&&*known) {
        return Some(Vec::new());
    }
    if DAILY.contains(&&*known) {
        return Some((0..7).collect());
    }
    match word.split_once('-') {
        None => Some(vec![weekday(word)?]),
        Some((first, last)) => {
            let (first, last) = (weekday(first)?, weekday(last)?);
            Some((0..=(last + 7 - first) % 7).map(|more| (first + more) % 7).collect())
        }
    }
}

fn span(word: &str) -> Option<(u16, u16)> {
    let (begin, end) = word.split_once('-')?;
    let (begin, end) = (minute_of_day(begin)?, minute_of_day(end)?);
    (begin < DAY_MIN).then_some((begin, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Open minutes of each day, from Monday on.
    fn minutes(text: &str) -> [usize; 7] {
        let week = week(text).unwrap_or_else(|| panic!("{text}"));
        std::array::from_fn(|day| {
            let begin = day as u16 * DAY_MIN;
            (begin..begin + DAY_MIN).filter(|minute| week.holds(*minute)).count()
        })
    }

    #[test]
    fn hours_have_many_spellings() {
        let check =
            |text: &str, hours: [usize; 7]| assert_eq!(minutes(text), hours.map(|h| 60 * h), "{text}");
        let work = [10, 10, 10, 10, 10, 0, 0];
        check("Mo-Fr 08:00-18:00", work);
        check("Mon-Fri 8:00 - 18:00", work);
        check("lundi-vendredi 8h-18h", work);
        check("Montag-Freitag: 8–18 Uhr", work);
        check("Mo,Tu,We,Th,Fr 08:00-18:00", work);
        check("Mo-Fr 08:00-13:00,13:00-18:00", work);
        check("Mo-Fr 08:00-18:00; Sa,Su off", work);
        check("08:00-18:00; Sa-Su closed; PH off", work);
        check("Mo-Fr,PH 08:00-18:00", work);
        // The example of IRVE's schema.
        check("Mo-Fr 08:00-12:00,Mo-Fr 14:00-18:00,Th 08:00-18:00", [8, 8, 8, 10, 8, 0, 0]);
        check("Mo-Fr 08:00-20:00; We 08:00-12:00", [12, 12, 4, 12, 12, 0, 0]);
        check("Sa-Mo 22:00-06:00", [8, 6, 0, 0, 0, 2, 8]);
        check("täglich 06:00-22:00", [16; 7]);
        check("Sa 00:00-24:00, Su", [0, 0, 0, 0, 0, 24, 24]);
        check("off", [0; 7]);
    }

    #[test]
    fn texts_that_say_always_or_nothing_or_are_not_understood() {
        let check = |text: &str, expected: StatedHours| assert_eq!(read(text), expected, "{text}");
        for text in ["24/7", "247", "24h/24 7j/7", "7j/7 24h/24", "Mo-Su 00:00-23:59", "00:00-24:00", "Mo-Su"]
        {
            check(text, StatedHours::Always);
        }
        for text in ["", " ", "Keine Angabe", "unknown"] {
            check(text, StatedHours::Unsaid);
        }
        for text in [
            "Apr-Sep Mo-Fr 08:00-18:00",
            "sunrise-sunset",
            "Mo-Fr 08:00+",
            "Di 08:00-18:00",
            "on request",
            "Mo-Fr 25:00-26:00",
            "Mo-Fr 08:60-18:00",
            "Eingeschränkt",
            "Mo-Fr 08:00-18:00,",
        ] {
            check(text, StatedHours::NotUnderstood(text.to_owned()));
        }
    }

    #[test]
    fn days_and_times_may_have_columns_of_their_own() {
        let check = |kind: &str, days: &str, times: &str, expected: StatedHours| {
            assert_eq!(in_columns(kind, days, times), expected, "{kind} {days} {times}");
        };
        check("247", "Montag; Dienstag", "00:00-23:59; 00:00-23:59", StatedHours::Always);
        check("Keine Angabe", "", "", StatedHours::Unsaid);
        check(
            "Eingeschränkt",
            "Montag; Samstag",
            "08:00-18:00; 09:00-12:00",
            read("Mo 8:00-18:00, Sa 9:00-12:00"),
        );
        check("Eingeschränkt", "", "", StatedHours::NotUnderstood("Eingeschränkt".to_owned()));
        let unequal = StatedHours::NotUnderstood("Montag; Dienstag; 08:00-18:00".to_owned());
        check("Eingeschränkt", "Montag; Dienstag", "08:00-18:00", unequal);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,30}|(Mo|Fr|Su|PH|off|[0-9:,; h-]){0,12}") {
            let _ = read(&text);
            let _ = minute_of_day(&text);
        }
    }
}

//! Which signals of a DBC file give which quantity, guessed by names and units.

mod words;

use super::dbc::{Dbc, Message, Signal};
use super::signals::{Signals, Wanted};
use super::wanted::{fits_percent, not_percent};
use crate::unit::{self, Dimension};
use crate::{Quantity, table};
use std::collections::{BTreeMap, BTreeSet};
use words::{DEVICES, PACK, is_other, says_battery, speaks_of_charging};

/// Most cells or temperatures that are guessed.
const MAX_SEVERAL: usize = 512;
/// Most candidates that are named.
const MAX_NAMED: usize = 6;

/// Guessed signals, with what stayed ambiguous.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guess {
    /// The signals.
    pub signals: Signals,
    /// Where several signals are equally likely: which, and the remedy.
    pub ambiguous: Vec<String>,
}

/// A signal with its lower-case name.
struct Candidate<'a> {
    message: &'a Message,
    signal: &'a Signal,
    name: String,
    seen: bool,
}

/// Guesses among the messages for which `seen` is true.
#[must_use]
pub fn guess(dbc: &Dbc, seen: impl Fn(&Message) -> bool) -> Guess {
    let candidates: Vec<Candidate<'_>> = dbc
        .messages
        .iter()
        .map(|message| (message, seen(message)))
        .flat_map(|(message, seen)| message.signals.iter().map(move |signal| (message, signal, seen)))
        .filter(|(_, signal, _)| !signal.multiplexed || !signal.selections.is_empty())
        .map(|(message, signal, seen)| Candidate { message, signal, name: signal.name.to_lowercase(), seen })
        .collect();
    let mut guess = Guess::default();
    for (quantity, words, context) in [
        (Quantity::PackVoltage, &["volt", "spannung", "_u", "u_"][..], &PACK[..]),
        (Quantity::PackCurrent, &["curr", "strom", "amps", "_i", "i_"], &PACK),
        (Quantity::Soc, &["soc", "stateofcharge", "state_of_charge"], &PACK),
        (Quantity::Insulation, &["insul", "isol"], &["resist"]),
    ] {
        let best = best(&candidates, quantity, words, context);
        if let [_, _, ..] = best.as_slice() {
            let names: Vec<String> = best.iter().take(MAX_NAMED).map(|c| c.full_name(dbc)).collect();
            guess.ambiguous.push(format!(
                "{quantity} can be each of {}: state which (--map {quantity}=MESSAGE.SIGNAL)",
                names.join(", ")
            ));
        }
        let mut best = best.first().copied();
        if let (Quantity::Soc, Some(candidate)) = (quantity, best)
            && !fits_percent(candidate.signal)
        {
            guess.ambiguous.push(not_percent(&candidate.full_name(dbc), candidate.signal));
            best = None;
        }
        if let (Quantity::PackVoltage | Quantity::PackCurrent, Some(candidate)) = (quantity, best) {
            let name = candidate.full_name(dbc);
            let beside = &candidate.message.signals;
            if candidate.score(context) == 0 && !beside.iter().any(|signal| says_battery(&signal.name)) {
                guess.ambiguous.push(format!(
                    "{quantity} is guessed as {name}, and no name in its message says that it is the battery's: \
                     state --map {quantity}={name} if it is"
                ));
            } else if speaks_of_charging(&candidate.signal.name) {
                guess.ambiguous.push(format!(
                    "{quantity} is guessed as {name}, whose name speaks of charging: it may be a charger's or a limit; state \
                     --map {quantity}={name} if it is the battery's"
                ));
            }
        }
        if let (Quantity::PackCurrent, Some(candidate)) = (quantity, best)
            && let Some(word) = table::names_a_discharge(&candidate.signal.name)
        {
            let name = candidate.full_name(dbc);
            guess.ambiguous.push(format!(
                "pack_current is guessed as {name}, whose name says {word:?}, and a positive current is read as a charge: \
                 state --map 'pack_current={name}*-1' where it discharges, *1 where it charges"
            ));
        }
        let wanted = best.map(|candidate| Wanted::Name(candidate.full_name(dbc)));
        if let Some(signal) = guess.signals.single(quantity) {
            *signal = wanted;
        }
    }
    guess.signals.cells = numbered(dbc, &candidates, Quantity::Cells, |name| {
        name.contains("cell")
            && !["temp", "balanc", "index", "id", "count", "avg", "diff"].iter().any(|w| name.contains(w))
    });
    guess.signals.temperatures = numbered(dbc, &candidates, Quantity::Temperatures, |name| {
        name.contains("temp")
            && !["cool", "amb", "inlet", "outlet", "motor", "inv", "lim"].iter().any(|w| name.contains(w))
    });
    guess
}

impl Candidate<'_> {
    /// `Signal`, or `Message.Signal` where the file has the name twice.
    fn full_name(&self, dbc: &Dbc) -> String {
        let same = dbc.messages.iter().flat_map(|message| &message.signals);
        if same.filter(|signal| signal.name == self.signal.name).count() > 1 {
            return format!("{}.{}", self.message.name, self.signal.name);
        }
        self.signal.name.clone()
    }

    /// Whether the signal's unit is one of the quantity.
    fn fits(&self, quantity: Quantity) -> bool {
        let unit = self.signal.unit.trim();
        let step = self.signal.factor != 1.0 && unit::states_a_step(unit);
        !step && unit::convert(quantity, unit).is_some()
    }

    fn score(&self, context: &[&str]) -> i32 {
        let count =
            |words: &[&str], text: &str| words.iter().filter(|word| text.contains(*word)).count() as i32;
        let owner = self.message.name.to_lowercase();
        // A range that reaches 60 V and more, or both signs, is a traction battery's.
        4 * count(context, &self.name) + count(context, &owner) - 2 * count(&DEVICES, &owner)
    }
}

/// The most likely signals, all of which are equally likely.
fn best<'a, 'b>(
    candidates: &'a [Candidate<'b>],
    quantity: Quantity,
    words: &[&str],
    context: &[&str],
) -> Vec<&'a Candidate<'b>> {
    let named = |candidate: &&Candidate<'_>| {
        let padded = format!("_{}_", candidate.name);
        let short = |word: &&str| match word.len() {
            2 => padded.contains(&format!("_{}_", word.trim_matches('_'))),
            _ => candidate.name.contains(*word),
        };
        candidate.seen
            && words.iter().any(short)
            && candidate.fits(quantity)
            && !is_other(&candidate.signal.name, words)
    };
    let scored: Vec<(i32, &Candidate<'_>)> =
        candidates.iter().filter(named).map(|candidate| (candidate.score(context), candidate)).collect();
    let most = scored.iter().map(|(score, _)| *score).max().unwrap_or(0);
    // Below zero it is of another device.
    scored
        .into_iter()
        .filter(|(score, _)| *score == most && *score >= 0)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// The largest group of signals whose names differ in one number only.
fn numbered(
    dbc: &Dbc,
    candidates: &[Candidate<'_>],
    quantity: Quantity,
    named: impl Fn(&str) -> bool,
) -> Vec<Wanted> {
    // A group of which one is there is wanted whole: one that is never sent is unknown, and said.
    let mut groups: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let others = |name: &str| is_other(name, &["cell", "modul", "temp"]);
    for candidate in
        candidates.iter().filter(|c| named(&c.name) && c.fits(quantity) && !others(&c.signal.name))
    {
        for (pattern, number) in patterns(&candidate.signal.name) {
            if candidate.seen {
                seen.insert(pattern.clone());
            }
            groups.entry(pattern).or_default().entry(number).or_insert_with(|| candidate.full_name(dbc));
        }
    }
    let there = groups.into_iter().filter(|(pattern, _)| seen.contains(pattern));
    let group = there.max_by_key(|(_, group)| group.len()).filter(|(_, group)| group.len() > 1);
    let Some((pattern, group)) = group else {
        return alone(dbc, candidates, quantity, named);
    };
    let first = *group.keys().next().unwrap_or(&0);
    let whole =
        first <= 1 && group.keys().enumerate().all(|(at, number)| first as usize + at == *number as usize);
    let plain = group.values().all(|name| !name.contains('.'));
    if whole && plain && dbc_has_only(dbc, &pattern, group.len()) {
        return vec![Wanted::Name(pattern)];
    }
    group.into_values().take(MAX_SEVERAL).map(Wanted::Name).collect()
}

/// Whether as many signals of the whole file fit the pattern.
fn dbc_has_only(dbc: &Dbc, pattern: &str, count: usize) -> bool {
    let signals = dbc.messages.iter().flat_map(|message| &message.signals);
    signals.filter(|signal| table::fits(pattern, &signal.name)).count() == count
}

/// One temperature of the battery, where they are not numbered.
fn alone(
    dbc: &Dbc,
    candidates: &[Candidate<'_>],
    quantity: Quantity,
    named: impl Fn(&str) -> bool,
) -> Vec<Wanted> {
    if Dimension::of(quantity) != Some(Dimension::Temperature) {
        return Vec::new();
    }
    let others = |name: &str| is_other(name, &["temp", "averag", "avg", "mean"]);
    let fits =
        candidates.iter().filter(|c| c.seen && named(&c.name) && c.fits(quantity) && !others(&c.signal.name));
    let of_pack = |c: &&Candidate<'_>| c.score(&PACK) > 0;
    fits.filter(of_pack).take(1).map(|candidate| Wanted::Name(candidate.full_name(dbc))).collect()
}

/// The name with each of its numbers replaced, as a pattern, and that number.
fn patterns(name: &str) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = name[from..].find(|c: char| c.is_ascii_digit()).map(|at| from + at) {
        let end = name[start..].find(|c: char| !c.is_ascii_digit()).map_or(name.len(), |at| start + at);
        let digits = &name[start..end];
        if let Ok(number) = digits.parse() {
            let (before, after) = (&name[..start], &name[end..]);
            if digits.len() == 1 || !digits.starts_with('0') {
                found.push((format!("{before}{{}}{after}"), number));
            }
            if digits.len() > 1 {
                found.push((format!("{before}{{:0{}}}{after}", digits.len()), number));
            }
        }
        from = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dbc(signals: &str) -> Dbc {
        let text = format!("VERSION \"\"\n\nBU_: A\n\nBO_ 256 Battery: 8 A\n{signals}");
        Dbc::parse(text.as_bytes(), "a.dbc").expect("a DBC file")
    }

    fn names(wanted: &[Wanted]) -> Vec<String> {
        wanted.iter().map(|wanted| wanted.corrected().signal).collect()
    }

    #[test]
    fn by_names_and_units() {
        let dbc = dbc(" SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
             SG_ MaxCellVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
             SG_ PackCurrent : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n \
             SG_ PackCurrentLimit : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n \
             SG_ SOC : 32|8@1+ (0.5,0) [0|100] \"%\" A\n \
             SG_ Cell01 : 0|16@1+ (1,0) [0|5000] \"mV\" A\n \
             SG_ Cell02 : 16|16@1+ (1,0) [0|5000] \"mV\" A\n \
             SG_ BattTemp : 40|8@1+ (1,-40) [-40|100] \"degC\" A\n");
        let Guess { signals, ambiguous } = guess(&dbc, |_| true);
        let name = |wanted: &Option<Wanted>| wanted.as_ref().map(|wanted| wanted.corrected().signal);
        assert_eq!(name(&signals.voltage).as_deref(), Some("PackVoltage"));
        assert_eq!(name(&signals.current).as_deref(), Some("PackCurrent"));
        assert_eq!(name(&signals.soc).as_deref(), Some("SOC"));
        assert_eq!(names(&signals.cells), ["Cell{:02}"]);
        assert_eq!(names(&signals.temperatures), ["BattTemp"]);
        assert_eq!(ambiguous, Vec::<String>::new());
        assert_eq!(guess(&dbc, |_| false), Guess::default());
    }

    #[test]
    fn what_is_equally_likely_is_said() {
        let dbc = dbc(" SG_ PackVoltageA : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
             SG_ PackVoltageB : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
             SG_ PackPower : 0|16@1+ (0.1,0) [0|1000] \"kW\" A\n");
        let ambiguous = guess(&dbc, |_| true).ambiguous;
        assert!(ambiguous.len() == 1 && ambiguous[0].contains("PackVoltageB"), "{ambiguous:?}");
    }
}

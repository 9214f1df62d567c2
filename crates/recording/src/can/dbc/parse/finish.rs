//! Statements of a DBC file about messages and signals that stand elsewhere in it.

use super::super::decode::cause_of_word;
use super::super::{Number, Selection, Signal};
use super::attributes::whole;
use super::{INDEPENDENT, MAX_WARNINGS, Multiplexed, Reader};
use std::collections::HashMap;

/// Source address that stands for none (SAE J1939-81): identifiers of groups are written with it.
const NULL_ADDRESS: u32 = 0xfe;
/// The word of a raw number of which an attribute says that it is no value.
const INVALID: &str = "invalid";

impl Reader {
    pub(super) fn finish(&mut self) {
        self.select();
        self.name_invalid();
        let default = |name: &str| self.attributes.get(name).and_then(|a| a.default.clone());
        let (format, cycle) = (default("VFrameFormat"), default("GenMsgCycleTime"));
        let protocol = self.protocol.take().or_else(|| default("ProtocolType"));
        let is_j1939 = protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("J1939"));
        let words = self.attributes.get("VFrameFormat").map(|a| a.words.as_slice()).unwrap_or_default();
        for (message, key) in self.dbc.messages.iter_mut().zip(&self.keys) {
            let own = self.frame_formats.get(key);
            let word = |f: &String| f.parse::<usize>().ok().and_then(|i| words.get(i)).unwrap_or(f).clone();
            // A bus of J1939 whose messages state no format of their own; and the null address, which nobody sends from.
            let is_of_bus = own.is_none() && is_j1939;
            let is_any = format.is_none() && own.is_none() && message.id & 0xff == NULL_ADDRESS;
            let is_group = own.or(format.as_ref()).is_some_and(|f| word(f) == "J1939PG");
            message.j1939 = message.extended && (is_group || is_of_bus || is_any);
            let cycle = self.cycles.get(key).copied().or_else(|| cycle.as_ref()?.parse().ok());
            message.cycle_ms = cycle.filter(|ms| *ms > 0.0 && ms.is_finite());
        }
        for (key, signal, long) in std::mem::take(&mut self.long_names) {
            let Some(message) = self.by_key.get(&key).map(|m| &mut self.dbc.messages[*m]) else { continue };
            match signal {
                None => message.name = long,
                Some(name) => {
                    if let Some(signal) = message.signals.iter_mut().find(|s| s.name == name) {
                        signal.name = long;
                    }
                }
            }
        }
        let mut keys = std::mem::take(&mut self.keys).into_iter();
        self.dbc.messages.retain(|_| keys.next() != Some(INDEPENDENT));
    }

    /// Gives the raw numbers that `GenSigInvalidValue` states a word of their own. The attribute's default, which is 0 for
    /// signals that have no such number too, states nothing.
    fn name_invalid(&mut self) {
        let default = self.attributes.get("GenSigInvalidValue").and_then(|a| whole(a.default.as_deref()?));
        for (key, name, raw) in std::mem::take(&mut self.invalid) {
            let Some(message) = self.by_key.get(&key).map(|m| &mut self.dbc.messages[*m]) else { continue };
            let signal = message.signals.iter_mut().find(|signal| signal.name == name);
            let Some(signal) = signal.filter(|_| default != Some(raw)) else { continue };
            // Of a signed signal the number may be written by its bits.
            let half = 1_i64.checked_shl(signal.size as u32 - 1).filter(|half| *half > 0);
            let by_its_bits =
                half.filter(|half| signal.number == Number::Signed && (*half..2 * half).contains(&raw));
            let raw = by_its_bits.map_or(raw, |half| raw - 2 * half);
            let word = signal.values.entry(raw).or_insert_with(|| INVALID.to_owned());
            if cause_of_word(word).is_none() {
                INVALID.clone_into(word);
            }
        }
    }

    /// Finds the selectors: those that `SG_MUL_VAL_` names, else the only one of the message.
    fn select(&mut self) {
        let mut explicit: HashMap<(usize, usize), Vec<Selection>> = HashMap::new();
        for Multiplexed { id, name, selector, ranges } in std::mem::take(&mut self.multiplexed) {
            let Some(message) = self.by_key.get(&id) else { continue };
            let signals = &self.dbc.messages[*message].signals;
            let find = |name: &str| signals.iter().position(|s| s.name == name);
            if let (Some(signal), Some(selector)) = (find(&name), find(&selector)) {
                explicit.entry((*message, signal)).or_default().push(Selection { selector, ranges });
            }
        }
        let simple = std::mem::take(&mut self.simple);
        let known: Vec<bool> = simple.iter().map(|(m, s, _)| explicit.contains_key(&(*m, *s))).collect();
        // A selector may be selected by these statements only.
        for ((message, signal), selections) in explicit {
            let signal = &mut self.dbc.messages[message].signals[signal];
            (signal.multiplexed, signal.selections) = (true, selections);
        }
        for ((message, signal, value), known) in simple.into_iter().zip(known) {
            if known {
                continue;
            }
            let message = &mut self.dbc.messages[message];
            let plain = |s: &Signal| s.selects && !s.multiplexed;
            let mut selectors = (0..message.signals.len()).filter(|i| plain(&message.signals[*i]));
            match (selectors.next(), selectors.next()) {
                (Some(selector), None) => {
                    message.signals[signal]
                        .selections
                        .push(Selection { selector, ranges: vec![(value, value)] });
                }
                (found, _) => {
                    let why = if found.is_some() { "more than one multiplexer" } else { "no multiplexer" };
                    let text = format!(
                        "{}.{} is never read: its message has {why}",
                        message.name, message.signals[signal].name
                    );
                    if self.dbc.warnings.len() < MAX_WARNINGS {
                        self.dbc.warnings.push(text);
                    }
                }
            }
        }
    }
}

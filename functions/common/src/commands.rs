//! Commands that a function wants to be in force: renewed before they expire, left to expire when nobody wants them any more,
//! and not repeated at once when the vehicle refuses them.

use crate::outputs::Outputs;
use crate::state::{Reader, Writer};
use crate::types::{Action, Applied, Feedback, Severity};

/// First wait in ms after a refusal; each further one in a row doubles it.
const FIRST_WAIT_MS: u64 = 30_000;

/// Doublings of the wait at most: 30 s · 2⁵ = 16 min.
const MOST_DOUBLINGS: u32 = 5;

/// Least time in ms between two commands of a kind of which the later asks for less.
const LOOSEN_MS: u64 = 5_000;

/// Least time in ms between any two commands of a kind.
const TIGHTEN_MS: u64 = 1_000;

/// Relative change of a value from which on it is told.
const CHANGE: f64 = 0.02;

/// Commands without an answer that are remembered.
const UNANSWERED: usize = 16;

/// What a function wants of one kind of action.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// What to do.
    pub action: Action,
    /// Why, for people.
    pub reason: String,
}

/// One kind of action of a function.
#[derive(Debug, Clone, PartialEq)]
struct Slot {
    kind: u8,
    /// Lower values are the stricter ones.
    lower_is_stricter: bool,
    valid_ms: u32,
    wanted: Option<Wanted>,
    sent: Option<(Action, u64)>,
    refusals: u32,
    wait_until_ms: u64,
}

/// Commands of a function, one at a time of each kind of action.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Commands {
    slots: Vec<Slot>,
    /// Kinds of commands that no feedback has come for yet, with the count of the command, in order.
    unanswered: Vec<(u64, u8)>,
    sent: u64,
    /// The host's number of a command less its count here, once known.
    offset: Option<i128>,
}

fn kind_of(action: &Action) -> u8 {
    match action {
        Action::ChargeLimitA(_) => 0,
        Action::DischargeLimitA(_) => 1,
        Action::TargetTemperatureC(_) => 2,
        Action::Balance(_) => 3,
        Action::SamplingRateHz(_) => 4,
        Action::Derate(_) => 5,
        Action::StopCharging => 6,
    }
}

fn value_of(action: &Action) -> f64 {
    match action {
        Action::ChargeLimitA(value)
        | Action::DischargeLimitA(value)
        | Action::TargetTemperatureC(value)
        | Action::SamplingRateHz(value)
        | Action::Derate(value) => *value,
        Action::Balance(_) | Action::StopCharging => 0.0,
    }
}

/// Whether two actions of a kind differ by so much that the vehicle is told.
fn differs(one: &Action, other: &Action) -> bool {
    match (one, other) {
        (Action::Balance(one), Action::Balance(other)) => one != other,
        _ => {
            let (one, other) = (value_of(one), value_of(other));
            (one - other).abs() > CHANGE * one.abs().max(other.abs()).max(1e-9)
        }
    }
}

fn name_of(kind: u8) -> &'static str {
    [
        "charge-limit",
        "discharge-limit",
        "target-temperature",
        "balance",
        "sampling-rate",
        "derate",
        "stop-charging",
    ]
    .get(usize::from(kind))
    .copied()
    .unwrap_or("unknown")
}

impl Commands {
    /// Sets what is wanted of a kind of action, valid for so many ms each time; the action that is wanted replaces the former.
    pub fn want(&mut self, valid_ms: u32, action: Action, reason: String) {
        let kind = kind_of(&action);
        let wanted = Some(Wanted { action, reason });
        match self.slots.iter_mut().find(|slot| slot.kind == kind) {
            Some(slot) => (slot.wanted, slot.valid_ms) = (wanted, valid_ms),
            None => {
                // In the order of kinds, so that a state that was handed over says things in the same order.
                let at = self.slots.partition_point(|slot| slot.kind < kind);
                let slot = Slot {
                    kind,
                    lower_is_stricter: matches!(kind, 0 | 1 | 5),
                    valid_ms,
                    wanted,
                    sent: None,
                    refusals: 0,
                    wait_until_ms: 0,
                };
                self.slots.insert(at, slot);
            }
        }
    }

    /// Nothing is wanted any more of the kind of this action: what is in force expires.
    pub fn release(&mut self, like: &Action) {
        let kind = kind_of(like);
        self.slots.iter_mut().filter(|slot| slot.kind == kind).for_each(|slot| slot.wanted = None);
    }

    /// Nothing is wanted any more at all.
    pub fn release_all(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.wanted = None);
    }

    /// Whether something of the kind of this action is wanted.
    #[must_use]
    pub fn wants(&self, like: &Action) -> bool {
        let kind = kind_of(like);
        self.slots.iter().any(|slot| slot.kind == kind && slot.wanted.is_some())
    }

    /// Sends what is due: what is new, what changed, and what would expire before half of its time is over.
    pub fn send(&mut self, now_ms: u64, outputs: &mut Outputs) {
        for slot in &mut self.slots {
            let Some(wanted) = &slot.wanted else {
                if slot
                    .sent
                    .as_ref()
                    .is_some_and(|(_, at)| now_ms >= at.saturating_add(u64::from(slot.valid_ms)))
                {
                    slot.sent = None;
                }
                continue;
            };
            if now_ms < slot.wait_until_ms {
                continue;
            }
            let due = match &slot.sent {
                None => true,
                Some((sent, at_ms)) => {
                    let age_ms = now_ms.saturating_sub(*at_ms);
                    let (new, old) = (value_of(&wanted.action), value_of(sent));
                    let stricter = slot.lower_is_stricter && new < old;
                    let patience = if stricter { TIGHTEN_MS } else { LOOSEN_MS };
                    // A clock that went back says nothing about the age: the vehicle is told again.
                    now_ms < *at_ms
                        || age_ms >= u64::from(slot.valid_ms) / 2
                        || (age_ms >= patience && differs(&wanted.action, sent))
                }
            };
            if due {
                outputs.command(wanted.action.clone(), slot.valid_ms, wanted.reason.clone());
                slot.sent = Some((wanted.action.clone(), now_ms));
                if self.unanswered.len() == UNANSWERED {
                    self.unanswered.remove(0);
                }
                self.unanswered.push((self.sent, slot.kind));
                self.sent += 1;
            }
        }
    }

    /// Takes what a vehicle said of a command. An event says what it refuses, once in a row.
    pub fn feedback(&mut self, now_ms: u64, feedback: &Feedback, outputs: &mut Outputs) {
        match feedback {
            Feedback::Applied(applied) => {
                for kind in self.kinds_of(applied.number) {
                    self.answered(now_ms, kind, applied, outputs);
                }
            }
            // Of what is in force a later one took its place, or it is wanted no more: what is due is sent in its time.
            Feedback::Expired(_) | Feedback::Condition(_) => {}
        }
    }

    fn answered(&mut self, now_ms: u64, kind: u8, applied: &Applied, outputs: &mut Outputs) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.kind == kind) else { return };
        let Some(reason) = &applied.refused else {
            slot.refusals = 0;
            return;
        };
        let wait_ms = FIRST_WAIT_MS << slot.refusals.min(MOST_DOUBLINGS);
        if slot.refusals == 0 {
            let reason: String = reason.chars().take(120).collect();
            let text = format!("The vehicle refuses {}: {reason}.", name_of(kind));
            outputs.event("command-refused", Severity::Warning, text, &[("wait_s", wait_ms as f64 / 1e3)]);
        }
        slot.refusals = slot.refusals.saturating_add(1);
        slot.wait_until_ms = now_ms.saturating_add(wait_ms);
        slot.sent = None;
    }

    /// Kinds that a number can be of. The host numbers commands in their order but does not tell a function the numbers: the
    /// first answer to a lone command tells by how much they differ from our own count. Where that is not known, all kinds
    /// without an answer are meant: a refusal then holds back more than it must, never less.
    fn kinds_of(&mut self, number: u64) -> Vec<u8> {
        if let Some(offset) = self.offset {
            let count = i128::from(number) - offset;
            if let Some(at) = self.unanswered.iter().position(|(own, _)| i128::from(*own) == count) {
                return vec![self.unanswered.remove(at).1];
            }
            // An answer twice, or the numbers of another lease.
            if self.unanswered.is_empty() {
                return Vec::new();
            }
            self.offset = None;
        }
        if let [(own, kind)] = self.unanswered[..] {
            self.offset = Some(i128::from(number) - i128::from(own));
            self.unanswered.clear();
            return vec![kind];
        }
        let mut kinds: Vec<u8> = self.unanswered.iter().map(|(_, kind)| *kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if let [kind] = kinds[..] {
            self.unanswered.remove(0);
            return vec![kind];
        }
        self.unanswered.clear();
        kinds
    }

    /// Writes what must not be forgotten: what was asked and when, and what is held back. What is wanted is decided anew.
    pub fn save(&self, writer: &mut Writer) {
        let kept = |slot: &&Slot| slot.sent.is_some() || slot.refusals > 0;
        let slots: Vec<&Slot> = self.slots.iter().filter(kept).collect();
        writer.list(&slots, |writer, slot| {
            writer.u64(u64::from(slot.kind));
            writer.u64(u64::from(slot.valid_ms));
            writer.u64(u64::from(slot.refusals));
            writer.u64(slot.wait_until_ms);
            writer.bool(slot.sent.is_some());
            if let Some((action, at_ms)) = &slot.sent {
                writer.u64(*at_ms);
                writer.f64(value_of(action));
                let groups = if let Action::Balance(groups) = action { &groups[..] } else { &[] };
                writer.list(groups, |writer, group| writer.u64(u64::from(*group)));
            }
        });
    }

    /// Reads it. Numbers of commands begin anew with a lease, so none is waited for.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let narrow =
            |value: u64| u32::try_from(value).map_err(|_| format!("state: {value} is beyond 32 bits"));
        let slots = reader.list(|reader| {
            let kind = reader.u64()?;
            let valid_ms = narrow(reader.u64()?)?;
            let refusals = narrow(reader.u64()?)?;
            let wait_until_ms = reader.u64()?;
            let sent = match reader.bool()? {
                false => None,
                true => {
                    let at_ms = reader.u64()?;
                    let value = reader.f64()?;
                    let groups = reader.list(|reader| {
                        let group = reader.u64()?;
                        u16::try_from(group).map_err(|_| format!("state: group {group} is beyond 16 bits"))
                    })?;
                    let action = match kind {
                        0 => Action::ChargeLimitA(value),
                        1 => Action::DischargeLimitA(value),
                        2 => Action::TargetTemperatureC(value),
                        3 => Action::Balance(groups),
                        4 => Action::SamplingRateHz(value),
                        5 => Action::Derate(value),
                        6 => Action::StopCharging,
                        _ => return Err(format!("state: {kind} is no kind of action")),
                    };
                    Some((action, at_ms))
                }
            };
            let kind = u8::try_from(kind).ok().filter(|kind| *kind <= 6).ok_or("state: no kind of action")?;
            let lower_is_stricter = matches!(kind, 0 | 1 | 5);
            Ok(Slot { kind, lower_is_stricter, valid_ms, wanted: None, sent, refusals, wait_until_ms })
        })?;
        if slots.windows(2).any(|pair: &[Slot]| pair[0].kind >= pair[1].kind) {
            return Err("state: kinds of commands do not ascend".to_owned());
        }
        Ok(Self { slots, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Output;

    const VALID_MS: u32 = 30_000;

    fn sent(commands: &mut Commands, now_ms: u64) -> usize {
        let mut outputs = Outputs::default();
        commands.send(now_ms, &mut outputs);
        outputs.finish().len()
    }

    fn refuse(commands: &mut Commands, now_ms: u64, number: u64) -> Vec<Output> {
        let mut outputs = Outputs::default();
        let applied = Applied { number, refused: Some("no".to_owned()), value: None };
        commands.feedback(now_ms, &Feedback::Applied(applied), &mut outputs);
        outputs.finish()
    }

    #[test]
    fn a_command_is_renewed_before_it_expires_and_left_to_expire() {
        let mut commands = Commands::default();
        commands.want(VALID_MS, Action::Derate(0.5), String::new());
        let times: Vec<u64> =
            (0..60).map(|s| s * 1_000).filter(|now| sent(&mut commands, *now) == 1).collect();
        assert_eq!(times, [0, 15_000, 30_000, 45_000]);
        commands.release(&Action::Derate(1.0));
        assert!((60..200).all(|s| sent(&mut commands, s * 1_000) == 0));
    }

    #[test]
    fn a_stricter_value_goes_out_at_once_and_a_looser_one_waits() {
        let mut commands = Commands::default();
        commands.want(VALID_MS, Action::ChargeLimitA(50.0), String::new());
        assert_eq!(sent(&mut commands, 0), 1);
        commands.want(VALID_MS, Action::ChargeLimitA(40.0), String::new());
        assert_eq!(sent(&mut commands, 1_000), 1);
        commands.want(VALID_MS, Action::ChargeLimitA(45.0), String::new());
        assert_eq!([2, 3, 4, 5, 6].map(|s| sent(&mut commands, s * 1_000)), [0, 0, 0, 0, 1]);
        commands.want(VALID_MS, Action::ChargeLimitA(45.1), String::new());
        assert_eq!(sent(&mut commands, 12_000), 0);
    }

    #[test]
    fn what_is_refused_is_not_repeated_at_once() {
        let mut commands = Commands::default();
        commands.want(VALID_MS, Action::StopCharging, String::new());
        assert_eq!(sent(&mut commands, 0), 1);
        assert_eq!(refuse(&mut commands, 500, 700).len(), 1);
        assert!((1..30).all(|s| sent(&mut commands, s * 1_000) == 0));
        assert_eq!(sent(&mut commands, 30_500), 1);
        // The second in a row is not said again, and is waited for twice as long.
        assert_eq!(refuse(&mut commands, 31_000, 701).len(), 0);
        assert!((31..91).all(|s| sent(&mut commands, s * 1_000) == 0));
        assert_eq!(sent(&mut commands, 91_000), 1);
    }

    #[test]
    fn an_answer_is_of_the_command_with_its_number() {
        let mut commands = Commands::default();
        commands.want(VALID_MS, Action::ChargeLimitA(5.0), String::new());
        assert_eq!(sent(&mut commands, 0), 1);
        let applied = Applied { number: 41, refused: None, value: Some(5.0) };
        commands.feedback(1, &Feedback::Applied(applied), &mut Outputs::default());
        commands.want(VALID_MS, Action::StopCharging, String::new());
        commands.want(VALID_MS, Action::ChargeLimitA(4.0), String::new());
        assert_eq!(sent(&mut commands, 1_000), 2);
        // 42 is the charge limit, whose slot stands first; 43 is the stop.
        refuse(&mut commands, 1_500, 43);
        commands.want(VALID_MS, Action::ChargeLimitA(3.0), String::new());
        assert_eq!(sent(&mut commands, 3_000), 1);
    }

    #[test]
    fn a_state_comes_back() {
        let mut commands = Commands::default();
        commands.want(VALID_MS, Action::Balance(vec![1, 5]), String::new());
        commands.want(VALID_MS, Action::StopCharging, String::new());
        sent(&mut commands, 9);
        refuse(&mut commands, 10, 0);
        let mut writer = Writer::default();
        commands.save(&mut writer);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        let back = Commands::restore(&mut reader).expect("readable");
        reader.finish().expect("all read");
        let mut writer = Writer::default();
        back.save(&mut writer);
        assert_eq!(writer.finish(), bytes);
        for end in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..end]);
            assert!(Commands::restore(&mut reader).and_then(|_| reader.finish()).is_err(), "{end}");
        }
    }
}

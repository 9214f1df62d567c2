//! Rule files as they are written, and what is wrong with them: each finding with its line.

use super::rule::{
    CONFIDENCE, Error, MAX_RULES, MAX_RULES_BYTES, MAX_SHOWN, Rule, Trigger, While, normal_quantile,
};
use crate::quantity::Sensors;
use crate::written::{self, line};
use crate::{Condition, Quantity};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use voltmesh_battery::Chemistry;
use voltmesh_battery::watch::{Kind, Stage};

/// A rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    version: Spanned<u64>,
    sensors: Spanned<Sensors>,
    #[serde(default)]
    rule: Vec<Spanned<Written>>,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Spanned<String>,
    condition: Condition,
    stage: Stage,
    #[serde(default)]
    chemistries: Vec<Chemistry>,
    quantity: Option<Spanned<Quantity>>,
    above: Option<Spanned<f64>>,
    below: Option<Spanned<f64>>,
    clear: Option<Spanned<f64>>,
    found: Option<Spanned<Kind>>,
    least: Option<Stage>,
    #[serde(rename = "while")]
    while_: Option<While>,
    confidence: Option<Spanned<f64>>,
    shown: Option<Spanned<(u8, u8)>>,
}

impl File {
    /// Reads a file; its size is checked first.
    pub fn read(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_RULES_BYTES {
            return Err(Error::TooLarge(text.len()));
        }
        let file: Self = written::parse(text).map_err(|(line, reason)| Error::Syntax { line, reason })?;
        let wrong = |at: usize, reason: String| Err(Error::Syntax { line: line(text, at), reason });
        if *file.version.get_ref() != 1 {
            return wrong(file.version.span().start, "only version 1 is known".to_owned());
        }
        if file.rule.len() > MAX_RULES {
            let at = file.rule[MAX_RULES].span().start;
            return wrong(at, format!("this is rule {}; at most {MAX_RULES} are allowed", MAX_RULES + 1));
        }
        Ok(file)
    }

    /// The sensors' standard deviations, each a number that is not negative.
    pub fn sensors(&self, text: &str) -> Result<Sensors, Error> {
        let sensors = *self.sensors.get_ref();
        let all = [sensors.voltage_v, sensors.temperature_c, sensors.current_a];
        if all.iter().all(|sd| sd.is_finite() && *sd >= 0.0) {
            return Ok(sensors);
        }
        let reason = "each standard deviation of [sensors] is a number from 0 on".to_owned();
        Err(Error::Syntax { line: line(text, self.sensors.span().start), reason })
    }

    /// The rules, each checked by itself and against those before it.
    pub fn rules(&self, text: &str) -> Result<Vec<Rule>, Error> {
        let mut rules: Vec<(Rule, usize)> = Vec::with_capacity(self.rule.len());
        let mut names = BTreeMap::new();
        for written in &self.rule {
            let at = line(text, written.get_ref().name.span().start);
            let rule = written.get_ref().rule(text)?;
            let wrong = |reason: String| Error::Rule { line: at, rule: rule.name.clone(), reason };
            if let Some(first) = names.insert(rule.name.clone(), at) {
                return Err(wrong(format!("line {first} has a rule of this name; give it another")));
            }
            for (other, other_at) in &rules {
                if let Some(reason) = contradiction(&rule, other) {
                    return Err(wrong(format!(
                        "contradicts rule `{}` in line {other_at}: {reason}",
                        other.name
                    )));
                }
            }
            rules.push((rule, at));
        }
        Ok(rules.into_iter().map(|(rule, _)| rule).collect())
    }
}

impl Written {
    fn rule(&self, text: &str) -> Result<Rule, Error> {
        let name = self.name.get_ref().clone();
        let wrong = |at: usize, reason: &str| {
            Err(Error::Rule { line: line(text, at), rule: name.clone(), reason: reason.to_owned() })
        };
        let here = self.name.span().start;
        if name.is_empty() || name.len() > 64 {
            return wrong(here, "a name has 1 to 64 bytes");
        }
        let confidence = self.confidence.as_ref().map_or(CONFIDENCE, |written| *written.get_ref());
        if !(0.5..1.0).contains(&confidence) {
            return wrong(
                self.confidence.as_ref().map_or(here, |c| c.span().start),
                "confidence is 0.5 or more, and below 1",
            );
        }
        let shown = self.shown.as_ref().map_or((1, 1), |written| *written.get_ref());
        if !(1 <= shown.0 && shown.0 <= shown.1 && shown.1 <= MAX_SHOWN) {
            let at = self.shown.as_ref().map_or(here, |shown| shown.span().start);
            return wrong(at, "shown is [n, m]: n of the last m summaries, 1 <= n <= m <= 64");
        }
        let trigger = match (&self.quantity, &self.above, &self.below, &self.found) {
            (None, None, None, Some(kind)) => {
                if let Some(clear) = &self.clear {
                    return wrong(clear.span().start, "a finding has no limit to clear");
                }
                Trigger::Found { kind: *kind.get_ref(), least: self.least.unwrap_or(Stage::Information) }
            }
            (Some(_), ..) if self.least.is_some() => return wrong(here, "`least` goes with `found`"),
            (Some(quantity), Some(limit), None, None) => {
                self.limit(text, *quantity.get_ref(), limit, |quantity, limit, clear| Trigger::Above {
                    quantity,
                    limit,
                    clear,
                })?
            }
            (Some(quantity), None, Some(limit), None) => {
                self.limit(text, *quantity.get_ref(), limit, |quantity, limit, clear| Trigger::Below {
                    quantity,
                    limit,
                    clear,
                })?
            }
            _ => return wrong(here, "wants `quantity` with either `above` or `below`, or `found` alone"),
        };
        if let Trigger::Below { quantity: Quantity::SilenceWhileCharging, .. } = trigger {
            return wrong(here, "silence counts from a limit on: use `above`");
        }
        Ok(Rule {
            name,
            condition: self.condition,
            stage: self.stage,
            chemistries: self.chemistries.clone(),
            trigger,
            while_: self.while_,
            confidence,
            sure: normal_quantile(confidence),
            shown,
        })
    }

    /// A limit with the side on which it clears.
    fn limit(
        &self,
        text: &str,
        quantity: Quantity,
        limit: &Spanned<f64>,
        of: impl Fn(Quantity, f64, f64) -> Trigger,
    ) -> Result<Trigger, Error> {
        let wrong = |at: usize, reason: String| {
            Err(Error::Rule { line: line(text, at), rule: self.name.get_ref().clone(), reason })
        };
        let value = *limit.get_ref();
        let clear = self.clear.as_ref().map_or(value, |clear| *clear.get_ref());
        let at_clear = self.clear.as_ref().map_or(limit.span().start, |clear| clear.span().start);
        let (least, most) = quantity.sensible();
        for (at, number) in [(limit.span().start, value), (at_clear, clear)] {
            if !(least..=most).contains(&number) {
                return wrong(
                    at,
                    format!(
                        "{number} is outside {least}..{most} {}, the range of {quantity}",
                        quantity.unit()
                    ),
                );
            }
        }
        let trigger = of(quantity, value, clear);
        match trigger {
            Trigger::Above { .. } if clear > value => wrong(
                at_clear,
                format!("it begins above {value} and would end below {clear}: `clear` is at most {value}"),
            ),
            Trigger::Below { .. } if clear < value => wrong(
                at_clear,
                format!("it begins below {value} and would end above {clear}: `clear` is at least {value}"),
            ),
            _ => Ok(trigger),
        }
    }
}

/// Why two rules cannot both be meant: the more urgent of two that compare the same must not begin earlier.
fn contradiction(one: &Rule, other: &Rule) -> Option<String> {
    let share = one.chemistries.is_empty()
        || other.chemistries.is_empty()
        || one.chemistries.iter().any(|chemistry| other.chemistries.contains(chemistry));
    if one.condition != other.condition || one.while_ != other.while_ || !share {
        return None;
    }
    let (mild, urgent) = if one.stage <= other.stage { (one, other) } else { (other, one) };
    let earlier = match (mild.trigger, urgent.trigger) {
        (
            Trigger::Above { quantity: a, limit: mild, .. },
            Trigger::Above { quantity: b, limit: urgent, .. },
        ) if a == b => urgent < mild,
        (
            Trigger::Below { quantity: a, limit: mild, .. },
            Trigger::Below { quantity: b, limit: urgent, .. },
        ) if a == b => urgent > mild,
        (Trigger::Above { quantity: a, limit: high, .. }, Trigger::Below { quantity: b, limit: low, .. })
        | (Trigger::Below { quantity: b, limit: low, .. }, Trigger::Above { quantity: a, limit: high, .. })
            if a == b =>
        {
            return (low > high).then(|| format!("every value of {a} is above {high} or below {low}"));
        }
        _ => return None,
    };
    if one.stage == other.stage {
        let same =
            one.trigger == other.trigger && one.shown == other.shown && one.confidence == other.confidence;
        return same.then(|| "both say the same".to_owned());
    }
    earlier.then(|| format!("stage {:?} would begin before {:?}", urgent.stage, mild.stage).to_lowercase())
}

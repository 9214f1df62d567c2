//! Rules: from which limits on a vehicle is in a condition. One TOML file, checked before it counts.

mod check;
mod rule;

pub use rule::{Error, MAX_RULES, MAX_RULES_BYTES, MAX_SHOWN, Rule, Trigger, While};

pub use crate::quantity::Sensors;

/// The rules that are shipped, in TOML with the source of each limit.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Rules, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Standard deviations of sensors.
    pub sensors: Sensors,
    rules: Vec<Rule>,
}

impl Default for Rules {
    /// The rules that are shipped.
    fn default() -> Self {
        Self::parse(DEFAULTS).expect("a test parses the rules that are shipped")
    }
}

impl Rules {
    /// Reads and checks rules.
    ///
    /// # Errors
    /// [`Error`], which names line, rule and remedy.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file = check::File::read(text)?;
        let rules = file.rules(text)?;
        Ok(Self { sensors: file.sensors(text)?, rules })
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }
}

#[cfg(test)]
mod tests;

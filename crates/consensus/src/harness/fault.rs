//! What goes wrong during a measurement.

use std::{fmt, str::FromStr};

/// Written as on the command line: `none`, `crash:F`, `slow:K`, `equivocate:1`, `partition`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// So many nodes end before the warm-up and do not return.
    Crash(usize),
    /// So many nodes answer at the edge of time: all they send is under way for three quarters of a leader's time.
    Slow(usize),
    /// One node votes for what it sees and for something else, and leads two halves of the others apart.
    Equivocate,
    /// Two halves do not reach each other for the middle third of the measurement.
    Partition,
}

impl Fault {
    /// How many nodes are at fault.
    pub fn faulty(self) -> usize {
        match self {
            Self::None | Self::Partition => 0,
            Self::Crash(nodes) | Self::Slow(nodes) => nodes,
            Self::Equivocate => 1,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Crash(nodes) => write!(f, "crash:{nodes}"),
            Self::Slow(nodes) => write!(f, "slow:{nodes}"),
            Self::Equivocate => write!(f, "equivocate:1"),
            Self::Partition => write!(f, "partition"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a fault; write none, crash:F, slow:K, equivocate:1 or partition");
        let (kind, count) = match text.split_once(':') {
            Some((kind, count)) => (kind, Some(count.parse::<usize>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        match (kind, count) {
            ("none", None) => Ok(Self::None),
            ("partition", None) => Ok(Self::Partition),
            ("crash", Some(nodes)) if nodes > 0 => Ok(Self::Crash(nodes)),
            ("slow", Some(nodes)) if nodes > 0 => Ok(Self::Slow(nodes)),
            ("equivocate", Some(1)) => Ok(Self::Equivocate),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        for text in ["none", "crash:6", "slow:2", "equivocate:1", "partition"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in ["", "crash", "crash:0", "crash:x", "equivocate:2", "partition:1", "burn:1"] {
            assert!(text.parse::<Fault>().unwrap_err().contains("partition"), "{text}");
        }
    }
}

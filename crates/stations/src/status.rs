//! The names a network gives its statuses, learnt from its history, and what each of them means to a driver.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::words::{self, plain};

/// Meaning of a status to somebody who wants to charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// A plug is free.
    Free,
    /// Some of several plugs are taken, one is still free.
    PartlyFree,
    /// In use, or kept for somebody else.
    Busy,
    /// Cannot charge until somebody repairs, installs or unblocks it.
    OutOfOrder,
    /// Nobody knows: out of contact, or too old to be believed.
    Unknown,
}

impl Meaning {
    /// Whether one can plug in.
    pub fn usable(self) -> bool {
        matches!(self, Self::Free | Self::PartlyFree)
    }

    /// What the usual names mean, in the vocabularies of [`crate::words`]. `None` for any other name: it is not understood.
    pub fn of_usual_name(name: &str) -> Option<Self> {
        words::meaning(name)
    }

    /// What a name means: as a mapping says, or as is usual. `None` where neither knows it.
    pub fn of_name(name: &str, mapping: &Mapping) -> Option<Self> {
        mapped(name, mapping).or_else(|| Self::of_usual_name(name))
    }
}

/// What a mapping says of a name, whatever its case and separators.
fn mapped(name: &str, mapping: &Mapping) -> Option<Meaning> {
    if mapping.is_empty() {
        return None;
    }
    mapping.get(name).copied().or_else(|| {
        let plain = plain(name);
        mapping
            .iter()
            .find(|(known, _)| words::plain(known) == plain && !plain.is_empty())
            .map(|(_, meaning)| *meaning)
    })
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::PartlyFree => "partly-free",
            Self::Busy => "busy",
            Self::OutOfOrder => "out-of-order",
            Self::Unknown => "unknown",
        })
    }
}

impl FromStr for Meaning {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        Ok(match given {
            "free" => Self::Free,
            "partly-free" => Self::PartlyFree,
            "busy" => Self::Busy,
            "out-of-order" => Self::OutOfOrder,
            "unknown" => Self::Unknown,
            _ => return Err(Error::Meaning { given: crate::error::cut(given) }),
        })
    }
}

/// Which of a network's names mean what, where it differs from [`Meaning::of_usual_name`].
pub type Mapping = BTreeMap<String, Meaning>;

/// A network's statuses: names in order of first appearance, each with its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    names: Vec<String>,
    meanings: Vec<Meaning>,
}

impl Labels {
    /// Most names of one network. OCPI has nine, Belib nine; a column that is no status has thousands.
    pub const MAX: usize = 24;

    /// Statuses by name. A name that neither the mapping nor [`Meaning::of_usual_name`] knows means [`Meaning::Unknown`].
    pub fn new(names: impl IntoIterator<Item = String>, mapping: &Mapping) -> Self {
        let mut labels = Self { names: Vec::new(), meanings: Vec::new() };
        for name in names {
            if labels.index(&name).is_none() {
                labels.meanings.push(Meaning::of_name(&name, mapping).unwrap_or(Meaning::Unknown));
                labels.names.push(name);
            }
        }
        labels
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What each of them means.
    pub fn meanings(&self) -> &[Meaning] {
        &self.meanings
    }

    /// A name's index, whatever its case and separators.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name).or_else(|| {
            let plain = Some(plain(name)).filter(|plain| !plain.is_empty())?;
            self.names.iter().position(|known| words::plain(known) == plain)
        })
    }

    /// Whether an index is that of a name that is understood: one that is not counts as unknown, and as neither free nor out of order.
    pub fn understood(&self, index: usize) -> bool {
        self.meanings.get(index).is_some_and(|meaning| *meaning != Meaning::Unknown)
            || self.names.get(index).is_some_and(|name| Meaning::of_usual_name(name).is_some())
    }

    /// The index of a name, or of the first status that means the same: how a live feed's word, or one that came up after
    /// the training, is understood by a model that never saw it. `None` if nothing here means that.
    pub fn understand(&self, name: &str, mapping: &Mapping) -> Option<usize> {
        self.index(name).or_else(|| {
            let meaning = Meaning::of_name(name, mapping)?;
            self.meanings.iter().position(|known| *known == meaning)
        })
    }

    /// How probable it is that one can plug in, of probabilities in the order of the names.
    pub fn usable(&self, probabilities: &[f32]) -> f32 {
        let usable = self.meanings.iter().zip(probabilities).filter(|(meaning, _)| meaning.usable());
        usable.map(|(_, p)| p).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_understood() {
        let check = |name: &str, expected| assert_eq!(Meaning::of_usual_name(name), expected, "{name}");
        check("Disponible", Some(Meaning::Free));
        check("Occupé (en charge)", Some(Meaning::Busy));
        check("En maintenance", Some(Meaning::OutOfOrder));
        check("OUTOFORDER", Some(Meaning::OutOfOrder));
        check("OUT_OF_ORDER", Some(Meaning::OutOfOrder));
        check("OOC", Some(Meaning::Unknown));
        check("Part", Some(Meaning::PartlyFree));
        check("x", None);
    }

    #[test]
    fn a_name_has_one_label_whatever_its_case() {
        let mapping = Mapping::from([("out of the way".to_owned(), Meaning::Busy)]);
        let names = ["AVAILABLE", "available", "Out-Of-The-Way", "OUT_OF_THE_WAY"].map(str::to_owned);
        let labels = Labels::new(names, &mapping);
        assert_eq!(labels.meanings(), [Meaning::Free, Meaning::Busy]);
        assert_eq!((labels.index("Available"), labels.index("??")), (Some(0), None));
    }

    #[test]
    fn a_mapping_wins_over_custom() {
        let mapping = Mapping::from([("RESERVED".to_owned(), Meaning::Free)]);
        let labels = Labels::new(["RESERVED", "weird"].map(str::to_owned), &mapping);
        assert_eq!(labels.meanings(), [Meaning::Free, Meaning::Unknown]);
        assert_eq!(labels.understand("AVAILABLE", &Mapping::new()), Some(0));
        assert_eq!(labels.understand("CHARGING", &Mapping::new()), None);
    }
}

//! EVSE ids in their spellings: eMI3 ids are the same with and without `*`, whatever their case.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The spelling of an eMI3 EVSE id (`FR*V75*E9001*01*1`) without separators and in capitals; `None` for any other id, which has
/// one spelling only. The form is two letters, three letters or digits, an `E`, and at most 31 letters, digits and separators.
fn emi3(id: &str) -> Option<String> {
    let plain: String =
        id.chars().filter(|c| !matches!(c, '*' | '-' | ' ')).collect::<String>().to_ascii_uppercase();
    let bytes = plain.as_bytes();
    let form = (7..=37).contains(&bytes.len())
        && bytes[..2].iter().all(u8::is_ascii_alphabetic)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && bytes[5] == b'E';
    form.then_some(plain)
}

/// The charger that an EVSE's id names: what stands before its last `*` or `/`, unless that is a country and an operator of an eMI3 id
/// (`DE*ABC*E123`), which all of theirs begin with. `None` where it names none.
pub(crate) fn charger(id: &str) -> Option<&str> {
    let (charger, _) = id.rsplit_once(['*', '/'])?;
    let letters = charger.bytes().filter(u8::is_ascii_alphanumeric).count();
    (letters > 5 || emi3(id).is_none()).then_some(charger)
}

/// Ids and where each stands, found by any spelling that means one of them only.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    exact: BTreeMap<Arc<str>, usize>,
    /// By the spelling without separators; `None` where two ids share it.
    spellings: BTreeMap<String, Option<usize>>,
}

impl Ids {
    /// Of ids in order.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for (index, id) in ids.into_iter().enumerate() {
            all.insert(id.into(), index);
        }
        all
    }

    /// Adds an id.
    pub fn insert(&mut self, id: Arc<str>, index: usize) {
        if let Some(spelling) = emi3(&id) {
            self.spellings
                .entry(spelling)
                .and_modify(|known| *known = known.filter(|known| *known == index))
                .or_insert(Some(index));
        }
        self.exact.insert(id, index);
    }

    /// Where an id stands: by its own spelling, or by another that only one id has.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.exact.get(id).copied().or_else(|| {
            // Nothing is allocated for ids that cannot be eMI3.
            if self.spellings.is_empty() {
                return None;
            }
            *self.spellings.get(&emi3(id)?)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emi3_id_is_found_with_and_without_asterisks() {
        let ids = Ids::new(["FR*V75*E9001*01*1", "CH*REPE020*01*1", "A/1"]);
        let check = |id: &str, expected: Option<usize>| assert_eq!(ids.find(id), expected, "{id}");
        check("FR*V75*E9001*01*1", Some(0));
        check("FRV75E9001011", Some(0));
        check("frv75e9001*01*1", Some(0));
        check("CH*REP*E020*01*1", Some(1));
        check("A/1", Some(2));
        check("a/1", None);
        check("A1", None);
        check("FRV75E9001012", None);
    }

    #[test]
    fn a_charger_is_more_than_its_operator() {
        let check = |id: &str, expected: Option<&str>| assert_eq!(charger(id), expected, "{id}");
        check("FR*V75*E9001*01*1", Some("FR*V75*E9001*01"));
        check("DE*ABC*E123*1", Some("DE*ABC*E123"));
        check("DE*ABC*E123", None);
        check("DEABC*E123", None);
        check("DEABCE123", None);
        check("S1/CCS", Some("S1"));
        check("1/2/3", Some("1/2"));
        check("S1", None);
    }

    #[test]
    fn a_spelling_that_two_ids_share_means_neither() {
        let ids = Ids::new(["DE*ABC*E1*23", "DE*ABC*E12*3"]);
        assert_eq!((ids.find("DEABCE123"), ids.find("DE*ABC*E1*23")), (None, Some(0)));
    }
}

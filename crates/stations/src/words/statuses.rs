//! Meanings of the words for a status.

use super::plain;
use super::status_words::{ABSENT, BUSY, FREE, OUT_OF_ORDER, PARTLY_FREE, SESSION_ENDS, UNKNOWN};
use crate::Meaning;

/// Texts before a word that say only whose status it is, plain: `EvseStatus.AVAILABLE`, `Ladepunkt frei`.
const SUBJECTS: &[&str] = &[
    "evsestatus",
    "evse",
    "status",
    "connectorstatus",
    "connector",
    "ladepunkt",
    "ladestation",
    "pdc",
    "borne",
];

/// Words for an outcome of a session, which are of other meaning where they are a plug's status.
const OUTCOMES: &[&str] =
    &["error", "failed", "suspended", "closed", "disabled", "planned", "faulted", "fault"];

const TABLES: [(&[&str], Meaning); 6] = [
    (FREE, Meaning::Free),
    (SESSION_ENDS, Meaning::Free),
    (PARTLY_FREE, Meaning::PartlyFree),
    (BUSY, Meaning::Busy),
    (OUT_OF_ORDER, Meaning::OutOfOrder),
    (UNKNOWN, Meaning::Unknown),
];

/// What a word means, whatever its case and separators; `None` where no table has it.
pub(crate) fn meaning(word: &str) -> Option<Meaning> {
    let whole = plain(word);
    let of =
        |plain: &str| TABLES.iter().find(|(words, _)| words.contains(&plain)).map(|(_, meaning)| *meaning);
    of(&whole).or_else(|| {
        let (subject, rest) = word.trim().split_once([' ', '.', ':', '_', '=', '/', '-'])?;
        SUBJECTS.contains(&&*plain(subject)).then(|| of(&plain(rest))).flatten()
    })
}

/// Whether a word says that an EVSE is removed, or not built yet.
pub(crate) fn is_absent(word: &str) -> bool {
    ABSENT.contains(&&*plain(word))
}

/// Whether a word is a status of a plug at which nobody charges, and so not that of a session.
pub(crate) fn is_no_session(word: &str) -> bool {
    let plain = plain(word);
    let is_one = |words: &[&str]| words.contains(&&*plain);
    is_one(FREE) || is_one(PARTLY_FREE) || (is_one(OUT_OF_ORDER) && !is_one(OUTCOMES))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_word_means_two_things() {
        let words: Vec<&str> = TABLES.iter().flat_map(|(words, _)| *words).copied().collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        for word in words {
            assert_eq!(plain(word), word, "the table's words are plain");
        }
    }

    #[test]
    fn statuses_of_each_vocabulary_are_understood() {
        use Meaning::{Busy, Free, OutOfOrder, Unknown};
        let check = |words: &str, expected: Meaning| {
            for word in words.split(';') {
                assert_eq!(meaning(word), Some(expected), "{word}");
            }
        };
        // OCPI 2.1.1 to 2.3.0.
        check("AVAILABLE", Free);
        check("CHARGING;RESERVED;BLOCKED", Busy);
        check("INOPERATIVE;OUTOFORDER;PLANNED;REMOVED", OutOfOrder);
        check("UNKNOWN", Unknown);
        // OCPP 1.6 and 2.0.1.
        check("Available", Free);
        check("Preparing;Charging;SuspendedEV;SuspendedEVSE;Finishing;Reserved;Occupied", Busy);
        check("Unavailable;Faulted", OutOfOrder);
        // OICP 2.3.
        check("OutOfService;OUT_OF_SERVICE;EvseNotFound", OutOfOrder);
        check("Occupied;Reserved", Busy);
        // DATEX II 3.6.
        check("available", Free);
        check("occupied;charging;blocked;reserved", Busy);
        check("faulted;inoperative;outOfOrder;outOfStock;planned;removed;unavailable", OutOfOrder);
        // IRVE and Belib.
        check("libre;Disponible", Free);
        check("occupe;reserve;Occupé (en charge);Réservé", Busy);
        check("hors_service;En maintenance;Supprimé;En cours de mise en service", OutOfOrder);
        check("Mise en service planifiée;Non implémenté", OutOfOrder);
        check("inconnu;En service", Unknown);
        // Open Charge Map.
        check("Currently Available (Automated Status)", Free);
        check("Currently In Use (Automated Status)", Busy);
        check("Temporarily Unavailable;Not Operational;Planned For Future Date", OutOfOrder);
        check("Removed (Decommissioned);Removed (Duplicate Listing)", OutOfOrder);
        check("Operational;Partly Operational (Mixed);Unknown", Unknown);
        // German, BNetzA among it.
        check("frei;verfügbar;VERFUEGBAR", Free);
        check("belegt;besetzt;lädt;in Benutzung;reserviert;wird geladen;lädt gerade;in Nutzung", Busy);
        check(
            "außer Betrieb;ausser Betrieb;defekt;gestört;nicht verfügbar;in Wartung;in Planung",
            OutOfOrder,
        );
        check("unbekannt;In Betrieb", Unknown);
        // Whose status it is.
        check("EvseStatus.AVAILABLE;EVSE_AVAILABLE;status:available;Ladepunkt frei", Free);
        check("EVSE_OCCUPIED;Ladepunkt belegt;in Verwendung", Busy);
        check("connector faulted;Fehler;Fuori servizio;Buiten gebruik", OutOfOrder);
    }

    #[test]
    fn a_status_of_a_plug_is_none_of_a_session() {
        for word in ["AVAILABLE", "frei", "OUTOFORDER", "unavailable", "Part"] {
            assert!(is_no_session(word), "{word}");
        }
        for word in ["", "COMPLETED", "ACTIVE", "CHARGING", "Stopped", "ended", "Error", "INVALID", "unknown"]
        {
            assert!(!is_no_session(word), "{word}");
        }
    }

    #[test]
    fn an_evse_that_is_not_there_cannot_charge() {
        for word in ABSENT {
            assert_eq!(meaning(word), Some(Meaning::OutOfOrder), "{word}");
        }
        assert!(is_absent("REMOVED") && is_absent("In Planung") && !is_absent("OUTOFORDER"));
    }

    #[test]
    fn other_words_are_not_understood() {
        for word in ["", "x", "1", "0", "true", "free?maybe", "green", "open", "A"] {
            assert_eq!(meaning(word), None, "{word}");
        }
    }
}

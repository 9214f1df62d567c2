//! Meanings of the words for a status.

use super::plain;
use crate::Meaning;

/// Words that say that a plug is free.
const FREE: &[&str] = &[
    // OCPI, OCPP, OICP, DATEX II, Belib, IRVE.
    "available",
    "disponible",
    "libre",
    // Open Charge Map.
    "currentlyavailable",
    "currentlyavailableautomatedstatus",
    // English, German, French.
    "free",
    "vacant",
    "idle",
    "readytocharge",
    "notinuse",
    "unoccupied",
    "frei",
    "verfugbar",
    "verfuegbar",
    "nichtbelegt",
    "unbelegt",
    "freibenutzbar",
    "inoccupe",
    "enattente",
    // Events that end a session.
    "stop",
    "stopped",
    "end",
    "ended",
    "sessionstop",
    "sessionstopped",
    "sessionend",
    "sessionended",
    "stoptransaction",
    "transactionstopped",
    "transactionended",
    "chargingstopped",
    "chargingended",
    "findecharge",
];

/// Words that say that some of several plugs are free.
const PARTLY_FREE: &[&str] = &[
    "part",
    "partial",
    "partlyfree",
    "partiallyfree",
    "partlyoccupied",
    "partiallyoccupied",
    "partlyavailable",
    "partiallyavailable",
    "teilweisefrei",
    "teilweisebelegt",
    "partiellementlibre",
    "partiellementoccupe",
];

/// Words that say that it is in use, kept for somebody, or obstructed.
const BUSY: &[&str] = &[
    // OCPI, OICP, DATEX II.
    "charging",
    "occupied",
    "reserved",
    "blocked",
    // OCPP 1.6 and 2.0.1: a vehicle is connected.
    "preparing",
    "suspendedev",
    "suspendedevse",
    "finishing",
    // Belib, IRVE, the Irish network.
    "occupe",
    "occupeencharge",
    "reserve",
    "encharge",
    "occ",
    // Open Charge Map.
    "currentlyinuse",
    "currentlyinuseautomatedstatus",
    // English.
    "busy",
    "inuse",
    "used",
    "plugged",
    "pluggedin",
    "connected",
    "evconnected",
    "vehicleconnected",
    "chargingcomplete",
    "charginginprogress",
    "notfree",
    "taken",
    "booked",
    // German.
    "belegt",
    "besetzt",
    "ladt",
    "laedt",
    "ladend",
    "ladevorgang",
    "inbenutzung",
    "ingebrauch",
    "reserviert",
    "blockiert",
    "nichtfrei",
    "gebucht",
    "fahrzeugverbunden",
    "fahrzeugangeschlossen",
    "innutzung",
    "wirdgeladen",
    "wirdgenutzt",
    "ladtgerade",
    "laedtgerade",
    "amladen",
    // French.
    "encoursdecharge",
    "encoursdutilisation",
    "enutilisation",
    "utilise",
    "bloque",
    "branche",
    "reservee",
    "occupee",
    "nonlibre",
    // Events that begin a session.
    "start",
    "started",
    "sessionstart",
    "sessionstarted",
    "starttransaction",
    "transactionstarted",
    "chargingstarted",
    "debutdecharge",
];

/// Words that say that it cannot charge until somebody repairs, installs or unblocks it.
const OUT_OF_ORDER: &[&str] = &[
    // OCPI, OCPP, DATEX II.
    "inoperative",
    "outoforder",
    "planned",
    "removed",
    "faulted",
    "unavailable",
    "outofstock",
    "fault",
    "faulty",
    // OICP.
    "outofservice",
    "evsenotfound",
    // Belib, IRVE, the Irish network.
    "enmaintenance",
    "supprime",
    "encoursdemiseenservice",
    "encoursmes",
    "miseenserviceplanifiee",
    "mesplanifiee",
    "nonimplemente",
    "horsservice",
    "oos",
    // Open Charge Map.
    "temporarilyunavailable",
    "notoperational",
    "plannedforfuturedate",
    "removeddecommissioned",
    "removedduplicatelisting",
    // English.
    "broken",
    "defective",
    "maintenance",
    "undermaintenance",
    "inmaintenance",
    "underrepair",
    "underconstruction",
    "comingsoon",
    "notavailable",
    "notworking",
    "decommissioned",
    "error",
    "failed",
    "disabled",
    "closed",
    "suspended",
    // German.
    "ausserbetrieb",
    "nichtinbetrieb",
    "defekt",
    "gestort",
    "gestoert",
    "storung",
    "stoerung",
    "nichtverfugbar",
    "nichtverfuegbar",
    "wartung",
    "inwartung",
    "inplanung",
    "geplant",
    "imbau",
    "inreparatur",
    "stillgelegt",
    "gesperrt",
    "ausserdienst",
    "ausgefallen",
    "nichtnutzbar",
    // French.
    "enpanne",
    "panne",
    "indisponible",
    "nondisponible",
    "entravaux",
    "horsdusage",
    "defectueux",
    "enreparation",
    "hs",
    "enconstruction",
    "planifie",
    "desactive",
    "nonfonctionnel",
    "horsfonction",
];

/// Words that say that nobody knows, or that it is in service, which says nothing of being free.
const UNKNOWN: &[&str] = &[
    "unknown",
    "inconnu",
    "unbekannt",
    "undefined",
    "undetermined",
    "indetermine",
    "ooc",
    "outofcontact",
    "offline",
    "horsligne",
    "nodata",
    "keinedaten",
    "pasdedonnees",
    "keineangabe",
    "nocommunication",
    "nonrenseigne",
    "communicationlost",
    // Belib's static rows, BNetzA, Open Charge Map: in service.
    "enservice",
    "inbetrieb",
    "inoperation",
    "inservice",
    "operational",
    "operative",
    "partlyoperational",
    "partlyoperationalmixed",
    "static",
];

/// What a word means, whatever its case and separators; `None` where no table has it.
pub(crate) fn meaning(word: &str) -> Option<Meaning> {
    let plain = plain(word);
    let tables = [
        (FREE, Meaning::Free),
        (PARTLY_FREE, Meaning::PartlyFree),
        (BUSY, Meaning::Busy),
        (OUT_OF_ORDER, Meaning::OutOfOrder),
        (UNKNOWN, Meaning::Unknown),
    ];
    tables.into_iter().find(|(words, _)| words.contains(&&*plain)).map(|(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_word_means_two_things() {
        let all = [FREE, PARTLY_FREE, BUSY, OUT_OF_ORDER, UNKNOWN];
        let words: Vec<&str> = all.into_iter().flatten().copied().collect();
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
    }

    #[test]
    fn other_words_are_not_understood() {
        for word in ["", "x", "1", "0", "true", "free?maybe", "green", "open", "A"] {
            assert_eq!(meaning(word), None, "{word}");
        }
    }
}

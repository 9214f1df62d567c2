//! The words of networks for statuses and plugs, in the vocabularies of OCPI, OCPP, OICP, DATEX II, IRVE, Open Charge Map and
//! BNetzA, and in German, French and English as these publish them.
//!
//! Words are compared without regard to case, accents and separators ([`plain`]). What is not in these tables is not understood:
//! a caller lists it, and never takes it for a status or a plug.

mod plugs;
mod status_words;
mod statuses;

pub(crate) use plugs::plug;
pub use plugs::{PlugText, plugs};
pub(crate) use statuses::{is_absent, is_no_session, meaning};

/// A word without case, accents and separators: `Occupé (en charge)` is `occupeencharge`.
pub fn plain(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    for c in word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase) {
        match c {
            'à' | 'á' | 'â' | 'ä' | 'å' => plain.push('a'),
            'ç' => plain.push('c'),
            'è' | 'é' | 'ê' | 'ë' => plain.push('e'),
            'ì' | 'í' | 'î' | 'ï' => plain.push('i'),
            'ò' | 'ó' | 'ô' | 'ö' => plain.push('o'),
            'ù' | 'ú' | 'û' | 'ü' => plain.push('u'),
            'ß' => plain.push_str("ss"),
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_separators_do_not_count() {
        for word in ["OUT_OF_SERVICE", "OutOfService", "out-of-service", " Out of  service"] {
            assert_eq!(plain(word), "outofservice");
        }
        assert_eq!(plain("Occupé (en charge)"), "occupeencharge");
        assert_eq!(plain("außer Betrieb"), "ausserbetrieb");
    }
}

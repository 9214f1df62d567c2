//! Rule files: the shipped one, and what is wrong with others.

use super::rule::normal_quantile;
use super::*;
use proptest::prelude::*;

/// A file with one rule `hot`, of which one line is replaced, and what follows it.
fn file(replace: (&str, &str), more: &str) -> String {
    let rule = "version = 1\n[sensors]\nvoltage_v = 0.003\ntemperature_c = 0.5\ncurrent_a = 1.0\n[[rule]]\nname = \"hot\"\n\
        condition = \"over-temperature\"\nstage = \"warning\"\nquantity = \"temperature-highest\"\nabove = 50.0\nclear = 47.0\n\
        shown = [3, 5]\n";
    format!("{}{more}", rule.replace(replace.0, replace.1))
}

#[test]
fn the_shipped_rules_are_right() {
    let rules = Rules::parse(DEFAULTS).expect("the shipped rules");
    assert_eq!(rules, Rules::default());
    let conditions: std::collections::BTreeSet<_> = rules.iter().map(|rule| rule.condition).collect();
    assert_eq!(conditions.len(), 13, "each condition has a rule: {conditions:?}");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    const SECOND: &str = "[[rule]]\nname = \"second\"\ncondition = \"over-temperature\"\nstage = \"STAGE\"\n\
        quantity = \"temperature-highest\"\nABOVE\n";
    let second = |stage: &str, limit: &str| SECOND.replace("STAGE", stage).replace("ABOVE", limit);
    let cases: [(&str, &str, String, usize, &str); 17] = [
        ("version = 1", "version = 2", String::new(), 1, "version 1"),
        ("voltage_v = 0.003", "voltage_v = -1.0", String::new(), 2, "from 0 on"),
        ("clear = 47.0", "clear = 53.0", String::new(), 12, "`clear` is at most 50"),
        ("above = 50.0", "below = 50.0", String::new(), 12, "`clear` is at least 50"),
        ("above = 50.0", "above = 500.0", String::new(), 11, "outside -60..200"),
        ("above = 50.0", "above = nan", String::new(), 11, "outside"),
        ("shown = [3, 5]", "shown = [6, 5]", String::new(), 13, "n of the last m"),
        ("shown = [3, 5]", "shown = [0, 5]", String::new(), 13, "n of the last m"),
        ("shown = [3, 5]", "confidence = 1.0", String::new(), 13, "below 1"),
        ("above = 50.0", "above = 50.0\nbelow = 10.0", String::new(), 7, "either `above` or `below`"),
        ("above = 50.0\n", "", String::new(), 7, "either `above` or `below`"),
        ("quantity = \"temperature-highest\"", "quantity = \"heat\"", String::new(), 10, "unknown variant"),
        ("stage = \"warning\"", "stage = \"warning\"\ncolour = 3", String::new(), 10, "unknown field"),
        ("", "", second("protect", "above = 45.0"), 15, "stage protect would begin before warning"),
        ("", "", second("information", "above = 55.0"), 15, "stage warning would begin before information"),
        ("", "", second("information", "below = 60.0"), 15, "every value of temperature-highest"),
        ("", "", second("warning", "above = 55.0").replace("second", "hot"), 15, "of this name"),
    ];
    for (from, to, more, line, reason) in cases {
        let text = file((if from.is_empty() { "~" } else { from }, to), &more);
        let error = Rules::parse(&text).expect_err(&text).to_string();
        assert!(error.starts_with(&format!("line {line}:")) && error.contains(reason), "{text}\n{error}");
    }
    assert_eq!(Rules::parse(&" ".repeat(MAX_RULES_BYTES + 1)), Err(Error::TooLarge(MAX_RULES_BYTES + 1)));
}

#[test]
fn quantiles_are_those_of_the_normal_distribution() {
    for (probability, quantile) in
        [(0.5, 0.0), (0.841_344_7, 1.0), (0.95, 1.644_854), (0.977_249_9, 2.0), (0.99, 2.326_348)]
    {
        assert!((normal_quantile(probability) - quantile).abs() < 5e-4, "{probability}");
    }
}

proptest! {
    /// Whatever a file says, reading it ends with rules or an error.
    #[test]
    fn no_text_panics(text in "[\\[\\]a-z=\" 0-9.\\n_-]{0,300}") {
        let _ = Rules::parse(&text);
    }

    /// Rules that are cut or spoilt anywhere are read or refused.
    #[test]
    fn no_spoilt_rules_panic(at in 0..DEFAULTS.len(), byte in 32u8..127) {
        let mut bytes = DEFAULTS.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = Rules::parse(&String::from_utf8_lossy(&bytes));
        let _ = Rules::parse(&String::from_utf8_lossy(&bytes[..at]));
    }
}

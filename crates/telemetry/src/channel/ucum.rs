//! The Unified Code for Units of Measure (case-sensitive form): whether a text is a unit.
//!
//! Provided: the grammar (products, quotients, exponents, parentheses, annotations) over the units that sensors of a
//! battery have, with all prefixes. Not provided: units of medicine and of trade, conversion.

/// Units that take a prefix.
const METRIC: &str = " m s g rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb Cel T H lm lx Bq Gy Sv l L ar t eV u bar B Np \
    mho kat dyn erg G Mx Oe st P Ci R RAD REM ";
/// Units that take none.
const OTHER: &str = " min h d wk mo a deg ' '' gon % atm [psi] [in_i] [ft_i] [lb_av] [degF] [degR] [mi_i] [gal_us] \
    [ppth] [ppm] [ppb] [pptr] [pH] [g] m[H2O] m[Hg] [in_i'H2O] circ AU pc ";
/// Prefixes, of two letters first.
const PREFIXES: [&str; 24] = [
    "da", "Ki", "Mi", "Gi", "Ti", "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "d", "c", "m", "u", "n", "p",
    "f", "a", "z", "y",
];
/// Parentheses within each other at most; a unit of 16 bytes has no room for more.
const MAX_DEPTH: usize = 8;

/// Whether a text is a unit of UCUM; else what is wrong and what is wanted.
pub(super) fn check(unit: &str) -> Result<(), String> {
    let mut rest = unit;
    let whole = if unit.is_ascii() { term(&mut rest, 0) } else { None };
    if whole.is_some() && rest.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{unit:?} is no unit of UCUM: write Cel for °C, Ohm for Ω, us for µs, 1 for a number without unit"
    ))
}

/// `["/"] component (("." | "/") component)*`
fn term(rest: &mut &str, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(after) = rest.strip_prefix('/') {
        *rest = after;
    }
    loop {
        component(rest, depth)?;
        match rest.strip_prefix(['.', '/']) {
            Some(after) => *rest = after,
            None => return Some(()),
        }
    }
}

/// A number, a unit with an exponent and an annotation, an annotation alone, or a term in parentheses.
fn component(rest: &mut &str, depth: usize) -> Option<()> {
    if let Some(inner) = rest.strip_prefix('(') {
        *rest = inner;
        term(rest, depth + 1)?;
        *rest = rest.strip_prefix(')')?;
        return Some(());
    }
    if rest.starts_with('{') {
        return annotation(rest);
    }
    if let Some(after) = rest.strip_prefix("10*").or_else(|| rest.strip_prefix("10^")) {
        *rest = after;
        exponent(rest)?;
    } else if rest.starts_with(|c: char| c.is_ascii_digit()) {
        *rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    } else {
        let symbol = symbol(rest);
        if !is_unit(symbol) {
            return None;
        }
        *rest = &rest[symbol.len()..];
        exponent(rest)?;
    }
    if rest.starts_with('{') { annotation(rest) } else { Some(()) }
}

/// The unit that a text begins with: up to an operator or exponent that is not in brackets.
fn symbol(text: &str) -> &str {
    let mut bracket = false;
    let end = text.find(|c: char| {
        bracket = (bracket || c == '[') && c != ']';
        !bracket && (c.is_ascii_digit() || "+-./(){".contains(c))
    });
    &text[..end.unwrap_or(text.len())]
}

/// Digits with or without a sign, or nothing; a sign alone is wrong.
fn exponent(rest: &mut &str) -> Option<()> {
    let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let after = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if digits.len() != rest.len() && after.len() == digits.len() {
        return None;
    }
    *rest = after;
    Some(())
}

fn annotation(rest: &mut &str) -> Option<()> {
    let (text, after) = rest.strip_prefix('{')?.split_once('}')?;
    *rest = after;
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'{').then_some(())
}

fn is_unit(symbol: &str) -> bool {
    let listed = |list: &str, symbol: &str| list.split_ascii_whitespace().any(|unit| unit == symbol);
    listed(METRIC, symbol)
        || listed(OTHER, symbol)
        || PREFIXES.iter().any(|prefix| symbol.strip_prefix(prefix).is_some_and(|unit| listed(METRIC, unit)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn units_of_ucum_and_others() {
        for unit in [
            "V",
            "mV",
            "kPa",
            "Cel",
            "us",
            "%",
            "1",
            "[ppm]",
            "{count}",
            "m/s2",
            "kg.m-2",
            "10*3/ul",
            "/min",
            "mOhm",
            "A.h",
            "(m/s)/s",
            "W/(m2.K)",
            "km/h",
            "deg",
            "10*6{cells}",
            "dB",
            "mm",
            "mmol/l",
            "min",
            "m[H2O]",
        ] {
            super::check(unit).unwrap_or_else(|error| panic!("{error}"));
        }
        for no in [
            "", "°C", "Ω", "volt", "Ah", "kmh", "m//s", "m.", "(m", "m)", "m-", "{a", "kPa ", "rpm", "µs",
            "k%", "degC", "//m",
        ] {
            super::check(no).expect_err(no);
        }
    }
}

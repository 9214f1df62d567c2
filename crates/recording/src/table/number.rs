//! Text of numbers: decimal sign and thousands separators.

use super::text::decode;

/// Sign between a number's whole part and its fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// `355.2`; thousands are separated by commas, spaces or apostrophes.
    Point,
    /// `355,2`; thousands are separated by points, spaces or apostrophes.
    Comma,
}

impl Decimal {
    /// The sign itself.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// The number that `text` spells, if it is one and finite. `1,234` with [`Decimal::Point`] is read only where
/// `grouped`: where other cells prove that the comma is no decimal sign.
#[must_use]
pub fn parse(text: &[u8], decimal: Decimal, grouped: bool) -> Option<f64> {
    if let Some(value) = short(text, decimal.sign() as u8) {
        return Some(value);
    }
    if decimal == Decimal::Point
        && let Some(value) = plain(text)
    {
        return Some(value);
    }
    spelled(text, decimal, grouped)
}

/// Median of some numbers: the larger of the two middle ones where their count is even.
pub fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

/// Powers of ten that a float holds exactly.
const TENS: [f64; 16] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number of at most 15 digits without exponent: both whole numbers are exact, so their quotient is rounded once, as
/// the standard library's parser does (W. Clinger, "How to read floating point numbers accurately").
#[inline]
fn short(text: &[u8], point: u8) -> Option<f64> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if rest.is_empty() || rest.len() > 16 {
        return None;
    }
    let (mut digits, mut count, mut after) = (0_u64, 0, None);
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            digits = digits * 10 + u64::from(digit);
            count += 1;
        } else if byte == point && after.is_none() {
            after = Some(count);
        } else {
            return None;
        }
    }
    if count == 0 || count > 15 {
        return None;
    }
    let value = digits as f64 / TENS[count - after.unwrap_or(count)];
    Some(if negative { -value } else { value })
}

fn plain(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

fn spelled(text: &[u8], decimal: Decimal, grouped: bool) -> Option<f64> {
    let (point, group) = match decimal {
        Decimal::Point => (b'.', b','),
        Decimal::Comma => (b',', b'.'),
    };
    let mut digits = [0_u8; 64];
    let mut length = 0;
    let mut push = |byte: u8| -> Option<()> {
        *digits.get_mut(length)? = byte;
        length += 1;
        Some(())
    };
    // Digits since the last separator of thousands, and whether there was one.
    let (mut run, mut separated, mut fraction, mut exponent) = (0, false, false, false);
    let text = decode(text);
    for c in text.chars() {
        match c {
            '0'..='9' => {
                run += usize::from(!fraction && !exponent);
                push(c as u8)?;
            }
            '+' | '-' => push(c as u8)?,
            '\u{2212}' => push(b'-')?,
            'e' | 'E' if !exponent => {
                exponent = true;
                push(b'e')?;
            }
            _ if c == char::from(point) && !fraction && !exponent => {
                if separated && run != 3 {
                    return None;
                }
                fraction = true;
                push(b'.')?;
            }
            _ if (c == char::from(group) || parts_thousands(c)) && !fraction && !exponent => {
                let valid = if separated { run == 3 } else { (1..=3).contains(&run) };
                if !valid {
                    return None;
                }
                (separated, run) = (true, 0);
            }
            _ => return None,
        }
    }
    if separated
        && ((!fraction && run != 3)
            || (!fraction && !grouped && text.matches(char::from(group)).count() == 1))
    {
        return None;
    }
    plain(&digits[..length])
}

/// Whether a sign parts thousands whatever the decimal sign is: spaces of all widths, apostrophes.
const fn parts_thousands(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’')
}

/// What a cell's spelling says about the decimal sign: the sign that it proves, if any; the second value is true
/// if the cell has a separator at all (`1,234` proves nothing).
#[must_use]
pub fn evidence(text: &[u8]) -> (Option<Decimal>, bool) {
    let numeric =
        |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'+' | b'-' | b'e' | b'E' | b' ' | b'\'');
    if !text.is_ascii() {
        let plain: String = decode(text).chars().filter(|c| !parts_thousands(*c)).collect();
        return if plain.is_ascii() { evidence(plain.as_bytes()) } else { (None, false) };
    }
    if !text.iter().any(u8::is_ascii_digit) || !text.iter().all(numeric) {
        return (None, false);
    }
    let mantissa = text.split(|b| matches!(b, b'e' | b'E')).next().unwrap_or(text);
    let scientific = mantissa.len() < text.len();
    let find = |sign: u8| mantissa.iter().position(|b| *b == sign);
    let count = |sign: u8| mantissa.iter().filter(|b| **b == sign).count();
    let (points, commas) = (count(b'.'), count(b','));
    match (points, commas) {
        (0, 0) => (None, false),
        (1.., 1..) if find(b'.') < find(b',') => ((commas == 1).then_some(Decimal::Comma), true),
        (1.., 1..) => ((points == 1).then_some(Decimal::Point), true),
        // Thousands stand in groups of three, and dates have groups of two: the latter are no numbers.
        (2.., 0) if grouped(mantissa, b'.') => (Some(Decimal::Comma), true),
        (0, 2..) if grouped(mantissa, b',') => (Some(Decimal::Point), true),
        (2.., 0) | (0, 2..) => (None, false),
        _ => {
            let (sign, decimal) = if points == 1 { (b'.', Decimal::Point) } else { (b',', Decimal::Comma) };
            let at = find(sign).unwrap_or(0);
            let whole: Vec<u8> = mantissa[..at].iter().copied().filter(u8::is_ascii_digit).collect();
            let after = mantissa.len() - at - 1;
            let proves = scientific || after != 3 || whole.is_empty() || whole.len() > 3 || whole[0] == b'0';
            (proves.then_some(decimal), true)
        }
    }
}

/// The decimal sign of texts beside which others are stored as numbers: a comma where it alone is proven.
#[cfg(any(feature = "parquet", feature = "xlsx"))]
pub fn decimal_of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Decimal {
    let (mut points, mut commas) = (0, 0);
    for text in texts {
        match evidence(text).0 {
            Some(Decimal::Point) => points += 1,
            Some(Decimal::Comma) => commas += 1,
            None => {}
        }
    }
    if commas > 0 && points == 0 { Decimal::Comma } else { Decimal::Point }
}

fn grouped(text: &[u8], sign: u8) -> bool {
    text.split(|b| *b == sign).skip(1).all(|group| group.len() == 3)
}

/// Whether a cell says that there is no value.
#[must_use]
pub fn says_none(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 18] = [
        b"-", b"--", b"---", b"n/a", b"na", b"#n/a", b"nan", b"-nan", b"null", b"none", b"nil", b"unknown",
        b"?", b"inf", b"-inf", b"sna", b"invalid", b"\\n",
    ];
    text.len() <= 8 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decimal::{Comma, Point};

    #[track_caller]
    fn check(text: &str, decimal: Decimal, expected: Option<f64>) {
        assert_eq!(parse(text.as_bytes(), decimal, true), expected, "{text}");
    }

    #[test]
    fn numbers() {
        check("355.2", Point, Some(355.2));
        check("-12.5", Point, Some(-12.5));
        check("+1.5e-3", Point, Some(0.0015));
        check("355,2", Point, None);
        check("355,2", Comma, Some(355.2));
        check("-0,5", Comma, Some(-0.5));
        check("2,8167E+005", Comma, Some(281_670.0));
        check("1,234.5", Point, Some(1234.5));
        check("1.234,5", Comma, Some(1234.5));
        check("1.234.567", Comma, Some(1_234_567.0));
        check("1'234.5", Point, Some(1234.5));
        check("1\u{a0}234,5", Comma, Some(1234.5));
        check("355\u{202f}200,5", Comma, Some(355_200.5));
        check("355.2", Comma, None);
        assert_eq!(parse(b"355\xa0200,5", Comma, true), Some(355_200.5), "Latin-1");
        check("12,34.5", Point, None);
        check("1,234", Point, Some(1234.0));
        assert_eq!(parse(b"1,234", Point, false), None);
        check("", Point, None);
        check("inf", Point, None);
        check("NaN", Point, None);
        check("1.2.3", Point, None);
        check("\u{2212}5", Point, Some(-5.0));
    }

    #[test]
    fn short_numbers_are_those_of_the_standard_library() {
        let mut seed = 7_u64;
        for digits in 1..=15 {
            for point in 0..=digits {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let mut text = format!("{:015}", seed % 1_000_000_000_000_000)[..digits].to_owned();
                text.insert(point, '.');
                assert_eq!(short(text.as_bytes(), b'.'), text.parse().ok(), "{text}");
            }
        }
        assert_eq!(short(b"-0.5", b'.'), Some(-0.5));
        assert_eq!(short(b".", b'.'), None);
    }

    #[test]
    fn evidence_of_a_decimal_sign() {
        for (text, expected) in [
            ("355,2", Some(Comma)),
            ("355.2", Some(Point)),
            ("3,700", None),
            ("0,700", Some(Comma)),
            ("1.234,5", Some(Comma)),
            ("1,234.5", Some(Point)),
            ("16.05.2023", None),
            ("1.234.567", Some(Comma)),
            ("12", None),
            ("C", None),
            ("355\u{202f}200,5", Some(Comma)),
            ("1’234.5", Some(Point)),
            ("25 °C", None),
        ] {
            assert_eq!(evidence(text.as_bytes()).0, expected, "{text}");
        }
    }
}

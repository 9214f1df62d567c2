//! Parts of dates and times of day at the beginning of a text.

/// Nanoseconds of a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of a day.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;

/// Beginnings of months' names; letters with an accent are `?` or the plain letter.
const MONTHS: [(&str, i64); 36] = [
    ("jan", 1),
    ("ene", 1),
    ("gen", 1),
    ("feb", 2),
    ("fev", 2),
    ("f?v", 2),
    ("mar", 3),
    ("m?r", 3),
    ("mrz", 3),
    ("maer", 3),
    ("apr", 4),
    ("avr", 4),
    ("abr", 4),
    ("may", 5),
    ("mai", 5),
    ("mag", 5),
    ("jun", 6),
    ("juin", 6),
    ("giu", 6),
    ("jul", 7),
    ("juil", 7),
    ("lug", 7),
    ("aug", 8),
    ("aou", 8),
    ("ao?", 8),
    ("ago", 8),
    ("sep", 9),
    ("set", 9),
    ("oct", 10),
    ("okt", 10),
    ("ott", 10),
    ("nov", 11),
    ("dec", 12),
    ("dez", 12),
    ("dic", 12),
    ("d?c", 12),
];

/// A letter without its accent; `?` for what is no UTF-8.
fn plain_letter(c: char) -> char {
    match c {
        'ä' | 'á' => 'a',
        'é' | 'è' => 'e',
        'û' => 'u',
        c if c.is_ascii() => c,
        _ => '?',
    }
}

/// Rest of a text that is being read.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl Cursor<'_> {
    /// Digits: their value and count.
    pub(super) fn int(&mut self, most: usize) -> Option<(i64, usize)> {
        let count = self.0.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return None;
        }
        let value = self.0[..count].iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        self.0 = &self.0[count..];
        Some((value, count))
    }

    pub(super) fn eat(&mut self, bytes: &[u8]) -> Option<u8> {
        let first = *self.0.first()?;
        bytes.contains(&first).then(|| {
            self.0 = &self.0[1..];
            first
        })
    }

    /// A fraction of a second in ns; digits beyond the ninth are cut off.
    pub(super) fn fraction(&mut self) -> i64 {
        let count = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let value = self.0[..count.min(9)].iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        self.0 = &self.0[count..];
        value * 10_i64.pow(9 - count.min(9) as u32)
    }

    /// The number of a month's name, in English, German, French, Spanish or Italian, whole or shortened.
    pub(super) fn month(&mut self) -> Option<i64> {
        let length = self.0.iter().take_while(|b| b.is_ascii_alphabetic() || !b.is_ascii()).count();
        if length == 0 {
            return None;
        }
        let word = &self.0[..length];
        let begins = |start: &str| {
            word.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
        };
        let (_, month) = if word.is_ascii() {
            MONTHS.into_iter().find(|(start, _)| begins(start))?
        } else {
            let name = String::from_utf8_lossy(word).to_lowercase();
            // Latin-1's letters with an accent are no UTF-8.
            let name: String = name.chars().map(plain_letter).collect();
            MONTHS.into_iter().find(|(start, _)| name.starts_with(start))?
        };
        self.0 = &self.0[length..];
        Some(month)
    }

    /// Goes past a weekday's name in English or German and what parts it from the date; false if there is none.
    pub(super) fn weekday(&mut self) -> bool {
        const DAYS: [&str; 13] =
            ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "die", "mit", "don", "fre", "sam", "son"];
        const SHORT: [&[u8]; 7] = [b"mo", b"di", b"mi", b"do", b"fr", b"sa", b"so"];
        let length = self.0.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let name = self.0[..length].to_ascii_lowercase();
        let is_day =
            SHORT.contains(&name.as_slice()) || DAYS.iter().any(|day| name.starts_with(day.as_bytes()));
        if is_day {
            self.0 = &self.0[length..];
            self.eat(b".");
            self.eat(b",");
            self.spaces();
        }
        is_day
    }

    pub(super) fn word(&mut self, word: &[u8]) -> bool {
        let found = self.0.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        if found {
            self.0 = &self.0[word.len()..];
        }
        found
    }

    pub(super) fn spaces(&mut self) {
        while self.eat(b" \t").is_some() {}
    }

    /// `h:mm[:ss[.f]][ AM]`, in ns.
    pub(super) fn clock(&mut self, longest_hour: usize) -> Option<i64> {
        let (mut hour, _) = self.int(longest_hour)?;
        self.eat(b":")?;
        let (minute, digits) = self.int(2)?;
        if digits != 2 || minute > 59 {
            return None;
        }
        let (mut second, mut ns) = (0, 0);
        if self.eat(b":").is_some() {
            second = self.int(2)?.0;
            if self.eat(b".,:").is_some() {
                ns = self.fraction();
            }
        }
        self.spaces();
        let afternoon = self.word(b"pm") || self.word(b"p.m.");
        if afternoon || self.word(b"am") || self.word(b"a.m.") {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        (second < 61).then(|| (hour * 3600 + minute * 60 + second) * SECOND_NS + ns)
    }

    /// `mm:ss.f`, in ns: a fraction behind two parts makes them minutes and seconds.
    pub(super) fn minutes(&mut self) -> Option<i64> {
        let mut ahead = Cursor(self.0);
        let minute = ahead.int(6)?.0;
        ahead.eat(b":")?;
        let (second, digits) = ahead.int(2)?;
        ahead.eat(b".,")?;
        let ns = ahead.fraction();
        (digits == 2 && second < 60).then_some(())?;
        self.0 = ahead.0;
        Some((minute * 60 + second) * SECOND_NS + ns)
    }

    /// `hhmm[ss[.f]]`, in ns.
    pub(super) fn basic_clock(&mut self) -> Option<i64> {
        let ((hour, 2), (minute, 2)) = (self.int(2)?, self.int(2)?) else { return None };
        let second = match self.int(2) {
            Some((second, 2)) => second,
            Some(_) => return None,
            None => 0,
        };
        let ns = if self.eat(b".,").is_some() { self.fraction() } else { 0 };
        (minute < 60 && second < 61).then(|| (hour * 3600 + minute * 60 + second) * SECOND_NS + ns)
    }

    /// `Z`, `UTC`, `+02:00`, `+0200`, `+02`, `UTC+2`; the outer `None` is a mistake.
    pub(super) fn zone(&mut self) -> Option<Option<i32>> {
        self.spaces();
        if self.word(b"z") {
            return Some(Some(0));
        }
        let is_utc = self.word(b"utc") || self.word(b"gmt");
        let Some(sign) = self.eat(b"+-") else { return Some(is_utc.then_some(0)) };
        let (hour, mut digits) = self.int(2)?;
        if is_utc {
            digits = 2; // `UTC+2`
        }
        let minute = if self.eat(b":").is_some() || !self.0.is_empty() { self.int(2)?.0 } else { 0 };
        let seconds = (hour * 3600 + minute * 60) as i32;
        (digits == 2 && hour < 15 && minute < 60).then_some(Some(if sign == b'-' {
            -seconds
        } else {
            seconds
        }))
    }
}

/// A year of four digits, or of two.
pub(super) fn year((value, digits): (i64, usize)) -> Option<i64> {
    match digits {
        4 => Some(value),
        2 => Some(if value < 70 { 2000 + value } else { 1900 + value }),
        _ => None,
    }
}

//! Reading of a DBC file. What a statement lacks or has too much is a warning with its line; only a file without any
//! statement of the format is an error.

mod attributes;
mod finish;

use super::text::{Cursor, decode};
use super::{Dbc, Message, Number, Signal};
use crate::Error;
use std::collections::{BTreeMap, HashMap};

/// Words that begin a statement.
const KEYWORDS: [&str; 32] = [
    "VERSION",
    "NS_",
    "BS_",
    "BU_",
    "BO_",
    "SG_",
    "BO_TX_BU_",
    "EV_",
    "ENVVAR_DATA_",
    "EV_DATA_",
    "CM_",
    "BA_DEF_",
    "BA_DEF_DEF_",
    "BA_",
    "BA_DEF_REL_",
    "BA_REL_",
    "BA_DEF_DEF_REL_",
    "BA_SGTYPE_",
    "SGTYPE_",
    "SIGTYPE_VALTYPE_",
    "SGTYPE_VAL_",
    "SIG_TYPE_REF_",
    "SIG_GROUP_",
    "SIG_VALTYPE_",
    "SG_MUL_VAL_",
    "VAL_",
    "VAL_TABLE_",
    "CAT_DEF_",
    "CAT_",
    "FILTER",
    "BU_SG_REL_",
    "BU_EV_REL_",
];
/// Most warnings that are kept.
const MAX_WARNINGS: usize = 100;
/// Messages without an identifier on the bus (VECTOR__INDEPENDENT_SIG_MSG).
const INDEPENDENT: u32 = 0xc000_0000;

fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}

/// An attribute's definition: words of an enumeration, and the default.
#[derive(Default)]
struct Attribute {
    words: Vec<String>,
    default: Option<String>,
}

/// `SG_MUL_VAL_` of a signal.
struct Multiplexed {
    id: u32,
    name: String,
    selector: String,
    ranges: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Reader {
    dbc: Dbc,
    /// Identifier with flags, as other statements name the message, of each message.
    keys: Vec<u32>,
    by_key: HashMap<u32, usize>,
    /// The number behind `m` of each multiplexed signal, by message and signal.
    simple: Vec<(usize, usize, u64)>,
    multiplexed: Vec<Multiplexed>,
    attributes: HashMap<String, Attribute>,
    tables: HashMap<String, BTreeMap<i64, String>>,
    frame_formats: HashMap<u32, String>,
    /// The bus' protocol, if stated.
    protocol: Option<String>,
    cycles: HashMap<u32, f64>,
    long_names: Vec<(u32, Option<String>, String)>,
    /// The raw number that a signal of a message sends where it has no value.
    invalid: Vec<(u32, String, i64)>,
    statements: usize,
    /// Whether `SG_` belongs to a message that was read.
    open: bool,
}

impl Dbc {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Format`] if there is no statement of a DBC file.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Self, Error> {
        let text = decode(bytes);
        let mut reader = Reader::default();
        let mut cursor = Cursor::new(&text);
        loop {
            cursor.skip_space();
            if cursor.rest().is_empty() {
                break;
            }
            let before = cursor.clone();
            let word = cursor.word().unwrap_or_default();
            if !is_keyword(word) {
                reader.unknown(&before, &mut cursor, word);
                continue;
            }
            if let Err(problem) = reader.statement(word, &mut cursor) {
                reader.warn(&before, format!("{word} is not read: {problem}"));
                cursor = before;
                cursor.word();
                if word == "SG_" { cursor.skip_line() } else { cursor.skip_statement(is_keyword) }
            }
        }
        if reader.statements == 0 {
            return Err(Error::format(place, "this is no DBC file: it has no statement of one"));
        }
        reader.finish();
        Ok(reader.dbc)
    }
}

impl Reader {
    fn warn(&mut self, at: &Cursor<'_>, problem: String) {
        if self.dbc.warnings.len() < MAX_WARNINGS {
            self.dbc.warnings.push(format!("line {}: {problem}", at.line()));
        }
    }

    fn unknown<'a>(&mut self, before: &Cursor<'a>, cursor: &mut Cursor<'a>, word: &str) {
        // A word alone on its line is of the list behind NS_.
        let line = before.rest().lines().next().unwrap_or_default();
        if line.trim() == ";" || (line.trim() == word && !word.is_empty()) {
            cursor.skip_line();
            return;
        }
        if word.ends_with('_') {
            self.warn(before, format!("the section {word} is not known and left out"));
        } else if !line.trim_start().starts_with("//") {
            self.warn(
                before,
                format!("{:?} is no statement", line.trim().chars().take(40).collect::<String>()),
            );
            *cursor = before.clone();
            cursor.skip_line();
            return;
        } else {
            cursor.skip_line();
            return;
        }
        cursor.skip_statement(is_keyword);
    }

    fn statement(&mut self, word: &str, cursor: &mut Cursor<'_>) -> Result<(), String> {
        // Keywords stand alone in the list behind NS_.
        let line = cursor.rest().lines().next().unwrap_or_default();
        if line.trim().is_empty() && !matches!(word, "BO_" | "SG_" | "VAL_" | "CM_" | "BA_") {
            self.statements += usize::from(matches!(word, "VERSION" | "NS_" | "BS_" | "BU_"));
            return Ok(());
        }
        if line.trim().is_empty()
            && cursor.clone().peek_word().is_none_or(|next| is_keyword(next) || next.ends_with('_'))
        {
            return Ok(());
        }
        match word {
            "NS_" | "BS_" | "BU_" => {
                if line.trim_start().starts_with(':') {
                    self.statements += 1;
                }
                cursor.skip_line();
            }
            "VERSION" => {
                self.statements += usize::from(cursor.string().is_some());
                cursor.eat(';');
            }
            "BO_" => self.message(cursor)?,
            "SG_" => self.signal(cursor)?,
            _ => {
                let mut inner = cursor.clone();
                self.section(word, &mut inner)?;
                self.statements += 1;
                *cursor = inner;
            }
        }
        Ok(())
    }

    fn section(&mut self, word: &str, cursor: &mut Cursor<'_>) -> Result<(), String> {
        match word {
            "VAL_TABLE_" => {
                let name = cursor.need_word()?.to_owned();
                let values = words_of_values(cursor);
                self.tables.insert(name, values);
            }
            "VAL_" => self.values(cursor)?,
            "SIG_VALTYPE_" => self.number(cursor)?,
            "SG_MUL_VAL_" => self.ranges(cursor)?,
            "BA_DEF_" => self.definition(cursor),
            "BA_DEF_DEF_" => self.attribute_default(cursor)?,
            "BA_" => self.attribute(cursor)?,
            _ => {}
        }
        cursor.skip_statement(is_keyword);
        Ok(())
    }

    fn message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        self.open = false;
        let at = cursor.clone();
        let key = u32::try_from(cursor.integer()?).map_err(|_| "the identifier has more than 32 bits")?;
        let name = cursor.need_word()?.to_owned();
        cursor.expect(':')?;
        let size = cursor.integer().unwrap_or(0).max(0) as u64;
        cursor.skip_line();
        let mut extended = key & 0x8000_0000 != 0;
        let id = key & 0x1fff_ffff;
        if !extended && id > 0x7ff {
            extended = true;
            self.warn(
                &at,
                format!(
                    "message {name}: the identifier {id} is taken as one of 29 bits, though bit 31 is not set"
                ),
            );
        }
        self.statements += 1;
        self.open = true;
        self.by_key.insert(key, self.dbc.messages.len());
        self.keys.push(key);
        self.dbc.messages.push(Message {
            name,
            id,
            extended,
            j1939: false,
            size,
            cycle_ms: None,
            signals: Vec::new(),
        });
        Ok(())
    }

    fn signal(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let name = cursor.need_word()?.to_owned();
        let indicator = cursor.word();
        cursor.expect(':')?;
        let start = usize::try_from(cursor.integer()?).map_err(|_| "the start bit is negative")?;
        cursor.expect('|')?;
        let size = usize::try_from(cursor.integer()?).map_err(|_| "the size is negative")?;
        cursor.expect('@')?;
        let order = cursor.need_word()?;
        let (big_endian, sign) = match order.as_bytes() {
            [b'0', sign @ ..] => (true, sign),
            [b'1', sign @ ..] => (false, sign),
            _ => return Err(format!("the byte order {order:?} is neither 0 nor 1")),
        };
        let sign = match sign {
            [] => cursor.need_word()?.as_bytes(),
            sign => sign,
        };
        let number = match sign {
            b"+" => Number::Unsigned,
            b"-" => Number::Signed,
            _ => return Err("the sign is neither + nor -".to_owned()),
        };
        cursor.expect('(')?;
        let factor = cursor.number()?;
        cursor.expect(',')?;
        let offset = cursor.number()?;
        cursor.expect(')')?;
        let mut range = None;
        if cursor.eat('[') {
            let least = cursor.number();
            cursor.expect('|')?;
            let greatest = cursor.number();
            cursor.expect(']')?;
            range = least.ok().zip(greatest.ok()).filter(|(least, greatest)| least < greatest);
        }
        let unit = cursor.string().unwrap_or_default();
        cursor.skip_line();
        if !(1..=64).contains(&size) || start > 511 {
            return Err(format!("signal {name} has {size} bits from bit {start} on"));
        }
        if !factor.is_finite() || !offset.is_finite() {
            return Err(format!("signal {name} has no finite factor or offset"));
        }
        let message = if self.open {
            self.dbc.messages.len() - 1
        } else {
            return Err(format!("signal {name} is of no message"));
        };
        // Some files spell the multiplexer with a small letter.
        let indicator = if indicator == Some("m") { Some("M") } else { indicator };
        let selects = indicator.is_some_and(|i| i.ends_with('M'));
        let selected = indicator.map(|i| i.trim_end_matches('M')).filter(|i| !i.is_empty());
        if let Some(selected) = selected {
            let value = selected.strip_prefix('m').and_then(|n| n.parse().ok());
            let value = value.ok_or_else(|| format!("{selected:?} is no multiplexer"))?;
            self.simple.push((message, self.dbc.messages[message].signals.len(), value));
        }
        self.dbc.messages[message].signals.push(Signal {
            name,
            start,
            size,
            big_endian,
            number,
            factor,
            offset,
            range,
            unit,
            selects,
            multiplexed: selected.is_some(),
            selections: Vec::new(),
            values: BTreeMap::new(),
            cycle_ms: None,
        });
        Ok(())
    }

    /// The signal that a statement names by identifier and name.
    fn named(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<&mut Signal>, String> {
        let key = u32::try_from(cursor.integer()?).map_err(|_| "the identifier has more than 32 bits")?;
        let name = cursor.need_word()?;
        let Some(message) = self.by_key.get(&key) else { return Ok(None) };
        Ok(self.dbc.messages[*message].signals.iter_mut().find(|s| s.name == name))
    }

    fn values(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        if cursor.peek_word().is_some_and(|w| !w.starts_with(|c: char| c.is_ascii_digit())) {
            return Ok(()); // of an environment variable
        }
        let mut after = cursor.clone();
        self.named(&mut after)?;
        let values = match after.peek_word() {
            Some(table) if self.tables.contains_key(table) => self.tables[table].clone(),
            _ => words_of_values(&mut after),
        };
        if let Some(signal) = self.named(cursor)? {
            signal.values = values;
        }
        *cursor = after;
        Ok(())
    }

    fn number(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let mut after = cursor.clone();
        self.named(&mut after)?;
        after.eat(':');
        let kind = after.integer()?;
        if let Some(signal) = self.named(cursor)? {
            match (kind, signal.size) {
                (1, 32) => signal.number = Number::Float,
                (2, 64) => signal.number = Number::Double,
                (0 | 3, _) => {}
                (_, size) => {
                    return Err(format!("type {kind} does not fit the {size} bits of {}", signal.name));
                }
            }
        }
        *cursor = after;
        Ok(())
    }

    fn ranges(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let id = u32::try_from(cursor.integer()?).map_err(|_| "the identifier has more than 32 bits")?;
        let name = cursor.need_word()?.to_owned();
        let selector = cursor.need_word()?.to_owned();
        let mut ranges = Vec::new();
        loop {
            let text = cursor.need_word()?;
            let (from, to) = text.split_once('-').ok_or("a range of values is missing")?;
            let to = if to.is_empty() { cursor.need_word()? } else { to };
            let parsed = from.parse().ok().zip(to.parse().ok());
            ranges.push(parsed.ok_or_else(|| format!("{text:?} is no range"))?);
            if !cursor.eat(',') {
                break;
            }
        }
        self.multiplexed.push(Multiplexed { id, name, selector, ranges });
        Ok(())
    }
}

/// Pairs of number and text up to anything else.
fn words_of_values(cursor: &mut Cursor<'_>) -> BTreeMap<i64, String> {
    let mut values = BTreeMap::new();
    loop {
        let mut after = cursor.clone();
        let Ok(value) = after.integer() else { return values };
        let Some(text) = after.string() else { return values };
        values.insert(value, text);
        *cursor = after;
    }
}

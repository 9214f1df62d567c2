//! Attributes of a DBC file: their definitions, and the values that messages and signals have.

use super::super::text::Cursor;
use super::Reader;

impl Reader {
    pub(super) fn definition(&mut self, cursor: &mut Cursor<'_>) {
        if cursor.clone().string().is_none() {
            cursor.word(); // BU_, BO_, SG_ or EV_
        }
        let Some(name) = cursor.string() else { return };
        let mut words = Vec::new();
        if cursor.peek_word() == Some("ENUM") {
            cursor.word();
            while let Some(word) = cursor.string().or_else(|| cursor.word().map(str::to_owned)) {
                words.push(word);
                if !cursor.eat(',') {
                    break;
                }
            }
        }
        self.attributes.entry(name).or_default().words = words;
    }

    /// The value of what states none.
    pub(super) fn attribute_default(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let name = cursor.string().ok_or("a name is missing")?;
        let value = value_of_attribute(cursor);
        self.attributes.entry(name).or_default().default = value;
        Ok(())
    }

    pub(super) fn attribute(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        let name = cursor.string().ok_or("a name is missing")?;
        if name == "ProtocolType" {
            self.protocol = value_of_attribute(cursor);
            return Ok(());
        }
        if !matches!(
            name.as_str(),
            "VFrameFormat"
                | "GenMsgCycleTime"
                | "GenSigCycleTime"
                | "GenSigInvalidValue"
                | "SystemSignalLongSymbol"
                | "SystemMessageLongSymbol"
        ) {
            return Ok(());
        }
        let kind = cursor.peek_word().unwrap_or_default();
        if !matches!(kind, "BO_" | "SG_") {
            return Ok(());
        }
        cursor.word();
        let id = u32::try_from(cursor.integer()?).map_err(|_| "the identifier has more than 32 bits")?;
        let signal = if kind == "SG_" { Some(cursor.need_word()?.to_owned()) } else { None };
        let value = value_of_attribute(cursor).ok_or("a value is missing")?;
        match (name.as_str(), signal) {
            ("VFrameFormat", None) => {
                self.frame_formats.insert(id, value);
            }
            ("GenMsgCycleTime", None) => {
                self.cycles.insert(id, value.parse().unwrap_or(0.0));
            }
            ("GenSigCycleTime", Some(name)) => {
                let found = self.by_key.get(&id).copied();
                let signal =
                    found.and_then(|m| self.dbc.messages[m].signals.iter_mut().find(|s| s.name == name));
                if let Some(signal) = signal {
                    signal.cycle_ms = value.parse().ok().filter(|ms| *ms > 0.0);
                }
            }
            ("GenSigInvalidValue", Some(name)) => {
                self.invalid.extend(whole(&value).map(|raw| (id, name, raw)))
            }
            ("SystemSignalLongSymbol", signal @ Some(_)) | ("SystemMessageLongSymbol", signal @ None) => {
                self.long_names.push((id, signal, value));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A whole number as attributes write it: `65535`, `65535.0`, `0xFFFF`.
pub(super) fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i64::from_str_radix(digits, 16).ok();
    }
    let decimals = |rest: &str| !rest.is_empty() && rest.bytes().all(|digit| digit == b'0');
    let text = text.split_once('.').filter(|(_, rest)| decimals(rest)).map_or(text, |(whole, _)| whole);
    text.parse().ok()
}

fn value_of_attribute(cursor: &mut Cursor<'_>) -> Option<String> {
    cursor.string().or_else(|| cursor.word().map(str::to_owned))
}

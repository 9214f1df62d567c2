//! OCPP's `StatusNotification` (1.6 and 2.0.1): JSON frames, objects around them, or lines of text with a frame in each.
//!
//! An EVSE is named by its charge point and connector (1.6), or by charge point and EVSE, and the connector where that is not the
//! first (2.0.1). A message of connector 0 is about the charger as a whole.

mod line;

use serde_json::{Map, Value};

use super::values::several;
pub(crate) use line::{in_line, is_other_in_line};

/// The one message that tells a status.
const NAME: &str = "StatusNotification";

/// Names of the charge point in the objects that logs put around a message.
const CHARGE_POINTS: [&str; 16] = [
    "chargePointId",
    "chargepointId",
    "charge_point_id",
    "chargeBoxId",
    "chargingStationId",
    "charging_station_id",
    "stationId",
    "cpId",
    "cp_id",
    "identity",
    "chargePoint",
    "charge_point",
    "chargerId",
    "charger_id",
    "clientId",
    "cp",
];

/// One message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    pub(crate) charge_point: String,
    evse: Option<u64>,
    connector: Option<u64>,
    /// In OCPP's words.
    pub(crate) status: String,
    /// Its own time, or the log's.
    pub(crate) at: String,
}

impl Message {
    /// The EVSE that it is about; `None` if it is about the charger as a whole, or names none.
    pub(crate) fn evse_id(&self) -> Option<String> {
        let point = Some(&self.charge_point).filter(|point| !point.is_empty())?;
        match (self.evse, self.connector) {
            (Some(0), _) | (None, Some(0) | None) => None,
            (Some(evse), None | Some(0..=1)) => Some(format!("{point}/{evse}")),
            (Some(evse), Some(connector)) => Some(format!("{point}/{evse}/{connector}")),
            (None, Some(connector)) => Some(format!("{point}/{connector}")),
        }
    }
}

/// Whether the beginning of a file is that of a log of OCPP.
pub(crate) fn is_log(text: &[u8]) -> bool {
    text.windows(NAME.len()).any(|window| window == NAME.as_bytes())
}

/// Fields of the objects that logs put around a frame.
const FRAMES: [&str; 8] = ["message", "msg", "frame", "ocpp", "raw", "payload", "data", "body"];

/// The type of a frame's message; `None` for what is no frame. OCPP-J 1.6, section 4: from 2 to 4, then the message's id; 2.1 has 5 and 6.
fn kind(value: &Value) -> Option<u64> {
    match value.as_array().map(Vec::as_slice) {
        Some([kind, id, _, ..]) if id.is_string() => kind.as_u64().filter(|kind| (2..=6).contains(kind)),
        _ => None,
    }
}

/// Whether a value is a frame that calls `StatusNotification`, with whatever in it.
fn is_frame_of_status(value: &Value) -> bool {
    kind(value) == Some(2) && value.get(2).and_then(Value::as_str) == Some(NAME)
}

/// Whether a value is another message of OCPP, alone or in an object of a log: it says nothing of a status, and is no mistake.
pub(crate) fn is_other(value: &Value) -> bool {
    let is_frame = |value: &Value| kind(value).is_some() && !is_frame_of_status(value);
    let is_in = |object: &Map<String, Value>| {
        FRAMES.iter().filter_map(|name| object.get(*name)).any(|within| match within {
            Value::String(text) => serde_json::from_str(text).is_ok_and(|value| is_frame(&value)),
            other => is_frame(other),
        })
    };
    let is_action = |object: &Map<String, Value>| {
        object.get("action").is_some_and(Value::is_string)
            && CHARGE_POINTS.iter().any(|name| object.contains_key(*name))
            && of_action(object).is_empty()
    };
    is_frame(value) || value.as_object().is_some_and(|object| is_in(object) || is_action(object))
}

/// What a value has of messages about a status.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Found {
    /// Those that can be read.
    pub(crate) messages: Vec<Message>,
    /// How many cannot.
    pub(crate) unread: u64,
}

impl Found {
    /// Whether there is none, read or not.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.unread == 0
    }

    fn one(message: Option<Message>) -> Self {
        Self { unread: u64::from(message.is_none()), messages: message.into_iter().collect() }
    }

    fn add(&mut self, other: Self) {
        self.messages.extend(other.messages);
        self.unread += other.unread;
    }
}

/// The messages in a value: a frame `[2, id, "StatusNotification", {…}]`, or an object with frames, or with `action` and `payload`.
pub(crate) fn found(value: &Value) -> Found {
    match value {
        Value::Array(frame) => {
            let named = frame.iter().position(|part| part.as_str() == Some(NAME));
            let message = named.and_then(|named| payload(frame.get(named + 1)?));
            if message.is_some() || is_frame_of_status(value) {
                return Found::one(message);
            }
            Found::default()
        }
        Value::Object(object) => {
            let mut frames = FRAMES.iter().filter_map(|name| object.get(*name)).map(frames_in);
            let mut found = frames.find(|found| !found.is_empty()).unwrap_or_else(|| of_action(object));
            for message in &mut found.messages {
                if let Some(id) = CHARGE_POINTS.iter().find_map(|name| plain_id(object.get(*name)?)) {
                    message.charge_point = id;
                }
                if message.at.is_empty() {
                    let at = ["timestamp", "time", "@timestamp", "ts", "received_at"]
                        .iter()
                        .find_map(|name| object.get(*name));
                    message.at = at.map(plain_text).unwrap_or_default();
                }
            }
            found
        }
        _ => Found::default(),
    }
}

/// The messages in a field of a log's object: one or several, as JSON or as its text.
fn frames_in(field: &Value) -> Found {
    let mut sum = Found::default();
    match field {
        Value::String(text) if text.contains(NAME) => {
            let (values, is_whole) = several(text.as_bytes());
            values.iter().for_each(|one| sum.add(found(one)));
            // What is cut may have been one more.
            sum.unread += u64::from(!is_whole && !sum.is_empty());
        }
        Value::Array(all) if all.iter().all(|one| kind(one).is_some()) => {
            all.iter().for_each(|one| sum.add(found(one)));
        }
        other => sum = found(other),
    }
    sum
}

/// The message of an object with `action` and `payload`. An answer to one names it too, and has nothing in it.
fn of_action(object: &Map<String, Value>) -> Found {
    let action =
        ["action", "messageType", "type", "event"].iter().find_map(|name| object.get(*name)?.as_str());
    if action != Some(NAME) {
        return Found::default();
    }
    let inner = ["payload", "data", "body", "request"].iter().find_map(|name| object.get(*name));
    let is_notice = |inner: &&Value| {
        ["status", "connectorStatus", "connectorId", "evseId"].iter().any(|name| inner.get(*name).is_some())
    };
    inner.filter(is_notice).map_or_else(Found::default, |inner| Found::one(payload(inner)))
}

fn payload(value: &Value) -> Option<Message> {
    let number = |name: &str| match value.get(name)? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    };
    let status = value.get("status").or_else(|| value.get("connectorStatus"))?.as_str()?;
    Some(Message {
        charge_point: String::new(),
        evse: number("evseId"),
        connector: number("connectorId"),
        status: status.to_owned(),
        at: value.get("timestamp").map(plain_text).unwrap_or_default(),
    })
}

/// A text or a number that is an id.
fn plain_id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

//! Answers that say that they are an error: what stands in them does not count.

use serde_json::{Map, Value};

use crate::error::cut;

/// Names of an EVSE's id: an object that has one is a row, whatever its codes are.
const IDS: [&str; 4] = ["evse_id", "evse_uid", "uid", "EvseID"];

/// The code and the message of an error, as OCPI (`status_code`), OICP (`StatusCode`) and answers with HTTP's codes have them; `None`
/// for any other document.
pub fn refusal(answer: &Value) -> Option<String> {
    let object = answer.as_object()?;
    if IDS.iter().any(|name| object.contains_key(*name)) {
        return None;
    }
    of_ocpi(object).or_else(|| of_oicp(object))
}

/// Section 5 of OCPI 2.2.1: 1xxx is success, 2xxx an error of who asks, 3xxx of who answers, 4xxx of a hub.
fn of_ocpi(object: &Map<String, Value>) -> Option<String> {
    let code = match object.get("status_code")? {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_u64()?,
    };
    let is_error = matches!(code, 400..=599 | 2000..=4999);
    let message = ["status_message", "message", "error"].iter().find_map(|name| object.get(*name)?.as_str());
    is_error.then(|| said("status_code", &code.to_string(), message))
}

/// OICP 2.3: `000` is success.
fn of_oicp(object: &Map<String, Value>) -> Option<String> {
    let status = object.get("StatusCode").or_else(|| object.get("statusCode"))?;
    let text = |name: &str| status.get(name).and_then(Value::as_str);
    let code = text("Code").or_else(|| text("code"))?.trim();
    let is_error = code.len() == 3 && code != "000" && code.bytes().all(|byte| byte.is_ascii_digit());
    is_error.then(|| said("StatusCode", code, text("Description").or_else(|| text("description"))))
}

fn said(name: &str, code: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{name} {code}: {}", cut(message)),
        None => format!("{name} {code}"),
    }
}

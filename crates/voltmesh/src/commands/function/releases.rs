//! `voltmesh function publish | withdraw`: which releases a controller may place.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use voltmesh_function::{MAX_PACKAGE_BYTES, Package};
use voltmesh_telemetry::Digest;

use crate::args::{AskController, FunctionPublish};
use crate::commands::controller::client::{delete, post, text};
use crate::commands::read_limited;
use crate::http::Refused;
use crate::{Outcome, output};

/// Publishes releases, one after the other; what is refused does not keep the others away.
pub fn publish(options: &FunctionPublish) -> Result<Outcome> {
    let (mut published, mut refused) = (Vec::new(), Vec::new());
    for file in &options.files {
        match publish_one(&options.ask, file) {
            Ok(release) => {
                if !options.ask.json {
                    output::line(format!("{}: published, {}", file.display(), said(&release)));
                }
                published.push(release);
            }
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(why) if why.is_final() || why.status == 409 => {
                    let why = format!("{}: {}", file.display(), why.why());
                    if !options.ask.json {
                        output::line(&why);
                    }
                    refused.push(why);
                }
                _ => return Err(error),
            },
        }
    }
    if options.ask.json {
        output::json(&json!({ "published": published, "refused": refused }))?;
    }
    Ok(if refused.is_empty() { Outcome::Done } else { Outcome::Wrong })
}

/// Publishes a release; the controller's word for it.
pub(super) fn publish_one(ask: &AskController, file: &Path) -> Result<Value> {
    let package = read_limited(file, MAX_PACKAGE_BYTES)?;
    post(ask, "/functions/releases", package)
}

/// Withdraws a release.
pub fn withdraw(release: &str, ask: &AskController) -> Result<Outcome> {
    let digest = digest_of(release)?;
    delete(ask, &format!("/functions/releases/{digest}"))?;
    if ask.json {
        output::json(&json!({ "withdrawn": digest }))?;
    } else {
        output::line(format!("{digest}: withdrawn; where it ran, the newest other release takes its place"));
    }
    Ok(Outcome::Done)
}

/// The SHA-256 of a component, said as such or by the signed release that holds it.
pub(super) fn digest_of(release: &str) -> Result<Digest> {
    if let Ok(digest) = release.parse() {
        return Ok(digest);
    }
    let path = Path::new(release);
    ensure!(path.exists(), "{release:?} is neither a SHA-256 in hexadecimal nor a file");
    let package = bytes::Bytes::from(read_limited(path, MAX_PACKAGE_BYTES)?);
    Package::digest_of(&package).with_context(|| format!("{release} is no signed release of a function"))
}

/// A release in words.
pub(super) fn said(release: &Value) -> String {
    format!("{} {}, component {}", text(&release["function"]), version(release), text(&release["digest"]))
}

/// Its version in the usual form.
pub(super) fn version(release: &Value) -> String {
    let parts: Vec<String> = release["version"].as_array().into_iter().flatten().map(text).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_named_by_digest_or_file() {
        let digest = Digest::of(b"component");
        assert_eq!(digest_of(&digest.to_string()).unwrap(), digest);
        let error = digest_of("no-such.vmf").unwrap_err().to_string();
        assert!(error.contains("neither"), "{error}");
        let release = json!({ "function": "hot-pack", "version": [1, 0, 2], "digest": digest });
        assert_eq!(said(&release), format!("hot-pack 1.0.2, component {digest}"));
    }
}

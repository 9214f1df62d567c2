//! `voltmesh prove`: fetches a record, a function's event or a controller's decision with everything that proves it.

use anyhow::{Context as _, Result};
use voltmesh_identity::{read_token, write_public};
use voltmesh_ledger::{EventProof, Proof};
use voltmesh_telemetry::RecordId;

use super::block_on;
use crate::http::Http;
use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(options: args::Prove) -> Result<Outcome> {
    let token = options.token_file.as_deref().map(read_token).transpose()?;
    let url = match (options.event, options.decision, &options.record) {
        (Some(position), ..) => format!("http://{}/events/{position}/proof", options.fog),
        (None, Some(number), _) => format!("http://{}/decisions/{number}/proof", options.controller),
        (None, None, Some(record)) => {
            let record: RecordId = record.parse()?;
            format!("{}/v1/records/{record}/proof", base(&options.cloud))
        }
        (None, None, None) => anyhow::bail!("name a record, an event or a decision"),
    };
    let of_event = options.record.is_none();
    let bytes =
        block_on(async { Http::new()?.get_url(&url, token.as_ref().map(|token| token.trim())).await })?;
    // What an interface hands out is checked for its form at once; whether it holds is for `verify`.
    let form = match of_event {
        true => EventProof::from_bytes(&bytes).map(drop),
        false => Proof::decode(&bytes).map(drop),
    };
    form.with_context(|| format!("{url} did not answer with a proof"))?;
    write_public(&options.output, &bytes)?;
    output::line(format!("{} bytes: {}", bytes.len(), options.output.display()));
    let flag = if of_event { "--event " } else { "" };
    output::line(format!("Next: voltmesh verify {flag}{} --trust trust.toml", options.output.display()));
    Ok(Outcome::Done)
}

/// The interface's URL: plain HTTP where only host and port are named.
fn base(cloud: &str) -> String {
    let cloud = cloud.trim_end_matches('/');
    if cloud.contains("://") { cloud.to_owned() } else { format!("http://{cloud}") }
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn a_cloud_is_named_by_host_and_port_or_url() {
        let check = |named, url| assert_eq!(base(named), url);
        check("127.0.0.1:8094", "http://127.0.0.1:8094");
        check("cloud.example:8094", "http://cloud.example:8094");
        check("[::1]:8094", "http://[::1]:8094");
        check("http://127.0.0.1:8094/", "http://127.0.0.1:8094");
        check("https://fleet.example/archive", "https://fleet.example/archive");
    }
}

//! `voltmesh chain leaves`: the log's leaf hashes, compared with the root in a trust file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use voltmesh_ledger::{Leaves, LogHead};
use voltmesh_telemetry::merkle::Frontier;

use super::trust_file::read_trust;
use crate::http::Http;
use crate::{args, output};

/// Writes leaves from `options.from` on, up to the size in the trust file, or the fog node's without one.
pub async fn write(http: &Http, options: &args::Leaves) -> Result<()> {
    let (fog, from) = (options.fog.fog, options.from);
    let head = options.trust.as_deref().map(trusted).transpose()?;
    let until = match &head {
        Some(head) => head.size,
        None => super::status(http, fog).await?.log_size,
    };
    if from > until {
        bail!("the log has {until} leaves, so {from} is no index to begin from");
    }
    let path = &options.output;
    write_range(http, fog, from..until, head.as_ref(), path).await?;
    let checked = match (&head, from) {
        (Some(head), 0) => format!("they lead to the root of block {} in the trust file", head.height),
        (Some(_), _) => "NOT checked: only from 0 on do they lead to the root in the trust file".into(),
        (None, _) => "NOT checked: name a trust file with --trust".into(),
    };
    output::line(format!("{}: leaves {from} to {until}, {checked}", path.display()));
    Ok(())
}

/// Writes a range of leaves. From 0 on they must lead to the root in `head`, if there is one.
pub async fn write_range(
    http: &Http,
    fog: SocketAddr,
    range: Range<u64>,
    head: Option<&LogHead>,
    path: &Path,
) -> Result<()> {
    // Beside the file until it is whole and checked.
    let part = path.with_added_extension("part");
    let from = range.start;
    let written = fetch(http, fog, range, &part).await.and_then(|root| match head {
        Some(head) if from == 0 && root != head.root => bail!(
            "these are not the log's leaves: their root is {root}, but the authorities signed {}; ask another fog node",
            head.root
        ),
        _ => std::fs::rename(&part, path).with_context(|| format!("cannot write {}", path.display())),
    });
    if written.is_err() {
        std::fs::remove_file(&part).ok();
    }
    written
}

fn trusted(path: &Path) -> Result<LogHead> {
    read_trust(path)?.log().with_context(|| {
        format!(
            "{} does not say how large the log is: refresh it with `voltmesh chain trust`",
            path.display()
        )
    })
}

/// Writes a range of leaves to a file, page by page. Returns the root over them, as if they were the whole log.
async fn fetch(
    http: &Http,
    fog: SocketAddr,
    range: Range<u64>,
    path: &Path,
) -> Result<voltmesh_telemetry::Digest> {
    let cannot = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(cannot)?);
    file.write_all(&Leaves::head(range.start)).with_context(cannot)?;
    let (mut log, mut next) = (Frontier::new(), range.start);
    while next < range.end {
        let bytes = http.get(fog, &format!("/chain/leaves?from={next}")).await?;
        let mut page = Leaves::decode(&bytes).context("the answer to /chain/leaves is of another kind")?;
        if page.first != next || page.hashes.is_empty() {
            bail!(
                "the fog node has no leaf {next} yet, but the log has {}: ask again, or another",
                range.end
            );
        }
        page.hashes.truncate(usize::try_from(range.end - next).unwrap_or(usize::MAX));
        for hash in &page.hashes {
            file.write_all(hash.as_bytes()).with_context(cannot)?;
        }
        log.extend(&page.hashes);
        next = page.end();
    }
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    Ok(log.root())
}

//! A feed at an address: polled, page by page, with a growing pause after failures.

use std::sync::Arc;
use std::time::Instant;

use super::service::{Service, clock};
use crate::stations::feed::{Feed, Rows, Snapshot};
use crate::stations::web::{Options, Pace, Page, WebError, WebFeed};
use voltmesh_telemetry::error_chain;

/// Why a poll brought nothing.
#[derive(Debug, thiserror::Error)]
enum Nothing {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error(
        "{address} answers with nothing that is understood, {documents} documents or rows; `voltmesh stations inspect` says what \
         would be read"
    )]
    Strange { address: String, documents: u64 },
    #[error("{address} answers with an error ({said}): nothing in that answer counts")]
    Refused { address: String, said: String },
}

/// Polls until the runtime stops.
pub(super) async fn poll(service: Arc<Service>, mut feed: Feed, mut web: WebFeed, options: Options) {
    let mut pace = Pace::new(options.interval());
    let mut complaint = None;
    loop {
        let (started, before) = (Instant::now(), feed.rows());
        // Only when the runtime stops.
        let Some((back, outcome)) = pages(&service, feed, &mut web).await else { return };
        feed = back;
        let (refusal, rows) = (feed.refusal(), feed.rows());
        let outcome = outcome.map_err(Nothing::from).and_then(|()| match refusal {
            Some(said) => Err(Nothing::Refused { address: web.address().to_string(), said }),
            None => understood(&web, before, rows),
        });
        // What came before a failure counts all the same.
        let settled = feed.settle();
        let held = if settled.is_none() && outcome.is_ok() { feed.hold(clock()) } else { None };
        service.counted().rows = feed.rows();
        for snapshot in settled.into_iter().chain(held) {
            if !service.take_apart(snapshot, 1.0).await {
                return;
            }
        }
        let pause = match outcome {
            Ok(()) => {
                if complaint.take().is_some() {
                    tracing::info!(feed = %web.address(), "the feed answers again");
                }
                pace.after_success(started.elapsed())
            }
            Err(error) => {
                service.counted().feed_errors += 1;
                // That nonsense is the same as before makes it no better.
                if matches!(error, Nothing::Strange { .. } | Nothing::Refused { .. }) {
                    web.forget();
                }
                let asked = if let Nothing::Web(error) = &error { error.retry_after() } else { None };
                let said = error_chain(&error);
                let pause = pace.after_failure(asked, rand::random());
                if complaint.as_ref() != Some(&said) {
                    tracing::warn!(feed = %web.address(), error = said, pause_s = pause.as_secs(), "the feed cannot be read now");
                }
                complaint = Some(said);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// One poll: the feed back, and whether all pages came. `None` if the runtime stops.
async fn pages(
    service: &Arc<Service>,
    mut feed: Feed,
    web: &mut WebFeed,
) -> Option<(Feed, Result<(), WebError>)> {
    service.counted().feed_polls += 1;
    let mut poll = web.poll();
    loop {
        let (number, page) = match poll.page().await {
            Ok(Some(page)) => page,
            Ok(None) => return Some((feed, Ok(()))),
            Err(error) => return Some((feed, Err(error))),
        };
        {
            let mut counted = service.counted();
            counted.feed_pages += 1;
            match &page {
                Page::News(bytes) => counted.feed_bytes += bytes.len() as u64,
                Page::Same => counted.feed_unchanged += 1,
            }
        }
        // A page of a country takes a second to read.
        let read = tokio::task::spawn_blocking(move || {
            let (now, number) = (clock(), u32::try_from(number).unwrap_or(u32::MAX));
            let snapshots: Vec<Snapshot> = match page {
                Page::News(bytes) => feed.page(now, number, &bytes),
                Page::Same => feed.same(now, number).into_iter().collect(),
            };
            (feed, snapshots)
        });
        let (back, snapshots) = read.await.ok()?;
        feed = back;
        for snapshot in snapshots {
            if !service.take_apart(snapshot, 1.0).await {
                return None;
            }
        }
    }
}

/// Whether anything of a poll was understood.
fn understood(web: &WebFeed, before: Rows, after: Rows) -> Result<(), Nothing> {
    let documents = after.rows - before.rows;
    let lost = (after.malformed - before.malformed) + (after.too_long - before.too_long);
    if documents > 0 && documents == lost {
        return Err(Nothing::Strange { address: web.address().to_string(), documents });
    }
    Ok(())
}

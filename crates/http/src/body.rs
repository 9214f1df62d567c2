//! Bodies that report: what a request's peer still owes, and when an answer is out of the handler's hands.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::gate::Report;

/// A request's body.
pub(crate) struct Inbound {
    inner: Incoming,
    report: Arc<dyn Report>,
    awaited: bool,
    /// All of it has come, or nobody reads it any more.
    done: Arc<AtomicBool>,
}

impl Inbound {
    /// The body, and whether all of it has come.
    pub(crate) fn new(inner: Incoming, report: Arc<dyn Report>) -> (Self, Arc<AtomicBool>) {
        let done = Arc::new(AtomicBool::new(inner.is_end_stream()));
        (Self { inner, report, awaited: false, done: done.clone() }, done)
    }

    fn await_peer(&mut self, awaited: bool) {
        if self.awaited != awaited {
            self.awaited = awaited;
            self.report.update(&|activity| activity.awaits_body = awaited);
        }
    }
}

impl HttpBody for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.await_peer(polled.is_pending());
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.inner.is_end_stream() {
            self.done.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.await_peer(false);
        self.done.store(true, Ordering::Relaxed);
    }
}

/// An answer's body. Dropped when the last of it is in the socket's buffer, or nobody wants it.
pub(crate) struct Outbound {
    inner: Body,
    report: Arc<dyn Report>,
}

impl Outbound {
    pub(crate) fn new(inner: Body, report: Arc<dyn Report>) -> Self {
        Self { inner, report }
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.report.update(&|activity| activity.in_request = false);
    }
}

//! A connection that ends when its peer takes nothing of what is sent for too long, and says why where the parser does not.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::gate::Report;
use crate::{Settings, malformed};

/// A stream that ends when its peer takes nothing for a time, and reports while it does.
pub(crate) struct Paced<S> {
    stream: S,
    limit: Duration,
    report: Arc<dyn Report>,
    stalled: Option<Pin<Box<Sleep>>>,
    settings: Settings,
    /// An answer in place of the parser's, and how much of it is written.
    instead: Option<(Vec<u8>, usize)>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, settings: Settings, report: Arc<dyn Report>) -> Self {
        Self { stream, limit: settings.stalled, report, stalled: None, settings, instead: None }
    }

    /// Whether a handler answers: then nothing that is written is the parser's own.
    fn answers(&self) -> bool {
        let answers = Cell::new(false);
        self.report.update(&|activity| answers.set(activity.in_request));
        answers.get()
    }

    /// Passes on what the stream said of a write, and counts the time while it says "later".
    fn pace<T>(&mut self, cx: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            if self.stalled.take().is_some() {
                self.report.update(&|activity| activity.stalled = false);
            }
            return said;
        }
        let limit = self.limit;
        let timer = self.stalled.get_or_insert_with(|| {
            self.report.update(&|activity| activity.stalled = true);
            Box::pin(sleep(limit))
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    /// Writes bytes, or an answer in place of the parser's own; then all of the parser's counts as written.
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_none() && bytes.starts_with(b"HTTP/1.") && !self.answers() {
            self.instead = malformed::problem(bytes, &self.settings).map(|text| (text.into_bytes(), 0));
        }
        let Some((text, written)) = &mut self.instead else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        while *written < text.len() {
            let more = ready!(Pin::new(&mut self.stream).poll_write(cx, &text[*written..]))?;
            if more == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += more;
        }
        self.instead = None;
        Poll::Ready(Ok(bytes.len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let said = self.write(cx, bytes);
        self.pace(cx, said)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.stream).poll_flush(cx);
        self.pace(cx, said)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.pace(cx, said)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What the parser says by itself is one head.
        let said = match bytes {
            [one] => self.write(cx, one),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, bytes),
        };
        self.pace(cx, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

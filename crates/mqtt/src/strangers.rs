//! Thread on which connections wait until they say something.
//!
//! It yields to everything else of the process: a flood of connections takes processor time that nobody else wants, and what
//! sessions do never waits behind thousands of strangers.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::acceptor::Acceptor;

/// By how much it yields, 0..=19.
const NICENESS: i32 = 10;

/// The running thread; it ends with this.
pub(crate) struct Strangers {
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Strangers {
    /// Starts it.
    pub(crate) fn start(listener: TcpListener, acceptor: Acceptor) -> std::io::Result<Strangers> {
        let stop = Arc::new(Notify::new());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("strangers".to_owned())
            .spawn(move || run(&runtime, listener, acceptor, &stopped))?;
        Ok(Strangers { stop, thread: Some(thread) })
    }

    /// Closes the port, and connections that have said nothing yet.
    pub(crate) fn stop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that accepts connections has panicked");
        }
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(runtime: &Runtime, listener: TcpListener, acceptor: Acceptor, stopped: &Notify) {
    // On Linux this is the calling thread's alone. Without it everything works, only sessions may wait under a flood.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "connections are accepted at the priority of sessions");
    }
    let accept = async {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => Arc::new(acceptor).run(listener).await,
            Err(error) => tracing::error!(%error, "no connection can be accepted"),
        }
    };
    runtime.block_on(async {
        tokio::select! {
            () = accept => {}
            () = stopped.notified() => {}
        }
    });
}

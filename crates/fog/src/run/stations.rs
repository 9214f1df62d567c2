//! Charging stations: the service that answers about them, and the feed that it follows, a file or an address.

mod file;
mod poll;
mod service;

use std::sync::Arc;

use crate::{
    Config, Error,
    config::{self, FeedSource},
};
pub use service::Service;

/// Reads the model, if one is configured, and begins to follow the feed.
pub async fn start(config: &Config) -> Result<Option<Arc<Service>>, Error> {
    let Some(config) = config.stations.clone() else { return Ok(None) };
    let opened = tokio::task::spawn_blocking(move || Service::open(&config).map(|it| (it, config)));
    let (service, config) = opened.await.map_err(|error| Error::Stopped { why: error.to_string() })??;
    let service = Arc::new(service);
    tokio::spawn(service.clone().follow(config));
    Ok(Some(service))
}

impl Service {
    /// Follows the feed until the runtime stops.
    pub async fn follow(self: Arc<Self>, config: config::Stations) {
        let feed = self.feed(&config);
        match (&config.feed, self.take_web()) {
            (FeedSource::File(path), _) => file::follow(self, feed, path.clone(), &config).await,
            (FeedSource::Web(_), Some(web)) => {
                poll::poll(self, feed, web, config.web.unwrap_or_default()).await
            }
            // Polled already.
            (FeedSource::Web(_), None) => {}
        }
    }
}

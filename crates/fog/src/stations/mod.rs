//! Charging stations near this node: what is forecast of them, and where a driver should charge.
//!
//! [`feed::Feed`] turns a feed's bytes into snapshots, [`Adviser`] leads a trained model through them and answers. Neither asks a
//! clock, a disk or a network; [`web`] asks a feed's address.
//!
//! Provided: nothing is said before the first snapshot, or when the newest is too old; memory is bounded by
//! [`feed::MAX_EVSES`]. Not provided: the model's covariates, which no feed has, are unknown to it here.

mod adviser;
mod answer;
mod document;
pub mod feed;
mod refusal;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod web;

pub use adviser::Adviser;
pub use answer::{Advice, Forecast, Forecasts, Horizon, Reservation, Short};
pub use refusal::Refusal;

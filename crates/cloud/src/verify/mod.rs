//! The checks that a delivery passes before the archive is asked, and what comes of them.

mod envelope;
mod rejection;
mod verified;

pub use envelope::{Checked, Delivery, check, opening_bytes, opening_from};
pub use rejection::{Rejection, Stage};
pub use verified::{About, Verified};

pub(crate) use envelope::{Judged, verify};

//! What the core knows, part by part. No part knows the core: the steps beside this folder change them.

pub mod anchors;
pub mod chain;
pub mod clock;
pub mod disk;
pub mod held;
pub mod holdings;
pub mod marks;
pub mod offers;
pub mod pending;
pub mod session;
pub mod statements;
pub mod uplink;

//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use commonware_runtime::{Clock as _, tokio::Context};
use voltmesh_telemetry::Timestamp;

/// The time now by the runtime's clock.
pub fn now(context: &Context) -> Timestamp {
    of(context.current())
}

/// The time now by the system's clock, for threads outside the runtime.
pub fn time_of_day() -> Timestamp {
    of(SystemTime::now())
}

fn of(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}

//! The vehicle's agent: sources, signed batches, spool, uplink.

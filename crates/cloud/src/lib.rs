//! The archive: verify, store exactly once, answer, prove.

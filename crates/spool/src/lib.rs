//! A crash-safe queue: append, fsync in groups, read, acknowledge, verify.

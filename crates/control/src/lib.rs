//! What roles tell each other: hellos, envelopes, archive notices, status.

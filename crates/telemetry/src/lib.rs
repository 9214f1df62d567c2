//! What a vehicle says: names, units, samples and signed batches.

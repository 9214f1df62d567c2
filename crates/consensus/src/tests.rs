//! Whole networks under the deterministic runtime.

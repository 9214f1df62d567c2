//! Agree on the next block: simplex among the authorities.

//! What authorities agree on, and how anyone checks it offline.

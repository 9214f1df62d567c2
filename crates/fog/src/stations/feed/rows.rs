//! What of a feed was read, and what was not used and why.

/// What came in and what could not be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows read, headers apart.
    pub rows: u64,
    /// No row of the table's columns, no time that can be read (one without its offset from UTC, but in OCPI), no EVSE id or no status; a
    /// document that is none of the kinds that are read.
    pub malformed: u64,
    /// Longer than [`super::MAX_LINE`].
    pub too_long: u64,
    /// More than [`voltmesh_stations::feeds::AHEAD_S`] ahead of this node's clock, or before 2000: not believed.
    pub ahead: u64,
    /// Older than a reading of the same EVSE, or too old to be believed.
    pub late: u64,
    /// The EVSE had a reading at the same time; the later row counts.
    pub duplicates: u64,
    /// A status that neither the model, the configured meanings nor the usual names know: the EVSE is unknown then.
    pub unknown_status: u64,
    /// Of an EVSE beyond [`super::MAX_EVSES`].
    pub too_many: u64,
    /// Times the file was replaced by another, or cut.
    pub restarts: u64,
}

impl Rows {
    /// Names and values, for `/status` and `/metrics`.
    pub fn figures(&self) -> [(&'static str, u64); 9] {
        [
            ("stations_rows", self.rows),
            ("stations_rows_malformed", self.malformed),
            ("stations_rows_too_long", self.too_long),
            ("stations_rows_ahead", self.ahead),
            ("stations_rows_late", self.late),
            ("stations_rows_duplicate", self.duplicates),
            ("stations_rows_unknown_status", self.unknown_status),
            ("stations_rows_too_many", self.too_many),
            ("stations_feed_restarts", self.restarts),
        ]
    }
}

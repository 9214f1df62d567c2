//! Names, columns and properties of the archive's four tables.

use super::{Settings, rows::schema};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;

/// Definition of a table.
pub struct Definition {
    pub name: &'static str,
    pub schema: SchemaRef,
    /// Columns with statistics in the log, comma-separated.
    pub indexed: &'static str,
    pub comment: &'static str,
    pub settings: Settings,
}

impl Definition {
    /// The table's properties, by which other engines keep to the same rules.
    pub fn properties(&self) -> BTreeMap<&'static str, String> {
        let Settings { checkpoint_every, vacuum_hours, log_hours, .. } = self.settings;
        BTreeMap::from([
            ("delta.dataSkippingStatsColumns", self.indexed.to_owned()),
            ("delta.checkpointInterval", checkpoint_every.max(1).to_string()),
            ("delta.logRetentionDuration", format!("interval {log_hours} hours")),
            ("delta.deletedFileRetentionDuration", format!("interval {vacuum_hours} hours")),
            ("delta.enableExpiredLogCleanup", "true".to_owned()),
        ])
    }
}

/// The tables in the order `records`, `batches`, `quarantine`, `copies`.
pub(super) fn definitions(settings: Settings) -> [Definition; 4] {
    [
        Definition {
            name: schema::RECORDS,
            schema: schema::records(),
            indexed: "vehicle,boot,number,time,height",
            comment: "One row per battery record; batch_id leads to its proof in batches.",
            settings,
        },
        Definition {
            name: schema::BATCHES,
            schema: schema::batches(),
            indexed: "vehicle,boot,first,last,sequence,height,archived_at",
            comment: "One row per archived batch, with the bytes that prove its records.",
            settings,
        },
        Definition {
            name: schema::QUARANTINE,
            schema: schema::quarantine(),
            indexed: "received_at,vehicle,stage",
            comment: "Deliveries that failed a check, with the reason.",
            settings,
        },
        Definition {
            name: schema::COPIES,
            schema: schema::batches(),
            indexed: "vehicle,boot,first,last,sequence,height,archived_at",
            comment: "Batches anchored again, or without a new record: what explains their entries of the log.",
            settings,
        },
    ]
}

//! Rows of `records` back to the samples that they are exact images of.

use super::{
    ArchivedRow,
    schema::{charger_text, contactor_text},
};
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Charger, Contactor, Digest, Milliamps, Millivolts, Millivolts16, Record,
    RecordNumber, Sample, Timestamp,
};

impl ArchivedRow {
    /// The sample that this row holds; `None` if no sample has such a row.
    pub fn sample(&self) -> Option<Sample> {
        let contactor =
            (0..=u8::MAX).map_while(Contactor::from_code).find(|c| contactor_text(*c) == self.contactor)?;
        let charger =
            (0..=u8::MAX).map_while(Charger::from_code).find(|c| charger_text(*c) == self.charger)?;
        let cell = |cell: &i32| u16::try_from(*cell).ok().map(Millivolts16::new);
        Some(Sample {
            time: Timestamp::from_millis(self.time_ms),
            pack_voltage: Millivolts::from_base(self.pack_voltage_v)?,
            pack_current: Milliamps::from_base(self.pack_current_a)?,
            cells: self.cells_mv.iter().map(cell).collect::<Option<_>>()?,
            temperatures: self
                .temperatures_c
                .iter()
                .map(|t| Centidegrees::from_base(*t))
                .collect::<Option<_>>()?,
            soc: match self.soc_percent {
                None => CentiPercent::UNKNOWN,
                Some(share) => CentiPercent::from_base(share)?,
            },
            contactor,
            charger,
        })
    }

    /// Its content as [`crate::foreign::content_of`] has it; [`Digest::ZERO`] if it is no sample's row, which no content
    /// equals.
    pub(crate) fn content(&self) -> Digest {
        let number = RecordNumber::new(self.number);
        self.sample().map_or(Digest::ZERO, |sample| crate::foreign::content_of(&Record { number, sample }))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        delta::{archived_rows, schema::record_rows},
        testing::Fleet,
    };
    use voltmesh_telemetry::Timestamp;

    #[test]
    fn a_row_is_an_exact_image_of_its_sample() {
        let fleet = Fleet::new(1);
        let batch = &fleet.boot(0, 1, &[50])[0];
        let entry = crate::archivist::reopen(
            batch.wire().clone(),
            Vec::new(),
            bytes::Bytes::new(),
            1,
            "fog-0".into(),
            None,
        )
        .unwrap();
        let rows = record_rows(std::slice::from_ref(&entry), Timestamp::from_millis(0)).unwrap();
        for (row, record) in archived_rows(&rows).unwrap().iter().zip(&entry.batch.records) {
            assert_eq!(row.sample().as_ref(), Some(&record.sample));
            assert_eq!(row.content(), crate::foreign::content_of(record));
        }
    }
}

//! Rows of `records` from the samples that they are exact images of, and back.

use super::{
    archived_row::ArchivedRow,
    causes,
    channels_column::ArchivedChannel,
    schema::{charger_text, contactor_text},
};
use crate::verify::Verified;
use voltmesh_telemetry::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, Charger, Contactor, Digest, Milliamps, Millivolts,
    Millivolts16, Ohms, Record, RecordNumber, Sample, Timestamp,
};

impl ArchivedRow {
    /// The row of a batch's record.
    pub(crate) fn of(batch: &Verified, record: &Record) -> Self {
        let sample = &record.sample;
        Self {
            vehicle: batch.header.vehicle.to_string(),
            boot: batch.header.boot.get(),
            number: record.number.get(),
            time_ms: sample.time.as_millis(),
            pack_voltage_v: sample.pack_voltage.to_base().ok(),
            pack_current_a: sample.pack_current.to_base().ok(),
            soc_percent: sample.soc.to_base().ok(),
            cells_mv: sample.cells.iter().map(|cell| cell.reading().ok().map(i32::from)).collect(),
            temperatures_c: sample.temperatures.iter().map(|value| value.to_base().ok()).collect(),
            contactor: contactor_text(sample.contactor).to_owned(),
            charger: charger_text(sample.charger).to_owned(),
            insulation_ohm: sample.insulation.reading().ok().map(i64::from),
            ambient_c: sample.ambient.to_base().ok(),
            coolant_c: sample.coolant.to_base().ok(),
            speed_kmh: sample.speed.to_base().ok(),
            channels: sample.channels.iter().map(ArchivedChannel::of).collect(),
            causes: causes::text(sample),
            attested_by: batch.attested_by().map(str::to_owned),
            batch_id: batch.id_text.clone(),
            height: batch.height,
        }
    }

    /// The sample that this row holds; `None` if no sample has such a row.
    pub fn sample(&self) -> Option<Sample> {
        let contactor =
            (0..=u8::MAX).map_while(Contactor::from_code).find(|c| contactor_text(*c) == self.contactor)?;
        let charger =
            (0..=u8::MAX).map_while(Charger::from_code).find(|c| charger_text(*c) == self.charger)?;
        /// The value of a column, or one that was not sent: its cause follows.
        fn or_not_sent<T: Copy, U: Default>(value: &Option<T>, of: impl Fn(T) -> Option<U>) -> Option<U> {
            value.map_or(Some(U::default()), of)
        }
        let cell = |cell: i32| u16::try_from(cell).ok().map(Millivolts16::new).filter(|cell| cell.is_known());
        let ohms = |ohms: i64| u32::try_from(ohms).ok().map(Ohms::new).filter(|ohms| ohms.is_known());
        let sample = Sample {
            time: Timestamp::from_millis(self.time_ms),
            pack_voltage: or_not_sent(&self.pack_voltage_v, Millivolts::from_base)?,
            pack_current: or_not_sent(&self.pack_current_a, Milliamps::from_base)?,
            cells: self.cells_mv.iter().map(|value| or_not_sent(value, cell)).collect::<Option<_>>()?,
            temperatures: self
                .temperatures_c
                .iter()
                .map(|value| or_not_sent(value, Centidegrees::from_base))
                .collect::<Option<_>>()?,
            soc: or_not_sent(&self.soc_percent, CentiPercent::from_base)?,
            contactor,
            charger,
            insulation: or_not_sent(&self.insulation_ohm, ohms)?,
            ambient: or_not_sent(&self.ambient_c, Centidegrees::from_base)?,
            coolant: or_not_sent(&self.coolant_c, Centidegrees::from_base)?,
            speed: or_not_sent(&self.speed_kmh, CentiKilometersPerHour::from_base)?,
            channels: self.channels.iter().map(ArchivedChannel::value).collect::<Option<_>>()?,
            ..Sample::default()
        };
        match &self.causes {
            None => Some(sample),
            Some(said) => causes::apply(sample, said),
        }
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
        delta::{ArchivedRow, archived_rows, record_rows},
        testing::{Fleet, unknown_sample},
    };
    use voltmesh_telemetry::{OriginalNumber, Record, RecordNumber, Sample, Timestamp};

    fn check(records: Vec<Record>) -> Vec<ArchivedRow> {
        let fleet = Fleet::new(1);
        let batch = fleet.sealed(0, 1, None, &records);
        let (wire, evidence) = (batch.wire().clone(), bytes::Bytes::new());
        let entry = crate::archivist::reopen(wire, Vec::new(), evidence, 1, "fog-0".into(), None).unwrap();
        let rows = record_rows(std::slice::from_ref(&entry), Timestamp::from_millis(0)).unwrap();
        let rows = archived_rows(&rows).unwrap();
        for (row, record) in rows.iter().zip(&entry.batch.records) {
            assert_eq!(row.sample().as_ref(), Some(&record.sample));
            assert_eq!(row.content(), crate::foreign::content_of(record));
            assert_eq!(row, &ArchivedRow::of(&entry.batch, record));
        }
        rows
    }

    fn numbered(samples: Vec<Sample>) -> Vec<Record> {
        (0..).map(RecordNumber::new).zip(samples).map(|(number, sample)| Record { number, sample }).collect()
    }

    #[test]
    fn a_row_is_an_exact_image_of_its_sample() {
        check(numbered((0..50).map(|number| crate::testing::sample(0, 1, number)).collect()));
        let rows = check(numbered((0..50).map(|number| unknown_sample(0, 1, number)).collect()));
        assert_eq!((rows[0].cells_mv[0], rows[0].cells_mv[1].is_some()), (None, true));
        let causes = rows[0].causes.as_deref().unwrap();
        assert!(causes.contains("cells_mv[0]=not_available"), "{causes}");
    }

    #[test]
    fn numbers_of_format_1_that_no_pack_has_are_null_with_what_was_signed() {
        let numbers = [
            OriginalNumber::PackVoltage(u32::MAX),
            OriginalNumber::Cell(3, u16::MAX),
            OriginalNumber::Cell(4, u16::MAX),
            OriginalNumber::Temperature(0, i16::MIN),
        ];
        let old = |number| crate::testing::sample(0, 1, number).with_original_numbers(&numbers).unwrap();
        let rows = check(numbered((0..3).map(old).collect()));
        let said = "pack_voltage_v=out_of_range(4294967295) cells_mv[3-4]=out_of_range(65535) \
                    temperatures_c[0]=out_of_range(-32768)";
        assert_eq!(rows[1].causes.as_deref(), Some(said));
        assert_eq!(
            (rows[1].pack_voltage_v, rows[1].cells_mv[3], rows[1].temperatures_c[0]),
            (None, None, None)
        );
    }

    #[test]
    fn a_row_with_other_causes_is_no_samples_row() {
        let row = &check(numbered(vec![unknown_sample(0, 1, 0)]))[0];
        for said in [
            "",
            "pack_voltage_v",
            "pack_voltage_v=never",
            "cells_mv[999]=stale",
            "x=stale",
            "cells_mv[0-0]=stale",
        ] {
            let row = ArchivedRow { causes: Some(said.to_owned()), ..row.clone() };
            assert_eq!(row.sample(), None, "{said}");
        }
    }
}

//! Logs of packs. Logs of one cell are packs of one.

use super::PackSample;

/// A log of a pack.
#[derive(Debug, Clone)]
pub struct PackLog {
    /// The file's name.
    pub name: String,
    /// Its rows, in order.
    pub samples: Vec<PackSample>,
    /// Number that the log gives its first cell.
    pub first_cell: usize,
    /// Columns that nothing is read from.
    pub unused: Vec<String>,
}

impl PackLog {
    /// Writes a CSV table with a column for each cell, `cell_1_v` and so on.
    ///
    /// # Errors
    ///
    /// What `to` says.
    pub fn write(samples: &[PackSample], to: impl std::io::Write) -> std::io::Result<()> {
        let mut out = csv::Writer::from_writer(to);
        let Some(first) = samples.first() else { return out.flush() };
        let mut header = vec!["time_s".to_owned(), "pack_voltage_v".into(), "current_a".into()];
        header.extend((1..=first.cells_v.len()).map(|n| format!("cell_{n}_v")));
        header.extend((1..=first.temps_c.len()).map(|n| format!("temp_{n}_c")));
        header.push("insulation_ohm".into());
        out.write_record(&header)?;
        for sample in samples {
            let mut row = vec![
                format!("{:.3}", sample.time_s),
                format!("{:.3}", sample.voltage_v),
                format!("{:.3}", sample.current_a),
            ];
            row.extend(sample.cells_v.iter().map(|volts| format!("{volts:.4}")));
            row.extend(sample.temps_c.iter().map(|temp| format!("{temp:.2}")));
            row.push(sample.insulation_ohm.map_or_else(String::new, |ohm| format!("{ohm:.0}")));
            out.write_record(&row)?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_and_sensor_has_its_column() {
        let sample = PackSample {
            time_s: 1.0,
            voltage_v: 7.4,
            current_a: -3.25,
            cells_v: vec![3.7, 3.701],
            temps_c: vec![20.5],
            insulation_ohm: Some(2e6),
        };
        let mut bytes = Vec::new();
        PackLog::write(&[sample], &mut bytes).expect("memory takes it");
        let expected = "time_s,pack_voltage_v,current_a,cell_1_v,cell_2_v,temp_1_c,insulation_ohm\n\
                        1.000,7.400,-3.250,3.7000,3.7010,20.50,2000000\n";
        assert_eq!(String::from_utf8(bytes).expect("text"), expected);
    }
}

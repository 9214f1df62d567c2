//! Rows of `quarantine`: each one's columns derived again from the bytes that were refused.

use super::{
    batches::Batches,
    columns::Columns,
    log::Place,
    report::{ArchiveReport, Kind},
};
use crate::{
    archivist::Quarantined,
    delta::{self, Inspected, from_micros, schema::day_text},
    verify::{About, Checked, Rejection, Stage, check as check_envelope},
};
use arrow::array::{Array, RecordBatch};
use bytes::Bytes;
use voltmesh_control::Envelope;
use voltmesh_ledger::{AnchorProof, Stage as ProofStage, Trust};
use voltmesh_telemetry::{Boot, Digest, SealedBatch};

/// Checks every row. A refused batch that was anchored explains its entry of the ledger's log.
pub(super) async fn check(table: &Inspected, trust: &Trust, found: &mut Batches, report: &mut ArchiveReport) {
    let columns = Columns::of(table);
    for file in table.view.files().iter() {
        let Some(rows) = columns.read(table, file, report).await else {
            let unread = file.rows.unwrap_or(1);
            report.quarantined = report.quarantined.saturating_add(unread);
            report.bad_quarantined = report.bad_quarantined.saturating_add(unread);
            continue;
        };
        for rows in rows {
            report.quarantined = report.quarantined.saturating_add(rows.num_rows() as u64);
            for at in 0..rows.num_rows() {
                if let Err(wrong) = row(&rows.slice(at, 1), &file.day, trust, found, report) {
                    report.problem(Kind::Quarantined, format!("quarantine, {wrong}"));
                }
            }
        }
    }
}

fn row(
    row: &RecordBatch,
    day: &str,
    trust: &Trust,
    found: &mut Batches,
    report: &mut ArchiveReport,
) -> Result<(), String> {
    let columns = delta::Columns(row);
    let unread = |error: delta::ArchiveError| error.to_string();
    let text = |name| columns.text(name).map(|column| column.value(0).to_owned()).map_err(unread);
    let bytes = Bytes::copy_from_slice(columns.binary("bytes").map_err(unread)?.value(0));
    let received = columns.long("received_at").map_err(unread)?.value(0);
    let digest = Digest::of(&bytes);
    let name = format!("delivery {digest}");
    let (stage, fog) = (text("stage")?, text("fog")?);
    let Some(stage) = Stage::ALL.into_iter().find(|known| known.as_str() == stage) else {
        return Err(format!("{name}: there is no check named {stage:?}"));
    };
    let said = About::read(&columns);
    // A single record of a foreign batch: the bytes are the record's, and the batch is what the row says.
    let record = said.as_ref().filter(|_| stage == Stage::Fork).and_then(|said| record_number(&bytes, said));
    let rejection = Rejection { stage, reason: text("reason")? };
    let expected = Quarantined {
        received: from_micros(received),
        fog: fog.clone(),
        about: record.as_ref().map_or_else(|| about(&bytes, &fog), |_| said),
        rejection,
        digest,
        bytes: bytes.clone(),
    };
    let expected = delta::quarantine_rows(&[&expected], &[received]).map_err(unread)?;
    let fields = row.schema();
    let differs = |name: &str| row.column_by_name(name) != expected.column_by_name(name);
    let wrong: Vec<&str> = fields.fields().iter().map(|f| f.name().as_str()).filter(|n| differs(n)).collect();
    if !wrong.is_empty() {
        return Err(format!("{name}: columns {} are not what its bytes say", wrong.join(", ")));
    }
    if day_text(received) != day {
        return Err(format!("{name}: column received_at: its day is not {day}, where the row lies"));
    }
    if record.is_some() {
        found.refused(digest);
        return Ok(());
    }
    hold_place(&bytes, trust, found, report);
    // What the chain and other batches said then is not known now; and who the authorities were may be known by now.
    let later = [Stage::Finality, Stage::Chain, Stage::Fork, Stage::Table];
    match check_envelope(&fog, &bytes, trust) {
        // With a newer trust file it may fail for its authorities, and so does it if it has too few receipts of them.
        Checked::Failed { perhaps_later: true, .. } if stage == Stage::Log => Ok(()),
        Checked::Failed { rejection, .. } if rejection.stage != stage && !later.contains(&stage) => {
            Err(format!("{name}: column stage says {stage}, the check that it fails is {}", rejection.stage))
        }
        Checked::Passed(_) if !later.contains(&stage) => {
            Err(format!("{name}: column stage says {stage}, but it passes that check"))
        }
        _ => Ok(()),
    }
}

/// What the bytes claim to be, as far as they can be read.
fn about(bytes: &Bytes, fog: &str) -> Option<About> {
    let envelope = Envelope::decode(bytes).ok().filter(|envelope| envelope.fog == fog)?;
    let sealed = SealedBatch::parse(envelope.batch).ok()?;
    Some(About::of(sealed.header(), sealed.id()))
}

/// The number of the foreign record that the bytes are, if they are that of `said` (ADR 3).
fn record_number(bytes: &[u8], said: &About) -> Option<u64> {
    let (head, _) = bytes.split_first_chunk::<9>()?;
    let number = u64::from_le_bytes(head[1..].try_into().ok()?);
    (said.boot.is_foreign() && said.count == 1 && said.first == number).then_some(number)
}

impl About {
    /// What a row says that was refused.
    fn read(columns: &delta::Columns<'_>) -> Option<Self> {
        let long = |name| {
            let column = columns.long(name).ok()?;
            column.is_valid(0).then(|| column.value(0))
        };
        let text = |name| {
            let column = columns.text(name).ok()?;
            column.is_valid(0).then(|| column.value(0))
        };
        Some(Self {
            vehicle: text("vehicle")?.parse().ok()?,
            boot: Boot::new(u64::try_from(long("boot")?).ok()?),
            first: u64::try_from(long("first")?).ok()?,
            count: u32::try_from(long("count")?).ok()?,
            id: text("batch_id")?.parse().ok()?,
        })
    }
}

/// Notes the refused batch's place in the log, if its evidence holds.
fn hold_place(bytes: &Bytes, trust: &Trust, found: &mut Batches, report: &mut ArchiveReport) {
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    let (Ok(sealed), Ok(evidence)) =
        (SealedBatch::parse(envelope.batch), AnchorProof::from_bytes(&envelope.evidence))
    else {
        return;
    };
    match evidence.verify_place(trust, &sealed.id()) {
        Ok(index) => {
            let (size, root) = (evidence.header.log_size, evidence.header.log_root);
            found.log.hold(Place { index, size, root }, &sealed.id(), report);
        }
        Err(error) if error.stage == ProofStage::Authorities => {
            found.log.say(evidence.inclusion.index, &sealed.id());
        }
        Err(_) => {}
    }
}

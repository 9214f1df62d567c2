//! Records that are durable: decoded, followed, and given to the functions of their vehicles.

use std::time::Instant;

use bytes::Bytes;
use voltmesh_battery::pack::PackSample;
use voltmesh_control::CLOCK_TOLERANCE_MS;
use voltmesh_function::Input;
use voltmesh_telemetry::{Sample, SealedBatch, VehicleId};

use super::Runner;
use crate::{
    functions::decode,
    ingest::{Block, FeedContent},
    run::functions::queue::Fed,
};

impl Runner {
    pub(super) fn fed(&mut self, fed: Fed) {
        match fed.content {
            FeedContent::Batch(wire) => {
                if let Err(error) = self.batch(wire, fed.arrived) {
                    self.counters.undecodable += 1;
                    tracing::error!(%error, "a batch that was verified cannot be read; functions do not see it");
                }
            }
            FeedContent::Samples(block) => {
                // Those that this version does not take are in the quarantine.
                let Some((records, _)) = Block::read(&block) else { return self.counters.undecodable += 1 };
                for of_one in records.chunk_by(|a, b| a.0 == b.0) {
                    let samples = of_one.iter().map(|(_, record)| &record.sample);
                    self.samples(&of_one[0].0, samples, fed.arrived);
                }
            }
        }
    }

    fn batch(&mut self, wire: Bytes, arrived: Instant) -> Result<(), voltmesh_telemetry::Error> {
        let batch = SealedBatch::parse(wire)?;
        let (report, records) = (batch.report()?, batch.open()?);
        let header = batch.header();
        if !self.watch.boot(self.now, &header.vehicle, header.boot) {
            return Ok(());
        }
        self.samples(&header.vehicle, records.iter().map(|record| &record.sample), arrived);
        let Some(json) = report else { return Ok(()) };
        match decode::report(&json) {
            Ok(report) => {
                self.watch.report(self.now, &header.vehicle, &report);
                if let Some(said) = report.said.filter(|_| self.acting.contains(&header.vehicle)) {
                    let (vehicle, report) = (header.vehicle.clone(), said.report());
                    self.manage(Input::Report { vehicle, report }, Some(arrived));
                }
            }
            Err(why) => {
                self.counters.reports_refused += 1;
                self.warn(format!("reports of {}", header.vehicle), || {
                    format!("a report of {} is refused: {why}", header.vehicle)
                });
            }
        }
        Ok(())
    }

    fn samples<'a>(
        &mut self,
        vehicle: &VehicleId,
        samples: impl Iterator<Item = &'a Sample>,
        arrived: Instant,
    ) {
        let latest = self.now.plus_millis(CLOCK_TOLERANCE_MS);
        let acts = self.acting.contains(vehicle);
        let mut fresh = Vec::new();
        for sample in samples {
            // It would hide all that follow it.
            if sample.time > latest {
                self.counters.ahead += 1;
                continue;
            }
            if self.watch.sample(self.now, vehicle, &PackSample::from(sample)) && acts {
                fresh.push(decode::sample(sample));
            }
        }
        if !fresh.is_empty() {
            self.manage(Input::Samples { vehicle: vehicle.clone(), samples: fresh }, Some(arrived));
        }
    }
}

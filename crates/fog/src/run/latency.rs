//! Percentiles without keeping values: buckets a sixteenth of a power of two wide.

use voltmesh_control::Latency;

const SUB: u64 = 16;
const BUCKETS: usize = 64 * SUB as usize;

/// A histogram of microseconds; its percentiles are at most 6.25 % too high.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }
}

impl Histogram {
    /// Counts a value.
    pub fn record(&mut self, us: u64) {
        self.buckets[bucket(us)] += 1;
        self.count += 1;
    }

    /// Median, 99th percentile, and how many were counted.
    pub fn latency(&self) -> Latency {
        Latency { p50_us: self.percentile(50), p99_us: self.percentile(99), count: self.count }
    }

    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank && rank > 0 {
                return upper(index);
            }
        }
        0
    }
}

fn bucket(us: u64) -> usize {
    if us < SUB {
        return us as usize;
    }
    let shift = u64::from(us.ilog2() - SUB.ilog2());
    ((shift + 1) * SUB + (us >> shift) - SUB) as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB {
        return index;
    }
    let shift = index / SUB - 1;
    ((index % SUB + SUB + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_lies_just_below_its_buckets_end(us in 0..u64::MAX >> 2) {
            let end = upper(bucket(us));
            prop_assert!(us <= end && end - us <= us / SUB);
        }
    }

    #[test]
    fn percentiles_of_a_ramp() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|us| histogram.record(us));
        let latency = histogram.latency();
        assert!((500..=532).contains(&latency.p50_us) && (990..=1055).contains(&latency.p99_us));
        assert_eq!(Histogram::default().latency(), Latency::default());
    }
}

//! Networks to measure on: what the links between nodes are like, drawn per pair from a seed.
//!
//! Nodes belong to classes by share. A pair's link is of the class, of its two ends, that comes later in the list: whoever
//! talks to a node behind a bad link has that link. Both directions of a pair are alike.

use commonware_p2p::simulated::Link;
use commonware_utils::{Probability, probability};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::Deserialize;
use std::time::Duration;

/// Longest text of a profile that is read: some hundred classes.
pub const MAX_PROFILE_BYTES: usize = 16 * 1024;

/// Most classes in a profile.
const MAX_CLASSES: usize = 16;

/// Longest latency of a link, in ms: above it nothing here is meaningful.
const MAX_LATENCY_MS: f64 = 10_000.0;

/// Nodes with links of one kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Share of the nodes, 0 to 1. The first class takes whom the others leave.
    #[serde(default)]
    pub share: f64,
    /// One-way latency in ms: each pair's is drawn evenly between these two, in whole ms.
    pub latency_ms: [f64; 2],
    /// Standard deviation of a message's latency about its pair's, in ms. Default 0.
    #[serde(default)]
    pub jitter_ms: f64,
    /// Share of messages that are lost, 0 to 1 (exclusive). Default 0.
    #[serde(default)]
    pub loss: f64,
}

/// A named kind of network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// For people.
    pub name: String,
    /// From the best to the worst.
    #[serde(rename = "class")]
    pub classes: Vec<Class>,
}

impl Profile {
    /// One machine room: 1–2 ms.
    pub fn lan() -> Self {
        Self::of("lan", vec![class(0.0, [1.0, 2.0], 0.0, 0.0)])
    }

    /// A country: 10–50 ms.
    pub fn wan() -> Self {
        Self::of("wan", vec![class(0.0, [10.0, 50.0], 0.0, 0.0)])
    }

    /// A heterogeneous roadside network: most links 5–20 ms, a fifth of the nodes 80–200 ms with jitter and loss.
    pub fn rsu() -> Self {
        Self::of("rsu", vec![class(0.0, [5.0, 20.0], 1.0, 0.0), class(0.2, [80.0, 200.0], 20.0, 0.01)])
    }

    /// `lan`, `wan` or `rsu`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "lan" => Some(Self::lan()),
            "wan" => Some(Self::wan()),
            "rsu" => Some(Self::rsu()),
            _ => None,
        }
    }

    /// Reads the TOML form: `name`, and a `[[class]]` for each [`Class`].
    ///
    /// # Errors
    ///
    /// What is wrong, for people.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PROFILE_BYTES {
            return Err(format!(
                "{} bytes are too many for a profile, at most {MAX_PROFILE_BYTES}",
                text.len()
            ));
        }
        let profile: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=MAX_CLASSES).contains(&self.classes.len()) {
            return Err(format!("{} classes, want 1 to {MAX_CLASSES}", self.classes.len()));
        }
        for (number, class) in self.classes.iter().enumerate() {
            let [low, high] = class.latency_ms;
            let fault = if !(0.0..=1.0).contains(&class.share) {
                "share is not between 0 and 1"
            } else if !(low >= 0.0 && low <= high && high <= MAX_LATENCY_MS) {
                "latency_ms wants [least, most], at most 10000"
            } else if !(0.0..=high.max(1.0)).contains(&class.jitter_ms) {
                "jitter_ms is negative or more than the latency"
            } else if !(0.0..1.0).contains(&class.loss) {
                "loss is not between 0 and 1"
            } else {
                continue;
            };
            return Err(format!("class {}: {fault}", number + 1));
        }
        let rest: f64 = self.classes.iter().skip(1).map(|class| class.share).sum();
        if rest > 1.0 { Err("the shares add up to more than 1".to_owned()) } else { Ok(()) }
    }

    /// The links between `n` nodes. The same seed gives the same links.
    pub fn links(&self, n: usize, seed: u64) -> Links {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x6c69_6e6b_7300_0000);
        let mut of_node = vec![0; n];
        for (number, class) in self.classes.iter().enumerate().skip(1) {
            let free = of_node.iter().filter(|class| **class == 0).count();
            let count = ((class.share * n as f64).round() as usize).min(free);
            let mut order: Vec<usize> = (0..n).filter(|node| of_node[*node] == 0).collect();
            order.shuffle(&mut rng);
            order.into_iter().take(count).for_each(|node| of_node[node] = number);
        }
        let mut pairs = Vec::with_capacity(n * n.saturating_sub(1) / 2);
        for b in 1..n {
            for a in 0..b {
                let class = &self.classes[of_node[a].max(of_node[b])];
                let [low, high] = class.latency_ms;
                let latency_ms = rng.random_range(low..=high).round().clamp(low, high);
                pairs.push(Pair { latency_ms, jitter_ms: class.jitter_ms, loss: class.loss });
            }
        }
        Links { class: of_node, pairs }
    }

    fn of(name: &str, classes: Vec<Class>) -> Self {
        Self { name: name.to_owned(), classes }
    }
}

fn class(share: f64, latency_ms: [f64; 2], jitter_ms: f64, loss: f64) -> Class {
    Class { share, latency_ms, jitter_ms, loss }
}

/// Quality of the links between two nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Mean one-way latency, in whole ms.
    pub latency_ms: f64,
    /// Its standard deviation, in ms.
    pub jitter_ms: f64,
    /// Share of messages lost.
    pub loss: f64,
}

impl Pair {
    /// As the simulated network takes it.
    pub fn link(&self) -> Link {
        // The simulator cuts each message's latency down to whole ms: half a ms more makes up for it on average.
        let mean = if self.jitter_ms > 0.0 { self.latency_ms + 0.5 } else { self.latency_ms };
        let denominator = 1_000_000_u64;
        let arrive = ((1.0 - self.loss) * denominator as f64).round() as u64;
        Link {
            latency: Duration::from_secs_f64(mean / 1e3),
            jitter: Duration::from_secs_f64(self.jitter_ms / 1e3),
            success_rate: Probability::new(arrive.min(denominator), denominator).unwrap_or(probability!(1.0)),
        }
    }
}

/// The links between all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Links {
    class: Vec<usize>,
    pairs: Vec<Pair>,
}

impl Links {
    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.class.len()
    }

    /// The class of a node: its place in the profile's list.
    pub fn class(&self, node: usize) -> usize {
        self.class[node]
    }

    /// The link between two nodes.
    ///
    /// # Panics
    ///
    /// If they are one, or there are not so many.
    pub fn between(&self, a: usize, b: usize) -> Pair {
        let (a, b) = (a.min(b), a.max(b));
        assert!(a < b && b < self.nodes(), "no link between {a} and {b}");
        self.pairs[b * (b - 1) / 2 + a]
    }

    /// The links among the `k` nodes whose own are shortest on average: whom quality of service would choose.
    pub fn best(&self, k: usize) -> Self {
        let mean = |node: usize| -> f64 {
            (0..self.nodes())
                .filter(|other| *other != node)
                .map(|other| self.between(node, other).latency_ms)
                .sum()
        };
        let mut ranked: Vec<usize> = (0..self.nodes()).collect();
        ranked.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
        ranked.truncate(k);
        ranked.sort_unstable();
        let pairs = (1..ranked.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        Self {
            pairs: pairs.map(|(a, b)| self.between(ranked[a], ranked[b])).collect(),
            class: ranked.iter().map(|node| self.class[*node]).collect(),
        }
    }

    /// Mean one-way latency over all pairs, in ms: the unit in which agreements can be compared across networks.
    pub fn mean_ms(&self) -> f64 {
        let sum: f64 = self.pairs.iter().map(|pair| pair.latency_ms).sum();
        sum / self.pairs.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn links_are_what_the_profile_says(n in 2usize..50, seed: u64) {
            for profile in [Profile::lan(), Profile::wan(), Profile::rsu()] {
                let links = profile.links(n, seed);
                prop_assert_eq!(&links, &profile.links(n, seed));
                for b in 1..n {
                    for a in 0..b {
                        let pair = links.between(a, b);
                        prop_assert_eq!(pair, links.between(b, a));
                        let class = &profile.classes[links.class(a).max(links.class(b))];
                        prop_assert!(pair.latency_ms >= class.latency_ms[0]);
                        prop_assert!(pair.latency_ms <= class.latency_ms[1]);
                        prop_assert_eq!((pair.jitter_ms, pair.loss), (class.jitter_ms, class.loss));
                    }
                }
            }
        }

        #[test]
        fn the_best_are_not_the_far(n in 10usize..40, seed: u64) {
            let (links, k) = (Profile::rsu().links(n, seed), 7);
            let best = links.best(k);
            prop_assert_eq!((best.nodes(), best.pairs.len()), (k, k * (k - 1) / 2));
            prop_assert!(best.class.iter().all(|class| *class == 0));
            prop_assert!(best.mean_ms() < links.mean_ms());
        }

        #[test]
        fn a_fifth_of_roadside_nodes_is_far(n in 5usize..60, seed: u64) {
            let links = Profile::rsu().links(n, seed);
            let far = (0..n).filter(|node| links.class(*node) == 1).count();
            prop_assert_eq!(far, (n as f64 / 5.0).round() as usize);
        }
    }

    #[test]
    fn seeds_differ_and_means_are_as_expected() {
        let wan = Profile::wan();
        assert_ne!(wan.links(20, 1), wan.links(20, 2));
        let mean = wan.links(50, 3).mean_ms();
        assert!((28.0..32.0).contains(&mean), "{mean}");
    }

    #[test]
    fn a_profile_is_read_from_toml_or_refused() {
        let text = "name = \"tunnel\"\n[[class]]\nlatency_ms = [5, 9.5]\n[[class]]\nshare = 0.5\nlatency_ms = [40, 60]\nloss = 0.02\njitter_ms = 4\n";
        let profile = Profile::from_toml(text).unwrap();
        assert_eq!((profile.name.as_str(), profile.classes.len()), ("tunnel", 2));
        assert_eq!(profile.links(10, 1).class.iter().sum::<usize>(), 5);
        for (wrong, why) in [
            ("name = \"x\"\nclass = []", "0 classes"),
            ("name = \"x\"\n[[class]]\nlatency_ms = [9, 5]", "class 1: latency_ms"),
            ("name = \"x\"\n[[class]]\nlatency_ms = [1, 5]\nloss = 1", "class 1: loss"),
            ("name = \"x\"\n[[class]]\nlatency_ms = [1, 5]\ncolour = 1", "colour"),
            (
                "name = \"x\"\n[[class]]\nlatency_ms = [1, 5]\n[[class]]\nshare = 2\nlatency_ms = [1, 5]",
                "class 2: share",
            ),
        ] {
            let error = Profile::from_toml(wrong).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

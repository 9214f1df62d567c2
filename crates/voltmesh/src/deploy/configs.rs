//! Configuration files as an operator would write them. Keys that are not named here keep their defaults.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use voltmesh_edge::sources::{Cursor, Source};

use voltmesh_identity::{Identity, Role, write_private};

use super::{CONTROLLER, DAYS, Deployment, edge_name, fog_name, random};

/// Own time of the first sample of a run: 2026-01-01. The same for all, so that a checker can read the source again.
const START_MS: u64 = 1_767_225_600_000;

/// How fast a recording is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many samples a second: 1 Hz of recorded time, sped up.
    Rate {
        /// Samples a second.
        hz: f64,
    },
    /// Every row, by the recording's own time stamps.
    Recorded {
        /// Times real time.
        times: f64,
    },
    /// As fast as they are taken: 1 Hz of recorded time.
    Unlimited,
}

/// What one vehicle replays.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// A table; the built-in drive cycles if absent.
    pub file: Option<PathBuf>,
    /// Makes packs differ that are simulated or made of a cell.
    pub seed: u64,
    /// Makes a pack of so many cells in series of a table of one cell.
    pub series: Option<u16>,
    /// How fast.
    pub pace: Pace,
    /// Samples after which it ends; the recording's end if absent.
    pub samples: Option<u64>,
}

impl Recording {
    /// The `[source]` table of the vehicle's configuration.
    fn table(&self) -> String {
        let (speed, rate) = match self.pace {
            Pace::Rate { hz } => (hz, Some(1.0)),
            Pace::Recorded { times } => (times, None),
            Pace::Unlimited => (0.0, Some(1.0)),
        };
        let mut text = format!("[source]\nspeed = {speed:?}\nstart_ms = {START_MS}\n");
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "{key} = {value}");
        };
        match &self.file {
            Some(file) => {
                line("kind", quoted("replay"));
                line("files", format!("[{}]", quoted(file.display())));
                if let Some(rate) = rate {
                    line("rate_hz", format!("{rate:?}"));
                    // As long as the run is: the recording comes again until there are enough samples.
                    line("repeat", "0".into());
                }
                line("samples", self.samples.unwrap_or(0).to_string());
                if let Some(series) = self.series {
                    line("pack", format!("{{ series = {series}, spread_mv = 5, seed = {} }}", self.seed));
                }
            }
            None => {
                let cycles = ["udds", "hwfet", "wltc_class3b", "wltc_class3a"];
                line("kind", quoted("sim"));
                line("cycle", quoted(cycles[self.seed as usize % cycles.len()]));
                line("seed", self.seed.to_string());
                line("samples", self.samples.unwrap_or(BUILT_IN_SAMPLES).to_string());
            }
        }
        text
    }

    /// The same samples as the vehicle takes, from the beginning.
    pub fn open(&self) -> Result<Box<dyn Source>> {
        #[derive(serde::Deserialize)]
        struct Outer {
            source: voltmesh_edge::config::SourceConfig,
        }
        let outer: Outer = toml::from_str(&self.table()).context("the recording's configuration")?;
        Ok(outer.source.open(Cursor::default(), START_MS)?)
    }
}

/// A built-in cycle that is replayed by its own time: half an hour of it.
const BUILT_IN_SAMPLES: u64 = 1800;

/// Where a fog node listens and whom it reaches, and where.
#[derive(Debug, Clone)]
pub struct FogPlan {
    /// Counted from 1.
    pub n: usize,
    /// MQTT listener.
    pub mqtt: SocketAddr,
    /// Listener for authorities.
    pub p2p: SocketAddr,
    /// Loopback interface.
    pub http: SocketAddr,
    /// Other fog nodes, counted from 0, and the address at which this one reaches them.
    pub peers: Vec<(usize, SocketAddr)>,
    /// Where it reaches the cloud.
    pub cloud: Option<SocketAddr>,
    /// Whether foreign samples need a second copy.
    pub second_copy: bool,
}

/// Which fog nodes a vehicle reaches, and what it replays.
#[derive(Debug, Clone)]
pub struct EdgePlan {
    /// Counted from 1.
    pub n: usize,
    /// Loopback interface.
    pub http: SocketAddr,
    /// Fog nodes' MQTT addresses as seen from here.
    pub fogs: Vec<SocketAddr>,
    /// Where samples come from.
    pub recording: Recording,
    /// What else differs from the defaults.
    pub tuning: Tuning,
}

/// How much of the battery's twin runs in a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwinPlan {
    /// A filter for each cell, as by default.
    Full,
    /// The pack's mean and each cell's difference from it: `full_every_s = 0`.
    BarDelta,
    /// None: `enabled = false`.
    Off,
}

/// What of a vehicle's configuration is chosen by who deploys it.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Records in a batch.
    pub batch_records: usize,
    /// Age at which a batch is sealed, full or not, in ms.
    pub batch_age_ms: u64,
    /// Time without a notice until a batch is offered again, in ms.
    pub offer_again_after_ms: u64,
    /// The battery's twin.
    pub twin: TwinPlan,
}

impl Tuning {
    /// Of a demo: batches that a person can wait for.
    pub const DEMO: Tuning =
        Tuning { batch_records: 256, batch_age_ms: 500, offer_again_after_ms: 10_000, twin: TwinPlan::Full };

    /// Of a vehicle without any of this in its configuration.
    pub const DEFAULT: Tuning = Tuning {
        batch_records: 256,
        batch_age_ms: 10_000,
        offer_again_after_ms: 60_000,
        twin: TwinPlan::Full,
    };
}

impl Deployment {
    /// Writes a fog node's configuration.
    pub fn write_fog(&self, plan: &FogPlan) -> Result<PathBuf> {
        let name = fog_name(plan.n);
        let mut text = format!(
            "data = \"data\"\ncredentials = {}\ncrl = {}\n\n[listen]\nmqtt = \"{}\"\np2p = \"{}\"\nhttp = \"{}\"\n\n\
             [ledger]\ngenesis = {}\nany_source_address = true\n",
            quoted(self.pki_folder("fog", &name).display()),
            quoted(self.pki.crl_path().display()),
            plan.mqtt,
            plan.p2p,
            plan.http,
            quoted(self.dir.join("genesis.toml").display()),
        );
        for (peer, address) in &plan.peers {
            let key = &self.authorities[*peer];
            let name = fog_name(peer + 1);
            let _ = write!(
                text,
                "\n[[ledger.peers]]\nkey = \"{key}\"\naddress = \"{address}\"\nname = \"{name}\"\n"
            );
        }
        if let Some(cloud) = plan.cloud {
            let key = self.cloud_key()?;
            let _ = write!(text, "\n[cloud]\naddress = \"{cloud}\"\nnotice_key = \"{key}\"\n");
        }
        let _ = write!(text, "\n[foreign]\nsecond_copy = {}\n", plan.second_copy);
        // A shared machine's free space is not the product's concern here.
        let _ = write!(text, "\n[spool]\nreserve_bytes = 268435456\n");
        self.write(&name, "fog.toml", &text)
    }

    /// Gives a fog node, counted from 1, whose configuration is written, charging stations to forecast: a model, a list of places
    /// and a feed, which it plays so many times faster than it happened.
    pub fn add_stations(
        &self,
        n: usize,
        model: &[u8],
        places: &str,
        feed: &str,
        replay_speed: f64,
    ) -> Result<()> {
        let folder = self.node_dir(&fog_name(n))?;
        let files =
            [("stations.model", model), ("evse.csv", places.as_bytes()), ("feed.csv", feed.as_bytes())];
        for (file, content) in files {
            let path = folder.join(file);
            std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let path = folder.join("fog.toml");
        let mut text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // A run may be longer than the feed, and still wants answers at its end.
        let _ = write!(
            text,
            "\n[stations]\nmodel = \"stations.model\"\nplaces = \"evse.csv\"\nfeed = \"feed.csv\"\n\
             feed_poll_ms = 200\nmax_age_s = 604800\nreplay_speed = {replay_speed:?}\n"
        );
        self.write(&fog_name(n), "fog.toml", &text)?;
        Ok(())
    }

    /// Writes the cloud's configuration and the trust file that it starts from.
    pub fn write_cloud(&self, mqtt: SocketAddr, http: SocketAddr) -> Result<PathBuf> {
        self.write_trust()?;
        // Readers wait a second at most: a demonstration is watched.
        let text = format!(
            "id = \"cloud\"\ncredentials = {}\nrevocations = {}\ntrust = {}\narchive = \"archive\"\n\n\
             [mqtt]\nlisten = \"{mqtt}\"\n\n[http]\nlisten = \"{http}\"\n\n\
             [commit]\ninterval_ms = 1000\nfew_interval_ms = 1000\n\n[statement]\nevery_s = 5\n",
            quoted(self.pki_folder("cloud", "cloud").display()),
            quoted(self.pki.crl_path().display()),
            quoted(self.dir.join("trust.toml").display()),
        );
        self.write("cloud", "cloud.toml", &text)
    }

    /// Issues a controller's keys and writes its configuration; operators' changes carry the token beside it.
    pub fn write_controller(&self, name: &str, mqtt: SocketAddr, http: SocketAddr) -> Result<PathBuf> {
        let identity = Identity::new(Role::Controller, name)?;
        self.pki.issue(&identity, &[], DAYS)?;
        let token = self.node_dir(name)?.join("token");
        write_private(&token, hex::encode(random::<32>()).as_bytes())?;
        let mut text = format!(
            "id = \"{name}\"\ndata = \"data\"\ncredentials = {}\nrevocations = {}\npublishers = [{}]\n\
             genesis = {}\n\n[mqtt]\nlisten = \"{mqtt}\"\n\n[http]\nlisten = \"{http}\"\ntoken_file = \"token\"\n\n[fogs]\n",
            quoted(self.pki_folder("controller", name).display()),
            quoted(self.pki.crl_path().display()),
            quoted(self.publisher_key().display()),
            quoted(self.dir.join("genesis.toml").display()),
        );
        for n in 1..=self.authorities.len() {
            let name = fog_name(n);
            let key = self.pki_folder("fog", &name).join("sign.pub");
            let _ = writeln!(text, "{name} = {}", quoted(key.display()));
        }
        self.write(name, "controller.toml", &text)
    }

    /// Has two controllers, whose configurations are written, copy each other: each is told where the other one listens.
    pub fn pair_controllers(&self, addresses: [(&str, SocketAddr); 2]) -> Result<()> {
        let [one, other] = addresses;
        for ((name, _), (peer, address)) in [(one, other), (other, one)] {
            let path = self.node_dir(name)?.join("controller.toml");
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            self.write(name, "controller.toml", &format!("{text}\n[controllers]\n{peer} = \"{address}\"\n"))?;
        }
        Ok(())
    }

    /// Public key of who publishes functions here: the first operator's.
    fn publisher_key(&self) -> PathBuf {
        self.pki_folder("operator", "op-1").join("sign.pub")
    }

    /// Has a fog node, counted from 1, whose configuration is written, connect to a controller.
    pub fn add_controller(&self, n: usize, address: SocketAddr) -> Result<()> {
        let path = self.node_dir(&fog_name(n))?.join("fog.toml");
        let mut text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let key = self.pki_folder("controller", CONTROLLER).join("sign.pub");
        let _ = write!(
            text,
            "\n[controller]\naddresses = [\"{address}\"]\nkeys = [{}]\n\n[functions]\npublishers = [{}]\n",
            quoted(key.display()),
            quoted(self.publisher_key().display()),
        );
        self.write(&fog_name(n), "fog.toml", &text)?;
        Ok(())
    }

    /// Has a fog node that connects to a controller connect to another one too. Its key is the ledger's to say.
    pub fn add_standby(&self, n: usize, address: SocketAddr) -> Result<()> {
        let path = self.node_dir(&fog_name(n))?.join("fog.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let both = format!("\", \"{address}\"]\nkeys");
        self.write(&fog_name(n), "fog.toml", &text.replacen("\"]\nkeys", &both, 1))?;
        Ok(())
    }

    /// Writes a vehicle's configuration.
    pub fn write_edge(&self, plan: &EdgePlan) -> Result<PathBuf> {
        let twin = match plan.tuning.twin {
            TwinPlan::Full => "",
            TwinPlan::BarDelta => "[twin]\nfull_every_s = 0.0\n\n",
            TwinPlan::Off => "[twin]\nenabled = false\n\n",
        };
        let text =
            self.edge_head(plan.n, plan.http, &plan.fogs, &plan.tuning) + twin + &plan.recording.table();
        self.write(&edge_name(plan.n), "edge.toml", &text)
    }

    /// What all vehicles' configurations begin with; tables of the twin and the source follow.
    pub(super) fn edge_head(
        &self,
        n: usize,
        http: SocketAddr,
        fogs: &[SocketAddr],
        tuning: &Tuning,
    ) -> String {
        let fogs: Vec<String> = fogs.iter().map(quoted).collect();
        format!(
            "data = \"data\"\ncredentials = {}\ncrl = {}\ntrust = {}\nopening = \"opening.toml\"\nsecret = \"secret\"\n\
             fogs = [{}]\nhttp = \"{http}\"\nnew_vehicle = true\nuntil_archived = true\n\n\
             [batch]\nmax_records = {}\nmax_age_ms = {}\n\n[spool]\noffer_again_after_ms = {}\n\n",
            quoted(self.pki_folder("edge", &edge_name(n)).display()),
            quoted(self.pki.crl_path().display()),
            quoted(self.dir.join("trust.toml").display()),
            fogs.join(", "),
            tuning.batch_records,
            tuning.batch_age_ms,
            tuning.offer_again_after_ms,
        )
    }

    /// Writes what vehicles and the cloud trust at the start: the genesis and the cloud's key.
    pub fn write_trust(&self) -> Result<PathBuf> {
        let mut trust = self.trust();
        trust.add_cloud(self.cloud_key()?);
        let path = self.dir.join("trust.toml");
        std::fs::write(&path, trust.to_toml()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    pub(super) fn pki_folder(&self, role: &str, id: &str) -> PathBuf {
        self.dir.join("pki").join(format!("{role}-{id}"))
    }

    pub(super) fn write(&self, node: &str, file: &str, text: &str) -> Result<PathBuf> {
        let path = self.node_dir(node)?.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A TOML string.
pub(super) fn quoted(value: impl std::fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

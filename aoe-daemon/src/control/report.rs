//! What the daemon tells of itself: the same data for status and for the summary at the end.

use super::memory::MemoryReport;
use crate::exports::Export;
use crate::stats::{Stat, Stats};
use crate::storage::sighting::Sighting;
use aoe_common::counters::Counter;
use aoe_common::wire::Mac;
use aoe_xsk::{Census, Statistics};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// Counts by name; those that are 0 are left out of texts.
pub type Counts = BTreeMap<String, u64>;

/// The whole daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Release of the daemon.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Every export.
    pub exports: Vec<ExportReport>,
    /// What memory it has.
    pub memory: MemoryReport,
    /// Every interface.
    pub interfaces: Vec<InterfaceReport>,
    /// What was counted on interfaces that were served by a pattern, and are gone.
    pub departed: Counts,
}

/// One export.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportReport {
    /// Such as `e0.1`.
    pub address: String,
    /// What it is served from.
    pub file: String,
    /// How its data is reached.
    pub access: String,
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// Whether writes are refused.
    pub read_only: bool,
    /// When writes are answered: `always` durable, or before that by `writeback`.
    pub durability: String,
    /// Whether a write has failed, since when all are refused until that is cleared.
    pub failed: bool,
    /// Sectors that can be read and written: fewer than `sectors` where the file has shrunk.
    pub reachable: u64,
    /// Whether its file is still where it was opened: `in-place`, `moved`, `replaced` by another one,
    /// `deleted`, or `deleted-and-replaced`.
    pub file_state: Sighting,
    /// VLAN that it is offered on; 0 for untagged frames.
    pub vlan: u16,
    /// Serial number.
    pub serial: String,
    /// Config string, what is not printable escaped.
    pub config_string: String,
    /// The MAC mask list; empty for everybody.
    pub mask: Vec<String>,
    /// Who holds it reserved; empty for nobody.
    pub reserved: Vec<String>,
}

/// One interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceReport {
    /// Name of the interface.
    pub name: String,
    /// Whether frames are taken from it.
    pub serving: bool,
    /// Why not, where they are not.
    pub waiting_for: Option<String>,
    /// MAC address.
    pub mac: String,
    /// Maximum transmission unit in bytes.
    pub mtu: u32,
    /// Most sectors per request.
    pub max_sectors: u8,
    /// `native-zerocopy`, `native` or `generic`.
    pub mode: Option<String>,
    /// What the XDP program counted.
    pub xdp: Counts,
    /// Every receive queue.
    pub queues: Vec<QueueReport>,
    /// What was counted, of all three kinds, before the interface went away and came back.
    pub before: Counts,
}

/// One receive queue with its worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueReport {
    /// Number of the queue.
    pub queue: u32,
    /// CPU that the worker is pinned to.
    pub cpu: Option<usize>,
    /// How the socket was bound.
    pub bind: String,
    /// Pages behind the packet buffers.
    pub pages: String,
    /// What the worker counted.
    pub counts: Counts,
    /// Packet buffers of 4 KiB, by where they are.
    pub buffers: Counts,
    /// What the kernel counted for the socket.
    pub kernel: Counts,
}

impl ExportReport {
    /// How an export does.
    pub fn of(export: &Export) -> Self {
        let target = export.record.current();
        let (description, lists) = (target.description(), target.lists());
        let texts = |list: &[Mac]| list.iter().map(Mac::to_string).collect();
        Self {
            address: target.address().to_string(),
            file: export.disk.image().backing.path.display().to_string(),
            access: export.disk.store().to_string(),
            sectors: description.sectors,
            read_only: description.read_only,
            durability: export.disk.store().durability().to_string(),
            failed: export.disk.is_failed(),
            reachable: target.reachable(),
            file_state: export.disk.store().sighting(),
            vlan: target.vlan(),
            serial: description.serial.clone(),
            config_string: lists.config_string.escape_ascii().to_string(),
            mask: texts(&lists.mask),
            reserved: texts(&lists.reserved),
        }
    }
}

/// Packet buffers by where they are.
pub fn buffer_counts(census: &Census) -> Counts {
    let places = [
        ("total", census.total),
        ("free", census.free),
        ("receiving", census.fill + census.assembly),
        ("in_use", census.application),
        ("sending", census.transmit),
    ];
    places.into_iter().map(|(name, count)| (name.to_owned(), u64::from(count))).collect()
}

/// What the kernel counted for a socket and lost, by name.
pub fn kernel_counts(statistics: &Statistics) -> Counts {
    let losses = [
        ("rx_dropped", statistics.rx_dropped),
        ("rx_ring_full", statistics.rx_ring_full),
        ("rx_fill_ring_empty", statistics.rx_fill_ring_empty),
        ("rx_invalid_descs", statistics.rx_invalid_descs),
        ("tx_invalid_descs", statistics.tx_invalid_descs),
    ];
    losses.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// The counts of a worker by name.
pub fn worker_counts(stats: &Stats) -> Counts {
    Stat::ALL.into_iter().map(|stat| (stat.name().to_owned(), stats.get(stat))).collect()
}

/// The counts of an XDP program by name.
pub fn xdp_counts(counts: &[u64; Counter::ALL.len()]) -> Counts {
    Counter::ALL
        .into_iter()
        .map(|counter| (counter.name().to_owned(), counts[counter as usize]))
        .collect()
}

/// Adds counts to others of the same names.
pub fn add_counts(sum: &mut Counts, counts: &Counts) {
    for (name, count) in counts {
        *sum.entry(name.clone()).or_default() += count;
    }
}

impl Report {
    /// All counts of all interfaces.
    pub fn totals(&self) -> Counts {
        let mut totals = self.departed.clone();
        for interface in &self.interfaces {
            add_counts(&mut totals, &interface.before);
            add_counts(&mut totals, &interface.xdp);
            for queue in &interface.queues {
                add_counts(&mut totals, &queue.counts);
                add_counts(&mut totals, &queue.kernel);
            }
        }
        totals
    }

    /// The summary that a stopping daemon prints.
    pub fn summary(&self) -> String {
        use std::fmt::Write;
        let totals = self.totals();
        let total = |stat: Stat| totals.get(stat.name()).copied().unwrap_or(0);
        let mut text = format!(
            "served for {} s: {} reads ({} bytes), {} writes ({} bytes), {} flushes, {} other \
             requests, {} failed\n",
            self.uptime_seconds,
            total(Stat::Reads),
            total(Stat::BytesRead),
            total(Stat::Writes),
            total(Stat::BytesWritten),
            total(Stat::Flushes),
            total(Stat::Immediate),
            total(Stat::Failed),
        );
        let drops = totals.into_iter().filter(|(name, _)| is_loss(name)).collect();
        let drops = NonZero(&drops).to_string();
        let drops = if drops.is_empty() { "none".to_owned() } else { drops };
        // Writing to a String can't fail.
        let _ = writeln!(text, "dropped: {drops}");
        for interface in &self.interfaces {
            let _ = writeln!(text, "{}: {}", interface.name, interface.state());
        }
        text
    }
}

/// Whether a count is one of frames that were lost: our own, or the kernel's for the socket.
fn is_loss(name: &str) -> bool {
    ["dropped_", "rx_", "tx_"].iter().any(|prefix| name.starts_with(prefix))
}

impl InterfaceReport {
    fn state(&self) -> String {
        match (&self.mode, &self.waiting_for) {
            (_, Some(reason)) => format!("waiting: {reason}"),
            (Some(mode), None) if !self.serving => format!("{mode} mode"),
            (Some(mode), None) => {
                let queues = self.queues.len();
                format!("{mode} mode, {queues} {}", if queues == 1 { "queue" } else { "queues" })
            }
            (None, None) => "not started".to_owned(),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { version, pid, uptime_seconds, exports, memory, interfaces, .. } = self;
        writeln!(f, "aoe-daemon {version}, pid {pid}, up {uptime_seconds} s")?;
        for export in exports {
            export.fmt(f)?;
        }
        memory.fmt(f)?;
        for interface in interfaces {
            interface.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for ExportReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { address, file, sectors, read_only, failed, reachable, vlan, .. } = self;
        write!(f, "export {address}: {file}, {sectors} sectors, ")?;
        if *read_only {
            f.write_str("read-only")?;
        } else {
            write!(f, "read-write, durability {}", self.durability)?;
        }
        if *vlan != 0 {
            write!(f, ", VLAN {vlan}")?;
        }
        if reachable < sectors {
            write!(f, ", SHRUNK: only {reachable} sectors are left")?;
        }
        if self.file_state != Sighting::InPlace {
            write!(f, ", FILE GONE: {}", self.file_state)?;
        }
        if *failed {
            write!(f, ", FAILED: writes are refused until: aoe-daemon clear {address} --failed")?;
        }
        writeln!(f, "\n  storage: {}", self.access)?;
        if !self.config_string.is_empty() {
            writeln!(f, "  config string: {}", self.config_string)?;
        }
        for (what, stations) in
            [("may talk to it", &self.mask), ("hold it reserved", &self.reserved)]
        {
            if !stations.is_empty() {
                writeln!(f, "  these {what}: {}", stations.join(" "))?;
            }
        }
        Ok(())
    }
}

impl Display for InterfaceReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, mac, mtu, max_sectors, xdp, queues, before, serving, .. } = self;
        write!(f, "interface {name}: {}", self.state())?;
        if !serving {
            return writeln!(f);
        }
        writeln!(f, ", MAC {mac}, MTU {mtu}, {max_sectors} sectors a request")?;
        if !before.is_empty() {
            writeln!(f, "  before it came back: {}", NonZero(before))?;
        }
        writeln!(f, "  xdp: {}", NonZero(xdp))?;
        for queue in queues {
            let QueueReport { queue, cpu, bind, pages, counts, buffers, kernel } = queue;
            let cpu = cpu.map_or("any CPU".to_owned(), |cpu| format!("CPU {cpu}"));
            writeln!(f, "  queue {queue}: {bind}, {pages}, {cpu}")?;
            writeln!(f, "    requests: {}", NonZero(counts))?;
            writeln!(f, "    buffers: {}", NonZero(buffers))?;
            writeln!(f, "    kernel: {}", NonZero(kernel))?;
        }
        Ok(())
    }
}

/// Counts as text, without those that are 0.
struct NonZero<'a>(&'a Counts);

impl Display for NonZero<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, count) in self.0.iter().filter(|(_, count)| **count > 0) {
            write!(f, "{separator}{name} {count}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let stats = Stats::default();
        stats.add(Stat::Reads, 3);
        stats.add(Stat::BytesRead, 3072);
        stats.add(Stat::DroppedShort, 2);
        Report {
            version: "0".into(),
            pid: 1,
            uptime_seconds: 9,
            exports: vec![],
            memory: MemoryReport::default(),
            departed: Counts::new(),
            interfaces: vec![InterfaceReport {
                name: "eth9".into(),
                serving: true,
                waiting_for: None,
                mac: "02:00:00:00:00:01".into(),
                mtu: 1500,
                max_sectors: 2,
                mode: Some("native".into()),
                before: Counts::from([("dropped_short".into(), 1), ("reads".into(), 4)]),
                xdp: Counts::from([("dropped_short".into(), 5), ("seen".into(), 7)]),
                queues: vec![QueueReport {
                    queue: 0,
                    cpu: Some(1),
                    bind: "copy".into(),
                    pages: "plain".into(),
                    counts: worker_counts(&stats),
                    buffers: Counts::new(),
                    kernel: Counts::from([("rx_ring_full".into(), 4)]),
                }],
            }],
        }
    }

    #[test]
    fn the_summary_adds_up_by_reason() {
        let text = report().summary();
        assert!(text.contains("7 reads (3072 bytes)"), "{text}");
        assert!(text.contains("dropped: dropped_short 8, rx_ring_full 4\n"), "{text}");
        assert!(text.contains("eth9: native mode, 1 queue\n"), "{text}");
    }

    #[test]
    fn json_is_read_back() {
        let text = serde_json::to_string(&report()).unwrap();
        let again: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(again.to_string(), report().to_string());
    }
}

//! `aoe bench`

use std::time::Duration;

use anyhow::ensure;
use aoe_client::bench::{self, Load, Pattern, Report};
use aoe_common::size::parse_bytes;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Connection, print};

/// How long it looks for an answer before it sleeps. Longer than what needs no disk takes: to be
/// woken would take longer. Not for ever: the kernel may have work for this processor, such as the
/// disk's of a target on the same machine.
const SPIN: Duration = Duration::from_micros(50);

const EXAMPLES: &str = "\
Examples:
  aoe bench e0.1 --iface eth0
  aoe bench e0.1 --iface eth0 --depth 1 --seconds 10 --sectors 1
  aoe bench e0.1 --iface eth0 --load read --bytes 1G --sectors 16
  aoe bench e0.1 --iface eth0 --within 64M --depth 32
  aoe bench e0.1 --iface eth0 --load randwrite --overwrite
  aoe bench e0.1 --iface eth0 --json | jq .requests_per_second";

/// Measure how fast a disk is
///
/// Keeps always the same number of requests under way, and tells how many were answered, how fast,
/// and how many had to be sent again. The places are the same in every run with the same --seed.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// What to ask for
    #[arg(long, value_enum, default_value_t = Kind::Randread)]
    load: Kind,

    /// How many of 100 requests are reads in a mixed load
    #[arg(long, value_name = "PERCENT", default_value_t = 70)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    reads: u8,

    /// Do write: what is on the disk is lost
    #[arg(long)]
    overwrite: bool,

    /// How many requests to have under way
    ///
    /// More than the target has buffers for makes it drop some, which is worth a look, too.
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    depth: u16,

    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// How many bytes to ask for at most, a multiple of 512; K, M, G and T multiply by powers of
    /// 1024
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    bytes: Option<u64>,

    /// Keep to so many bytes from the first sector on
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    within: Option<u64>,

    /// How many sectors of 512 bytes to ask for at once; all of them must fit one frame
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    sectors: u8,

    /// Which random places, and which data
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print one JSON object instead; times are in seconds
    #[arg(long)]
    json: bool,
}

/// Loads by the names that fio has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Reads at random places.
    Randread,
    /// Writes at random places.
    Randwrite,
    /// Both at random places.
    Randrw,
    /// Reads from the first sector on.
    Read,
    /// Writes from the first sector on.
    Write,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let load = arguments.load();
    ensure!(
        load.reads == 100 || arguments.overwrite,
        "this load writes: give --overwrite if what is on the disk may be lost"
    );
    let report = arguments.connection.with_disk(|disk| {
        disk.port_mut().spin(SPIN);
        Ok(bench::run(disk, &load)?)
    })?;
    if arguments.json { print(format_args!("{:#}", object(&report))) } else { print(text(&report)) }
}

impl Arguments {
    fn load(&self) -> Load {
        let (pattern, reads) = match self.load {
            Kind::Randread => (Pattern::Random, 100),
            Kind::Randwrite => (Pattern::Random, 0),
            Kind::Randrw => (Pattern::Random, self.reads),
            Kind::Read => (Pattern::Sequential, 100),
            Kind::Write => (Pattern::Sequential, 0),
        };
        Load {
            pattern,
            reads,
            sectors: self.sectors,
            depth: self.depth.into(),
            duration: Duration::from_secs(self.seconds),
            bytes: self.bytes,
            within: self.within,
            seed: self.seed,
        }
    }
}

fn object(report: &Report) -> serde_json::Value {
    json!({
        "requests": report.requests,
        "bytes": report.bytes,
        "elapsed": report.elapsed.as_secs_f64(),
        "requests_per_second": report.requests_per_second(),
        "retransmits": report.retransmits,
        "latency_p50": report.latency_p50.as_secs_f64(),
        "latency_p99": report.latency_p99.as_secs_f64(),
    })
}

fn text(report: &Report) -> String {
    format!(
        "{} requests in {:.2} s: {:.0} a second, {:.1} MB/s\n\
         latency p50 {:.1} us, p99 {:.1} us\n\
         {} retransmits",
        report.requests,
        report.elapsed.as_secs_f64(),
        report.requests_per_second(),
        report.bytes as f64 / report.elapsed.as_secs_f64() / 1e6,
        report.latency_p50.as_secs_f64() * 1e6,
        report.latency_p99.as_secs_f64() * 1e6,
        report.retransmits,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_in_the_units_it_names() {
        let report = Report {
            requests: 3000,
            bytes: 3_072_000,
            elapsed: Duration::from_millis(1500),
            retransmits: 4,
            latency_p50: Duration::from_nanos(1500),
            latency_p99: Duration::from_micros(20),
        };
        let expected = "3000 requests in 1.50 s: 2000 a second, 2.0 MB/s\n\
                        latency p50 1.5 us, p99 20.0 us\n4 retransmits";
        assert_eq!(text(&report), expected);
        assert_eq!(object(&report)["requests_per_second"], 2000.0);
        assert_eq!(object(&report)["latency_p99"], 0.000_02);
    }
}

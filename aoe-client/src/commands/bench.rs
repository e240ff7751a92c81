//! `aoe bench`

use std::time::Duration;

use aoe_client::bench::{Report, random_reads};
use clap::Args;
use serde_json::json;

use super::{Connection, print};

const EXAMPLES: &str = "\
Examples:
  aoe bench e0.1 --iface eth0
  aoe bench e0.1 --iface eth0 --depth 1 --seconds 10 --sectors 1
  aoe bench e0.1 --iface eth0 --json | jq .reads_per_second";

/// Measure random reads
///
/// Reads at random places, always with the same number of reads under way, and tells how many were
/// answered, how fast, and how many had to be sent again. The places are the same in every run.
/// Nothing is written.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// How many reads to have under way
    ///
    /// More than the target has buffers for makes it drop some, which is worth a look, too.
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    depth: u16,

    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// How many sectors of 512 bytes to read at once; all of them must fit one frame
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    sectors: u8,

    /// Print one JSON object instead; times are in seconds
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let duration = Duration::from_secs(arguments.seconds);
    let depth = usize::from(arguments.depth);
    let report = arguments
        .connection
        .with_disk(|disk| Ok(random_reads(disk, arguments.sectors, depth, duration)?))?;
    if arguments.json { print(format_args!("{:#}", object(&report))) } else { print(text(&report)) }
}

fn object(report: &Report) -> serde_json::Value {
    json!({
        "reads": report.reads,
        "bytes": report.bytes,
        "elapsed": report.elapsed.as_secs_f64(),
        "reads_per_second": report.reads_per_second(),
        "retransmits": report.retransmits,
        "latency_p50": report.latency_p50.as_secs_f64(),
        "latency_p99": report.latency_p99.as_secs_f64(),
    })
}

fn text(report: &Report) -> String {
    format!(
        "{} reads in {:.2} s: {:.0} reads/s, {:.1} MB/s\n\
         latency p50 {:.1} us, p99 {:.1} us\n\
         {} retransmits",
        report.reads,
        report.elapsed.as_secs_f64(),
        report.reads_per_second(),
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
            reads: 3000,
            bytes: 3_072_000,
            elapsed: Duration::from_millis(1500),
            retransmits: 4,
            latency_p50: Duration::from_nanos(1500),
            latency_p99: Duration::from_micros(20),
        };
        let expected = "3000 reads in 1.50 s: 2000 reads/s, 2.0 MB/s\n\
                        latency p50 1.5 us, p99 20.0 us\n4 retransmits";
        assert_eq!(text(&report), expected);
        assert_eq!(object(&report)["reads_per_second"], 2000.0);
        assert_eq!(object(&report)["latency_p99"], 0.000_02);
    }
}

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::sip::{SipOptions, SipRole};
use crate::sockets::{DatagramRole, LoadRole, ServerRole, SocketsOptions};

/// Measures Wharf beside its peers and beside the raw floor.
#[derive(Debug, Parser)]
#[command(name = "wharf-bench", version)]
pub(crate) struct Cli {
    /// A smoke run of about a minute: short windows, few rounds. Its figures are rough.
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// What to measure.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Parse, verify and write messages, beside the `stun-types` crate.
    Codec,
    /// The TURN core alone, without sockets.
    Core,
    /// Whole servers over loopback, beside coturn and the floor.
    Relay(RelayOptions),
    /// The library, beside bare tokio doing the same, nginx and haproxy.
    Sockets(SocketsOptions),
    /// The SIP transport layer, beside kamailio and rvoip-sip-transport.
    Sip(SipOptions),
    /// Codec, core and relay.
    All(RelayOptions),
    /// The do-nothing relay: a child of `relay`.
    #[command(hide = true)]
    Floor,
    /// A server: a child of `sockets`.
    #[command(hide = true)]
    SocketServer(ServerRole),
    /// A server of datagrams: a child of `sockets`.
    #[command(hide = true)]
    DatagramServer(DatagramRole),
    /// A load: a child of `sockets`.
    #[command(hide = true)]
    SocketLoad(LoadRole),
    /// A server of SIP: a child of `sip`.
    #[command(hide = true)]
    SipServer(SipRole),
}

/// Which servers to measure, and under which load.
#[derive(Debug, Clone, Args)]
pub(crate) struct RelayOptions {
    /// Servers, in the order in which they take their turns.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Floor, Kind::Wharf, Kind::Coturn])]
    pub(crate) servers: Vec<Kind>,
    /// Directions to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        Shape::ToPeer, Shape::ToClient, Shape::Across, Shape::BurstToPeer, Shape::BurstToClient,
    ])]
    pub(crate) shapes: Vec<Shape>,
    /// Numbers of flows: allocations, or pairs of them for `across`.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000],
          value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub(crate) flows: Vec<u32>,
    /// Bytes of application data in a datagram.
    #[arg(long, default_value_t = 172, value_parser = clap::value_parser!(u16).range(16..=1200))]
    pub(crate) payload: u16,
    /// Datagrams a second of the moderate run.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    pub(crate) rate: u32,
    /// Turns of each server [default: 5, with --quick 2].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub(crate) rounds: Option<u16>,
    /// Leave out the search for the highest rate.
    #[arg(long)]
    pub(crate) no_peak: bool,
    /// Leave out memory per allocation, cost of an allocation and the flood.
    #[arg(long)]
    pub(crate) traffic_only: bool,
    /// Leave out the traffic: only memory per allocation, cost of an allocation and the flood.
    #[arg(long, conflicts_with = "traffic_only")]
    pub(crate) footprint_only: bool,
    /// The wharfd binary [default: beside this one].
    #[arg(long)]
    pub(crate) wharfd: Option<PathBuf>,
    /// The coturn binary.
    #[arg(long, default_value = "turnserver")]
    pub(crate) coturn: PathBuf,
}

/// A server under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// A relay that knows no protocol: one hash look-up per packet on the same sockets.
    Floor,
    /// `wharfd`.
    Wharf,
    /// Debian's coturn.
    Coturn,
}

impl Kind {
    /// Its word in the names of figures.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Wharf => "wharf",
            Self::Coturn => "coturn",
        }
    }
}

/// Direction and form of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// ChannelData from clients, delivered to peers.
    ToPeer,
    /// Datagrams from peers, delivered to clients as ChannelData.
    ToClient,
    /// From client to client over two allocations of the server.
    Across,
    /// To peers, each flow in bursts of 16 that arrive as one segmented datagram.
    BurstToPeer,
    /// To clients, each flow in bursts of 16 that arrive as one segmented datagram.
    BurstToClient,
}

impl Shape {
    /// Its word in the names of figures.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::ToPeer => "to-peer",
            Self::ToClient => "to-client",
            Self::Across => "across",
            Self::BurstToPeer => "burst-to-peer",
            Self::BurstToClient => "burst-to-client",
        }
    }

    /// Datagrams of one flow that leave together.
    pub(crate) const fn burst(self) -> usize {
        match self {
            Self::BurstToPeer | Self::BurstToClient => 16,
            Self::ToPeer | Self::ToClient | Self::Across => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn relay(arguments: &[&str]) -> Result<RelayOptions, clap::Error> {
        let line = ["wharf-bench", "relay"].iter().chain(arguments);
        match Cli::try_parse_from(line)?.command {
            Command::Relay(options) => Ok(options),
            other => panic!("parsed as {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_measure_everything() {
        let options = relay(&[]).expect("no argument is needed");
        assert_eq!(options.servers, [Kind::Floor, Kind::Wharf, Kind::Coturn]);
        assert_eq!(options.flows, [1, 100, 1000]);
        assert_eq!(options.shapes.len(), 5);
        assert_eq!(
            (options.payload, options.rate, options.rounds),
            (172, 50_000, None)
        );
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let options = relay(&[
            "--servers",
            "coturn,floor",
            "--shapes",
            "across",
            "--flows",
            "1,7",
        ])
        .expect("legal");
        assert_eq!(options.servers, [Kind::Coturn, Kind::Floor]);
        assert_eq!(options.shapes, [Shape::Across]);
        assert_eq!(options.flows, [1, 7]);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for bad in [
            ["--flows", "0"],
            ["--payload", "15"],
            ["--rate", "5"],
            ["--servers", "x"],
        ] {
            assert!(relay(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quick_may_stand_after_the_command() {
        assert!(
            Cli::try_parse_from(["wharf-bench", "codec", "--quick"])
                .expect("legal")
                .quick
        );
    }
}

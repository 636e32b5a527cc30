//! What can happen.

use proptest::collection::vec;
use proptest::prelude::*;
use wharf_stun::attribute::{
    AdditionalAddressFamily, AddressFamily, EvenPort, RequestedAddressFamily, ReservationToken,
};
use wharf_stun::{WriteError, Writer};
use wharf_turn::BindError;

use super::CLIENTS;

/// Two ports of one host, another host, and one of the other family.
pub(crate) const PEERS: [&str; 4] = [
    "11.0.0.1:4000",
    "11.0.0.1:4001",
    "11.0.0.2:4000",
    "[2a00:1::1]:4000",
];

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Ask(usize, Request),
    Send(usize, usize),
    Channel(usize, u16),
    /// A datagram from a peer to a client's relay.
    Peer(usize, usize),
    /// Outcomes of the binds to come.
    Binds(Vec<Option<BindError>>),
    /// Look-ups are asked for anew and their answers are late.
    Hold,
    Release,
    Wait(u64),
    /// Time passes and timers do not come.
    Late(u64),
    /// Peers that are refused from now on.
    Deny(Vec<usize>),
    Drain,
}

#[derive(Clone, Debug)]
pub(crate) enum Request {
    Allocate(Wish, u32),
    Refresh(u32, Option<AddressFamily>),
    Permit(Vec<usize>),
    Bind(u16, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Plain,
    V6,
    Dual,
    Even,
    Pair,
    /// The token of the last pair.
    Claim,
}

impl Wish {
    pub(crate) fn write(
        self,
        w: &mut Writer<'_>,
        token: Option<ReservationToken>,
    ) -> Result<(), WriteError> {
        match self {
            Self::Plain => return Ok(()),
            Self::V6 => w.push(&RequestedAddressFamily(AddressFamily::V6)),
            Self::Dual => w.push(&AdditionalAddressFamily(AddressFamily::V6)),
            Self::Even => w.push(&EvenPort {
                reserve_next: false,
            }),
            Self::Pair => w.push(&EvenPort { reserve_next: true }),
            Self::Claim => w.push(&token.unwrap_or(ReservationToken([0; 8]))),
        }
        .map(drop)
    }
}

pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), 1..60)
}

fn operation() -> impl Strategy<Value = Operation> {
    let client = || 0..CLIENTS.len();
    let peer = || 0..PEERS.len();
    let outcome = prop_oneof![
        Just(None),
        Just(Some(BindError::AddressInUse)),
        Just(Some(BindError::Failed)),
    ];
    prop_oneof![
        16 => (client(), request()).prop_map(|(n, request)| Operation::Ask(n, request)),
        4 => (client(), peer()).prop_map(|(n, peer)| Operation::Send(n, peer)),
        4 => (client(), number()).prop_map(|(n, number)| Operation::Channel(n, number)),
        6 => (client(), peer()).prop_map(|(n, peer)| Operation::Peer(n, peer)),
        1 => vec(outcome, 1..12).prop_map(Operation::Binds),
        1 => Just(Operation::Hold),
        2 => Just(Operation::Release),
        3 => time().prop_map(Operation::Wait),
        2 => time().prop_map(Operation::Late),
        1 => vec(peer(), 0..2).prop_map(Operation::Deny),
        // Seldom, as there is no way back.
        1 => (0..10).prop_map(|n| if n == 0 { Operation::Drain } else { Operation::Release }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let wish = prop_oneof![
        4 => Just(Wish::Plain),
        1 => Just(Wish::V6),
        3 => Just(Wish::Dual),
        1 => Just(Wish::Even),
        2 => Just(Wish::Pair),
        2 => Just(Wish::Claim),
    ];
    let family = prop_oneof![
        2 => Just(None),
        1 => Just(Some(AddressFamily::V4)),
        1 => Just(Some(AddressFamily::V6)),
    ];
    let lifetime = || prop_oneof![Just(0), Just(600), Just(1_000), Just(u32::MAX)];
    let peer = || 0..PEERS.len();
    prop_oneof![
        4 => (wish, lifetime()).prop_map(|(wish, lifetime)| Request::Allocate(wish, lifetime)),
        2 => (lifetime(), family).prop_map(|(life, family)| Request::Refresh(life, family)),
        3 => vec(peer(), 1..4).prop_map(Request::Permit),
        3 => (number(), peer()).prop_map(|(number, peer)| Request::Bind(number, peer)),
    ]
}

fn number() -> impl Strategy<Value = u16> {
    0x4000..0x4003_u16
}

/// The lifetimes of things and the moments around their ends.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(29),
        Just(30),
        Just(299),
        Just(300),
        Just(301),
        Just(599),
        Just(600),
        0..1_500_u64
    ]
}

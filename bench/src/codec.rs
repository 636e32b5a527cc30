//! The wire format: parse, read, verify and write the messages of an Allocate transaction, beside
//! the `stun-types` crate on the same bytes.

use std::hint::black_box;
use std::net::SocketAddr;

use stun_types::attribute as theirs;
use stun_types::message as peer;
use stun_types::message::{MessageWrite as _, MessageWriteExt as _};
use wharf_stun::attribute::{
    Nonce, Realm, RequestedTransport, Software, Username, XorMappedAddress,
};
use wharf_stun::{
    ChannelData, Class, Message, MessageType, Method, Sha1Key, TransactionId, Writer, credential,
};

use crate::Failure;
use crate::figure::{Report, Table, median, number};
use crate::process::now_ns;

const USER: &str = "1795000000:alice";
const REALM: &str = "example.org";
const NONCE: &str = "obMatJos2AAAA0123456789abcdefghijklmnop";
const PASSWORD: &str = "a password of usual length";
const SOFTWARE: &str = "wharf";
const ID: TransactionId = TransactionId([7; 12]);

/// Timed stretches of one operation; their median counts.
const STRETCHES: usize = 7;

/// Measures each operation in turns with the same one of `stun-types`.
pub(crate) fn run(report: &mut Report, quick: bool) -> Result<(), Failure> {
    let stretch_ns = if quick { 5_000_000 } else { 40_000_000 };
    let key = Sha1Key::new(&credential::long_term_md5(USER, REALM, PASSWORD));
    let their_key =
        peer::LongTermKeyCredentials::new(USER.to_owned(), PASSWORD.to_owned(), REALM.to_owned())
            .make_key(peer::IntegrityAlgorithm::Sha1);
    let mut buffer = [0; 512];
    let request = allocate_request(&mut buffer, &key)
        .map_err(|e| Failure::refused("Allocate request", &e))?;
    let ours = Message::parse(request).map_err(|e| Failure::refused("own request", &e))?;
    let others =
        peer::Message::from_bytes(request).map_err(|e| Failure::refused("stun-types", &e))?;
    let agreed = ours.verify_sha1(&key) && others.validate_integrity_with_key(&their_key).is_ok();
    if !agreed {
        return Err(Failure::Refused(
            "the two crates disagree about an integrity".to_owned(),
        ));
    }

    let mut bench = Bench {
        report,
        stretch_ns,
        table: Table::new(
            "codec: nanoseconds for one Allocate request or success",
            ["operation", "wharf", "stun-types", "ratio"],
        ),
    };
    bench.beside(
        "parse",
        &mut || {
            black_box(Message::parse(black_box(request)).is_ok());
        },
        &mut || {
            black_box(peer::Message::from_bytes(black_box(request)).is_ok());
        },
    );
    bench.beside(
        "read",
        &mut || {
            black_box(Message::parse(black_box(request)).ok().map(|message| {
                message
                    .get::<Username<'_>>()
                    .is_some_and(|a| black_box(a).is_ok())
                    & message
                        .get::<Realm<'_>>()
                        .is_some_and(|a| black_box(a).is_ok())
                    & message
                        .get::<Nonce<'_>>()
                        .is_some_and(|a| black_box(a).is_ok())
            }));
        },
        &mut || {
            black_box(
                peer::Message::from_bytes(black_box(request))
                    .ok()
                    .map(|message| {
                        black_box(message.attribute::<theirs::Username>()).is_ok()
                            & black_box(message.attribute::<theirs::Realm>()).is_ok()
                            & black_box(message.attribute::<theirs::Nonce>()).is_ok()
                    }),
            );
        },
    );
    bench.beside(
        "verify",
        &mut || {
            black_box(black_box(&ours).verify_sha1(&key));
        },
        &mut || {
            black_box(
                black_box(&others)
                    .validate_integrity_with_key(&their_key)
                    .is_ok(),
            );
        },
    );
    let address: SocketAddr = ([192, 0, 2, 1], 49152).into();
    let mut out = [0; 512];
    let mut their_out = [0; 512];
    bench.beside(
        "write",
        &mut || {
            black_box(success(&mut out, black_box(address), None).is_ok());
        },
        &mut || {
            black_box(their_success(&mut their_out, black_box(address), None).is_ok());
        },
    );
    bench.beside(
        "write-signed",
        &mut || {
            black_box(success(&mut out, black_box(address), Some(&key)).is_ok());
        },
        &mut || {
            black_box(their_success(&mut their_out, black_box(address), Some(&their_key)).is_ok());
        },
    );
    let mut channel_data = [0; 176];
    channel_data[..4].copy_from_slice(&ChannelData::header(0x4000, 172));
    let ns = bench.time(&mut || {
        black_box(ChannelData::parse_datagram(black_box(&channel_data)).is_ok());
    });
    bench.report.figure("codec.channel-data.wharf", ns, "ns");
    bench.table.row([
        "channel-data".to_owned(),
        number(ns),
        String::new(),
        String::new(),
    ]);
    bench.table.print();
    Ok(())
}

/// Takes the time of operations and tells it.
struct Bench<'a> {
    report: &'a mut Report,
    stretch_ns: u64,
    table: Table,
}

impl Bench<'_> {
    /// Nanoseconds for one call: the mean over a stretch.
    fn time(&self, operation: &mut dyn FnMut()) -> f64 {
        const CALLS: u32 = 1000;
        let start = now_ns();
        let mut calls = 0;
        loop {
            (0..CALLS).for_each(|_| operation());
            calls += CALLS;
            let elapsed = now_ns() - start;
            if elapsed >= self.stretch_ns {
                #[expect(clippy::cast_precision_loss, reason = "a stretch is short")]
                return elapsed as f64 / f64::from(calls);
            }
        }
    }

    fn beside(&mut self, name: &str, ours: &mut dyn FnMut(), theirs: &mut dyn FnMut()) {
        let (mut mine, mut other) = (Vec::new(), Vec::new());
        for _ in 0..STRETCHES {
            mine.push(self.time(ours));
            other.push(self.time(theirs));
        }
        let ratios: Vec<f64> = mine.iter().zip(&other).map(|(a, b)| a / b).collect();
        let (mine, other, ratio) = (median(&mine), median(&other), median(&ratios));
        self.report
            .figure(&format!("codec.{name}.wharf"), mine, "ns");
        self.report
            .figure(&format!("codec.{name}.stun-types"), other, "ns");
        self.report
            .figure(&format!("codec.{name}.wharf-to-stun-types"), ratio, "ratio");
        self.table
            .row([name.to_owned(), number(mine), number(other), number(ratio)]);
    }
}

fn allocate_request<'b>(
    buffer: &'b mut [u8],
    key: &Sha1Key,
) -> Result<&'b [u8], wharf_stun::WriteError> {
    let ty = MessageType {
        method: Method::ALLOCATE,
        class: Class::Request,
    };
    let mut writer = Writer::new(buffer, ty, ID)?;
    writer
        .push(&RequestedTransport(17))?
        .push(&Username(USER))?
        .push(&Realm(REALM))?;
    writer.push(&Nonce(NONCE.as_bytes()))?.integrity_sha1(key)?;
    Ok(writer.finish())
}

/// The success response with the attributes that both crates know.
fn success(
    buffer: &mut [u8],
    address: SocketAddr,
    key: Option<&Sha1Key>,
) -> Result<usize, wharf_stun::WriteError> {
    let ty = MessageType {
        method: Method::ALLOCATE,
        class: Class::Success,
    };
    let mut writer = Writer::new(buffer, ty, ID)?;
    writer
        .push(&XorMappedAddress(address))?
        .push(&Software(SOFTWARE))?;
    if let Some(key) = key {
        writer.integrity_sha1(key)?;
    }
    Ok(writer.len())
}

fn their_success(
    buffer: &mut [u8],
    address: SocketAddr,
    key: Option<&peer::IntegrityKey>,
) -> Result<usize, peer::StunWriteError> {
    let ty = peer::MessageType::from_class_method(
        peer::MessageClass::Success,
        peer::Method::new(Method::ALLOCATE.code()),
    );
    let id = peer::TransactionId::from(0x0707_0707_0707_0707_0707_0707);
    let mut writer = peer::Message::builder(ty, id, peer::MessageWriteMutSlice::new(buffer));
    writer.add_attribute(&theirs::XorMappedAddress::new(address, id))?;
    writer.add_attribute(&theirs::Software::new(SOFTWARE)?)?;
    if let Some(key) = key {
        writer.add_message_integrity_with_key(key, peer::IntegrityAlgorithm::Sha1)?;
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_crates_write_the_same_bytes() {
        let key = Sha1Key::new(&credential::long_term_md5(USER, REALM, PASSWORD));
        let their_key = peer::LongTermKeyCredentials::new(
            USER.to_owned(),
            PASSWORD.to_owned(),
            REALM.to_owned(),
        )
        .make_key(peer::IntegrityAlgorithm::Sha1);
        let address = ([192, 0, 2, 1], 49152).into();
        let (mut ours, mut others) = ([0; 512], [0; 512]);
        let len = success(&mut ours, address, Some(&key)).expect("fits");
        let their_len = their_success(&mut others, address, Some(&their_key)).expect("fits");
        assert_eq!(ours[..len], others[..their_len]);
    }
}

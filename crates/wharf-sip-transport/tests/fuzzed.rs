//! What must hold for any bytes over each transport: the fuzz targets, over their corpora and over messages of
//! RFC 4475 that were cut and bent.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/sip_transport.rs"]
mod sip_transport;

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).expect("a folder");
    files
        .map(|file| fs::read(file.expect("a file").path()).expect("readable"))
        .collect()
}

#[test]
fn every_input_of_the_corpora_passes() {
    for (name, target) in sip_transport::ALL {
        let inputs = files(&format!("../../fuzz/corpus/{name}"));
        assert!(!inputs.is_empty(), "{name} has no input");
        for input in inputs {
            target(&input);
        }
    }
}

#[test]
fn the_messages_of_rfc4475_pass_whole_cut_and_bent() {
    let messages = files("../wharf-sip/tests/rfc4475");
    assert_eq!(messages.len(), 49);
    let mut random = fastrand::Rng::with_seed(4475);
    for message in &messages {
        for round in 0..8 {
            let mut bytes = message.clone();
            for _ in 0..round {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = random.u8(..),
                    2 => bytes.insert(at, b"\r\n:;,"[random.usize(..5)]),
                    _ => bytes.extend_from_slice(random.choice(&messages).unwrap()),
                }
            }
            for (name, target) in sip_transport::ALL {
                let steer: &[u8] = match *name {
                    "sip_over_udp" => &[],
                    _ => &[random.u8(..)],
                };
                target(&[steer, &bytes].concat());
            }
        }
    }
}

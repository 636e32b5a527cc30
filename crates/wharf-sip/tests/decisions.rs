//! What must hold of the decisions for any bytes: the fuzz target over its corpus, and over bytes put
//! together at random.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../../../fuzz/src/sip_ways.rs"]
mod sip_ways;

fn target(input: &[u8]) {
    for (_, target) in sip_ways::ALL {
        target(input);
    }
}

#[test]
fn every_input_of_the_corpus_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/sip_ways");
    let inputs = fs::read_dir(folder).expect("a folder");
    let count = inputs
        .map(|input| target(&fs::read(input.expect("a file").path()).expect("readable")))
        .count();
    assert!(count > 0, "there is no input");
}

proptest! {
    #[test]
    fn requests_put_together_at_random_pass(
        steer: [u8; 4],
        answers in proptest::collection::vec(any::<u8>(), 0..200),
        uri in "sips?:(a@)?(example.com|192.0.2.1|x.invalid|edge.example.com)(:[0-9]{1,5})?(;transport=(udp|tcp|tls|ws))?",
        via in "(UDP|TCP|TLS|WS|SCTP|X) (a.example|192.0.2.1|x.invalid)(:[1-9][0-9]{0,3})?(;rport(=[1-9][0-9]{0,3})?)?(;received=192.0.2.9)?(;maddr=(224.0.0.1|b.example))?",
        route in proptest::collection::vec("<sip:(t@)?(edge|other).example.com(;lr)?>", 0..4),
    ) {
        let route = if route.is_empty() { String::new() } else { format!("Route: {}\r\n", route.join(",")) };
        let message = format!("BYE {uri} SIP/2.0\r\nVia: SIP/2.0/{via}\r\n{route}To: <sip:x>\r\n\r\n");
        let length = [answers.len() as u8];
        target(&[&steer[..], &length, &answers, message.as_bytes()].concat());
    }

    #[test]
    fn any_bytes_pass(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        target(&bytes);
    }
}

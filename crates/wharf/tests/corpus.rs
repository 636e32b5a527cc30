//! The corpora of the socket library's fuzz targets, replayed with the same code.

#![allow(
    clippy::disallowed_methods,
    reason = "a target begins at any time, and counts from there"
)]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/sockets.rs"]
mod sockets;

#[test]
fn every_input_of_the_corpora_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in sockets::ALL {
        let folder = fs::read_dir(corpora.join(name)).expect("a corpus for each target");
        let mut inputs = 0;
        for file in folder {
            let file = file.expect("a file").path();
            // Shown when the target panics.
            println!("{}", file.display());
            target(&fs::read(file).expect("readable"));
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no input");
    }
}

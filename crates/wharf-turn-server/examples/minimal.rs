//! The smallest TURN server: one user, loopback only. Stop it with Ctrl-D.
//!
//! ```sh
//! cargo run --release -p wharf-turn-server --example minimal -- 127.0.0.1:3478
//! turnutils_peer -L 127.0.0.1 &
//! turnutils_uclient -u user -w password -e 127.0.0.1 127.0.0.1
//! ```

use std::error::Error;
use std::io::Read as _;
use std::net::SocketAddr;

use wharf_turn_server::{Config, CoreConfig, Credentials, PeerRules, RelayAddress, TurnServer};

fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3478".to_owned());
    let listen: SocketAddr = listen.parse()?;
    let mut credentials = Credentials::new("example.org");
    credentials.add_user("user", "password")?;
    let server = TurnServer::start(Config {
        listen: vec![listen],
        relays: vec![RelayAddress::new(listen.ip(), 49152..=65535)],
        credentials,
        // Whoever may allocate reaches every service on this host's loopback: only for trying out.
        peers: PeerRules {
            allow_loopback: true,
            ..PeerRules::default()
        },
        core: CoreConfig {
            realm: "example.org".into(),
            ..CoreConfig::default()
        },
        ..Config::default()
    })?;
    println!("listening on {:?}", server.local_addrs());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{:#?}", server.handle().counters());
    server.stop();
    Ok(())
}

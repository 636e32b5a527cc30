//! A chat room over WebSocket: what one says, all hear.
//!
//! ```text
//! cargo run --example chat -- [WS]
//! websocat ws://127.0.0.1:7002/chat
//! ```
//!
//! With `--check` it prints `bob heard: alice: ahoy`.

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use support::{address, run};
use wharf::config::SlowPeer;
use wharf::{BoxError, Client, Message, Messages, Sender, Server, Ws};

/// Who is in the room, by the number of the connection.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<HashMap<u64, Sender>>>);

impl Room {
    fn change(&self, change: impl FnOnce(&mut HashMap<u64, Sender>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn say(&self, text: &str) {
        let mut all = Vec::new();
        self.change(|room| all.extend(room.values().cloned()));
        for sender in all {
            // Whoever has left, or is too slow (`slow-peer = "drop"`), misses it.
            let _ = sender.send(Message::text(text)).await;
        }
    }
}

/// The first message is the name, all others are said.
async fn visit(mut messages: Messages, room: Room) -> Result<(), BoxError> {
    let Some(name) = messages.recv().await.transpose()? else {
        return Ok(());
    };
    let name = name.as_text().unwrap_or("nobody").to_owned();
    let (id, sender) = (messages.connection().id(), messages.sender());
    room.change(|room| drop(room.insert(id, sender)));
    room.say(&format!("{name} is here")).await;
    let result = async {
        while let Some(message) = messages.recv().await.transpose()? {
            let text = message.as_text().unwrap_or("(bytes)").to_owned();
            room.say(&format!("{name}: {text}")).await;
        }
        Ok(())
    }
    .await;
    room.change(|room| drop(room.remove(&id)));
    room.say(&format!("{name} has left")).await;
    result
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let listen = Ws::bind(address(0, "127.0.0.1:7002")).with(|config| {
        config.websocket.paths = vec!["/chat".into()];
        config.buffers.slow_peer = SlowPeer::Drop;
        config.timeouts.first_byte = None;
    });
    let room = Room::default();
    let server = Server::builder()
        .listen_messages("chat", listen, move |messages| {
            visit(messages, room.clone())
        })
        .build()?;

    let url = format!("ws://{}/chat", server.handle().address("chat")?);
    run(server, async {
        let client = Client::builder().build()?;
        let mut alice = client.connect_messages(&url).await?;
        let mut bob = client.connect_messages(&url).await?;
        bob.send(Message::text("bob")).await?;
        let _bob_is_here = bob.recv().await.transpose()?;
        alice.send(Message::text("alice")).await?;
        let _alice_is_here = bob.recv().await.transpose()?;
        alice.send(Message::text("ahoy")).await?;
        let heard = bob.recv().await.transpose()?;
        let heard = heard
            .as_ref()
            .and_then(Message::as_text)
            .unwrap_or_default();
        println!("bob heard: {heard}");
        Ok(())
    })
    .await
}

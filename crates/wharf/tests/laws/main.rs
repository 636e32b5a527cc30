//! What holds for every server, whatever its peers, handlers and operators do.

mod conservation;
mod control;
mod datagrams;
mod descriptors;
mod faults;
mod floods;
mod handlers;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::{BoxError, Stream};

/// Sends back what comes.
async fn echo(mut stream: Stream) -> Result<(), BoxError> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

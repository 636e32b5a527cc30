//! What an idle TLS connection costs a server in user memory.

use std::alloc::System;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, duplex};
use wharf::config::{Certificate, Pem, TlsOptions};
use wharf::tls::{ClientTls, ClientTlsOptions, ServerTls};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 500;

/// The most that one may cost, in bytes. Measured on x86-64: 1,184 of its own, 6,425 of Rust's
/// heap (4,096 of them rustls' buffer for reading), about 9,050 resident with what C code holds.
const GOAL: usize = 16 * 1024;

/// Resident memory of this process, in bytes, which shows what C code has allocated too.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 1024
}

#[tokio::test]
async fn an_idle_connection_stays_within_the_goal() {
    let issued = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let pem = |pem: String| Pem::Inline { pem };
    let server = ServerTls::new(&TlsOptions {
        certificates: vec![Certificate {
            cert: pem(issued.cert.pem()),
            key: pem(issued.signing_key.serialize_pem()),
            names: Vec::new(),
        }],
        ..TlsOptions::default()
    })
    .unwrap();
    let client = ClientTls::new(&ClientTlsOptions {
        ca: vec![pem(issued.cert.pem())],
        ..ClientTlsOptions::default()
    })
    .unwrap();

    let mut streams = Vec::with_capacity(CONNECTIONS);
    let mut before = 0;
    for index in 0..CONNECTIONS + 50 {
        // The first ones warm up what is made once.
        if index == 50 {
            before = resident();
        }
        let (near, far) = duplex(64 * 1024);
        let serving = async { server.accept(near).await.unwrap().proceed().await.unwrap() };
        let (mut near, far) = tokio::join!(serving, client.connect(far, "a.example"));
        let mut far = far.unwrap();
        far.write_all(&[1; 8192]).await.unwrap();
        near.read_exact(&mut [0; 8192]).await.unwrap();
        near.write_all(&[1; 8192]).await.unwrap();
        far.read_exact(&mut [0; 8192]).await.unwrap();
        // Idle is to wait for a byte.
        poll_fn(|cx| {
            let mut byte = [0];
            let read = Pin::new(&mut near).poll_read(cx, &mut ReadBuf::new(&mut byte));
            assert!(read.is_pending());
            Poll::Ready(())
        })
        .await;
        if index >= 50 {
            streams.push((near.into_inner().1, far.into_inner().0));
        }
    }
    let resident = resident().saturating_sub(before) / CONNECTIONS;

    let (sessions, pipes): (Vec<_>, Vec<_>) = streams.into_iter().unzip();
    let own = size_of::<tokio_rustls::server::TlsStream<()>>();
    let heap = freed(sessions);
    // The pipes stand for the kernel's buffers: no memory of the process.
    let resident = resident.saturating_sub(freed(pipes));
    println!("own {own}, heap {heap}, resident {resident}");
    assert!(heap > 0 && own + heap <= GOAL, "{own} + {heap}");
    assert!(resident >= heap && resident <= GOAL, "{resident}");
}

/// What dropping these frees of Rust's heap, for each.
fn freed<T>(things: Vec<T>) -> usize {
    let region = Region::new(ALLOCATOR);
    drop(things);
    region.change().bytes_deallocated / CONNECTIONS
}

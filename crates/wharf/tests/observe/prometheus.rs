//! The page for Prometheus, and its description in the user's guide.

use std::collections::BTreeSet;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::config::{Limits, Transport};
use wharf::prometheus::ClientCollector;
use wharf::testkit::memory;
use wharf::{Client, Closed, Handle, Refusal, Server};

use crate::support::echo;

const GUIDE: &str = include_str!("../../../../docs/sockets.md");

/// One connection that has ended, one that is there, one too many.
async fn page() -> String {
    let (listen, connector) = memory(Transport::Tcp);
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = Server::builder().listen("echo", listen.limits(limits), echo);
    let server = server.build().unwrap();
    let handle: Handle = server.handle();
    tokio::spawn(server.run());
    let mut first = connector.connect_from("192.0.2.1:1").await.unwrap();
    first.write_all(b"hello").await.unwrap();
    first.shutdown().await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    let mut second = connector.connect_from("192.0.2.1:2").await.unwrap();
    second.write_all(b"1").await.unwrap();
    second.read_exact(&mut [0; 1]).await.unwrap();
    let mut third = connector.connect_from("192.0.2.1:3").await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap(), 0);
    handle.prometheus_text()
}

#[tokio::test(start_paused = true)]
async fn the_page_says_what_happened() {
    let page = page().await;
    let listener = "listener=\"echo\"";
    let expected = [
        format!("wharf_connections_arrived_total{{{listener}}} 3"),
        format!("wharf_connections_pending{{{listener}}} 0"),
        format!("wharf_connections_accepted_total{{{listener}}} 2"),
        format!("wharf_connections_live{{{listener}}} 1"),
        format!("wharf_connections_refused_total{{{listener},reason=\"listener-full\"}} 1"),
        format!("wharf_connections_refused_total{{{listener},reason=\"access\"}} 0"),
        format!("wharf_connections_closed_total{{{listener},reason=\"finished\"}} 1"),
        format!("wharf_received_bytes_total{{{listener}}} 6"),
        format!("wharf_sent_bytes_total{{{listener}}} 6"),
        "# UNIT wharf_sent_bytes bytes".to_owned(),
        "wharf_buffered_bytes 0".to_owned(),
        "wharf_draining 0".to_owned(),
        "wharf_health{state=\"healthy\"} 1".to_owned(),
        "wharf_health{state=\"under-attack\"} 0".to_owned(),
    ];
    let lines: BTreeSet<&str> = page.lines().collect();
    for line in &expected {
        assert!(lines.contains(line.as_str()), "{line}\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = series.filter_map(|line| line.rsplit_once(' ')).collect();
    let distinct: BTreeSet<_> = names.iter().map(|(series, _)| series).collect();
    assert_eq!(distinct.len(), names.len(), "each series once");
}

/// The metrics of a page as the guide writes them: name and labels, type, meaning.
fn described(page: &str) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    for line in page.lines() {
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let prefix = format!("# TYPE {name} ");
        let kind = page.lines().find_map(|line| line.strip_prefix(&prefix));
        let sample = page.lines().find(|line| line.starts_with(name)).unwrap();
        let (series, _) = sample.rsplit_once(' ').unwrap();
        let (full, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels: Vec<_> = labels
            .split(',')
            .filter_map(|label| Some(label.split_once("=\"")?.0))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        rows.insert(format!("| `{full}{labels}` | {} | {help} |", kind.unwrap()));
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn the_guide_lists_every_metric() {
    let (of_clients, of_servers): (BTreeSet<String>, BTreeSet<String>) = GUIDE
        .lines()
        .filter(|line| line.starts_with("| `wharf_"))
        .map(str::to_owned)
        .partition(|line| line.starts_with("| `wharf_client_"));
    assert_eq!(described(&page().await), of_servers);
    assert_eq!(described(&client_page().await), of_clients);
}

/// Two clients of one name, one of them with a pool, and one of another name that reaches nobody.
async fn client_page() -> String {
    let (listen, connector) = memory(Transport::Tcp);
    let server = Server::builder().listen("echo", listen, echo);
    tokio::spawn(server.build().unwrap().run());
    let reach = move |_| {
        let connector = connector.clone();
        async move { Ok(connector.connect_from("192.0.2.9:1").await?.into()) }
    };
    let up = || Client::builder().name("up").connector(reach.clone());
    let (one, other) = (up().build().unwrap(), up().build().unwrap());
    let mut stream = one.connect("tcp://192.0.2.1:1").await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.read_exact(&mut [0; 5]).await.unwrap();
    let pool = other.pool("tcp://192.0.2.1:1").unwrap();
    pool.take().await.unwrap().give_back();
    pool.take().await.unwrap().give_back();
    let refuse = async |_| Err(std::io::ErrorKind::ConnectionRefused.into());
    let down = Client::builder().name("down").connector(refuse).build();
    let down = down.unwrap();
    assert!(down.connect("tcp://192.0.2.1:1").await.is_err());
    let mut registry = Registry::default();
    registry.register_collector(Box::new(ClientCollector::new([one, other, down])));
    let mut page = String::new();
    encode(&mut page, &registry).unwrap();
    page
}

#[tokio::test(start_paused = true)]
async fn the_page_of_clients_says_what_happened() {
    let page = client_page().await;
    let (up, down) = ("client=\"up\"", "client=\"down\"");
    let expected = [
        format!("wharf_client_connections_dialled_total{{{up}}} 2"),
        format!("wharf_client_connections_live{{{up}}} 2"),
        format!("wharf_client_sent_bytes_total{{{up}}} 5"),
        format!("wharf_client_attempts_total{{{up},outcome=\"reached\"}} 2"),
        format!("wharf_client_attempts_total{{{down},outcome=\"failed\"}} 1"),
        format!("wharf_client_connections_refused_total{{{down},reason=\"unreachable\"}} 1"),
        format!("wharf_client_pool_total{{{up},event=\"taken\"}} 2"),
        format!("wharf_client_pool_total{{{up},event=\"reused\"}} 1"),
        format!("wharf_client_buffered_bytes{{{up}}} 0"),
    ];
    let lines: BTreeSet<&str> = page.lines().collect();
    for line in &expected {
        assert!(lines.contains(line.as_str()), "{line}\n{page}");
    }
}

#[test]
fn the_guide_lists_every_reason() {
    let rows = |title: &str| -> BTreeSet<&str> {
        let (_, table) = GUIDE.split_once(title).unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let first = table.lines().filter_map(|row| row.split('|').nth(1));
        let codes = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        codes.collect()
    };
    let refused = Refusal::ALL.iter().map(|reason| reason.label());
    assert_eq!(rows("| refused, by reason |"), refused.collect());
    let closed = Closed::ALL.iter().map(|reason| reason.label());
    assert_eq!(rows("| closed, by reason |"), closed.collect());
}

//! Logs: readable lines on a terminal, one JSON object per line otherwise, on standard error.

use crate::config::{Log, LogFormat, LogLevel};
use std::io::{self, IsTerminal as _};
use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{Registry, prelude::*};

/// Sends the events of this process to standard error. The first call decides; later ones change
/// nothing, so that a process with several servers has one log.
pub(crate) fn start(log: Log) {
    let human = match log.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let colour = human && io::stderr().is_terminal();
    let decided =
        tracing::subscriber::set_global_default(subscriber(human, colour, log.level, io::stderr));
    drop(decided);
}

fn subscriber<W>(
    human: bool,
    colour: bool,
    level: LogLevel,
    out: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(out)
        .log_internal_errors(false);
    let layer = if human {
        layer.with_ansi(colour).boxed()
    } else {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    };
    Box::new(Registry::default().with(layer.with_filter(filter(level))))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of one event of each level, in one form.
    fn logged(human: bool, level: LogLevel) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(human, false, level, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "wharfd", client = %"192.0.2.1:5", "ready");
            tracing::debug!(target: "wharfd", "details");
        });
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_have_their_fields_at_the_top() {
        let text = logged(false, LogLevel::Info);
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["message"], "ready");
        assert_eq!(event["client"], "192.0.2.1:5");
        assert_eq!(event["level"], "INFO");
        assert!(text.contains(r#""message":"ready""#));
    }

    #[test]
    fn human_lines_read_from_left_to_right() {
        let text = logged(true, LogLevel::Info);
        assert!(
            text.contains("INFO wharfd: ready client=192.0.2.1:5"),
            "{text}"
        );
    }

    #[test]
    fn the_level_filters() {
        assert_eq!(logged(true, LogLevel::Error), "");
        assert_eq!(logged(true, LogLevel::Info).lines().count(), 1);
        assert_eq!(logged(true, LogLevel::Debug).lines().count(), 2);
    }
}

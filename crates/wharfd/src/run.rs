//! What the command line asks for, and the exit code that answers it.

use crate::banner::Development;
use crate::cli::{Cli, Command, Serve};
use crate::config::{self, Settings, Source};
use crate::daemon::{self, Ending};
use crate::problem::Problems;
use crate::{admin, credentials, logs};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::SystemTime;

/// The exit code of bad input: nothing has been started.
const BAD_INPUT: u8 = 2;

/// Does what the command line says. Exit codes: 0 done; 1 ended by a second signal while allocations
/// were live, or a daemon refused what it was asked; 2 bad input, with one line per problem on standard
/// error.
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        None => serve(&cli.serve),
        Some(Command::Check { file }) => config::load(&file).map(|_| {
            answer("ok");
            ExitCode::SUCCESS
        }),
        Some(Command::Ask { socket, order }) => {
            let asked = admin::ask(&socket, &order, &mut io::stdout()).map_err(Problems::from);
            asked.map(|done| {
                if done {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                }
            })
        }
        Some(Command::Credentials(options)) => {
            let printed = credentials::print(&options, now()).map_err(Problems::from);
            printed.map(|text| {
                answer(&text);
                ExitCode::SUCCESS
            })
        }
    };
    result.unwrap_or_else(|Problems(problems)| {
        for problem in &problems {
            // With standard error closed, the exit code still says it.
            let _ = writeln!(io::stderr(), "wharfd: {problem}");
        }
        ExitCode::from(BAD_INPUT)
    })
}

/// A line on standard output. Whoever closed it does not want it.
fn answer(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn serve(options: &Serve) -> Result<ExitCode, Problems> {
    let ending = if let Some(file) = &options.config {
        let (settings, source) = config::load(file)?;
        start(options, &settings, Some(source), "")?
    } else {
        let development = Development::new(options.port, options.tls_port)?;
        start(options, &development.settings, None, &development.banner())?
    };
    Ok(match ending {
        Ending::Drained => ExitCode::SUCCESS,
        Ending::Forced => ExitCode::FAILURE,
    })
}

fn start(
    options: &Serve,
    settings: &Settings,
    source: Option<Source>,
    banner: &str,
) -> Result<Ending, Problems> {
    let mut log = settings.log;
    log.format = options.log_format.unwrap_or(log.format);
    log.level = options.log_level.unwrap_or(log.level);
    logs::start(log);
    daemon::run(settings, source, banner)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the expiry of a credential is a time of day"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

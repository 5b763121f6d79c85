//! `jauge run`: its arguments, the signals that stop it, its log lines and its status.

use crate::args::RunArgs;
use crate::logline;
use crate::status::Teller;
use crate::terminal;
use pipeline::{self, How};
use problem::Problem;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// `jauge run`
pub(crate) fn command(args: &RunArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    let stop = stop_signals()?;
    let how = How { until_end: args.until_end, accept_gap: args.accept_gap, accept_clock: args.accept_clock };
    let options = settings.options_of_run()?;
    pipeline::raise_open_files(options.lanes)?;
    let tell = logline::teller(settings.log_format);
    let mut teller = Teller::start(&settings, &tell)?;
    let ran = pipeline::run(&options, how, &stop, &tell, Box::new(move |view| teller.show(view)))?;
    if args.json {
        return terminal::print_json(&serde_json::json!({ "commit": ran.commit, "ledger": ran.ledger }));
    }
    Ok(())
}

/// A flag that SIGTERM and SIGINT set. A second signal ends the process at once: nothing is lost by it but what is not
/// committed, and that is read again.
fn stop_signals() -> Result<Arc<AtomicBool>, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let refused = |error| Problem::world(format!("Signal {signal} cannot be waited for: {error}."));
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop)).map_err(refused)?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(refused)?;
    }
    Ok(stop)
}

//! The binary. This file is the table of contents: one line a command, and how a run ends as an exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{Arguments, Command};
use problem::Problem;

mod args;
mod config;
mod corrections;
mod demo;
mod flags;
mod form;
mod hints;
mod layers;
mod logline;
mod operator;
mod orphans;
mod progress;
mod rejected;
mod replay;
mod run;
mod setting;
mod settings;
mod shell;
mod show;
mod simulate;
mod size;
mod status;
mod terminal;
mod verify;
mod zone;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        terminal::say(&format!(
            "{panic}\nThis is a bug in jauge {}. Please report it, with the lines above.",
            env!("CARGO_PKG_VERSION")
        ));
    }));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let arguments = args::command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
        match arguments {
            Ok(arguments) => obey(&arguments.command),
            Err(error) => Err(usage(&error)),
        }
    }));
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(problem)) => {
            if !problem.message.is_empty() {
                terminal::say(&format!("jauge: {problem}"));
            }
            ExitCode::from(problem.exit_code())
        }
        // The hook has said it.
        Err(_) => ExitCode::from(1),
    }
}

fn obey(command: &Command) -> Result<(), Problem> {
    match command {
        Command::Demo(args) => demo::command(args),
        Command::Run(args) => run::command(args),
        Command::Replay(args) => replay::command(args),
        Command::Show(args) => show::show(args),
        Command::Verify(args) => verify::command(args),
        Command::Rejected(args) => rejected::command(args),
        Command::Settle(args) => operator::settle_command(args),
        Command::Forget(args) => operator::forget_command(args),
        Command::Simulate(args) => simulate::command(args),
        Command::Config(args) => config::config(args),
        Command::Completions(args) => shell::completions(args),
        Command::Man(args) => shell::man(args),
    }
}

/// Prints what clap has to say, which is help, too; its words are complete, so that nothing is left to say.
fn usage(error: &clap::Error) -> Problem {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    match error.print() {
        Err(refusal) if code == 0 => terminal::refused(&refusal),
        _ => Problem::answered(code, ""),
    }
}

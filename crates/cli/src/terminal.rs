//! The terminal: what is known of the place where output goes, and the one way to it.

use std::io::{self, IsTerminal, Write};

use problem::Problem;
pub(crate) use report::text::Look;

/// The look of stdout: its width on a terminal, else 80; colour on a terminal only, and not against NO_COLOR
/// (no-color.org).
pub(crate) fn look() -> Look {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !is_there() {
        return Look::plain(80);
    }
    let width = terminal_size::terminal_size_of(io::stdout()).map_or(80, |(width, _)| usize::from(width.0));
    Look { width: width.max(40), colour: !set("NO_COLOR") && !dumb }
}

/// Whether stdout is a terminal, so that a person reads along.
pub(crate) fn is_there() -> bool {
    io::stdout().is_terminal()
}

/// Writes results to stdout. A reader that went away is [`Problem::reader_gone`]; anything else is the world's refusal.
pub(crate) fn print(text: &str) -> Result<(), Problem> {
    print_bytes(text.as_bytes())
}

/// The same for what need not be text, such as the name of a file.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| refused(&error))
}

/// Writes a value to stdout as JSON, indented, with a line feed after it.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Problem> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Problem::bug(format!("A result is no JSON: {error}.")))?;
    print(&format!("{text}\n"))
}

/// What it means that stdout refused: for those who write to it themselves, as `simulate` does.
pub(crate) fn refused(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Problem::reader_gone(),
        _ => Problem::world(format!("Cannot write to stdout: {error}.")),
    }
}

/// Writes a line to stderr, for people. If even stderr is gone, nobody is left to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

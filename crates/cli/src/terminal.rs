//! The terminal: what is known of the place where output goes, and the one way to it.

use std::io::{self, IsTerminal, Write};

use crate::problem::Problem;

/// How wide, and whether in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns, `>= 40`.
    pub(crate) width: usize,
    /// Whether escape sequences for colour may be written.
    pub(crate) colour: bool,
}

impl Look {
    /// Where stdout goes: its width on a terminal, else 80; colour on a terminal only, and not against NO_COLOR (no-color.org).
    pub(crate) fn of_stdout() -> Look {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !io::stdout().is_terminal() {
            return Look::plain(80);
        }
        let width = terminal_size::terminal_size_of(io::stdout()).map_or(80, |(width, _)| usize::from(width.0));
        Look { width: width.max(40), colour: !set("NO_COLOR") && !dumb }
    }

    /// Without colour.
    pub(crate) fn plain(width: usize) -> Look {
        Look { width: width.max(40), colour: false }
    }

    /// `text` in a colour of the terminal's own palette, where colour is wanted.
    pub(crate) fn paint(self, text: &str, paint: Paint) -> String {
        let code = match paint {
            Paint::Bold => 1,
            Paint::Dim => 2,
            Paint::Warning => 33,
            Paint::Mark => 35,
            Paint::Curve => 36,
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// The one thing to see first.
    Bold,
    /// Explanations.
    Dim,
    /// What is not final.
    Warning,
    /// Retweets.
    Mark,
    /// The audience.
    Curve,
}

/// Writes results to stdout. A reader that went away is [`Problem::reader_gone`]; anything else is the world's refusal.
pub(crate) fn print(text: &str) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| refused(&error))
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

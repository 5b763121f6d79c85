//! Progress: a bar on stderr over bytes, on a terminal only; elsewhere it is silent, so that logs stay logs.

use std::borrow::Cow;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, or a spinner where the end is not known. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Progress of `what` (a verb: "reading") over `bytes`, where that is known. `wanted` is false for JSON logs.
    pub(crate) fn new(what: &'static str, bytes: Option<u64>, wanted: bool) -> Bar {
        let shown = wanted && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        Bar::on(target, what, bytes)
    }

    fn on(target: ProgressDrawTarget, what: &'static str, bytes: Option<u64>) -> Bar {
        let form = match bytes {
            Some(_) => "{prefix} {bar:30} {percent}% of {total_bytes}, {bytes_per_sec}, {eta} left  {msg}",
            None => "{prefix} {spinner} {bytes}, {bytes_per_sec}  {msg}",
        };
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(bytes, target)
            .with_style(style.progress_chars("█▉▊▋▌▍▎▏ "))
            .with_prefix(what);
        Bar { bar }
    }

    /// Moves the bar to `bytes`, of all that there are to read.
    pub(crate) fn reach(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// What comes now: the name of a file, "settling".
    pub(crate) fn now(&self, what: impl Into<Cow<'static, str>>) {
        self.bar.set_message(what);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of one line.
    #[derive(Clone, Debug, Default)]
    struct Line(Arc<Mutex<String>>);

    impl Line {
        fn text(&self) -> String {
            self.0.lock().expect("no test panics with it").trim_end().to_owned()
        }
    }

    impl TermLike for Line {
        fn width(&self) -> u16 {
            100
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().expect("no test panics with it").push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().expect("no test panics with it").clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_shows_how_far_and_goes_away() {
        let line = Line::default();
        let progress = Bar::on(ProgressDrawTarget::term_like(Box::new(line.clone())), "reading", Some(4_194_304));
        progress.now("a.ndjson");
        progress.reach(2_097_152);
        progress.bar.force_draw();
        let shown = line.text();
        assert!(shown.starts_with("reading ███████████████") && shown.contains("50% of 4.00 MiB"), "{shown}");
        assert!(shown.ends_with("a.ndjson"), "{shown}");
        drop(progress);
        assert_eq!(line.text(), "");
    }
}

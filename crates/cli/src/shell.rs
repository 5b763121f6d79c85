//! What a shell and a reader of manuals need: completion scripts and manual pages, made from the arguments themselves.

use crate::args::{self, CompletionsArgs, ManArgs};
use crate::terminal;
use problem::Problem;

/// Prints the completion script of a shell to stdout.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Problem> {
    terminal::print(&script(args.shell))
}

fn script(shell: clap_complete::Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "jauge", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes one manual page for the program and one for each command, and prints their paths to stdout.
pub(crate) fn man(args: &ManArgs) -> Result<(), Problem> {
    let dir = &args.dir;
    let refused = |doing: &str, error: std::io::Error| {
        Problem::world(format!("Cannot {doing} the folder for manual pages, {}: {error}.", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(|error| refused("make", error))?;
    for (name, page) in pages().map_err(|error| Problem::bug(format!("A manual page could not be made: {error}.")))? {
        let path = dir.join(name);
        std::fs::write(&path, page).map_err(|error| refused("write to", error))?;
        terminal::print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// File names and pages.
fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = args::command().disable_help_subcommand(true);
    command.build();
    let page = |name: String, command: &clap::Command| {
        let mut bytes = Vec::new();
        // The title is what `man` looks up: jauge-run, not `jauge run`.
        clap_mangen::Man::new(command.clone().name(name.clone())).render(&mut bytes)?;
        Ok((format!("{name}.1"), bytes))
    };
    let whole = std::iter::once(page("jauge".to_owned(), &command));
    let each = command.get_subcommands().map(|sub| page(format!("jauge-{}", sub.get_name()), sub));
    whole.chain(each).collect()
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_has_its_completions() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for word in ["replay", "commit-interval", "redact"] {
                assert!(script.contains(word), "{shell}: no {word}");
            }
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_flags() {
        let pages = pages().expect("pages are made in memory");
        let page = |name: &str| {
            let page = pages
                .iter()
                .find(|(file, _)| file == name)
                .map(|(_, page)| String::from_utf8_lossy(page).replace('\\', ""));
            page.unwrap_or_else(|| panic!("no {name}"))
        };
        assert!(page("jauge.1").contains("jauge-run(1)"));
        assert!(page("jauge-run.1").contains("--commit-interval"), "{}", page("jauge-run.1"));
        assert!(page("jauge-run.1").contains("[default: 10s]"));
        assert!(page("jauge-verify.1").contains("Example: jauge verify audience"));
        assert_eq!(pages.len(), args::command().get_subcommands().count() + 1);
    }
}

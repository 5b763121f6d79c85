//! The arguments: every command, what it takes, and an example of it.

use std::path::PathBuf;

use audience::{Ms, Zone};
use clap::builder::StyledStr;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueHint};

use crate::flags::{Flags, Taker};
use crate::zone;
use audience::duration;

/// Counts the audience of live broadcasts: joins and leaves in, the exact curve of concurrent viewers out.
#[derive(Debug, Parser)]
#[command(name = "jauge", version, arg_required_else_help = true, subcommand_value_name = "COMMAND")]
#[command(after_help = "Example: jauge replay events.ndjson.gz --out audience && jauge show audience

Each command has --help with an example. Results go to stdout, logs to stderr.
Exit codes: 0 done, 1 a bug, 2 usage, 3 the world refused, 4 the data refused.")]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: simulate a broadcast, count it, draw it
    Demo(DemoArgs),
    /// Count events from Kafka as they happen
    Run(RunArgs),
    /// Count events from files
    Replay(ReplayArgs),
    /// Print audiences and draw their curves
    Show(ShowArgs),
    /// Check that a data directory agrees with itself
    Verify(VerifyArgs),
    /// List what could not be used, and send it again
    Rejected(RejectedArgs),
    /// Settle a broadcast again, with the events that came too late
    Settle(SettleArgs),
    /// Destroy the key of a broadcast's pseudonyms
    Forget(ForgetArgs),
    /// Make the events of invented broadcasts
    Simulate(SimulateArgs),
    /// Print the effective settings and where each came from
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}

/// The commands in the groups of the first help page.
const GROUPS: &[(&str, &[&str])] = &[
    ("Count", &["demo", "run", "replay"]),
    ("Look", &["show", "verify", "rejected"]),
    ("Correct", &["settle", "forget"]),
    ("More", &["simulate", "config", "completions", "man"]),
];

/// The whole command line, as clap sees it.
pub(crate) fn command() -> clap::Command {
    let command = Arguments::command();
    let groups = grouped(&command);
    // `{options}` would repeat what everybody knows of --help and --version.
    command.help_template(format!("{{about}}\n\n{{usage-heading}} {{usage}}\n{groups}\n{{after-help}}"))
}

/// The commands by group, each with its sentence; clap has no headings for subcommands.
fn grouped(command: &clap::Command) -> StyledStr {
    use std::fmt::Write as _;
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let mut text = String::new();
    for (group, names) in GROUPS {
        let _ = write!(text, "\n{header}{group}:{header:#}\n");
        for name in *names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about).cloned().unwrap_or_default();
            let _ = writeln!(text, "  {literal}{name:<12}{literal:#} {about}");
        }
    }
    text.into()
}

/// A command that takes settings, by a type.
macro_rules! takers {
    ($($taker:ident $name:literal),*) => {$(
        #[doc = concat!("Settings of `", $name, "`.")]
        #[derive(Clone, Debug)]
        pub(crate) struct $taker;

        impl Taker for $taker {
            const COMMAND: &'static str = $name;
        }
    )*};
}

takers!(
    OfRun "run", OfReplay "replay", OfShow "show", OfVerify "verify", OfRejected "rejected", OfSettle "settle",
    OfForget "forget", OfConfig "config"
);

/// `jauge demo`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge demo
Example: jauge demo --seed 7 --out night && jauge show night")]
pub(crate) struct DemoArgs {
    /// Keep what was counted in this new folder, instead of one for temporary files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
    /// Another night: the same seed makes the same events
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Size of the audience; 1 is 385,000 sessions and a peak of 81,000
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = scale)]
    pub(crate) scale: f64,
}

/// `jauge run`
#[derive(Debug, Args)]
#[command(override_usage = "jauge run --brokers HOST:PORT,... --topic NAME... --out DIR [OPTIONS]")]
#[command(after_help = "Example: jauge run --brokers localhost:9092 --topic events --out audience
Example: jauge run --config production.toml --until-end

SIGTERM and SIGINT stop it after a last commit; started again, it goes on where it was.")]
pub(crate) struct RunArgs {
    /// Read to where the partitions end now, settle all, and exit 0
    #[arg(long, help_heading = "Input")]
    pub(crate) until_end: bool,
    /// Go on behind offsets that the broker has no more: the gap is recorded, and minutes that it may
    /// have changed are marked
    #[arg(long, help_heading = "Input")]
    pub(crate) accept_gap: bool,
    /// Our clock is right, whatever times the records bear: those ahead of it are rejected
    #[arg(long, help_heading = "Input")]
    pub(crate) accept_clock: bool,
    /// Print the final ledger as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfRun>,
}

/// `jauge replay`
#[derive(Debug, Args)]
#[command(override_usage = "jauge replay EVENTS... --out DIR [OPTIONS]")]
#[command(after_help = "Example: jauge replay events.ndjson.gz --out audience
Example: zstd -dc night/*.zst | jauge replay - --out audience --session-timeout 90s")]
pub(crate) struct ReplayArgs {
    /// NDJSON files, also .gz and .zst of it, or - for stdin
    #[arg(required = true, value_name = "EVENTS", value_hint = ValueHint::FilePath)]
    pub(crate) events: Vec<PathBuf>,
    /// Print the ledger and the airings as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfReplay>,
}

/// `jauge show`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge show audience
Example: jauge show audience --broadcast gala-2026 --zone Europe/Paris
Example: jauge show audience --top 20")]
pub(crate) struct ShowArgs {
    /// The data directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Draw the curve of this broadcast
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) broadcast: Option<String>,
    /// Of its airings, the last that began then: 2026-03-14, or 2026-03-14T19:31
    #[arg(long, value_name = "TIME", requires = "broadcast")]
    pub(crate) airing: Option<String>,
    /// List only so many airings, the largest by their peak; with --broadcast, of its own
    #[arg(long, value_name = "N", conflicts_with_all = ["airing", "corrections", "files"],
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
    /// Times as clocks there show them: Europe/Paris, America/New_York. JSON stays in UTC
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone::named)]
    pub(crate) zone: Zone,
    /// Print which minutes `jauge settle` has moved, by how much and why
    #[arg(long, conflicts_with_all = ["airing", "files"])]
    pub(crate) corrections: bool,
    /// Print the paths of this table's files, as of the last commit
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["broadcast", "airing"],
        value_parser = ["airings", "minutes", "sessions", "retweets", "live", "rejected", "events", "corrections"])]
    pub(crate) files: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfShow>,
}

/// `jauge verify`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge verify audience
Exit code 0 if all holds, 4 with the first thing that is wrong.")]
pub(crate) struct VerifyArgs {
    /// The data directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Print what was checked as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfVerify>,
}

/// `jauge rejected`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge rejected audience
Example: jauge rejected audience --payloads > bad.ndjson
Example: jauge rejected audience --send-to events --from corrected.ndjson --brokers localhost:9092

Sent twice is counted once: an event that is known already changes nothing.")]
pub(crate) struct RejectedArgs {
    /// The data directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Print the bytes of every rejected event, one a line, to be corrected
    #[arg(long, conflicts_with_all = ["send_to", "json"])]
    pub(crate) payloads: bool,
    /// Send the events that can be used now to this topic
    #[arg(long, value_name = "TOPIC", conflicts_with = "json")]
    pub(crate) send_to: Option<String>,
    /// Send the lines of this file instead, or - for stdin
    #[arg(long, value_name = "FILE", requires = "send_to", value_hint = ValueHint::FilePath)]
    pub(crate) from: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfRejected>,
}

/// `jauge settle`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge settle audience --broadcast gala-2026 && jauge show audience --corrections
Example: jauge settle audience --broadcast gala-2026 --session-timeout 90s

Rules that are not given are those of the newest commit. What is not over stays provisional.
Where `jauge run` writes to DIR, it is asked to do it, and its answer is waited for.")]
pub(crate) struct SettleArgs {
    /// The data directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The broadcast
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) broadcast: String,
    /// In an object store: do it here and now, because no run writes there. One that does would be ended
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfSettle>,
}

/// `jauge forget`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge forget audience --broadcast gala-2026

Nobody can tell any more who is behind the broadcast's pseudonyms. They stay, and so do all curves. This cannot be undone:
destroy the copies of the key file, too. Where `jauge run` writes to DIR, it is asked to do it.")]
pub(crate) struct ForgetArgs {
    /// The data directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The broadcast
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) broadcast: String,
    /// In an object store: do it here and now, because no run writes there. One that does would be ended
    #[arg(long)]
    pub(crate) offline: bool,
    /// Take out the bytes of every rejected event that cannot be read, whosever they are
    #[arg(long)]
    pub(crate) all_payloads: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfForget>,
}

/// `jauge simulate`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge simulate --scale 0.01 > events.ndjson
Example: jauge simulate --seed 7 --disorder 20s --duplicates 0.02 --out events.ndjson --truth truth.json
Example: jauge simulate --broadcasts 20 --brokers localhost:9092 --topic events --rate 50000")]
pub(crate) struct SimulateArgs {
    /// Write the events here; stdout without it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// Produce to these Kafka brokers instead
    #[arg(long, value_name = "HOST:PORT", requires = "topic", conflicts_with = "out")]
    pub(crate) brokers: Option<String>,
    /// The topic to produce to; it is made if it is not there
    #[arg(long, value_name = "NAME", requires = "brokers")]
    pub(crate) topic: Option<String>,
    /// Partitions of a topic that is made
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) partitions: i32,
    /// Events a second; as fast as possible without it
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Write the true curves and the true effects of the retweets here
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) truth: Option<PathBuf>,
    /// The same seed makes the same events, everywhere and always
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many broadcasts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) broadcasts: u32,
    /// Size of the largest; 1 is 385,000 sessions and a peak of 81,000
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = scale)]
    pub(crate) scale: f64,
    /// Retweets of the largest
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(crate) retweets: u32,
    /// Share of the leaves that never arrive
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) lost_leaves: f64,
    /// Clients give a sign of life this often
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) heartbeat: Option<Ms>,
    /// Each event arrives up to this long after it happened
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pub(crate) disorder: Ms,
    /// Share of the events that arrive twice
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) duplicates: f64,
    /// Share of the events that arrive late
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) late: f64,
    /// A late event comes this long, to twice as long, after it should have come
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    pub(crate) late_by: Ms,
    /// Broadcasts stop without their end event
    #[arg(long)]
    pub(crate) no_end: bool,
}

impl SimulateArgs {
    /// The options of a simulation that these flags ask for; what none asks for has the simulator's default.
    pub(crate) fn options(&self) -> simulator::NightOptions {
        simulator::NightOptions {
            seed: self.seed,
            broadcasts: self.broadcasts,
            scale: self.scale,
            retweets: self.retweets,
            lost_leaves: self.lost_leaves,
            heartbeat_ms: self.heartbeat,
            disorder_ms: self.disorder,
            duplicates: self.duplicates,
            late: self.late,
            late_ms: self.late_by,
            end: !self.no_end,
            ..simulator::NightOptions::default()
        }
    }
}

/// `jauge config`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge config --config production.toml
Example: jauge config --template > jauge.toml

Secrets are masked. The output is TOML and can be used as a file again, secrets apart.")]
pub(crate) struct ConfigArgs {
    /// Print a file with every setting in a comment, with its default
    #[arg(long, conflicts_with = "json")]
    pub(crate) template: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Flags<OfConfig>,
}

/// `jauge completions`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge completions bash > ~/.local/share/bash-completion/completions/jauge
Example: jauge completions fish > ~/.config/fish/completions/jauge.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// `jauge man`
#[derive(Debug, Args)]
#[command(after_help = "Example: jauge man ~/.local/share/man/man1 && man jauge-run")]
pub(crate) struct ManArgs {
    /// The folder to write them to; it is made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}

fn scale(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| *factor > 0.0 && *factor <= 100.0);
    factor.ok_or_else(|| "must be a number over 0, at most 100".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= 1e9);
    rate.ok_or_else(|| "must be a number over 0, at most 1e9".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        command().debug_assert();
    }

    #[test]
    fn nothing_asked_for_is_the_simulators_default() {
        let Ok(Arguments { command: Command::Simulate(args) }) = Arguments::try_parse_from(["jauge", "simulate"])
        else {
            panic!("no simulate");
        };
        assert_eq!(args.options(), simulator::NightOptions::default());
    }

    #[test]
    fn every_command_is_in_one_group_and_has_an_example() {
        for sub in command().get_subcommands() {
            let name = sub.get_name();
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&name)).count();
            assert_eq!(groups, 1, "{name}");
            let after = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                after.contains(&format!("jauge {name} ")) || after.contains(&format!("jauge {name}\n")),
                "{name}: {after}"
            );
        }
    }

    #[test]
    fn every_example_is_a_right_line() {
        let lines = |command: &clap::Command| command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let texts: Vec<String> =
            [lines(&command())].into_iter().chain(command().get_subcommands().map(lines)).collect();
        let mut tried = 0;
        for part in texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("Example: ")) {
            for piece in part.split(['|', '&']).map(str::trim).filter(|piece| piece.starts_with("jauge ")) {
                let words = piece.split(" > ").next().unwrap_or(piece).split_whitespace();
                if let Err(error) = command().try_get_matches_from(words) {
                    panic!("{piece}: {error}");
                }
                tried += 1;
            }
        }
        assert!(tried > 15, "{tried}");
    }
}

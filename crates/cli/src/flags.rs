//! Flags of settings: each command's part of the table of settings as arguments for clap, and back.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use crate::form::{Form, Raw};
use crate::layers::Layers;
use crate::setting::{SETTINGS, Setting};
use crate::settings::{self, Settings, as_text};
use problem::Problem;

/// A command that takes settings.
pub(crate) trait Taker {
    /// The command's name on the command line.
    const COMMAND: &'static str;
}

/// The flags of one command's settings, as they were given.
#[derive(Clone, Debug)]
pub(crate) struct Flags<C> {
    config: Option<PathBuf>,
    given: Vec<(&'static str, Raw)>,
    kafka: Vec<String>,
    command: PhantomData<C>,
}

impl<C: Taker> Flags<C> {
    /// The effective settings: defaults, file, environment, and these flags over them.
    pub(crate) fn load(&self) -> Result<Settings, Problem> {
        settings::load(self.config.as_deref(), self.given.clone(), self.kafka.clone(), Settings::of)
    }

    /// The effective settings where the rules that nobody gives are those of a data directory, so that they cannot be
    /// checked against each other yet.
    pub(crate) fn load_unchecked(&self) -> Result<Settings, Problem> {
        settings::load(self.config.as_deref(), self.given.clone(), self.kafka.clone(), Settings::unchecked)
    }

    /// Flags as if they had been given.
    pub(crate) fn of(given: Vec<(&'static str, Raw)>) -> Flags<C> {
        Flags { config: None, given, kafka: Vec::new(), command: PhantomData }
    }

    /// The effective settings of these flags over the defaults alone, whatever the environment says: a demo
    /// is the same everywhere.
    pub(crate) fn load_alone(&self) -> Result<Settings, Problem> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Settings::of(&Layers { flags: self.given.clone(), ..Layers::default() }, cores)
    }

    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| setting.belongs_to(C::COMMAND))
    }

    /// Whether the command talks to brokers, or shows what would be told to them: only then it takes `--kafka`.
    fn takes_kafka() -> bool {
        matches!(C::COMMAND, "run" | "rejected" | "config")
    }

    fn read(&mut self, matches: &ArgMatches) {
        for setting in Self::settings() {
            let Some(values) = matches.get_many::<String>(setting.name) else { continue };
            let mut values: Vec<String> = values.cloned().collect();
            let raw = match (&setting.form, values.len()) {
                (Form::List | Form::Choices(_), _) => Raw::List(values),
                _ => Raw::Text(values.pop().unwrap_or_default()),
            };
            self.given.push((setting.name, raw));
        }
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            self.config = Some(path.clone());
        }
        if Self::takes_kafka() {
            self.kafka.extend(matches.get_many::<String>("kafka").into_iter().flatten().cloned());
        }
    }
}

impl<C: Taker> clap::Args for Flags<C> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .help("A TOML file of settings (or JAUGE_CONFIG); the environment (JAUGE_...) goes over it, and flags over both");
        let mut command = command.arg(config);
        for setting in Self::settings() {
            command = command.arg(arg_of(setting));
        }
        if Self::takes_kafka() {
            let kafka = Arg::new("kafka")
                .long("kafka")
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .help("A property for librdkafka, such as security.protocol=SASL_SSL; as often as needed")
                .help_heading("Input");
            command = command.arg(kafka);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<C: Taker> clap::FromArgMatches for Flags<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags<C>, clap::Error> {
        let mut flags = Flags { config: None, given: Vec::new(), kafka: Vec::new(), command: PhantomData };
        flags.read(matches);
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.read(matches);
        Ok(())
    }
}

fn arg_of(setting: &'static Setting) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        _ if matches!(setting.form, Form::Bool) => String::new(),
        default => format!(" [default: {default}]"),
    };
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.placeholder)
        .help(format!("{}{default}", setting.help))
        .help_heading(setting.group);
    match setting.form {
        // `--topic a b` is how the shell expands `--topic {a,b}`.
        Form::List => arg.action(ArgAction::Append).num_args(1..),
        Form::Choices(words) => arg
            .action(ArgAction::Append)
            .value_delimiter(',')
            .value_parser(PossibleValuesParser::new(words))
            .hide_possible_values(true),
        Form::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)).hide_possible_values(true),
        // `--strict` alone is what people write; `--strict=false` goes over a file.
        Form::Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true),
        Form::Path => {
            let hint = if setting.name == "out" { ValueHint::DirPath } else { ValueHint::FilePath };
            arg.value_hint(hint).value_parser(ValueParser::from(
                OsStringValueParser::new().try_map(|path| as_text(path).map_err(|problem| problem.message)),
            ))
        }
        Form::Text => arg.value_parser(ValueParser::string()),
        Form::Duration { .. } | Form::Size { .. } | Form::Count { .. } => arg.value_parser(ValueParser::string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    struct Run;

    impl Taker for Run {
        const COMMAND: &'static str = "run";
    }

    #[track_caller]
    fn check(line: &str, expect: &[(&'static str, &str)]) {
        let command = Flags::<Run>::augment_args(Command::new("run").no_binary_name(true));
        let matches = command.try_get_matches_from(line.split_whitespace()).expect("the line is right");
        let flags = Flags::<Run>::from_arg_matches(&matches).expect("the line is right");
        let given: Vec<_> = flags.given.iter().map(|(name, raw)| (*name, raw.to_string())).collect();
        let expect: Vec<_> = expect.iter().map(|(name, raw)| (*name, (*raw).to_owned())).collect();
        assert_eq!(given, expect);
    }

    #[test]
    fn flags_become_settings() {
        check("", &[]);
        check("--strict --commit-interval 5s", &[("strict", "\"true\""), ("commit_interval", "\"5s\"")]);
        check("--strict=false", &[("strict", "\"false\"")]);
        check("--topic a b --topic c", &[("topic", "[\"a\", \"b\", \"c\"]")]);
        check("--brokers a:1,b:2 --out d", &[("brokers", "[\"a:1,b:2\"]"), ("out", "\"d\"")]);
    }
}

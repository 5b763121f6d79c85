//! `jauge config`: the effective settings, each with where it came from, or a template with every setting in a comment.

use serde_json::{Map, Value as Json, json};

use crate::args::ConfigArgs;
use crate::form::{Form, Value};
use crate::layers::{Entry, Origin};
use crate::setting::{SETTINGS, Setting};
use crate::settings::Settings;
use crate::terminal;
use problem::Problem;

const MASK: &str = "********";

/// Prints the settings to stdout.
pub(crate) fn config(args: &ConfigArgs) -> Result<(), Problem> {
    if args.template {
        return terminal::print(&template());
    }
    let settings = args.settings.load()?;
    if args.json {
        return terminal::print_json(&as_json(&settings));
    }
    terminal::print(&as_toml(&settings))
}

fn as_toml(settings: &Settings) -> String {
    let mut lines: Vec<(String, &Origin)> = Vec::new();
    let mut text = String::new();
    let mut write = |title: &str, lines: &mut Vec<(String, &Origin)>| {
        let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width < 60).max().unwrap_or(0);
        text.push_str(title);
        for (line, origin) in lines.drain(..) {
            let comment = if line.starts_with('#') { String::new() } else { format!("  # from {origin}") };
            text.push_str(format!("{line:<width$}{comment}").trim_end());
            text.push('\n');
        }
    };
    for entry in &settings.origins.entries {
        let name = entry.setting.name;
        let line = match value_of(entry, settings) {
            None => format!("# {name} is not set{}", if name == "keys" { ": DIR/keys" } else { "" }),
            Some(value) => format!("{name} = {}", toml_of(&value)),
        };
        lines.push((line, &entry.origin));
    }
    write("", &mut lines);
    if !settings.origins.kafka.is_empty() {
        for (key, (value, origin)) in &settings.origins.kafka {
            lines.push((format!("{} = {}", quoted(key), quoted(shown(key, value))), origin));
        }
        write("\n[kafka]\n", &mut lines);
    }
    text
}

fn as_json(settings: &Settings) -> Json {
    let line = |value: Json, origin: &Origin| json!({ "value": value, "from": origin.to_string() });
    let mut all = Map::new();
    for entry in &settings.origins.entries {
        all.insert(entry.setting.name.to_owned(), line(value_of(entry, settings).unwrap_or(Json::Null), &entry.origin));
    }
    let kafka = settings
        .origins
        .kafka
        .iter()
        .map(|(key, (value, origin))| (key.clone(), line(json!(shown(key, value)), origin)));
    all.insert("kafka".to_owned(), kafka.collect());
    Json::Object(all)
}

/// A setting's effective value as it would be written in a file; `None` where nothing is set.
fn value_of(entry: &Entry, settings: &Settings) -> Option<Json> {
    match &entry.value {
        Value::Unset => None,
        Value::List(words) => Some(json!(words)),
        Value::Bool(yes) => Some(json!(yes)),
        Value::Count(_) => Some(json!(settings.lanes)),
        value => Some(json!(entry.setting.form.write(value))),
    }
}

fn toml_of(value: &Json) -> String {
    match value {
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}

/// A TOML basic string. JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\x7f', "\\u007F")
}

fn shown<'a>(property: &str, value: &'a str) -> &'a str {
    if is_secret(property) { MASK } else { value }
}

/// Whether a property of librdkafka holds a secret, or could: too many are masked rather than one too few.
fn is_secret(property: &str) -> bool {
    let property = property.to_lowercase();
    let words =
        ["password", "passphrase", "secret", "token", "credential", "jaas", "oauthbearer.config", "key.pem", "private"];
    // Where tokens come from is no secret, and is what one looks for when they do not come.
    let place = ["url", "file", "location"].iter().any(|end| property.ends_with(end));
    !place && words.iter().any(|word| property.contains(word))
}

/// A file of settings that changes nothing: each in a comment, with its help, what is allowed, and its default.
pub(crate) fn template() -> String {
    let mut text = String::from(
        "# The settings of jauge, each with its default. Take the # away before a name to change one.\n\
         # A file is named by --config FILE or JAUGE_CONFIG. Over it goes the environment (JAUGE_COMMIT_INTERVAL=5s), and over both\n\
         # go flags (--commit-interval 5s). `jauge config` prints what holds, and where it came from.\n",
    );
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            text.push_str(&format!("\n# ---- {group} ----\n"));
        }
        let allowed = match setting.form {
            Form::Text | Form::Path => String::new(),
            _ => format!("# Allowed: {}.\n", setting.form.allowed()),
        };
        text.push_str(&format!("\n# {}.\n{allowed}#{} = {}\n", setting.help, setting.name, written_default(setting)));
    }
    text.push_str(
        "\n# Properties of librdkafka, passed on as they are. Also JAUGE_KAFKA_SECURITY_PROTOCOL=SSL, or --kafka security.protocol=SSL.\n\
         #[kafka]\n#\"security.protocol\" = \"plaintext\"\n",
    );
    text
}

/// The default as a file has it; for a setting without one, its placeholder.
fn written_default(setting: &Setting) -> String {
    let words = |text: &str| toml_of(&text.split(',').collect::<Json>());
    match (&setting.form, setting.default) {
        (Form::List, "") => words(setting.placeholder),
        (_, "") => quoted(setting.placeholder),
        (Form::List | Form::Choices(_), default) => words(default),
        (Form::Bool, default) => default.to_owned(),
        (_, default) => quoted(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Layers;

    const EXAMPLE: &str = include_str!("../../../config/jauge.toml");
    const PRODUCTION: &str = include_str!("../../../config/production.toml");

    fn of(text: &str) -> Settings {
        Settings::of(&Layers { file: Some(("j.toml".to_owned(), text.to_owned())), ..Layers::default() }, 2)
            .expect("the file is right")
    }

    #[test]
    fn the_example_file_is_the_template() {
        assert!(EXAMPLE == template(), "write it anew: jauge config --template > config/jauge.toml");
        assert!(of(EXAMPLE).origins.entries.iter().all(|entry| entry.origin == Origin::Default));
    }

    #[test]
    fn the_template_has_every_setting_with_its_default() {
        let uncommented = |line: &str| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[' || c == '"') => rest.to_owned(),
            _ => line.to_owned(),
        };
        let settings = of(&template().lines().map(uncommented).collect::<Vec<_>>().join("\n"));
        for entry in &settings.origins.entries {
            assert_ne!(entry.origin, Origin::Default, "{} is not in the template", entry.setting.name);
            if !entry.setting.default.is_empty() {
                assert_eq!(entry.setting.form.write(&entry.value), entry.setting.default, "{}", entry.setting.name);
            }
        }
        assert_eq!(settings.kafka["security.protocol"], "plaintext");
    }

    #[test]
    fn the_production_example_is_right() {
        let settings = of(PRODUCTION);
        assert!(settings.needed_brokers().is_ok() && settings.needed_topics().is_ok() && settings.needed_out().is_ok());
        assert!(settings.origins.entries.iter().any(|entry| entry.origin != Origin::Default));
    }

    #[test]
    fn what_is_printed_can_be_read_again_and_keeps_its_secrets() {
        let text = "out = \"a \\\"b\\\" \\u007F\"\ntopic = ['t', 'u']\n\
            [kafka]\nsasl.username = 'me'\nsasl.password = 'hunter2'\n'ssl.key.pem' = 'hunter2'\nclient.secret = 'hunter2'\n\
            sasl.oauthbearer.token.endpoint.url = 'https://t'\n";
        let settings = of(text);
        let printed = as_toml(&settings);
        assert!(!printed.contains("hunter2") && !as_json(&settings).to_string().contains("hunter2"), "{printed}");
        let again = of(&printed);
        assert_eq!((again.out, again.topic), (settings.out, settings.topic));
        assert_eq!(again.kafka["sasl.password"], MASK);
        assert_eq!(again.kafka["sasl.username"], "me");
        assert_eq!(again.kafka["sasl.oauthbearer.token.endpoint.url"], "https://t");
    }

    #[test]
    fn each_line_says_where_it_came_from() {
        let printed = as_toml(&of("lateness = '60s'\nlanes = 'auto'\n[kafka]\nlinger.ms = 5"));
        for line in [
            "lateness = \"1min\"",
            "  # from file j.toml:1",
            "lanes = 2 ",
            "idle_after = \"10s\"",
            "  # from default",
            "# keys is not set: DIR/keys\n",
            "[kafka]\n\"linger.ms\" = \"5\"  # from file j.toml:4\n",
        ] {
            assert!(printed.contains(line), "{line} is not in:\n{printed}");
        }
    }
}

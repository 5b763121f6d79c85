//! Layers of settings, and what is said when they are wrong.

use super::*;

fn file(text: &str) -> Layers {
    Layers { file: Some(("j.toml".to_owned(), text.to_owned())), ..Layers::default() }
}

fn variables(pairs: &[(&str, &str)]) -> Layers {
    let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Layers { variables, ..Layers::default() }
}

/// `name = value # from origin` of the settings that are not the default, then of the properties.
#[track_caller]
fn check(layers: &Layers, expect: &[&str]) {
    let merged = layers.merge().expect("the layers are right");
    let settings = merged.entries.iter().filter(|entry| entry.origin != Origin::Default).map(|entry| {
        format!("{} = {} # from {}", entry.setting.name, entry.setting.form.write(&entry.value), entry.origin)
    });
    let kafka = merged.kafka.iter().map(|(key, (value, origin))| format!("kafka.{key} = {value} # from {origin}"));
    assert_eq!(settings.chain(kafka).collect::<Vec<_>>(), expect);
}

#[track_caller]
fn refuse(layers: &Layers, expect: &str) {
    let problem = layers.merge().expect_err("the layers are wrong");
    assert_eq!((problem.exit_code(), problem.message.as_str()), (2, expect));
}

#[test]
fn each_layer_goes_over_the_one_before() {
    let text = "lateness = '1s'\nidle_after = '2s'\ncommit_interval = '3s'\ntopic = ['a', 'b']\n";
    let mut layers = file(text);
    check(
        &layers,
        &[
            "topic = a,b # from file j.toml:4",
            "commit_interval = 3s # from file j.toml:3",
            "lateness = 1s # from file j.toml:1",
            "idle_after = 2s # from file j.toml:2",
        ],
    );
    layers.variables =
        variables(&[("JAUGE_IDLE_AFTER", "20s"), ("JAUGE_COMMIT_INTERVAL", "30s"), ("HOME", "/")]).variables;
    layers.flags = vec![("commit_interval", Raw::Text("300s".to_owned()))];
    check(
        &layers,
        &[
            "topic = a,b # from file j.toml:4",
            "commit_interval = 5min # from --commit-interval",
            "lateness = 1s # from file j.toml:1",
            "idle_after = 20s # from JAUGE_IDLE_AFTER",
        ],
    );
}

#[test]
fn properties_of_the_client_pass_through_from_every_layer() {
    let text = "[kafka]\nsecurity.protocol = 'SSL'\n'fetch.min.bytes' = 7\nssl = { ca.location = '/ca', key.password = 'x' }\n";
    let mut layers = file(text);
    layers.variables = variables(&[("JAUGE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")]).variables;
    layers.kafka = vec!["ssl.key.password=a=b".to_owned()];
    check(
        &layers,
        &[
            "kafka.fetch.min.bytes = 7 # from file j.toml:3",
            "kafka.security.protocol = SASL_SSL # from JAUGE_KAFKA_SECURITY_PROTOCOL",
            "kafka.ssl.ca.location = /ca # from file j.toml:4",
            "kafka.ssl.key.password = a=b # from --kafka",
        ],
    );
}

#[test]
fn an_unknown_name_is_an_error_that_names_the_nearest() {
    refuse(
        &file("out = 'x'\n\ncomit_interval = '3s'"),
        "Unknown setting \"comit_interval\" in j.toml:3. The nearest is \"commit_interval\".",
    );
    refuse(
        &file("session-timeout = '3s'"),
        "Unknown setting \"session-timeout\" in j.toml:1. The nearest is \"session_timeout\".",
    );
    refuse(
        &variables(&[("JAUGE_LATENES", "1s")]),
        "Unknown environment variable JAUGE_LATENES. The nearest is JAUGE_LATENESS.",
    );
    refuse(&file("[kafkas]\na = 1"), "Unknown setting \"kafkas\" in j.toml:1. The nearest is \"kafka\".");
}

#[test]
fn variables_of_others_are_left_alone() {
    check(
        &variables(&[
            ("JAUGE_SHARED", "/s"),
            ("JAUGE_REQUIRE_ALL", "1"),
            ("JAUGE_SEEDS", "9"),
            ("JAUGE_TEST_SEED", "1"),
            ("JAUGE_CONFIG", "j.toml"),
            ("JAUGE_SERVICE_HOST", "10.0.0.1"),
            ("JAUGE_SERVICE_PORT", "9090"),
            ("JAUGE_SERVICE_PORT_HTTP", "9090"),
            ("JAUGE_PORT", "tcp://10.0.0.1:9090"),
            ("JAUGE_PORT_9090_TCP_ADDR", "10.0.0.1"),
            ("JAUGE_KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
        ]),
        &[],
    );
}

#[test]
fn what_only_looks_like_a_variable_of_others_is_an_error() {
    for (name, value, nearest) in [
        ("JAUGE_LISTEN_PORT", "9090", "JAUGE_LISTEN"),
        ("JAUGE_PORT", "9090", "JAUGE_OUT"),
        ("JAUGE_BROKER_SERVICE_HOST", "kafka.example", "JAUGE_BROKERS"),
        ("JAUGE_LANES_PORT_", "4", "JAUGE_LANES"),
    ] {
        let expect = format!("Unknown environment variable {name}. The nearest is {nearest}.");
        refuse(&variables(&[(name, value)]), &expect);
    }
}

#[test]
fn a_tilde_is_the_home_folder_wherever_a_path_is_written() {
    let mut layers =
        file("keys = '~/keys'\nrejected_topic = '~'\n[kafka]\nssl.ca.location = '~/ca.pem'\nsasl.password = '~/x'");
    layers.variables = variables(&[("JAUGE_OUT", "~/night")]).variables;
    layers.home = Some("/home/ana".to_owned());
    check(
        &layers,
        &[
            "rejected_topic = ~ # from file j.toml:2",
            "out = /home/ana/night # from JAUGE_OUT",
            "keys = /home/ana/keys # from file j.toml:1",
            "kafka.sasl.password = ~/x # from file j.toml:5",
            "kafka.ssl.ca.location = /home/ana/ca.pem # from file j.toml:4",
        ],
    );
    layers.home = None;
    let said = layers.merge().expect_err("nobody knows where that is").message;
    assert_eq!(said.lines().filter(|line| line.contains("HOME is not set")).count(), 3, "{said}");
    refuse(
        &variables(&[("JAUGE_OUT", "~bob/night")]),
        "out = \"~bob/night\" (from JAUGE_OUT) begins with the home folder of somebody, which only a shell knows; \
         a name that begins with ~ is written ./~bob/night. Allowed: a path, in which ~/ at the start is your home folder.",
    );
}

#[test]
fn a_value_that_is_not_allowed_is_named_with_its_place() {
    refuse(
        &file("broadcast_idle = '30s'"),
        "broadcast_idle = \"30s\" (from file j.toml:1) is too short. \
         Allowed: a whole number and its unit (250ms, 30s, 10min, 6h, 30d), from 1min to 30d.",
    );
    refuse(
        &variables(&[("JAUGE_STRICT", "yes")]),
        "strict = \"yes\" (from JAUGE_STRICT) is neither true nor false. Allowed: true or false.",
    );
    refuse(
        &Layers { flags: vec![("commit_bytes", Raw::Text("12".to_owned()))], ..Layers::default() },
        "commit_bytes = \"12\" (from --commit-bytes) has no unit. \
         Allowed: a whole number and its unit (512KiB, 256MB, 1GiB), 1kB or more.",
    );
    refuse(
        &file("out = { dir = 'x' }"),
        "out (from file j.toml:1) is a table. Allowed: a path, in which ~/ at the start is your home folder.",
    );
    refuse(
        &file("kafka = 'localhost'"),
        "kafka (from file j.toml:1) must be a table, [kafka], of librdkafka's properties.",
    );
    refuse(
        &file("[kafka]\nbootstrap.servers = 'h:1'"),
        "kafka.bootstrap.servers (from file j.toml:2) has a setting of its own: brokers.",
    );
    refuse(
        &file("strict = 3\nlanes = 0"),
        "strict = \"3\" (from file j.toml:1) is neither true nor false. Allowed: true or false.\n\
         lanes = \"0\" (from file j.toml:2) is out of range. Allowed: a whole number from 1 to 256, or auto.",
    );
}

#[test]
fn a_broken_file_is_named_by_its_line_and_never_quoted() {
    let problem = file("strict = true\n[kafka]\nsasl.password = 'hunter2\n").merge().expect_err("the quote is open");
    assert!(problem.message.starts_with("j.toml:3: this is not TOML: "), "{}", problem.message);
    assert!(!problem.message.contains("hunter2"), "{}", problem.message);
    let flag = Layers { kafka: vec!["hunter2".to_owned()], ..Layers::default() };
    refuse(&flag, "--kafka needs KEY=VALUE, such as --kafka security.protocol=SASL_SSL.");
}

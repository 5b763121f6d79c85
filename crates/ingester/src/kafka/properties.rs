//! A property is one of librdkafka's settings: ours, tuned and measured, then the user's, save those that would break a
//! promise.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;

use super::KafkaError;
use super::address::refuse_others;

const OFFSETS_ARE_OURS: &str = "offsets are kept with the data, and the group's are only for monitoring";
const EXACT: &str = "the count is exact only with it as it is";
const OLD_PROTOCOL: &str = "an old protocol knows nothing of transactions, so aborted records would be counted";
const PARTITIONS_ARE_OURS: &str = "partitions are assigned and not balanced within a group";

/// Properties that are not passed through, each with the reason.
const PROTECTED: [(&str, &str); 21] = [
    ("bootstrap.servers", "it has a setting of its own, `brokers`"),
    ("metadata.broker.list", "it has a setting of its own, `brokers`"),
    ("enable.auto.commit", OFFSETS_ARE_OURS),
    ("auto.commit.enable", OFFSETS_ARE_OURS),
    ("enable.auto.offset.store", OFFSETS_ARE_OURS),
    ("auto.offset.reset", "an offset that is gone must stop the run, never be jumped over"),
    ("isolation.level", "records of aborted transactions never happened"),
    ("enable.partition.eof", EXACT),
    ("check.crcs", "a damaged record must be noticed"),
    ("group.id", PARTITIONS_ARE_OURS),
    ("group.instance.id", PARTITIONS_ARE_OURS),
    ("group.protocol", PARTITIONS_ARE_OURS),
    ("partition.assignment.strategy", PARTITIONS_ARE_OURS),
    ("topic.blacklist", "a topic that is to be read must not be hidden"),
    ("offset.store.method", OFFSETS_ARE_OURS),
    ("api.version.request", OLD_PROTOCOL),
    ("api.version.fallback.ms", OLD_PROTOCOL),
    ("broker.version.fallback", OLD_PROTOCOL),
    ("allow.auto.create.topics", "a misspelt topic must be an error and not a new topic"),
    ("test.mock.num.brokers", "it replaces the brokers"),
    ("log.queue", "logs of the client become notices"),
];

/// The defaults idle in back-off, 4 to 7 times slower. What is fetched ahead is bounded by the KiB of values and by the
/// bytes of each partition in one answer; a record costs some 500 bytes beside its value, so a lane that stands still
/// holds some 50 MB.
const TUNED: [(&str, &str); 12] = [
    ("fetch.queue.backoff.ms", "5"),
    ("queued.min.messages", "1000000"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.min.bytes", "100000"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.message.max.bytes", "1048576"),
    // A record that is larger than an answer may be would be asked for again and again, for ever.
    ("receive.message.max.bytes", "1000000000"),
    // A broker that comes back is found within a second, not within ten.
    ("reconnect.backoff.max.ms", "1000"),
    // An idle connection that the broker closes is no event.
    ("log.connection.close", "false"),
    ("client.id", "jauge"),
    // A partition more can be asked about, and fetched from, once the client itself has heard of it.
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("metadata.max.age.ms", "5000"),
];

/// What each consumer must have, whatever the user wants.
const KEPT: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("check.crcs", "true"),
    ("allow.auto.create.topics", "false"),
];

/// Which records a consumer sees, and how far its offsets reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    /// Up to the last stable offset, without aborted transactions.
    Committed,
    /// Up to the high watermark.
    Uncommitted,
}

/// Settings of a consumer; with `group`, one that can be assigned partitions.
pub(super) fn consumer_config(
    brokers: &str,
    properties: &[(String, String)],
    isolation: Isolation,
    group: Option<&str>,
) -> Result<ClientConfig, KafkaError> {
    for (name, _) in properties {
        if let Some((_, reason)) = PROTECTED.iter().find(|(protected, _)| protected == name) {
            return Err(KafkaError::Protected { property: name.clone(), reason });
        }
    }
    let mut config = base_config(brokers, properties, &TUNED)?;
    for (name, value) in KEPT {
        config.set(name, value);
    }
    let level = if isolation == Isolation::Committed { "read_committed" } else { "read_uncommitted" };
    config.set("isolation.level", level);
    if let Some(group) = group {
        config.set("group.id", group);
        // It is no member of the group and has no session; this is how long its end waits for a coordinator that is
        // away.
        config.set("session.timeout.ms", "1000");
    }
    Ok(config)
}

/// `defaults`, then `properties` over them.
pub(crate) fn base_config(
    brokers: &str,
    properties: &[(String, String)],
    defaults: &[(&str, &str)],
) -> Result<ClientConfig, KafkaError> {
    refuse_others(brokers)?;
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in defaults {
        config.set(*name, *value);
    }
    for (name, value) in properties {
        if needs_tls(name, value) && !cfg!(feature = "tls") {
            return Err(KafkaError::NeedsTls { property: name.clone() });
        }
        if matches!(name.as_str(), "bootstrap.servers" | "metadata.broker.list") {
            return Err(KafkaError::Protected {
                property: name.clone(),
                reason: "it has a setting of its own, `brokers`",
            });
        }
        if name == "max.partition.fetch.bytes" {
            // Two names of one setting: the one that was set last would win by chance.
            config.remove("fetch.message.max.bytes");
        }
        config.set(name, value);
    }
    config.set("bootstrap.servers", brokers);
    Ok(config)
}

fn needs_tls(name: &str, value: &str) -> bool {
    name.starts_with("ssl.")
        || name.starts_with("sasl.")
        || name == "enable.ssl.certificate.verification"
        || (name == "security.protocol" && !value.eq_ignore_ascii_case("plaintext"))
}

/// Whether a client with this `security.protocol` speaks TLS.
pub(super) fn is_tls(protocol: &str) -> bool {
    protocol.to_ascii_lowercase().ends_with("ssl")
}

/// Whether a property's value must not be shown.
pub(super) fn is_secret(name: &str) -> bool {
    ["password", "secret", "key.pem", "keystore", "jaas", "oauthbearer.config"].iter().any(|part| name.contains(part))
}

/// What librdkafka said of the settings. A secret's value, which it repeats, is left out.
pub(crate) fn config_error(error: ClientError) -> KafkaError {
    match error {
        ClientError::ClientConfig(_, reason, property, _) => {
            let reason = if is_secret(&property) { "its value does not fit".to_owned() } else { reason };
            KafkaError::Property { property, reason }
        }
        ClientError::ClientCreation(reason) => KafkaError::Client { reason },
        other => KafkaError::Client { reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use problem::Failure;

    fn with(name: &str, value: &str) -> Result<ClientConfig, KafkaError> {
        let properties = [(name.to_owned(), value.to_owned())];
        consumer_config("b:1", &properties, Isolation::Committed, Some("g"))
    }

    #[test]
    fn properties_that_would_break_a_promise_are_refused_by_name() {
        for (name, _) in PROTECTED {
            let error = with(name, "true").expect_err(name);
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn other_properties_go_over_ours() {
        let config = with("fetch.wait.max.ms", "7").expect("it is free");
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("check.crcs"), Some("true"));
        let config = with("max.partition.fetch.bytes", "9").expect("it is free");
        assert_eq!(config.get("fetch.message.max.bytes"), None, "the alias stands alone");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn encryption_names_the_feature_that_it_needs() {
        for (name, value) in [
            ("security.protocol", "ssl"),
            ("security.protocol", "SASL_SSL"),
            ("security.protocol", "sasl_plaintext"),
            ("ssl.ca.location", "/ca.pem"),
            ("sasl.mechanism", "PLAIN"),
        ] {
            let error = with(name, value).expect_err(name);
            assert!(error.to_string().contains("--features tls") && error.exit_code() == 2, "{error}");
        }
        assert!(with("security.protocol", "plaintext").is_ok());
    }

    #[test]
    fn what_librdkafka_does_not_take_is_named_and_secrets_are_not_shown() {
        let refused = |name: &str, value: &str| {
            let config = with(name, value).expect("we have nothing against it");
            config_error(config.create_native_config().err().expect("librdkafka has"))
        };
        let error = refused("no.such.property", "1");
        assert!(matches!(&error, KafkaError::Property { property, .. } if property == "no.such.property"), "{error}");
        assert_eq!(error.exit_code(), 2);
        let error = config_error(ClientError::ClientConfig(
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            "bad value hunter2".into(),
            "ssl.key.password".into(),
            "hunter2".into(),
        ));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

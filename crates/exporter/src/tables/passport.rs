//! A passport says in a file's own metadata what made the file, by which rules and from which input.

use parquet::file::metadata::KeyValue;

/// The key-value metadata `jauge.*` of one file. What is `None` is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passport {
    /// `jauge.version`: the version of the product.
    pub version: Option<String>,
    /// `jauge.contract`: the version of the contract, the meaning of the columns.
    pub contract: Option<String>,
    /// `jauge.unit`: what a viewer is counted in.
    pub unit: Option<String>,
    /// `jauge.session_timeout`: a duration, or `off`.
    pub session_timeout: Option<String>,
    /// `jauge.timeout_grace`: a duration.
    pub timeout_grace: Option<String>,
    /// `jauge.broadcast_idle`: a duration.
    pub broadcast_idle: Option<String>,
    /// `jauge.end_idle`: a duration, or `off`.
    pub end_idle: Option<String>,
    /// `jauge.straggler`: a duration.
    pub straggler: Option<String>,
    /// `jauge.return_within`: a duration.
    pub return_within: Option<String>,
    /// `jauge.lateness`: a duration.
    pub lateness: Option<String>,
    /// `jauge.input`: where the events came from.
    pub input: Option<String>,
    /// `jauge.commit`: the commit that the file belongs to.
    pub commit: Option<String>,
}

const KEYS: [&str; 12] = [
    "jauge.version",
    "jauge.contract",
    "jauge.unit",
    "jauge.session_timeout",
    "jauge.timeout_grace",
    "jauge.broadcast_idle",
    "jauge.end_idle",
    "jauge.straggler",
    "jauge.return_within",
    "jauge.lateness",
    "jauge.input",
    "jauge.commit",
];

impl Passport {
    /// Its entries as (key, value), in the contract's order.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let values = [
            &self.version,
            &self.contract,
            &self.unit,
            &self.session_timeout,
            &self.timeout_grace,
            &self.broadcast_idle,
            &self.end_idle,
            &self.straggler,
            &self.return_within,
            &self.lateness,
            &self.input,
            &self.commit,
        ];
        KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }

    /// The version of the contract as a number, where it says one.
    pub(super) fn contract_version(&self) -> Option<u32> {
        self.contract.as_deref()?.parse().ok()
    }

    pub(super) fn to_metadata(&self) -> Vec<KeyValue> {
        self.entries().map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned())).collect()
    }

    pub(super) fn of_metadata(metadata: Option<&Vec<KeyValue>>) -> Passport {
        let of = |key| metadata?.iter().find(|entry: &&KeyValue| entry.key == key)?.value.clone();
        let [version, contract, unit, session_timeout, timeout_grace, broadcast_idle, rest @ ..] = KEYS.map(of);
        let [end_idle, straggler, return_within, lateness, input, commit] = rest;
        Passport {
            version,
            contract,
            unit,
            session_timeout,
            timeout_grace,
            broadcast_idle,
            end_idle,
            straggler,
            return_within,
            lateness,
            input,
            commit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passport_comes_back_with_what_it_had() {
        let some = |text: &str| Some(text.to_owned());
        let whole = Passport {
            version: some("0.1.0"),
            contract: some("2"),
            unit: some("sessions"),
            session_timeout: some("off"),
            timeout_grace: some("0s"),
            broadcast_idle: some("6h"),
            end_idle: some("15min"),
            straggler: some("1min"),
            return_within: some("0s"),
            lateness: some("30s"),
            input: some("events.ndjson"),
            commit: some("7"),
        };
        for passport in [Passport::default(), Passport { commit: None, ..whole.clone() }, whole] {
            assert_eq!(Passport::of_metadata(Some(&passport.to_metadata())), passport);
        }
        assert_eq!(Passport::of_metadata(None), Passport::default());
    }
}

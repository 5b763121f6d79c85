//! The form of a setting: what may be written for it, and the value that this becomes.

use audience::Ms;

use crate::size;
use audience::duration;

/// What may be written.
#[derive(Debug)]
pub(crate) enum Form {
    /// Any words, one at least.
    List,
    /// Some of these words, one at least.
    Choices(&'static [&'static str]),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text but none.
    Text,
    /// A path, or the URL of an object store; the home folder may be written as `~`.
    Path,
    /// A duration in `least_ms..=most_ms`, or the word that stands for no limit.
    Duration {
        /// The shortest that is allowed, ms, `>= 0`.
        least_ms: Ms,
        /// The longest that is allowed, ms.
        most_ms: Ms,
        /// `off` or `forever`, where the rule can be switched off.
        never: Option<&'static str>,
    },
    /// A size of `least` bytes or more.
    Size {
        /// The smallest that is allowed, bytes.
        least: u64,
    },
    /// true or false.
    Bool,
    /// A number in `1..=most`, or `auto`.
    Count {
        /// The greatest number that is allowed.
        most: usize,
    },
}

/// A setting as it was written somewhere, before its form was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// One word or text.
    Text(String),
    /// Several words.
    List(Vec<String>),
}

impl std::fmt::Display for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Raw::Text(text) => write!(f, "{text:?}"),
            Raw::List(list) => write!(f, "{list:?}"),
        }
    }
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing was written and there is no default.
    Unset,
    /// Text, or one of several words.
    Text(String),
    /// Words.
    List(Vec<String>),
    /// A duration in ms; `None` for no limit.
    Duration(Option<Ms>),
    /// A size in bytes.
    Size(u64),
    /// Yes or no.
    Bool(bool),
    /// A number; `None` for `auto`.
    Count(Option<usize>),
}

impl Form {
    /// The value of `raw`, or what is wrong with it, as the rest of a sentence.
    pub(crate) fn read(&self, raw: &Raw) -> Result<Value, String> {
        if let Form::List | Form::Choices(_) = self {
            return self.read_list(raw);
        }
        let Raw::Text(text) = raw else {
            return Err("is a list where one value is needed".to_owned());
        };
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        match self {
            Form::Duration { least_ms, most_ms, never } => match never {
                Some(word) if word == text => Ok(Value::Duration(None)),
                _ => match duration::parse(text)? {
                    ms if ms < *least_ms => Err("is too short".to_owned()),
                    ms if ms > *most_ms => Err("is too long".to_owned()),
                    ms => Ok(Value::Duration(Some(ms))),
                },
            },
            Form::Size { least } => match size::parse(text)? {
                bytes if bytes < *least => Err("is too small".to_owned()),
                bytes => Ok(Value::Size(bytes)),
            },
            Form::Bool => text.parse().map(Value::Bool).map_err(|_| "is neither true nor false".to_owned()),
            Form::Count { .. } if text == "auto" => Ok(Value::Count(None)),
            Form::Count { most } => match text.parse() {
                Ok(count) if (1..=*most).contains(&count) => Ok(Value::Count(Some(count))),
                Ok(_) => Err("is out of range".to_owned()),
                Err(_) => Err("is no whole number".to_owned()),
            },
            Form::Choice(words) if !words.contains(&text.as_str()) => Err("is none of the words".to_owned()),
            Form::Choice(_) | Form::Text | Form::Path | Form::List | Form::Choices(_) => Ok(Value::Text(text.clone())),
        }
    }

    fn read_list(&self, raw: &Raw) -> Result<Value, String> {
        let split = |text: &str| text.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        let words: Vec<String> = match raw {
            Raw::Text(text) => split(text),
            Raw::List(list) => list.iter().flat_map(|text| split(text)).collect(),
        };
        if words.is_empty() || words.iter().any(String::is_empty) {
            return Err("is empty, or one of its parts is".to_owned());
        }
        if let Form::Choices(choices) = self
            && let Some(word) = words.iter().find(|word| !choices.contains(&word.as_str()))
        {
            return Err(format!("has {word:?}, which is none of the words"));
        }
        if let Some(word) = words.iter().find(|word| word.contains(char::is_whitespace)) {
            return Err(format!("has {word:?}, with a space in it"));
        }
        if let Some((_, twice)) = words.iter().enumerate().find(|(at, word)| words[..*at].contains(word)) {
            return Err(format!("has {twice:?} twice"));
        }
        Ok(Value::List(words))
    }

    /// What may be written, for messages.
    pub(crate) fn allowed(&self) -> String {
        match self {
            Form::List => "one or more words, with commas between them".to_owned(),
            Form::Choices(words) => format!("some of {}, with commas between them", words.join(", ")),
            Form::Choice(words) => words.join(" or "),
            Form::Text => "any text".to_owned(),
            Form::Path => "a path, in which ~/ at the start is your home folder".to_owned(),
            Form::Duration { least_ms, most_ms, never } => {
                let range = format!("from {} to {}", duration::write(*least_ms), duration::write(*most_ms));
                let never = never.map(|word| format!(", or {word}")).unwrap_or_default();
                format!("{}, {range}{never}", duration::FORM)
            }
            Form::Size { least } => format!("{}, {} or more", size::FORM, size::write(*least)),
            Form::Bool => "true or false".to_owned(),
            Form::Count { most } => format!("a whole number from 1 to {most}, or auto"),
        }
    }

    /// `value` as it is written without quotes; what [`Form::read`] takes.
    pub(crate) fn write(&self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Unset) => String::new(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::List(words)) => words.join(","),
            (_, Value::Duration(Some(ms))) => duration::write(*ms),
            (Form::Duration { never, .. }, Value::Duration(None)) => never.unwrap_or("off").to_owned(),
            (_, Value::Duration(None)) => "off".to_owned(),
            (_, Value::Size(bytes)) => size::write(*bytes),
            (_, Value::Bool(yes)) => yes.to_string(),
            (_, Value::Count(count)) => count.map_or_else(|| "auto".to_owned(), |count| count.to_string()),
        }
    }
}

/// A path with the home folder in the place of its `~`, or why there is none, as the rest of a sentence. A shell does
/// the same, and no shell has seen what stands in a file, in the environment, or behind the `=` of a flag.
pub(crate) fn at_home(path: &str, home: Option<&str>) -> Result<String, String> {
    let Some(rest) = path.strip_prefix('~') else { return Ok(path.to_owned()) };
    match (rest, home) {
        ("", Some(home)) => Ok(home.to_owned()),
        (rest, _) if !rest.is_empty() && !rest.starts_with('/') => Err(format!(
            "begins with the home folder of somebody, which only a shell knows; a name that begins with ~ is written ./{path}"
        )),
        (rest, Some(home)) => Ok(format!("{}{rest}", home.trim_end_matches('/'))),
        (_, None) => Err("begins with ~, and HOME is not set, so that nobody knows where that is".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &Form, text: &str) -> Result<Value, String> {
        form.read(&Raw::Text(text.to_owned()))
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        let idle = Form::Duration { least_ms: 60_000, most_ms: 86_400_000, never: None };
        assert_eq!(read(&idle, "59s"), Err("is too short".to_owned()));
        assert_eq!(read(&idle, "1min"), Ok(Value::Duration(Some(60_000))));
        assert_eq!(read(&idle, "24h"), Ok(Value::Duration(Some(86_400_000))));
        assert_eq!(read(&idle, "86400001ms"), Err("is too long".to_owned()));
        assert_eq!(read(&idle, "off"), Err("has no number at its start".to_owned()));
        assert_eq!(read(&Form::Count { most: 4 }, "0"), Err("is out of range".to_owned()));
        assert_eq!(read(&Form::Count { most: 4 }, "4"), Ok(Value::Count(Some(4))));
        assert_eq!(read(&Form::Count { most: 4 }, "five"), Err("is no whole number".to_owned()));
        assert_eq!(read(&Form::Size { least: 1_000 }, "999B"), Err("is too small".to_owned()));
        assert_eq!(read(&Form::Choice(&["keep", "redact"]), "Keep"), Err("is none of the words".to_owned()));
    }

    #[test]
    fn a_tilde_is_the_home_folder() {
        let home = |path| at_home(path, Some("/home/ana"));
        for (path, there) in [("~", "/home/ana"), ("~/a b", "/home/ana/a b"), ("./~", "./~"), ("a/~/b", "a/~/b")] {
            assert_eq!(home(path), Ok(there.to_owned()));
        }
        assert_eq!(at_home("~/a", Some("/")), Ok("/a".to_owned()));
        assert!(home("~bob/a").is_err_and(|said| said.contains("./~bob/a")));
        assert!(at_home("~/a", None).is_err_and(|said| said.contains("HOME is not set")));
    }

    #[test]
    fn a_list_is_written_with_commas_or_as_a_list() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(read(&Form::List, "a:1, b:2"), Ok(Value::List(words(&["a:1", "b:2"]))));
        assert_eq!(Form::List.read(&Raw::List(words(&["a", "b,c"]))), Ok(Value::List(words(&["a", "b", "c"]))));
        assert_eq!(read(&Form::List, "a,,b"), Err("is empty, or one of its parts is".to_owned()));
        assert_eq!(Form::List.read(&Raw::List(vec![])), Err("is empty, or one of its parts is".to_owned()));
        assert_eq!(read(&Form::List, "a,b,a"), Err("has \"a\" twice".to_owned()));
        assert_eq!(
            read(&Form::Choices(&["minutes"]), "minute"),
            Err("has \"minute\", which is none of the words".to_owned())
        );
        assert_eq!(Form::Text.read(&Raw::List(words(&["a"]))), Err("is a list where one value is needed".to_owned()));
    }
}

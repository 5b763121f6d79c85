//! An outline is an object's keys and the texts of their values, as far as it can be read: for those who look at what
//! was rejected, where the decoder has stopped.

use crate::strict::value_at;

/// A key, and the text of its value as it stands there: all that is left where it was cut.
#[derive(Debug)]
pub(crate) struct Property<'a> {
    pub(crate) key: String,
    pub(crate) value: &'a str,
}

/// The entries of the object that `text` begins with; none where it begins with something else.
pub(crate) fn entries(text: &str) -> Vec<Property<'_>> {
    let mut entries = Vec::new();
    let mut next = text.strip_prefix('{');
    while let Some(rest) = next {
        let Some((key, rest)) = entry(rest.trim_start()) else { break };
        let end = first_value(rest).unwrap_or(rest.len());
        entries.push(Property { key, value: &rest[..end] });
        next = rest[end..].trim_start().strip_prefix(',');
    }
    entries
}

/// A key, and what comes behind its colon.
fn entry(text: &str) -> Option<(String, &str)> {
    let (end, key) = value_at(text, 0)?;
    let value = text[end..].trim_start().strip_prefix(':')?;
    Some((key?, value.trim_start()))
}

/// Where the value that `text` begins with ends; `None` where it is not whole.
pub(crate) fn first_value(text: &str) -> Option<usize> {
    value_at(text, 0).map(|(end, _)| end)
}

/// The text that the string `value` stands for.
pub(crate) fn text_of(value: &str) -> Option<String> {
    value_at(value, 0)?.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_goes_as_far_as_can_be_read() {
        let read = |text: &str| -> Vec<(String, String)> {
            entries(text).into_iter().map(|entry| (entry.key, entry.value.to_owned())).collect()
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let all = [pair("a", "1"), pair("b", "{\"c\": [2]}"), pair("é", "\"x\"")];
        assert_eq!(read(r#"{ "a" :1, "b": {"c": [2]} , "\u00e9":"x" }"#), all);
        assert_eq!(read(r#"{"a":1,"b":{"c": [2"#), [pair("a", "1"), pair("b", "{\"c\": [2")]);
        for none in ["", "[1]", "{", "{}", "{1:2}", "{\"a\" 1}"] {
            assert!(read(none).is_empty(), "{none}");
        }
        assert_eq!((first_value("[1] 2"), first_value("[1"), text_of("\"a\\n\"")), (Some(3), None, Some("a\n".into())));
    }
}

//! A path within a command that a person is to copy into a shell.

use std::ffi::OsStr;

/// The path as a shell takes it for one word and for no option: bare where that is enough, in single quotes where a
/// shell would read something into it, and as `$'…'` where it has bytes that cannot be seen or are not UTF-8.
pub fn in_shell(path: impl AsRef<OsStr>) -> String {
    let path = path.as_ref();
    let before = if path.as_encoded_bytes().first() == Some(&b'-') { "./" } else { "" };
    let text = match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => text,
        _ => return format!("$'{before}{}'", escaped(path.as_encoded_bytes())),
    };
    if !text.is_empty() && text.chars().all(is_bare) {
        return format!("{before}{text}");
    }
    format!("'{before}{}'", text.replace('\'', r"'\''"))
}

/// No shell reads anything into a letter or a digit of any language, nor into these.
fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || "_-./:,@%+".contains(c)
}

fn escaped(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\{byte:03o}"),
    };
    bytes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_is_quoted_where_it_must_be() {
        for (path, word) in [
            ("audience", "audience"),
            ("/var/lib/émission_2-b.d", "/var/lib/émission_2-b.d"),
            ("s3://bucket/a%20b", "s3://bucket/a%20b"),
            ("my dir", "'my dir'"),
            ("~/a", "'~/a'"),
            ("it's", r"'it'\''s'"),
            ("-n", "./-n"),
            ("-my dir", "'./-my dir'"),
            ("", "''"),
            ("a\nb'", r"$'a\012b\''"),
        ] {
            assert_eq!(in_shell(path), word);
        }
        assert_eq!(in_shell(OsStr::from_bytes(b"a\xffb")), r"$'a\377b'");
    }
}

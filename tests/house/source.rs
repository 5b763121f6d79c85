//! A file of Rust as its words: comments are gone, each literal is one word, and test code is parted from the product.
//! It knows as much of the language as the rules of the house ask, and no more.

use std::collections::BTreeSet;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name.
    Name,
    /// A string, a character or a number.
    Literal,
    /// A lifetime with its tick.
    Lifetime,
    /// `::`, `->`, `=>`, or any other sign alone.
    Sign,
}

/// One word of a source text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// The byte of the text at which it begins.
    pub(super) at: usize,
}

impl Word<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }

    pub(super) fn is_name(&self) -> bool {
        self.kind == Kind::Name
    }
}

/// The words of a text, in their order.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let (kind, length) = next(&text[at..]);
        if let Some(kind) = kind {
            words.push(Word { kind, text: &text[at..at + length], at });
        }
        at += length;
    }
    words
}

/// The kind and length of what a text begins with; no kind for blanks and comments.
fn next(rest: &str) -> (Option<Kind>, usize) {
    let first = rest.chars().next().unwrap();
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, length_of_comment(rest));
    }
    if let Some(length) = length_of_quoted(rest) {
        return (Some(Kind::Literal), length);
    }
    if first == '\'' {
        return (Some(Kind::Lifetime), 1 + length_of_name(&rest[1..]));
    }
    if first.is_ascii_digit() {
        return (Some(Kind::Literal), length_of_number(rest));
    }
    let length = length_of_name(rest);
    if length > 0 {
        return (Some(Kind::Name), length);
    }
    let pair = ["::", "->", "=>"].iter().any(|pair| rest.starts_with(pair));
    (Some(Kind::Sign), if pair { 2 } else { first.len_utf8() })
}

/// A comment in `/* */`, in which others may lie.
fn length_of_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if here.starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn length_of_name(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// A number; the range after `0..9` is no part of it.
fn length_of_number(rest: &str) -> usize {
    let length = length_of_name(rest);
    match rest[length..].strip_prefix('.') {
        Some(more) if more.starts_with(|c: char| c.is_ascii_digit()) => length + 1 + length_of_name(more),
        _ => length,
    }
}

/// A string or a character of any kind, with its prefix; `None` where none begins.
fn length_of_quoted(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let body = &rest[prefix.len()..];
    let hashes = body.len() - body.trim_start_matches('#').len();
    if prefix.ends_with('r') && body[hashes..].starts_with('"') {
        let end = format!("\"{}", &body[..hashes]);
        let inside = &body[hashes + 1..];
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + length);
    }
    match body.chars().next()? {
        '"' => Some(prefix.len() + length_to('"', body)),
        // 'a is a lifetime, 'a' is a character.
        '\'' if body[1..].starts_with('\\') || body[1..].chars().nth(1) == Some('\'') => {
            Some(prefix.len() + length_to('\'', body))
        }
        _ => None,
    }
}

/// The length of a quoted text, its two quotes included.
fn length_to(quote: char, body: &str) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// A source text, parted into product and test.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    /// The words of the product.
    pub(super) words: Vec<Word<'a>>,
    /// Modules that only tests have and that are files of their own: their names, and where one says so, their paths.
    pub(super) test_files: Vec<(&'a str, Option<&'a str>)>,
    /// Modules that only tests have and that stand in this file.
    pub(super) test_modules: Vec<&'a str>,
    /// Lines that are not the product's.
    test_lines: BTreeSet<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn of(text: &'a str) -> Source<'a> {
        let all = words(text);
        let (test_files, test_modules) = (Vec::new(), Vec::new());
        let mut source = Source { text, words: Vec::new(), test_files, test_modules, test_lines: BTreeSet::new() };
        let mut at = 0;
        while at < all.len() {
            let (item, is_test) = attributes(&all, at);
            let end = if is_test { end_of_item(&all, item) } else { item.max(at + 1) };
            if is_test {
                source.leave_out(&all[at..end], &all[item..end]);
            } else {
                source.words.extend(&all[at..end]);
            }
            at = end;
        }
        source
    }

    /// Lines of the product, its comments and blank lines included.
    pub(super) fn lines(&self) -> usize {
        self.text.lines().count() - self.test_lines.len()
    }

    /// The line of a word, the first being 1.
    pub(super) fn line(&self, word: &Word<'_>) -> usize {
        1 + self.text[..word.at].matches('\n').count()
    }

    fn leave_out(&mut self, whole: &[Word<'a>], item: &[Word<'a>]) {
        let lines = self.line(&whole[0])..=self.line(&whole[whole.len() - 1]);
        self.test_lines.extend(lines);
        let Some(module) = item.iter().position(|word| word.is("mod")).filter(|at| *at < 5) else { return };
        let (name, follows) = (item[module + 1].text, &item[module + 2]);
        if follows.is(";") {
            let path = whole.windows(3).find(|three| three[0].is("path") && three[1].is("="));
            self.test_files.push((name, path.map(|three| three[2].text.trim_matches('"'))));
        } else if follows.is("{") {
            self.test_modules.push(name);
        }
    }
}

/// Where the item begins whose attributes stand here, and whether they keep it for tests alone.
fn attributes(words: &[Word<'_>], start: usize) -> (usize, bool) {
    let (mut at, mut is_test) = (start, false);
    while at + 1 < words.len() && words[at].is("#") && words[at + 1].is("[") {
        let end = closing(words, at + 1);
        let has = |name: &str| words[at..end].iter().any(|word| word.is(name));
        is_test |= words[at + 2].is("cfg") && has("test") && !has("not") && !has("any");
        at = end;
    }
    (at, is_test)
}

/// Behind the bracket that closes the one here.
fn closing(words: &[Word<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(open) {
        depth += depth_of(word);
        if depth == 0 {
            return at + 1;
        }
    }
    words.len()
}

fn depth_of(word: &Word<'_>) -> i32 {
    match word.text {
        "(" | "[" | "{" => 1,
        ")" | "]" | "}" => -1,
        _ => 0,
    }
}

/// Behind the item, field, variant, arm or statement that begins here.
fn end_of_item(words: &[Word<'_>], start: usize) -> usize {
    const BODIED: [&str; 11] =
        ["fn", "impl", "mod", "struct", "enum", "union", "trait", "unsafe", "extern", "async", "macro_rules"];
    let mut first = start;
    if words[first].is("pub") {
        first += 1;
        if words[first].is("(") {
            first = closing(words, first);
        }
    }
    let has_body = BODIED.contains(&words[first].text)
        || words[first].is("const") && words.get(first + 1).is_some_and(|word| BODIED.contains(&word.text));
    let to_semicolon = !has_body && ["use", "let", "const", "static", "type"].contains(&words[first].text);
    let (mut depth, mut at) = (0, start);
    while at < words.len() {
        depth += depth_of(&words[at]);
        let follows = |text: &str| words.get(at + 1).is_some_and(|word| word.is(text));
        match words[at].text {
            // The end of what holds the last field, arm or statement.
            _ if depth < 0 => return at,
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && !has_body && !to_semicolon => return at + 1,
            "}" if depth == 0 && !to_semicolon && !follows("=>") => {
                return if follows(",") && !has_body { at + 2 } else { at + 1 };
            }
            _ => at += 1,
        }
    }
    words.len()
}

fn told(text: &str) -> String {
    Source::of(text).words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

#[test]
fn comments_are_gone_and_literals_are_whole() {
    let text = r##"a /* b /* c */ d */ "e // f" // g
        r#"h " i"# 'j' '\'' 'k: b"l" 0..1.5 m::<n>() -> b'o' "##;
    assert_eq!(told(text), r##"a "e // f" r#"h " i"# 'j' '\'' 'k : b"l" 0 . . 1.5 m :: < n > ( ) -> b'o'"##);
}

#[test]
fn test_code_is_parted_from_the_product() {
    let text = "
        fn a() {}
        #[cfg(test)]
        #[path = \"elsewhere.rs\"]
        mod b;
        #[cfg(not(test))]
        fn c() {}
        #[cfg(test)]
        pub(crate) fn d<E, F>() -> [u8; 3] { if e {} else {} }
        struct G { #[cfg(test)] h: (u8, u8), i: u8 }
        #[cfg(test)]
        use j::{k, l};
        fn m() { match n { #[cfg(test)] O { p } => {} q => r, } }
        #[cfg(unix)]
        #[cfg(test)]
        mod tests { fn s() {} }
        #[derive(T)]
        struct U;
    ";
    let product = "fn a ( ) { } # [ cfg ( not ( test ) ) ] fn c ( ) { } struct G { i : u8 } \
                   fn m ( ) { match n { q => r , } } # [ derive ( T ) ] struct U ;";
    assert_eq!(told(text), product);
    let source = Source::of(text);
    assert_eq!(source.test_files, [("b", Some("elsewhere.rs"))]);
    assert_eq!(source.test_modules, ["tests"]);
}

//! A document as a test reads it: its fenced blocks, the commands in them, and its tables.

use std::fs;
use std::path::PathBuf;

use crate::support::root;

/// The directory that the documents let `jauge run` make; all others are made by `replay`.
pub(crate) const OF_RUN: &str = "broadcasts";

/// What needs an object store is run elsewhere.
pub(crate) const OBJECTS: &str = "s3://";

/// A document for people.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

pub(crate) fn documents() -> Vec<Document> {
    let names = |folder: &str| fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = names("").chain(names("docs")).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.sort();
    paths.into_iter().map(|path| Document { text: fs::read_to_string(&path).unwrap(), path }).collect()
}

pub(crate) fn document(name: &str) -> Document {
    let path = root().join(name);
    Document { text: fs::read_to_string(&path).unwrap(), path }
}

impl Document {
    /// The fenced blocks of one language.
    pub(crate) fn blocks(&self, language: &str) -> Vec<String> {
        let (mut blocks, mut open) = (Vec::new(), None::<(bool, String)>);
        for line in self.text.lines() {
            match (&mut open, line.strip_prefix("```")) {
                (Some((wanted, block)), Some(_)) => {
                    blocks.extend(wanted.then(|| std::mem::take(block)));
                    open = None;
                }
                (Some((_, block)), None) => *block += &format!("{line}\n"),
                (None, Some(tag)) => open = Some((tag == language, String::new())),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path.display());
        blocks
    }

    /// The lines of its `sh` blocks.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let text = self.blocks("sh").concat().replace("\\\n", " ");
        text.lines().map(Line::of).filter(|line| !line.commands.is_empty()).collect()
    }

    /// The cells of the tables below a heading of level two, without the head of each table.
    pub(crate) fn rows(&self, heading: &str) -> Vec<Vec<String>> {
        let sections = self.text.split("\n## ");
        let of_heading = |section: &&str| section.lines().next() == Some(heading);
        let section = sections.into_iter().find(of_heading).unwrap_or_else(|| panic!("no section {heading:?}"));
        let lines: Vec<&str> = section.lines().collect();
        let is_rule = |line: &str| line.starts_with("|---");
        let is_row = |place: &usize| {
            lines[*place].starts_with('|')
                && !is_rule(lines[*place])
                && !lines.get(place + 1).is_some_and(|next| is_rule(next))
        };
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        (0..lines.len()).filter(is_row).map(|place| cells(lines[place])).collect()
    }
}

/// A line for a shell, and its simple commands.
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) commands: Vec<Vec<String>>,
}

impl Line {
    /// Splits as a shell would, as far as the documents go: quotes, comments, `&&`, `|`, `;` and `>`.
    fn of(text: &str) -> Line {
        let (mut commands, mut words, mut word, mut quote) = (vec![], vec![], None::<String>, None::<char>);
        for (at, c) in text.char_indices() {
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, '#') if word.is_none() => return Line::done(&text[..at], commands, words),
                (None, ' ') => words.extend(word.take()),
                (None, '&' | '|' | ';') => {
                    words.extend(word.take());
                    commands.push(std::mem::take(&mut words));
                }
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        Line::done(text, commands, words)
    }

    fn done(text: &str, mut commands: Vec<Vec<String>>, words: Vec<String>) -> Line {
        commands.push(words);
        for words in &mut commands {
            let is_variable = |word: &&String| word.starts_with("JAUGE_");
            words.drain(..words.iter().take_while(is_variable).count());
            words.truncate(words.iter().position(|word| word.starts_with('>')).unwrap_or(words.len()));
        }
        commands.retain(|words| !words.is_empty());
        Line { text: text.trim().to_owned(), commands }
    }

    pub(crate) fn is_of_jauge(&self) -> bool {
        self.commands.iter().all(|words| words[0] == "jauge")
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.commands.iter().flatten().any(|known| known == word)
    }

    /// Whether it needs neither a broker nor an object store, nor plays a whole night.
    pub(crate) fn is_quick(&self) -> bool {
        let needs = |word| self.has(word) || word == OBJECTS && self.text.contains(OBJECTS);
        self.is_of_jauge() && !["run", "demo", "--brokers", OF_RUN, OBJECTS].into_iter().any(needs)
    }

    /// The statement of `duckdb -c`.
    pub(crate) fn sql(&self) -> Option<String> {
        let duckdb = self.commands.iter().find(|words| words[0] == "duckdb")?;
        duckdb.get(2).cloned()
    }
}

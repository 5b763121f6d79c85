//! A table as a test sees it: named columns, cells as text, none as the empty text; and how two of them are compared.

use std::collections::BTreeMap;

/// The columns by which a person finds a row of the table again.
const KEYS: [(&str, usize); 5] = [("airings", 2), ("minutes", 3), ("sessions", 6), ("retweets", 3), ("rejected", 2)];

const AIRINGS: &str = "broadcast_id airing_at first_joined_at last_at airtime_ms sessions reach viewers_max \
    viewers_max_at viewer_ms viewers_mean distinct_max distinct_max_at distinct_ms distinct_mean returns joins leaves \
    lapses retweets retweet_followers stays applied repeated orphaned";
const MINUTES: &str = "broadcast_id airing_at minute_at joins leaves lapses viewers_start viewers_end viewers_max \
    viewers_max_at viewers_min viewer_ms viewers_mean distinct_start distinct_end distinct_max distinct_max_at \
    distinct_min distinct_ms distinct_mean returns new_viewers retweets retweet_followers stays late \
    lapses_backdated complete";
const SESSIONS: &str = "broadcast_id airing_at viewer session joined_at left_at end_reason via";
const RETWEETS: &str = "broadcast_id airing_at tweet_id user_id followers retweeted_at retweet_of";
const REJECTED: &str = "file offset reason field";

/// Rows of text cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns, separated by blanks.
    pub(crate) fn of(columns: &str) -> Table {
        Table { columns: columns.split_whitespace().map(str::to_owned).collect(), rows: Vec::new() }
    }

    /// Adds a row, which has one cell a column.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = String>) {
        let row: Vec<String> = row.into_iter().collect();
        assert_eq!(row.len(), self.columns.len(), "a row has a cell for each column: {row:?}");
        self.rows.push(row);
    }

    /// The cells of these columns, row by row, sorted.
    pub(crate) fn sorted(&self, columns: &[String]) -> Vec<Vec<String>> {
        let places: Vec<usize> = columns.iter().map(|column| self.place(column)).collect();
        let pick = |row: &Vec<String>| places.iter().map(|place| row[*place].clone()).collect();
        let mut rows: Vec<Vec<String>> = self.rows.iter().map(pick).collect();
        rows.sort();
        rows
    }

    /// Where a column stands.
    pub(crate) fn place(&self, column: &str) -> usize {
        let place = self.columns.iter().position(|c| c == column);
        place.unwrap_or_else(|| panic!("no column {column} among {:?}", self.columns))
    }

    /// The same table with each cell of a column as `change` makes it.
    pub(crate) fn map(mut self, column: &str, change: impl Fn(&str) -> String) -> Table {
        let place = self.place(column);
        for row in &mut self.rows {
            row[place] = change(&row[place]);
        }
        self
    }

    /// The same table with another name for a column.
    pub(crate) fn rename(mut self, from: &str, to: &str) -> Table {
        let place = self.place(from);
        self.columns[place] = to.to_owned();
        self
    }
}

/// What became of the accepted events, and how many there were of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) read: i64,
    pub(crate) applied: i64,
    pub(crate) repeated: i64,
    pub(crate) orphaned: i64,
    pub(crate) rejected: i64,
}

impl Ledger {
    /// Adds another's counts to these.
    pub(crate) fn add(&mut self, other: &Ledger) {
        self.read += other.read;
        self.applied += other.applied;
        self.repeated += other.repeated;
        self.orphaned += other.orphaned;
        self.rejected += other.rejected;
    }
}

/// All that a finished replay says.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) airings: Table,
    pub(crate) minutes: Table,
    /// Ids in clear or as pseudonyms.
    pub(crate) sessions: Table,
    pub(crate) retweets: Table,
    /// `file` is the source's last part, as two programs may be given one file by two paths.
    pub(crate) rejected: Table,
    pub(crate) ledger: Ledger,
}

impl Tables {
    /// No rows, the contract's columns.
    pub(crate) fn empty() -> Tables {
        Tables {
            airings: Table::of(AIRINGS),
            minutes: Table::of(MINUTES),
            sessions: Table::of(SESSIONS),
            retweets: Table::of(RETWEETS),
            rejected: Table::of(REJECTED),
            ledger: Ledger::default(),
        }
    }

    /// Panics with the first difference of any table. Columns that only `found` has are not looked at.
    #[track_caller]
    pub(crate) fn assert_equal(expected: &Tables, found: &Tables, context: &str) {
        if let Some(difference) = Tables::difference(expected, found) {
            panic!("{context}\n{difference}");
        }
    }

    /// The first difference of any table, in words.
    pub(crate) fn difference(expected: &Tables, found: &Tables) -> Option<String> {
        None.or_else(|| difference("rejected", &expected.rejected, &found.rejected))
            .or_else(|| sessions_difference(&expected.sessions, &found.sessions))
            .or_else(|| difference("retweets", &expected.retweets, &found.retweets))
            .or_else(|| difference("minutes", &expected.minutes, &found.minutes))
            .or_else(|| difference("airings", &expected.airings, &found.airings))
            .or_else(|| {
                let (e, f) = (expected.ledger, found.ledger);
                (e != f).then(|| format!("ledger\n  expected {e:?}\n  found    {f:?}"))
            })
    }
}

/// The first difference between two tables as multisets of rows, over the columns of `expected`.
pub(crate) fn difference(name: &str, expected: &Table, found: &Table) -> Option<String> {
    let columns = &expected.columns;
    let (left, right) = (expected.sorted(columns), found.sorted(columns));
    let place = (0..left.len().max(right.len())).find(|place| left.get(*place) != right.get(*place))?;
    let key = KEYS.iter().find(|(table, _)| *table == name).map_or(columns.len(), |(_, key)| *key);
    let words = |row: &[String]| {
        let cells = columns.iter().zip(row).map(|(column, cell)| format!("{column}={cell}"));
        cells.collect::<Vec<_>>().join(" ")
    };
    let what = match (left.get(place), right.get(place)) {
        (Some(e), Some(f)) if e[..key] == f[..key] => {
            let cells = (key..columns.len()).filter(|c| e[*c] != f[*c]);
            let cells = cells.map(|c| format!("  {}: expected {:?}, found {:?}", columns[c], e[c], f[c]));
            format!("row {}\n{}", words(&e[..key]), cells.collect::<Vec<_>>().join("\n"))
        }
        (Some(e), Some(f)) if e > f => format!("a row too many\n  {}", words(f)),
        (Some(e), _) => format!("a row is missing\n  {}", words(e)),
        (None, Some(f)) => format!("a row too many\n  {}", words(f)),
        (None, None) => return None,
    };
    Some(format!("{name}: {} rows expected, {} found; first difference: {what}", left.len(), right.len()))
}

/// The first difference between two tables of sessions up to a renaming of ids: pseudonyms are as good as names if no
/// person was split in two and no two were made one.
pub(crate) fn sessions_difference(expected: &Table, found: &Table) -> Option<String> {
    let (expected, found) = (own_sessions_marked(expected), own_sessions_marked(found));
    let times: Vec<String> = expected.columns.iter().filter(|c| *c != "viewer" && *c != "session").cloned().collect();
    let plain = |table: &Table| Table { columns: times.clone(), rows: table.sorted(&times) };
    difference("sessions", &plain(&expected), &plain(&found)).or_else(|| {
        let by = [&["viewer"][..], &["session"], &["viewer", "session"]];
        by.into_iter().find_map(|ids| {
            let name = format!("sessions grouped by {}", ids.join(" and "));
            difference(&name, &groups(&expected, ids, &times), &groups(&found, ids, &times))
        })
    })
}

/// With a column that tells whether the session is the viewer's own, having no id of its own.
fn own_sessions_marked(sessions: &Table) -> Table {
    let (viewer, session) = (sessions.place("viewer"), sessions.place("session"));
    let mut marked = sessions.clone();
    marked.columns.push("own".into());
    for row in &mut marked.rows {
        row.push((row[viewer] == row[session]).to_string());
    }
    marked
}

/// One row for each id of a broadcast: all that is said of it, and not the id.
fn groups(sessions: &Table, ids: &[&str], columns: &[String]) -> Table {
    let broadcast = sessions.place("broadcast_id");
    let places: Vec<usize> = columns.iter().map(|column| sessions.place(column)).collect();
    let mut groups: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
    for row in &sessions.rows {
        let id = ids.iter().map(|id| row[sessions.place(id)].as_str());
        let said: Vec<&str> = places.iter().map(|place| row[*place].as_str()).collect();
        groups.entry([row[broadcast].as_str()].into_iter().chain(id).collect()).or_default().push(said.join(" "));
    }
    let mut table = Table::of("sessions_of_one_id");
    for mut said in groups.into_values() {
        said.sort();
        table.push([said.join("\n    ")]);
    }
    table
}

/// A CSV file with a header, as RFC 4180 writes it but for line ends of a single LF.
pub(crate) fn csv(text: &str) -> Table {
    let mut rows = vec![vec![String::new()]];
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        let cell = rows.last_mut().and_then(|row| row.last_mut()).expect("there is always a cell being filled");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => rows.last_mut().expect("as above").push(String::new()),
            '\n' if !quoted => rows.push(vec![String::new()]),
            c => cell.push(c),
        }
    }
    rows.pop();
    let columns = rows.remove(0);
    assert!(rows.iter().all(|row| row.len() == columns.len()), "each row of a CSV has a cell for each column");
    Table { columns, rows }
}

#[test]
fn a_difference_names_the_cell() {
    let table = |rows: &[&str]| {
        let mut table = Table::of("broadcast_id airing_at minute_at joins leaves");
        rows.iter().for_each(|row| table.push(row.split(' ').map(str::to_owned)));
        table
    };
    let expected = table(&["b 1 0 5 6", "a 1 0 2 3"]);
    assert_eq!(difference("minutes", &expected, &table(&["a 1 0 2 3", "b 1 0 5 6"])), None);
    let said = |rows: &[&str]| difference("minutes", &expected, &table(rows)).unwrap();
    let cell = "row broadcast_id=b airing_at=1 minute_at=0\n  joins: expected \"5\", found \"4\"";
    assert!(said(&["a 1 0 2 3", "b 1 0 4 6"]).ends_with(cell));
    assert!(said(&["b 1 0 5 6"]).contains("a row is missing\n  broadcast_id=a"));
    assert!(said(&["a 1 0 2 3"]).contains("a row is missing\n  broadcast_id=b"));
    assert!(said(&["a 1 0 2 3", "a 1 0 2 3", "b 1 0 5 6"]).contains("a row too many\n  broadcast_id=a"));
}

#[test]
fn pseudonyms_are_compared_up_to_a_renaming() {
    let table = |ids: &str| {
        let mut table = Table::of(SESSIONS);
        for (place, ids) in ids.split(' ').enumerate() {
            let (viewer, session) = ids.split_once('/').unwrap();
            let at = place.to_string();
            table.push(["b", "0", viewer, session, &at, "9", "leave", ""].map(str::to_owned));
        }
        table
    };
    let clear = table("anna/anna ben/1 ben/2");
    assert_eq!(sessions_difference(&clear, &table("x/x y/p y/q")), None);
    assert!(sessions_difference(&clear, &table("x/x y/p z/q")).is_some(), "one viewer became two");
    assert!(sessions_difference(&clear, &table("x/x x/p x/q")).is_some(), "two viewers became one");
    assert!(sessions_difference(&clear, &table("x/x y/p y/p")).is_some(), "two sessions became one");
    assert!(
        sessions_difference(&clear, &table("x/w y/p y/q")).is_some(),
        "a session of the viewer's own has another id"
    );
}

#[test]
fn csv_keeps_quotes_commas_and_line_ends() {
    let table = csv("a,b\n1,\"x,\"\"y\"\"\n\"\n,\n");
    assert_eq!(table.columns, ["a", "b"]);
    assert_eq!(table.rows, [["1", "x,\"y\"\n"], ["", ""]]);
}

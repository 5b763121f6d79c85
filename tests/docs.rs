//! The documents: what they tell a user to type is typed, and what they list is held against the code.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use arrow_schema::{DataType, Field, Schema};
use audience::Reason;
use exporter::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::kafka::RealKafka;
use crate::readers::python;
use crate::support::{self, NO_FLAGS, Ran, files_under, finish, folder, have, jauge, program, replay, root, run};

// The files for Kubernetes.
mod kubernetes;
// Documents, and what is in them.
pub(crate) mod pages;

use pages::{Document, Line, OF_RUN, document, documents};

/// What the documents take for given: the README's events and what `replay` makes of them, and the example settings.
fn scene() -> tempfile::TempDir {
    let scene = folder();
    fs::write(scene.path().join("events.ndjson"), document("README.md").blocks("json").concat()).unwrap();
    fs::create_dir(scene.path().join("config")).unwrap();
    for file in files_under(&root().join("config")) {
        fs::copy(&file, scene.path().join("config").join(file.file_name().unwrap())).unwrap();
    }
    scene
}

fn with_audience() -> tempfile::TempDir {
    let scene = scene();
    replay([scene.path().join("events.ndjson")], &scene.path().join("audience"), ["--strict"]).exits(0);
    scene
}

/// A directory of which events were rejected, as docs/tables.md reads one.
fn with_trial(scene: &Path) {
    fs::write(scene.join("trial.ndjson"), "no event\n{}\n").unwrap();
    replay([scene.join("trial.ndjson")], &scene.join("trial"), NO_FLAGS).exits(0);
}

/// Runs a line in a folder, as a user with `jauge` on the path would.
fn type_in(folder: &Path, line: &str) -> Ran {
    support::type_in("sh", folder, line)
}

#[test]
fn every_command_is_understood() {
    let scene = scene();
    let mut understood = 0;
    for line in documents().iter().flat_map(Document::lines) {
        for words in line.commands.iter().filter(|words| words[0] == "jauge") {
            let mut command = jauge();
            command.args(&words[1..]).arg("--help");
            finish(command, &[]).exits(0);
            understood += 1;
            if words[1] == "run" {
                // Values of settings are looked at only after the help; `config` has the same flags, and looks.
                let mut config = jauge();
                let of_run = ["--until-end", "--json"];
                config.arg("config").args(words[2..].iter().filter(|word| !of_run.contains(&word.as_str())));
                config.current_dir(scene.path());
                finish(config, &[]).exits(0);
            }
        }
    }
    assert!(understood >= 15, "the documents have commands: {understood}");
}

#[test]
fn commands_that_need_no_broker_run() {
    for document in documents() {
        let lines = document.lines();
        let makes = |line: &Line| line.has("replay") && line.has("audience");
        let scene = if lines.iter().any(makes) { scene() } else { with_audience() };
        for line in lines.iter().filter(|line| line.is_quick()) {
            type_in(scene.path(), &line.text).exits(0);
        }
    }
}

#[test]
fn the_quick_start_works_on_a_real_kafka() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    let scene = folder();
    let mut duckdb = Vec::new();
    for line in document("docs/quickstart-kafka.md").lines() {
        let endless = line.has("run") && !line.has("--until-end");
        duckdb.extend(line.sql());
        if line.is_of_jauge() && (!endless || !scene.path().join(OF_RUN).exists()) {
            // What the user sees grow is read to its end here, for the commands between.
            let text = line.text.replace("localhost:9092", &kafka.address).replace("--rate 200", "");
            let text = if endless { format!("{text} --until-end") } else { text };
            type_in(scene.path(), &text).exits(0);
        }
    }
    let shown = type_in(scene.path(), &format!("jauge show {OF_RUN} --json")).exits(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown[0]["broadcast_id"], &shown[0]["provisional"]), (&"nuit-debout".into(), &false.into()));
    query(scene.path(), &duckdb);
}

#[test]
fn queries_run() {
    let scene = with_audience();
    with_trial(scene.path());
    for document in documents() {
        let of_shell =
            document.lines().into_iter().filter(|line| !line.text.contains(OF_RUN)).filter_map(|line| line.sql());
        query(scene.path(), &of_shell.chain(document.blocks("sql")).collect::<Vec<_>>());
        for block in document.blocks("python") {
            let Some(python) = have(python()) else { return };
            let mut command = Command::new(python);
            command.args(["-c", &block]).current_dir(scene.path());
            assert!(!finish(command, &[]).exits(0).stdout.is_empty(), "it prints something: {block}");
        }
    }
}

/// What the documents export, and what they make of files in other forms, are events.
#[test]
fn recipes_make_events() {
    let page = document("docs/events.md");
    let scene = folder();
    let at = |name: &str| scene.path().join(name);
    let event = r#"{"type":"join","broadcast_id":"b","ts":1773514800000,"viewer_id":"v"}"#;
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(event.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let files: [(&str, Vec<u8>); 9] = [
        ("utf16.ndjson", utf16),
        ("array.json", format!("[{event}, {event}]").into()),
        ("pretty.json", event.replace(',', ",\n").into()),
        ("docker.log", format!(r#"{{"log":{event:?},"stream":"stdout","time":"t"}}"#).into()),
        ("debezium.ndjson", format!(r#"{{"payload":{{"after":{event}}}}}"#).into()),
        ("events.csv", b"type,broadcast_id,ts,viewer_id\njoin,b,2026-03-14T19:00:00Z,v\n".into()),
        ("tweets.ndjson", br#"{"id_str":"1","timestamp_ms":"1459719289000","user":{"id_str":"42"}}"#.into()),
        (
            "livekit.ndjson",
            br#"{"event":"participant_joined","room":{"name":"b"},"participant":{"sid":"s","identity":"v"},"createdAt":1694522720}"#
                .into(),
        ),
        ("srs.ndjson", br#"{"action":"on_play","client_id":"v","stream":"livestream"}"#.into()),
    ];
    files.iter().for_each(|(name, bytes)| fs::write(at(name), bytes).unwrap());
    let mut made = 0;
    for line in page.lines().into_iter().filter(|line| line.has("replay") && !line.is_of_jauge()) {
        let (program_name, file) = (&line.commands[0][0], files.iter().find(|(name, _)| line.has(name)));
        if let (Some((name, _)), Some(_)) = (file, have(program(program_name))) {
            let ran = type_in(scene.path(), &format!("{} --strict", line.text)).exits(0);
            assert!(!ran.stdout.starts_with("0 events"), "{name}: {}", ran.stdout);
            made += 1;
        }
    }
    assert!(made == files.len() || have(program("jq")).is_none() || have(program("iconv")).is_none(), "{made} lines");
    if have(program("node")).is_some() {
        fs::write(at("export.js"), page.blocks("js").concat()).unwrap();
        type_in(scene.path(), "node export.js && jauge replay from-js.ndjson --out js --strict").exits(0);
    }
    let Some(python) = have(python()) else { return };
    query(scene.path(), &page.blocks("sql"));
    for block in page.blocks("python") {
        let mut command = Command::new(&python);
        command.args(["-c", &block]).current_dir(scene.path());
        finish(command, &[]).exits(0);
    }
    for name in ["duckdb", "pandas", "polars"] {
        replay([at(&format!("from-{name}.ndjson"))], &at(name), ["--strict"]).exits(0);
    }
}

/// Of one broadcast the curve over all is its own.
#[test]
fn the_curve_over_all_broadcasts_is_exact() {
    let Some(python) = have(python()) else { return };
    let scene = with_audience();
    let sql = document("docs/tables.md").blocks("sql").concat();
    let statement = sql.split("-- ").find_map(|part| part.strip_prefix("One curve over all")).unwrap();
    let (_, statement) = statement.split_once('\n').unwrap();
    let differ = format!(
        "SELECT count(*), count(*) FILTER (whole.viewers_max IS DISTINCT FROM own.viewers_max OR whole.viewers_mean <> own.viewers_mean)
         FROM ({}) AS whole FULL JOIN 'audience/minutes/*/*.parquet' AS own USING (minute_at)",
        statement.trim().trim_end_matches(';')
    );
    let mut command = Command::new(python);
    let print = "import duckdb, sys; print(duckdb.execute(sys.argv[1]).fetchall())";
    command.args(["-c", print, &differ]).current_dir(scene.path());
    let found = finish(command, &[]).exits(0).stdout;
    assert!(found.trim().ends_with(", 0)]") && !found.starts_with("[(0"), "{found}");
}

/// Each statement gives a row at least.
fn query(folder: &Path, statements: &[String]) {
    if statements.is_empty() {
        return;
    }
    let Some(python) = have(python()) else { return };
    let each = "import duckdb, sys
for statement in duckdb.extract_statements(';'.join(sys.argv[1:])):
    assert duckdb.execute(statement).fetchall(), statement.query";
    let mut command = Command::new(python);
    command.args(["-c", each]).args(statements).current_dir(folder);
    finish(command, &[]).exits(0);
}

#[test]
fn example_events_are_events() {
    let scene = folder();
    for (at, name) in ["README.md", "docs/events.md"].into_iter().enumerate() {
        let (file, out) = (scene.path().join(format!("{at}.ndjson")), scene.path().join(at.to_string()));
        let events = document(name).blocks("json").concat();
        assert_eq!(events.lines().count(), 5, "{name}");
        fs::write(&file, events).unwrap();
        replay([file], &out, ["--strict"]).exits(0);
    }
}

#[test]
fn the_curve_of_the_readme_is_the_demos() {
    let scene = folder();
    type_in(scene.path(), "jauge simulate | jauge replay - --out night --tables airings,minutes,retweets").exits(0);
    let shown = type_in(scene.path(), "jauge show night --broadcast nuit-debout").exits(0).stdout;
    let readme = document("README.md").text;
    let curve: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("    ")).take(17).collect();
    assert!(curve[0].starts_with("Peak 81,200"), "{curve:?}");
    for line in curve {
        assert!(shown.lines().any(|drawn| drawn == line), "the demo draws no {line:?}:\n{shown}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let slug = |heading: &str| -> String {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.trim().replace(' ', "-")
    };
    for Document { path, text } in documents() {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            let has = |text: &str| {
                text.lines().any(|line| line.starts_with('#') && slug(line.trim_start_matches('#')) == anchor)
            };
            let there = anchor.is_empty() || has(&fs::read_to_string(&target).unwrap());
            assert!(there, "{}: {link} has no such heading", path.display());
        }
        // Paths of the checkout, as ARCHITECTURE.md names them.
        for named in text.split('`').skip(1).step_by(2) {
            let in_checkout = ["crates/", "tests/", "config/"].iter().any(|folder| named.starts_with(folder));
            if in_checkout && !named.contains(char::is_whitespace) {
                assert!(root().join(named).exists(), "{}: there is no {named}", path.display());
            }
        }
    }
}

fn type_of(field: &Field) -> String {
    let name = match field.data_type() {
        DataType::Utf8 => "string",
        DataType::Int64 => "int64",
        DataType::Int32 => "int32",
        DataType::Float64 => "double",
        DataType::Boolean => "boolean",
        DataType::Binary => "binary",
        DataType::FixedSizeBinary(16) => "binary(16)",
        DataType::Timestamp(..) => "timestamp",
        DataType::List(_) => "list of (`ms`, `sessions`)",
        other => panic!("{other} has no name in docs/tables.md"),
    };
    if field.is_nullable() { format!("{name} or null") } else { name.to_owned() }
}

#[test]
fn the_tables_have_the_columns_that_are_listed() {
    let scene = scene();
    let (events, out) = (scene.path().join("events.ndjson"), scene.path().join("out"));
    let lines = fs::read_to_string(&events).unwrap() + "no event\n";
    fs::write(&events, lines).unwrap();
    replay([events], &out, NO_FLAGS).exits(0);
    let tables = document("docs/tables.md");
    let columns = |schema: &Schema| -> Vec<Vec<String>> {
        schema.fields().iter().map(|field| vec![format!("`{}`", field.name()), type_of(field)]).collect()
    };
    for table in Table::ALL {
        let mut rows = tables.rows(&format!("`{table}`"));
        rows.iter_mut().for_each(|row| row.truncate(2));
        if table == Table::Live {
            assert!(rows.is_empty(), "live has the columns of minutes");
            rows = tables.rows("`minutes`").into_iter().map(|row| row[..2].to_vec()).collect();
        }
        assert_eq!(rows, columns(&table.schema()), "{table}");
        // Those that a replay writes, from the file itself.
        let Some(file) = files_under(&out.join(table.name())).into_iter().next() else {
            assert!(matches!(table, Table::Live | Table::Events | Table::Corrections), "the replay left no {table}");
            continue;
        };
        let file = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
        assert_eq!(rows, columns(file.schema()), "{table}");
    }
}

#[test]
fn the_reasons_are_those_that_are_listed() {
    let rows = document("docs/events.md").rows("When an event is refused");
    let listed: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(listed, Reason::ALL.map(Reason::word));
}

#[test]
fn the_settings_are_those_that_are_listed() {
    let template = run(["config".into(), "--template".into()]).exits(0).stdout;
    let (template, _) = template.split_once("#[kafka]").unwrap();
    // `#name = value`; what is prose has a blank after its `#`.
    let settings = template.lines().filter_map(|line| line.strip_prefix('#')?.split_once(" = "));
    let settings = settings.filter(|(name, _)| !name.contains(' '));
    let placeholder =
        |value: &str| value.chars().any(|c| c.is_ascii_uppercase()) && !value.contains(|c: char| c.is_ascii_digit());
    let settings = settings.map(|(name, value)| {
        let value = value.replace(['[', ']', '"', ' '], "");
        (name.to_owned(), if placeholder(&value) { "–".to_owned() } else { value })
    });
    let rows = document("docs/operations.md").rows("Settings");
    let listed = rows.iter().map(|row| (row[0].replace('`', ""), row[1].replace('`', "")));
    assert_eq!(listed.collect::<Vec<_>>(), settings.collect::<Vec<_>>());
}

#[test]
fn make_knows_what_the_documents_ask_of_it() {
    let Some(make) = have(program("make")) else { return };
    let mut help = Command::new(make);
    help.arg("help").current_dir(root());
    let help = finish(help, &[]).exits(0).stdout;
    let targets: BTreeMap<&str, ()> =
        help.lines().filter_map(|line| Some((line.strip_prefix("make ")?.split_whitespace().next()?, ()))).collect();
    for Document { path, text } in documents() {
        let code = text.split('`').skip(1).step_by(2).chain(text.lines().filter_map(|line| line.strip_prefix("    ")));
        for named in code.filter_map(|code| code.strip_prefix("make ")?.split_whitespace().next()) {
            assert!(targets.contains_key(named), "{}: make {named} is not in make's help:\n{help}", path.display());
        }
    }
    assert!(targets.contains_key("demo") && targets.contains_key("test"), "{help}");
}

#[test]
fn the_readme_is_one_screen_and_names_the_right_rust() {
    let readme = document("README.md").text;
    assert!(readme.lines().count() <= 70, "README.md is longer than one reads: {} lines", readme.lines().count());
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(readme.contains(&format!("Rust {rust}")), "README.md asks for another Rust than Cargo.toml, {rust}");
}

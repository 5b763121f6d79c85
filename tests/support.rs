//! What tests share: running the binary with a deadline, temporary folders, and a plain word about what a test lacks.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than any command of a test should take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// The folder that holds `tests`, `crates` and `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A folder of its own under the target folder, gone when dropped.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    line: String,
}

impl Ran {
    /// Panics with all that the command said, unless it ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ran {
        let Ran { line, stdout, stderr, .. } = &self;
        let ended = self.code;
        assert!(ended == Some(code), "{line}\nexit {ended:?}, not {code}\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// Panics unless stderr is a short message, no panic and no debug print, that holds each of these.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Ran {
        let Ran { line, stderr, .. } = &self;
        let bare = !stderr.contains("panicked at") && !stderr.contains("Error {") && !stderr.contains("Os {");
        assert!(bare, "{line}\nsays it as a program would, not a person: {stderr}");
        // A message of clap's, with its hint and usage, has seven lines.
        assert!(stderr.trim().lines().count() <= 7, "{line}\nsays too much: {stderr}");
        for part in parts {
            assert!(stderr.to_lowercase().contains(&part.to_lowercase()), "{line}\nsays no {part:?}: {stderr}");
        }
        self
    }
}

/// The binary under test, with no setting of the caller's environment.
pub(crate) fn jauge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jauge"));
    clear_settings(&mut command);
    command
}

/// Takes the caller's `JAUGE_…` variables from a command: to the binary they would be settings.
pub(crate) fn clear_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"JAUGE_") {
            command.env_remove(name);
        }
    }
}

/// Runs the binary with these arguments to its end.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> Ran {
    let mut command = jauge();
    command.args(args);
    finish(command, &[])
}

/// Runs a line in a folder, as somebody with `jauge` on the path would type it into this shell.
#[track_caller]
pub(crate) fn type_in(shell: &str, folder: &Path, line: &str) -> Ran {
    let mut command = Command::new(shell);
    let binary = Path::new(env!("CARGO_BIN_EXE_jauge")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([binary].into_iter().chain(std::env::split_paths(&path))).unwrap();
    command.args(["-c", line]).current_dir(folder).env("PATH", path);
    clear_settings(&mut command);
    finish(command, &[])
}

/// No flags for [`replay`].
pub(crate) const NO_FLAGS: [&str; 0] = [];

/// Runs `jauge replay EVENTS… --out OUT FLAGS…` to its end.
pub(crate) fn replay(
    events: impl IntoIterator<Item = impl Into<OsString>>,
    out: &Path,
    flags: impl IntoIterator<Item = impl Into<OsString>>,
) -> Ran {
    let args = ["replay".into()].into_iter().chain(events.into_iter().map(Into::into));
    run(args.chain(["--out".into(), out.into()]).chain(flags.into_iter().map(Into::into)))
}

/// Runs a command to its end, with these bytes as its standard input; past the deadline it is
/// killed and the test panics.
#[track_caller]
pub(crate) fn finish(command: Command, stdin: &[u8]) -> Ran {
    finish_within(command, stdin, DEADLINE)
}

/// [`finish`] for what may take longer.
#[track_caller]
pub(crate) fn finish_within(mut command: Command, stdin: &[u8], deadline: Duration) -> Ran {
    let line = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{line} does not start: {e}"));
    let mut input = child.stdin.take().unwrap();
    let (done, ended) = mpsc::channel();
    let (out, err) = (gather(child.stdout.take().unwrap(), &done), gather(child.stderr.take().unwrap(), &done));
    let stdin = stdin.to_vec();
    // A command that refuses its arguments reads no input: a broken pipe is its business.
    thread::spawn(move || drop(input.write_all(&stdin)));
    for _ in 0..2 {
        if ended.recv_timeout(deadline).is_err() {
            kill(&mut child);
            panic!("{line} was not done after {deadline:?}; stderr: {}", out.join().and(err.join()).unwrap());
        }
    }
    let code = child.wait().unwrap().code();
    Ran { code, stdout: out.join().unwrap(), stderr: err.join().unwrap(), line }
}

/// Reads all of a pipe in a thread of its own, and tells when it is at its end.
fn gather(mut pipe: impl Read + Send + 'static, done: &mpsc::Sender<()>) -> thread::JoinHandle<String> {
    let done = done.clone();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        let _ = done.send(());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Ends a process that this test started, and waits for it.
pub(crate) fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// What a test needs, or, where it is not at hand, a sentence about what is lacking.
pub(crate) type Need<T> = Result<T, String>;

/// What is needed; or `None`, after noting which test did not run and what it lacks. `make test` prints these notes at
/// its end. With `JAUGE_REQUIRE_ALL=1` a lack is a failure.
#[track_caller]
pub(crate) fn have<T>(need: Need<T>) -> Option<T> {
    let lack = match need {
        Ok(thing) => return Some(thing),
        Err(lack) => lack,
    };
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(!is_set("JAUGE_REQUIRE_ALL"), "{test} cannot run: lacks {lack}");
    let note = format!("not run: {test}: lacks {lack}\n");
    if let Some(notes) = std::env::var_os("JAUGE_TEST_NOT_RUN") {
        let mut notes = OpenOptions::new().create(true).append(true).open(notes).unwrap();
        notes.write_all(note.as_bytes()).unwrap();
    }
    std::io::stderr().write_all(note.as_bytes()).unwrap();
    None
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !value.is_empty() && value != "0")
}

/// The folder with the oracle and real data, which are no part of this repository.
pub(crate) fn shared() -> Need<PathBuf> {
    match std::env::var_os("JAUGE_SHARED") {
        Some(folder) if Path::new(&folder).join("oracle/v2/oracle.py").is_file() => Ok(folder.into()),
        Some(folder) => Err(format!("JAUGE_SHARED: no oracle/v2/oracle.py in {}", folder.display())),
        None => Err("JAUGE_SHARED: the folder with the oracle and real data".into()),
    }
}

/// A program of the PATH.
pub(crate) fn program(name: &str) -> Need<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| format!("{name}: not on the PATH"))
}

/// Where the scripts of `tests` keep what they fetched: outside the checkout, over many runs.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    base.unwrap_or_else(home).join("jauge")
}

/// How many random scenes a test tries; `make soak` asks for more.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    0..knob("JAUGE_SEEDS", few)
}

/// A number that `make soak` sets, or `few` where it does not.
pub(crate) fn knob(name: &str, few: u64) -> u64 {
    std::env::var(name).map_or(few, |n| n.parse().unwrap_or_else(|_| panic!("{name} is a number, not {n:?}")))
}

/// Says a line at once, which the test harness would otherwise hold back: a long run shows that it lives.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// All files under a folder, at any depth, sorted; none where there is no folder.
pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_lack_is_noted_once() {
    assert_eq!(have(Ok::<_, String>(7)), Some(7));
    assert!(program("no-such-program-anywhere").unwrap_err().contains("no-such-program-anywhere"));
    assert!(program("sh").is_ok());
}

#[test]
fn a_command_is_run_to_its_end() {
    let mut command = Command::new("sh");
    command.args(["-c", "cat; echo said >&2; exit 5"]);
    let ran = finish(command, b"given").exits(5).says(&["said"]);
    assert_eq!(ran.stdout, "given");
}

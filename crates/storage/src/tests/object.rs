//! Commits in an object store that fails: at every request, at all pairs of them, and by chance with two writers at
//! once. After each, what was reported is there as a whole, once, and the next owner goes on.

use super::{sample::*, weather::*};
use crate::*;
use problem::Failure;
use std::sync::Arc;

const FAULTS: [Fault; 9] = [
    Fault::Busy,
    Fault::Lost,
    Fault::Later(0),
    Fault::Later(1),
    Fault::Later(3),
    Fault::Later(40),
    Fault::Conflict,
    Fault::Retried,
    Fault::Denied,
];
const NEVER: usize = usize::MAX;

/// A world with `commits` commits of incarnation 1.
fn world(commits: u64) -> Arc<World> {
    let world = World::new(|_| None);
    let mut owner = take(&world.store(NEVER), 1).unwrap();
    for _ in 0..commits {
        commit(&mut owner).unwrap();
    }
    world
}

/// Takes the directory over and makes a commit; whether it was reported as made. What may pass is tried again now and
/// then, as `run` does.
fn run(store: &Store, incarnation: u128) -> bool {
    let patience = |error: &CommitError, tries: &mut u32| {
        *tries += 1;
        error.may_pass() && *tries < 4
    };
    let mut tries = 0;
    let mut owner = loop {
        match take(store, incarnation) {
            Ok(owner) => break owner,
            Err(error) if patience(&error, &mut tries) => {}
            Err(_) => return false,
        }
    };
    loop {
        let begun = owner.begin();
        let draft = match fill(&owner, &begun) {
            Ok(draft) => draft,
            Err(source) => {
                let error = CommitError::Store { number: begun.number(), source };
                if patience(&error, &mut tries) { continue } else { return false }
            }
        };
        loop {
            match owner.publish(&begun, &draft).map(|_| ()) {
                Ok(()) => return true,
                // Once a manifest may be there, the same commit must be tried again and no other.
                Err(error) if patience(&error, &mut tries) => {}
                Err(_) => return false,
            }
        }
    }
}

/// How many commits of `incarnation` there are.
fn made(store: &Store, incarnation: u128) -> usize {
    let chain = Chain::open(store, "main").unwrap();
    let mine = |m: &Manifest| m.incarnation == format!("{incarnation:032x}") && m.kind == CommitKind::Run;
    (1..=chain.number()).map(|n| read_manifest(store, "main", n).unwrap()).filter(mine).count()
}

/// Starts again under a clear sky, perhaps while the last requests of the one before come to be, and checks that all is
/// whole.
fn expect_whole(world: &Arc<World>, incarnation: u128, reported: bool, what: &str) {
    world.turns(|_| None);
    let store = world.store(NEVER);
    if Chain::open(&store, "main").unwrap().number() > 0 {
        let before = audit_chain(&store);
        assert!(before.is_ok(), "{what}: before the next start {before:?}");
    }
    let next = take(&store, 99).and_then(|mut owner| commit(&mut owner)).map(|_| ());
    // Where there was no commit to fence, one of the process before may come in between.
    assert!(matches!(next, Ok(()) | Err(CommitError::Fenced { .. })), "{what}: {next:?}");
    world.clears();
    let count = made(&store, incarnation);
    assert!(count <= 1 && (count == 1 || !reported), "{what}: made {count}, reported {reported}");
    commit(&mut take(&store, 100).unwrap_or_else(|error| panic!("{what}: {error}"))).unwrap();
    // What comes to be after its owner is fenced is no data, and the owner after removes it.
    drop(take(&store, 101).unwrap());
    expect_in_order(&store);
}

#[test]
fn a_commit_makes_its_files_data_and_names_carry_the_incarnation() {
    let world = world(2);
    let store = world.store(NEVER);
    let chain = expect_in_order(&store);
    assert_eq!(chain.newest().unwrap().ledger.accepted, 3 + 4);
    let paths: Vec<&str> = chain.files_of("events").map(|file| file.path.as_str()).collect();
    let name = |number, seq| format!("events/writer=main/{number:020}-{:032x}-{seq:04}.parquet", 1);
    assert_eq!(paths, [name(2, 0), name(2, 3)]);
    assert!(!store.is_local() && store.scratch() == std::env::temp_dir());
}

#[test]
fn files_come_back_in_blocks_and_pieces() {
    let world = World::new(|_| None);
    let store = world.store(NEVER);
    let owner = take(&store, 1).unwrap();
    let commit = owner.begin();
    for rows in [0, 1, 1_000] {
        let bytes = parquet(rows);
        let entry = write(commit.part("minutes", Folder::Day(DAY)).unwrap(), &bytes, rows).unwrap();
        let mut file = store.read(&entry.path).unwrap().unwrap();
        let mut read = Vec::new();
        assert_eq!(file.read_through(|piece| read.extend_from_slice(piece)).unwrap(), bytes.len() as u64);
        assert_eq!(read, bytes);
        let batches = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let rows_read: usize = batches.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows_read as u64, rows);
    }
    assert!(store.read("minutes/none.parquet").unwrap().is_none());
}

#[test]
fn any_request_may_go_wrong() {
    for commits in [0, 2] {
        let base = world(commits);
        let whole = base.copied(|_| None);
        assert!(run(&whole.store(NEVER), 2));
        let count = whole.requests();
        assert!(count > 10, "{count}");
        for at in 0..count {
            for fault in FAULTS {
                let world = base.copied(move |number| (number == at).then_some(fault));
                let reported = run(&world.store(NEVER), 2);
                let what = format!("{commits} commits, request {at} of {count}: {fault:?}");
                // What passes is got over. A conflict of nobody is, too.
                assert!(reported || fault == Fault::Denied, "{what}");
                expect_whole(&world, 2, reported, &what);
            }
        }
    }
}

/// Faults that have more to say together.
const PAIRS: [(Fault, Fault); 5] = [
    (Fault::Lost, Fault::Busy),
    (Fault::Later(2), Fault::Conflict),
    (Fault::Later(40), Fault::Later(40)),
    (Fault::Busy, Fault::Denied),
    (Fault::Later(1), Fault::Denied),
];

#[test]
fn any_two_requests_may_go_wrong() {
    let base = world(2);
    let whole = base.copied(|_| None);
    assert!(run(&whole.store(NEVER), 2));
    let count = whole.requests() + 4;
    for first in 0..count {
        for second in first + 1..count {
            let (one, other) = PAIRS[(first + second) % PAIRS.len()];
            let fault = move |at| match at {
                _ if at == first => Some(one),
                _ if at == second => Some(other),
                _ => None,
            };
            let world = base.copied(fault);
            let reported = run(&world.store(NEVER), 2);
            expect_whole(&world, 2, reported, &format!("requests {first}: {one:?} and {second}: {other:?}"));
        }
    }
}

#[test]
fn a_process_may_die_at_any_request_and_its_last_one_come_to_be_whenever() {
    for commits in [0, 2] {
        let base = world(commits);
        let whole = base.copied(|_| None);
        assert!(run(&whole.store(NEVER), 2));
        for at in 0..=whole.requests() {
            for last in [None, Some(Fault::Lost), Some(Fault::Later(0)), Some(Fault::Later(4)), Some(Fault::Later(40))]
            {
                let world = base.copied(move |number| last.filter(|_| number + 1 == at));
                let reported = run(&world.store(at), 2);
                // The very last request of a first commit only tries the store.
                assert!(!reported || at + 1 >= whole.requests());
                expect_whole(&world, 2, reported, &format!("{commits} commits, dead at {at}, the last {last:?}"));
            }
        }
    }
}

#[test]
fn a_store_that_cannot_say_is_waited_for_and_the_same_commit_tried_again() {
    let world = world(1);
    let mut owner = take(&world.store(NEVER), 2).unwrap();
    let begun = owner.begin();
    let draft = fill(&owner, &begun).unwrap();
    world.turns(|_| Some(Fault::Later(3)));
    let error = owner.publish(&begun, &draft).map(|_| ()).unwrap_err();
    assert!(error.may_pass() && !error.is_disk_full() && error.exit_code() == 3, "{error}");
    assert!(error.to_string().contains("cannot tell whether"), "{error}");
    world.turns(|_| None);
    assert_eq!(owner.publish(&begun, &draft).unwrap().number, 3);
    drop((owner, begun));
    assert_eq!(made(&world.store(NEVER), 2), 1);
    expect_in_order(&world.store(NEVER));
}

#[test]
fn a_zombie_is_fenced_and_takes_its_own_files_away() {
    let world = world(1);
    let store = world.store(NEVER);
    let mut zombie = take(&store, 2).unwrap();
    let begun = zombie.begin();
    let said = fill(&zombie, &begun).unwrap();
    // It has read the chain, and uploads, while others take over; the next owner removes what it left, the one after
    // has nothing to do.
    let mut owner = take(&store, 3).unwrap();
    assert_eq!(owner.recovered().removed.len(), 5);
    part(&begun, "minutes", Folder::Day(DAY), 2).unwrap();
    let error = zombie.publish(&begun, &said).map(|_| ()).unwrap_err();
    assert!(matches!(error, CommitError::Fenced { number: 3, .. }) && error.exit_code() == 3 && !error.may_pass());
    drop((zombie, begun));
    commit(&mut owner).unwrap();
    expect_in_order(&store);
}

#[test]
fn an_old_owner_does_not_remove_what_a_newer_one_has_begun() {
    let world = world(1);
    let store = world.store(NEVER);
    // It has made the commit that fences, and is slow to put the files in order.
    let slow = Chain::open(&store, "main").unwrap();
    let mut owner = take(&store, 3).unwrap();
    let begun = owner.begin();
    let draft = fill(&owner, &begun).unwrap();
    let recovered = crate::commits::recover::recover(&store, &slow).unwrap();
    assert_eq!(recovered, Recovered::default());
    owner.publish(&begun, &draft).unwrap();
    drop((owner, begun));
    expect_in_order(&store);
}

#[test]
fn a_new_prefix_is_one_without_commits() {
    let world = World::new(|_| None);
    let store = world.store(NEVER);
    let owner = take(&store, 1).unwrap();
    let begun = owner.begin();
    part(&begun, "minutes", Folder::Day(DAY), 2).unwrap();
    // Somebody else is at work, or has died: its files are no data, but may become data.
    let mut other = Committer::take_new(&store, identity(2), NOW).unwrap();
    assert_eq!(other.recovered(), &Recovered::default());
    commit(&mut other).unwrap();
    assert_eq!(audit_chain(&store).unwrap().leftovers.len(), 1);
    std::mem::forget(begun);
    drop((owner, other));
    let error = Committer::take_new(&store, identity(3), NOW).unwrap_err();
    assert!(error.to_string().contains("holds data already (commits/main/00000000000000000001.json)"), "{error}");
    assert_eq!(take(&store, 4).unwrap().recovered().removed.len(), 1);
    expect_in_order(&store);
}

#[test]
fn a_store_that_overwrites_is_refused() {
    let world = world(1);
    world.turns(|number| (number == 4).then_some(Fault::Forgets));
    let store = world.store(NEVER);
    // What it is asked: whether a commit restates, the list of commits, the newest, the one that fences; and that
    // again.
    let error = take(&store, 2).unwrap_err();
    assert!(error.to_string().contains("If-None-Match") && error.exit_code() == 3 && !error.may_pass(), "{error}");
}

#[test]
fn a_long_chain_opens_in_few_requests() {
    let world = world(1);
    let store = world.store(NEVER);
    let mut owner = take(&store, 2).unwrap();
    let last = 9 * RESTATE_EVERY + 3;
    while owner.chain().number() < last {
        commit(&mut owner).unwrap();
    }
    let before = world.requests();
    let opened = Chain::open(&store, "main").unwrap();
    // Eight ask for a commit that restates, one for the list after it, and one each for that commit and the three after
    // it.
    assert_eq!(world.requests() - before, 8 + 1 + 4);
    assert_eq!((opened.newest(), opened.state()), (owner.chain().newest(), owner.chain().state()));
    expect_in_order(&store);
    store.remove(&manifest_path("main", last - 1)).unwrap();
    let error = Chain::open(&store, "main").unwrap_err();
    assert!(error.exit_code() == 4 && error.to_string().contains("should be the next commit"), "{error}");
}

#[test]
fn what_was_made_by_somebody_else_stays_and_is_told() {
    let world = world(1);
    let store = world.store(NEVER);
    store.put_new("sessions/mine.parquet", b"x").unwrap();
    assert_eq!(take(&store, 2).unwrap().recovered().foreign, ["sessions/mine.parquet"]);
    let ChainError::Damaged(damage) = audit_chain(&store).unwrap_err() else { panic!() };
    assert_eq!(damage.place, "sessions/mine.parquet");
}

/// A small generator: the same seed, the same weather.
fn chance(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    }
}

/// A process: its incarnation, and the commit that it has begun.
type Process = (u128, Committer, Option<(Commit, Draft)>);

/// Two processes at a time, each in its own step, replaced when they stop, under a sky that fails one request in
/// `odds`.
fn storm(seed: u64) {
    let mut pick = chance(seed);
    let odds = 3 + pick(20);
    let mut sky = chance(seed ^ 0xffff);
    let world = World::new(move |_| {
        let delay = usize::try_from(sky(60)).unwrap();
        (sky(odds) == 0).then(|| match sky(20) {
            0 => Fault::Denied,
            1..=4 => Fault::Busy,
            5..=8 => Fault::Lost,
            9..=11 => Fault::Conflict,
            12..=14 => Fault::Retried,
            _ => Fault::Later(delay),
        })
    });
    let mut incarnation = 10;
    let mut reported = Vec::new();
    let mut places: [Option<Process>; 2] = [None, None];
    for _ in 0..40 {
        let place = &mut places[usize::try_from(pick(2)).unwrap()];
        *place = match place.take() {
            // A process that is killed leaves its files.
            Some((_, owner, begun)) if pick(12) == 0 => {
                std::mem::forget(begun);
                drop(owner);
                None
            }
            None => {
                incarnation += 1;
                take(&world.store(NEVER), incarnation).ok().map(|owner| (incarnation, owner, None))
            }
            Some((who, owner, None)) => {
                let begun = owner.begin();
                // A commit that could not be filled is begun anew.
                let said = fill(&owner, &begun).ok();
                Some((who, owner, said.map(|said| (begun, said))))
            }
            Some((who, mut owner, Some((begun, said)))) => match owner.publish(&begun, &said).map(|made| made.number) {
                Ok(number) => {
                    reported.push((who, number));
                    Some((who, owner, None))
                }
                Err(error) if error.may_pass() => Some((who, owner, Some((begun, said)))),
                Err(error) => {
                    let code = error.exit_code();
                    assert_eq!(code, 3, "seed {seed}: {error}");
                    None
                }
            },
        };
    }
    drop(places);
    world.clears();
    let store = world.store(NEVER);
    drop(take(&store, 1).unwrap_or_else(|error| panic!("seed {seed}: {error}")));
    if Chain::open(&store, "main").unwrap().number() == 0 {
        assert!(reported.is_empty(), "seed {seed}");
        return;
    }
    let chain = expect_in_order(&store);
    for (who, number) in reported {
        let made = read_manifest(&store, "main", number).unwrap();
        assert_eq!((made.incarnation, made.kind), (format!("{who:032x}"), CommitKind::Run), "seed {seed}");
    }
    // Every commit reads two records more than its number, and one that is rejected: none is lost, none is there twice.
    let runs = (1..=chain.number()).map(|n| read_manifest(&store, "main", n).unwrap());
    let read: u64 = runs.filter(|one| one.kind == CommitKind::Run).map(|one| one.number + 3).sum();
    let rows: u64 = ["events", "rejected"].iter().flat_map(|table| chain.files_of(table)).map(|file| file.rows).sum();
    assert_eq!((rows, chain.newest().map_or(0, |newest| newest.ledger.read)), (read, read), "seed {seed}");
}

#[test]
fn storms_of_any_seed_lose_nothing_and_count_nothing_twice() {
    let seeds = std::env::var("JAUGE_SEEDS").ok().map_or(1_000, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        storm(seed);
    }
}

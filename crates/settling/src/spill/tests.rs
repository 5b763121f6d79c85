//! Tests of runs: what is written comes back, in its sections, whatever the buffer; a cut is seen.

use super::*;

/// `count` events of few broadcasts, viewers and instants, so that many are equal, from a seed.
pub(crate) fn random_events(seed: u64, count: usize) -> (Vec<Event>, Details) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut details = Details::new();
    let mut events = Vec::new();
    for _ in 0..count {
        let kind = Kind::ALL[usize::try_from(next(5)).unwrap()];
        let id = "é".repeat(1 + usize::try_from(next(128)).unwrap());
        let detail = match kind {
            Kind::Join if next(2) == 0 => details.push(Detail::Via(&id)),
            Kind::Retweet => details.push(Detail::Retweet(RetweetDetail {
                tweet_id: &id,
                user_id: "u",
                followers: (next(2) == 0).then(|| next(1_000_000_000_000).cast_signed()),
                retweet_of: (next(2) == 0).then_some(id.as_str()),
            })),
            _ => NO_DETAIL,
        };
        let viewer = u128::from(next(20)) << 100 | u128::from(next(3));
        let ts = 1_459_711_860_000 + next(50).cast_signed();
        let broadcast = u32::try_from(next(3)).unwrap();
        events.push(Event::new(kind, broadcast, viewer, viewer ^ u128::from(next(2)), ts, detail));
    }
    (events, details)
}

/// An event and its strings, comparable whatever arena they are in.
pub(crate) fn plain(mut event: Event, details: &Details) -> (Event, Option<String>) {
    let detail = details.get(event.detail).map(|detail| format!("{detail:?}"));
    event.detail = NO_DETAIL;
    (event, detail)
}

#[test]
fn sections_come_back_whatever_the_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let (events, details) = random_events(7, 3_000);
    let cuts = [0, 0, 1, 40, 2_999, 3_000];
    let mut writer = RunWriter::create(dir.path()).unwrap();
    for pair in cuts.windows(2) {
        for event in &events[pair[0]..pair[1]] {
            writer.push(event, details.get(event.detail)).unwrap();
        }
        writer.end_section();
    }
    let run = writer.finish().unwrap();
    assert_eq!(run.sections().iter().map(|s| s.records).collect::<Vec<_>>(), [0, 1, 39, 2_959, 1]);
    for buffer in [0, 4_100, 1 << 20] {
        for (at, pair) in cuts.windows(2).enumerate() {
            let mut into = Details::new();
            let mut reader = run.section(at, buffer);
            for event in &events[pair[0]..pair[1]] {
                let read = reader.next(&mut into).unwrap().unwrap();
                assert_eq!(plain(read, &into), plain(*event, &details));
            }
            assert_eq!(reader.next(&mut into).unwrap(), None);
        }
        assert_eq!(run.section(cuts.len(), buffer).next(&mut Details::new()).unwrap(), None);
    }
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (events, details) = random_events(3, 200);
    let mut writer = RunWriter::create(dir.path()).unwrap();
    for event in &events {
        writer.push(event, details.get(event.detail)).unwrap();
    }
    let run = writer.finish().unwrap();
    run.file.set_len(run.sections()[0].bytes - 1).unwrap();
    let mut reader = run.section(0, 4_096);
    let mut into = Details::new();
    let error = loop {
        match reader.next(&mut into) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut run read to its end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpillError::Damaged { .. }), "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = RunWriter::create(Path::new("/nonexistent/folder")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/folder"));
    assert_eq!(error.exit_code(), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn no_room_is_recognised() {
    let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let mut writer = RunWriter::create(&std::env::temp_dir()).unwrap();
    writer.out = BufWriter::with_capacity(64, full);
    let (events, _) = random_events(1, 1);
    let pushed = (0..10).try_for_each(|_| writer.push(&events[0], None));
    assert!(problem::awaits(&pushed.unwrap_err()) == Some(problem::Awaited::Room));
}

//! Each sum of a commit, made wrong by one: the commit is refused, with its numbers, and nothing is published.

use super::sample::*;
use crate::*;
use problem::Failure;

#[test]
fn a_commit_that_does_not_add_up_is_refused() {
    type Spoil = fn(&mut Draft);
    let wrong: [(&str, Spoil); 19] = [
        ("is read from 13, was read to 12", |d| {
            d.inputs.partitions[0].from += 1;
            d.inputs.partitions[0].skipped -= 1;
        }),
        ("is not [12, 18)", |d| d.inputs.partitions[0].skipped += 1),
        ("is not [12, 19)", |d| d.inputs.partitions[0].to += 1),
        ("is missing", |d| d.inputs.partitions[0].partition = 1),
        ("is there twice", |d| d.inputs.partitions.push(d.inputs.partitions[0].clone())),
        ("out of its place", |d| {
            d.inputs.partitions[0].gaps.push(OffsetGap { from: 11, to: 12, ..OffsetGap::default() });
        }),
        ("has lost its beginning, but was read before", |d| {
            let from = d.inputs.partitions[0].to;
            let gap = OffsetGap { from, to: from + 1, beginning: true, ..OffsetGap::default() };
            d.inputs.partitions[0].gaps.push(gap);
            d.inputs.partitions[0].to += 1;
        }),
        ("names the event after a gap, without an event", |d| {
            (d.inputs.partitions[0].accepted, d.inputs.partitions[0].event_at_after_gap) = (0, Some(NOW));
        }),
        ("of another topic", |d| d.inputs.partitions[0].topic_id = Some("other".into())),
        ("goes back", |d| d.watermark = None),
        ("the watermark of partition 0 of events goes back", |d| d.inputs.partitions[0].watermark = Some(NOW - 1)),
        ("rejected by reason: 2", |d| d.counts.reasons = [("empty".into(), 2)].into()),
        ("read by this commit: 4", |d| d.counts.read -= 1),
        ("the ledger's read: 10", |d| d.ledger.read += 1),
        ("not yet settled: 8", |d| d.ledger.orphaned += 1),
        ("removes events/x, which is no live file", |d| {
            d.removed.push(Removed { table: "events".into(), path: "events/x".into(), rows: 0 });
        }),
        ("rows of events rewritten and dropped: 3; rows removed: 0", |d| d.removed.clear()),
        ("does not keep", |d| d.tables.retain(|table| table != "live")),
        ("the snapshot does not name it", |d| d.snapshot = None),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut owner = take(&Store::create(dir.path()).unwrap(), 1).unwrap();
    let first = owner.begin();
    let mut draft = fill(&owner, &first).unwrap();
    draft.watermark = Some(NOW);
    draft.inputs.partitions[0].watermark = Some(NOW);
    draft.inputs.partitions[0].topic_id = Some("id".into());
    owner.publish(&first, &draft).unwrap();

    let commit = owner.begin();
    let good = fill(&owner, &commit).unwrap();
    for (sentence, spoil) in wrong {
        let mut draft = good.clone();
        spoil(&mut draft);
        let error = owner.publish(&commit, &draft).map(|_| ()).unwrap_err();
        assert!(matches!(error, CommitError::Unbalanced { number: 2, .. }), "{sentence}: {error}");
        assert!(error.to_string().contains(sentence), "{sentence}: {error}");
        assert_eq!((error.exit_code(), owner.chain().number()), (1, 1));
    }
    // A file too many, and one still being written.
    let late = commit.part("minutes", Folder::Day(DAY)).unwrap();
    let error = owner.publish(&commit, &good).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("still being written"), "{error}");
    drop(late);
    let extra = owner.begin();
    part(&extra, "events", Folder::Writer, 1).unwrap();
    let mut both = good.clone();
    both.removed.clear();
    let error = owner.publish(&extra, &Draft { snapshot: None, ..both }).map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("new rows of events: 1; records of this commit that belong there: 4"),
        "{error}"
    );
    drop(extra);
    owner.publish(&commit, &good).unwrap();
    expect_in_order(owner.store());
}

#[test]
fn a_gap_is_counted_as_lost() {
    let dir = directory(1);
    let mut owner = take(&Store::open(dir.path()).unwrap(), 2).unwrap();
    let mut draft = draft(owner.chain(), 0, 0);
    draft.inputs.partitions[0].to += 1_000;
    let gap = OffsetGap { from: 12, to: 1_012, event_at_before: Some(NOW), ..OffsetGap::default() };
    draft.inputs.partitions[0].gaps.push(gap.clone());
    owner.publish(&owner.begin(), &draft).unwrap();
    assert_eq!(owner.chain().partitions()[0].gaps, [gap]);
    assert_eq!(audit_chain(owner.store()).unwrap().lost, 1_000);
    // What was lost is told once.
    drop(owner);
    let mut owner = take(&Store::open(dir.path()).unwrap(), 3).unwrap();
    assert_eq!(owner.chain().partitions()[0].gaps, []);
    assert_eq!(audit_chain(owner.store()).unwrap().lost, 1_000);

    // A later commit says what came after it; one that restates everything keeps it.
    let side = |owner: &Committer| owner.chain().lost().iter().map(|lost| lost.gap.event_at_after).collect::<Vec<_>>();
    assert_eq!(side(&owner), [None]);
    for at in [NOW + 7, NOW + 9] {
        let commit = owner.begin();
        let mut draft = fill(&owner, &commit).unwrap();
        draft.inputs.partitions[0].event_at_after_gap = Some(at);
        owner.publish(&commit, &draft).unwrap();
    }
    for _ in 0..RESTATE_EVERY {
        let commit = owner.begin();
        let draft = fill(&owner, &commit).unwrap();
        assert_eq!(draft.inputs.partitions[0].event_at_after_gap, None, "it is said once");
        owner.publish(&commit, &draft).unwrap();
    }
    let chain = Chain::open(owner.store(), "main").unwrap();
    assert_eq!(chain.lost(), owner.chain().lost());
    assert_eq!(side(&owner), [Some(NOW + 7)]);
    expect_in_order(owner.store());
}

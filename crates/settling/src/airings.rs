//! The airings of a data directory as they stand: what is settled is read as it was written, the rest is computed from
//! the log by the rules of the newest commit, and is provisional. It is one list for a screen, a page and a report.

use super::budget::Budget;
use super::engine::settle;
use super::gather::Gather;
use super::receiver::Receiver;
use crate::lock::lock;
use aggregator::{Frontier, Rules, Tally};
use audience::{AiringRow, Detail, Details, MinuteRow, Ms, NO_DETAIL, RetweetDetail, RetweetRow};
use exporter::Table;
use problem::Problem;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use storage::provenance;
use storage::{ReadError, Stored};

/// Which rows are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// One broadcast alone.
    pub broadcast: Option<&'a str>,
    /// Minutes with their stays. Without them the minutes of many airings are small.
    pub stays: bool,
    /// Retweets, which may be many.
    pub retweets: bool,
    /// What the retweets say: who, and of what.
    pub details: bool,
}

/// One airing as it stands.
#[derive(Clone, Debug)]
pub struct ListedAiring {
    /// Its own row.
    pub row: AiringRow,
    /// Without gaps, in their order; none where the table is not kept.
    pub minutes: Vec<MinuteRow>,
    /// In the order of time; none where they are not wanted, or the table is not kept.
    pub retweets: Vec<RetweetRow>,
    /// What the retweets say; nothing where that is not wanted.
    pub details: Details,
    /// Whether it has not settled yet, so that it may change.
    pub is_provisional: bool,
}

/// The airings as they stand, by (broadcast_id, airing_at).
#[derive(Clone, Debug, Default)]
pub struct AiringList {
    airings: BTreeMap<(Arc<str>, Ms), ListedAiring>,
    /// What is known of the leaves of all of them, and of those that are in none; the rest is not counted.
    pub tally: Tally,
    /// By which airings are told apart now.
    pub broadcast_idle: Ms,
}

impl AiringList {
    /// Reads what is settled, and computes the rest within `budget`.
    ///
    /// # Errors
    /// A table cannot be read, or temporary files cannot be written.
    pub fn load(stored: Stored, selection: Selection<'_>, budget: &Budget) -> Result<AiringList, ReadError> {
        let stored = match selection.broadcast {
            Some(id) => stored.of_broadcast(id),
            None => stored,
        };
        let mut found = Found { selection, airings: BTreeMap::new() };
        stored.airings(|rows| {
            rows.into_iter().for_each(|row| found.airing(row, false));
            Ok(())
        })?;
        stored.minutes(Table::Minutes, |rows| {
            rows.into_iter().for_each(|row| found.minute(row));
            Ok(())
        })?;
        if selection.retweets {
            stored.retweets(|(rows, details)| {
                rows.into_iter().for_each(|row| found.retweet(row, details.get(row.detail)));
                Ok(())
            })?;
        }
        let newest = stored.newest()?;
        let rules = provenance::rules(newest, &BTreeMap::new())?;
        let (found, unsettled) = with_unsettled(found, &stored, &rules, budget)?;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let orphaned = count(stored.ledger().orphaned) + unsettled.orphaned;
        let airings = found.listed(&stored.broadcast_ids());
        let leaves = airings.values().map(|one| one.row.leaves).sum();
        let tally = Tally { orphaned, leaves, silenced: count(newest.silenced), ..Tally::default() };
        Ok(AiringList { airings, tally, broadcast_idle: rules.broadcast_idle })
    }

    /// All of them, each with the id of its broadcast.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &ListedAiring)> {
        self.airings.iter().map(|((id, _), one)| (&**id, one))
    }

    /// Those of one broadcast, in the order of time.
    pub fn of_broadcast(&self, id: &str) -> impl DoubleEndedIterator<Item = &ListedAiring> {
        self.iter().filter(move |(broadcast, _)| *broadcast == id).map(|(_, one)| one)
    }
}

/// Adds the airings that have not settled to `found`, from the log, by `rules`; tells what became of their events.
fn with_unsettled<'a>(
    found: Found<'a>,
    stored: &Stored,
    rules: &Rules,
    budget: &Budget,
) -> Result<(Found<'a>, Tally), ReadError> {
    // What has not settled under an earlier version of the contract was to settle by rules that are no more.
    if !stored.keeps(Table::Events) || stored.is_older() {
        return Ok((found, Tally::default()));
    }
    let frontiers: BTreeMap<u32, Frontier> =
        stored.frontiers().into_iter().map(|(id, frontier)| (stored.number_of(id), frontier)).collect();
    let feed = |gather: &Gather| -> Result<_, ReadError> {
        let mut feeder = gather.feeder();
        stored.events(|rows, details| {
            for row in rows {
                let is_settled =
                    frontiers.get(&row.event.broadcast).is_some_and(|frontier| row.event.ts() < frontier.at);
                if !is_settled {
                    feeder.push(&row.event, details)?;
                }
            }
            Ok(())
        })?;
        let mut timelines = feeder.finish()?;
        for (number, timeline) in (0..).zip(&mut timelines) {
            frontiers.get(&number).into_iter().for_each(|frontier| timeline.begin_at(*frontier));
        }
        Ok(timelines)
    };
    let gaps = storage::gaps_of(&stored.lost());
    let takes_retweets = found.selection.retweets;
    let found = Mutex::new(found);
    let settled = settle(feed, rules, &gaps, budget, || Collector { found: &found, takes_retweets })?;
    let tally = settled.iter().map(|one| one.tally).sum();
    Ok((found.into_inner().unwrap_or_else(PoisonError::into_inner), tally))
}

/// Rows as they are found, by (number of the broadcast, airing_at).
#[derive(Debug)]
struct Found<'a> {
    selection: Selection<'a>,
    airings: BTreeMap<(u32, Ms), FoundAiring>,
}

/// What is found of one airing: its own row, with whether it is provisional, comes before or after the others.
#[derive(Debug, Default)]
struct FoundAiring {
    row: Option<(AiringRow, bool)>,
    minutes: Vec<MinuteRow>,
    retweets: Vec<RetweetRow>,
    details: Details,
}

impl Found<'_> {
    fn of(&mut self, broadcast: u32, airing_at: Ms) -> &mut FoundAiring {
        self.airings.entry((broadcast, airing_at)).or_default()
    }

    fn airing(&mut self, row: AiringRow, is_provisional: bool) {
        let one = self.of(row.broadcast, row.airing_at);
        one.row = Some((row, is_provisional));
    }

    fn minute(&mut self, mut row: MinuteRow) {
        if !self.selection.stays {
            row.stays = Vec::new();
        }
        self.of(row.broadcast, row.airing_at).minutes.push(row);
    }

    fn retweet(&mut self, row: RetweetRow, detail: Option<Detail<'_>>) {
        let detail = detail.filter(|_| self.selection.details);
        let one = self.of(row.broadcast, row.airing_at);
        let detail = detail.map_or(NO_DETAIL, |detail| one.details.push(detail));
        one.retweets.push(RetweetRow { detail, ..row });
    }

    /// The list of what has a row of its own; `ids` are those of the broadcasts, by number.
    fn listed(self, ids: &[Arc<str>]) -> BTreeMap<(Arc<str>, Ms), ListedAiring> {
        let mut airings = BTreeMap::new();
        for ((broadcast, airing_at), found) in self.airings {
            let FoundAiring { row, mut minutes, mut retweets, details } = found;
            let Some((row, is_provisional)) = row else { continue };
            minutes.sort_unstable_by_key(|row| row.minute_at);
            retweets.sort_by_key(|row| row.retweeted_at);
            let one = ListedAiring { row, minutes, retweets, details, is_provisional };
            airings.insert((Arc::clone(&ids[broadcast as usize]), airing_at), one);
        }
        airings
    }
}

/// Keeps what settles, as provisional.
struct Collector<'a, 'b> {
    found: &'a Mutex<Found<'b>>,
    takes_retweets: bool,
}

impl aggregator::Rows for Collector<'_, '_> {
    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        if self.takes_retweets {
            lock(self.found).retweet(row, Some(Detail::Retweet(detail)));
        }
    }
}

impl Receiver for Collector<'_, '_> {
    fn minute(&mut self, row: MinuteRow) {
        lock(self.found).minute(row);
    }

    fn airing(&mut self, row: AiringRow) {
        lock(self.found).airing(row, true);
    }

    fn settle_down(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    fn finish(self) -> Result<(), Problem> {
        Ok(())
    }
}

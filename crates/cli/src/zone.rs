//! Time zones by their names in the IANA's database: the system's, which is the newer one, else the one that this
//! binary was built with. What leaves here is a value, so that those who write times need neither.

use audience::time::{TS_END, TS_MIN};
use audience::{Ms, Zone};
use jiff::Timestamp;
use jiff::tz::{self, Offset, TimeZone};

/// The zone of that name, or why there is none, as the rest of a sentence.
pub(crate) fn named(name: &str) -> Result<Zone, String> {
    if name.eq_ignore_ascii_case("UTC") {
        return Ok(Zone::utc());
    }
    let zone = TimeZone::get(name).map_err(|_| format!("there is no such zone; the nearest are {}", nearest(name)))?;
    let from = Timestamp::from_millisecond(TS_MIN).map_err(|error| error.to_string())?;
    let ahead = |offset: Offset| Ms::from(offset.seconds()) * 1_000;
    let changes = zone.following(from).map(|change| (change.timestamp().as_millisecond(), ahead(change.offset())));
    let changes = changes.take_while(|(at, _)| *at < TS_END);
    let offsets = [(TS_MIN, ahead(zone.to_offset(from)))].into_iter().chain(changes).collect();
    Ok(Zone::of(zone.iana_name().unwrap_or(name), offsets))
}

/// The three names that are most like `name`, as a whole or by their last part, for people know their city.
fn nearest(name: &str) -> String {
    let wanted = name.to_lowercase().replace(' ', "_");
    let mut names: Vec<String> = tz::db().available().map(|known| known.as_str().to_owned()).collect();
    names.sort_by_cached_key(|known| {
        let known = known.to_lowercase();
        let edits = |known: &str| strsim::damerau_levenshtein(&wanted, known);
        let city = known.rsplit('/').next().map_or(usize::MAX, edits);
        (!known.contains(&wanted), edits(&known).min(city), known)
    });
    names.truncate(3);
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use audience::time::rfc3339;

    #[test]
    fn clocks_change_as_the_database_says() {
        let clock = |zone: &str, at: Ms| rfc3339(named(zone).expect("it is there").clock(at))[..16].to_owned();
        // 2016-03-27T00:59:59Z and a second later, when summer began in Paris.
        let spring = 1_459_040_400_000;
        let clocks = [clock("Europe/Paris", spring - 1), clock("Europe/Paris", spring)];
        assert_eq!(clocks, ["2016-03-27T01:59", "2016-03-27T03:00"]);
        assert_eq!(clock("Asia/Kolkata", spring), "2016-03-27T06:30");
        assert_eq!(clock("America/New_York", spring), "2016-03-26T21:00");
        // A change that lies ahead, by the rule and not by a list: 2090-07-01T12:00Z.
        assert_eq!(clock("Europe/Paris", 3_802_593_600_000), "2090-07-01T14:00");
        assert_eq!(clock("utc", spring), "2016-03-27T01:00");
    }

    #[test]
    fn a_name_that_is_none_has_the_nearest_beside_it() {
        let said = |name: &str| named(name).expect_err("it is not there");
        assert!(said("Europe/Pari").contains("Europe/Paris"), "{}", said("Europe/Pari"));
        assert!(said("Berln").contains("are Europe/Berlin,"), "{}", said("Berln"));
        assert!(said("new york").contains("America/New_York"), "{}", said("new york"));
        assert_eq!(named("europe/paris").expect("however it is written").name(), "Europe/Paris");
    }
}

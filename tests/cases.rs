//! Small inputs from real life, counted as the contract says: two shows under one id, one person on three devices, a
//! reconnect storm, pages that beat on after the end and after their viewer has left.

use std::path::PathBuf;

use crate::data_directory;
use crate::oracle::oracle;
use crate::reference::Rules;
use crate::support::{NO_FLAGS, files_under, folder, have, replay, shared};
use crate::tables::Tables;

/// One line an airing, under the beginning of its case's file name.
const CASES: &str = "
case                        sessions reach airtime_ms viewers_max viewer_ms   distinct_max distinct_ms returns orphaned
12a-week-long-listener      1        1     0          0           0           0            0           0       0
12c-overnight-listener      1        1     3540000    1           3540000     1            3540000     0       1
12c-overnight-listener      2        2     3600000    1           1800000     1            1800000     0       0
25a-two-shows               4        4     3600000    4           14394000    4            14394000    0       0
25a-two-shows               7        7     3600000    7           25179000    7            25179000    0       0
29-same-person              6        2     3600000    6           20880000    2            7200000     0       0
32-radio-five-days          247      247   430800000  9           592645000   9            592645000   0       0
38-reconnect-storm          5900     3000  4199659    5900        10871044126 3000         10786197880 0       0
45-heartbeats-after-the-end 100      100   1800000    100         179505000   100          179505000   0       1099
46-heartbeat-50ms-after     101      101   3600000    100         61905000    100          61905000    0       40
";

#[test]
fn the_cases_of_real_life_are_counted() {
    let Some(shared) = have(shared()) else { return };
    let Some(oracle) = have(oracle()) else { return };
    let mut lines = CASES.trim().lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let columns = lines.next().unwrap().split_off(1);
    let airings: Vec<Vec<String>> = lines.collect();
    for airings in airings.chunk_by(|a, b| a[0] == b[0]) {
        let (name, folder) = (&airings[0][0], folder());
        let is_it = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(name);
        let file = files_under(&shared.join("cases")).into_iter().find(is_it).unwrap();
        let out = folder.path().join("out");
        replay([&file], &out, NO_FLAGS).exits(0);
        let found = data_directory::read(&out);
        let expected: Vec<Vec<String>> = airings.iter().map(|airing| airing[1..].to_vec()).collect();
        assert_eq!(found.airings.sorted(&columns), expected, "{name}: {columns:?}");
        Tables::assert_equal(&oracle.tables(&[file], Rules::DEFAULT), &found, name);
    }
}

//! Test code lies where one looks for it: in `mod tests`, in a file `tests.rs`, or in a folder `tests`.

use super::product::{Texts, drawn, is_place_of_tests, places_of, product};

/// Test code in the folders of the product that lies elsewhere.
fn test_code_elsewhere(texts: &Texts) -> Vec<String> {
    let mut elsewhere = Vec::new();
    for (path, source) in product(texts).values().flatten() {
        for module in &source.test_files {
            let there = places_of(path, *module).into_iter().find(|place| texts.contains_key(place));
            elsewhere.extend(there.filter(|place| !is_place_of_tests(place)));
        }
        let modules = source.test_modules.iter().filter(|name| **name != "tests");
        elsewhere.extend(modules.map(|name| format!("mod {name} of {path}")));
        let tests = source.words.windows(3).filter(|three| three[0].is("#") && three[1].is("[") && three[2].is("test"));
        elsewhere.extend(tests.map(|test| format!("a test of {path}:{}", source.line(&test[0]))));
    }
    elsewhere
}

#[test]
fn test_code_lies_in_its_place() {
    let elsewhere = test_code_elsewhere(&super::sources(&["crates"]));
    assert!(elsewhere.is_empty(), "test code among the product:\n{}", elsewhere.join("\n"));
}

#[test]
fn test_code_among_the_product_is_seen() {
    let mut texts = drawn([
        ("crates/a/src/lib.rs", "#[cfg(test)] mod weather; mod b; mod c; #[cfg(test)] mod tests {} #[test] fn d() {}"),
        ("crates/a/src/weather.rs", ""),
        ("crates/a/src/b.rs", "#[cfg(test)] #[path = \"b_tests.rs\"] mod tests; #[cfg(test)] mod more {}"),
        ("crates/a/src/b_tests.rs", ""),
        ("crates/a/src/c.rs", "#[cfg(test)] mod tests;"),
        ("crates/a/src/c/tests.rs", "#[cfg(test)] mod sample; #[test] fn e() {}"),
    ]);
    let seen = ["crates/a/src/b_tests.rs", "mod more of crates/a/src/b.rs", "crates/a/src/weather.rs"];
    assert_eq!(test_code_elsewhere(&texts), [&seen[..], &["a test of crates/a/src/lib.rs:1"]].concat());
    texts.insert("crates/a/src/lib.rs".into(), "mod b; mod c; #[cfg(test)] mod tests;".into());
    texts.insert("crates/a/src/tests/mod.rs".into(), "mod weather;".into());
    texts.insert("crates/a/src/b.rs".into(), "#[cfg(test)] mod tests;".into());
    texts.insert("crates/a/src/b/tests.rs".into(), String::new());
    assert_eq!(test_code_elsewhere(&texts), [""; 0]);
}

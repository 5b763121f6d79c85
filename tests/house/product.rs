//! The files of the product, crate by crate: what lies in `src` and is not for tests alone.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// Texts by their path below the root of the workspace, with `/` between its parts.
pub(super) type Texts = BTreeMap<String, String>;

/// A workspace as a test draws it.
pub(super) fn drawn<const N: usize>(files: [(&str, &str); N]) -> Texts {
    files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
}

/// The sources of each crate, by their path.
pub(super) type Product<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Source<'a>>>;

/// The product in these texts; those of other folders than `crates/…/src` may be among them.
pub(super) fn product(texts: &Texts) -> Product<'_> {
    let mut product = Product::new();
    for (path, text) in texts {
        let Some((name, _)) = path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/")) else { continue };
        if path.ends_with(".rs") && !name.contains('/') && !is_place_of_tests(path) {
            product.entry(name).or_default().insert(path, Source::of(text));
        }
    }
    for files in product.values_mut() {
        let (tests, folders) = files_of_test_modules(files);
        let is_test = |path: &&str| tests.contains(*path) || folders.iter().any(|folder| path.starts_with(folder));
        files.retain(|path, _| !is_test(path));
    }
    product
}

/// Whether a file lies where test code belongs: in a folder `tests`, or it is `tests.rs`.
pub(super) fn is_place_of_tests(path: &str) -> bool {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    inside.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The files that one of these declares for tests alone, and the folders of their children.
fn files_of_test_modules(files: &BTreeMap<&str, Source<'_>>) -> (BTreeSet<String>, Vec<String>) {
    let (mut tests, mut folders) = (BTreeSet::new(), Vec::new());
    for (path, source) in files {
        for module in &source.test_files {
            let [file, in_folder] = places_of(path, *module);
            folders.push(format!("{}/", file.trim_end_matches(".rs")));
            tests.extend([file, in_folder]);
        }
    }
    (tests, folders)
}

/// The two paths that a module may have whose declaration stands in a file.
pub(super) fn places_of(declared_in: &str, (name, path): (&str, Option<&str>)) -> [String; 2] {
    let (folder, file) = declared_in.rsplit_once('/').unwrap_or(("", declared_in));
    let of_children = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    match path {
        Some(path) => [format!("{folder}/{path}"), format!("{folder}/{path}")],
        None => [format!("{of_children}/{name}.rs"), format!("{of_children}/{name}/mod.rs")],
    }
}

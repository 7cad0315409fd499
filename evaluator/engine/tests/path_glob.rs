//! Verdicts of doublestar on many globs and paths, taken with `vectors/path_glob.go`.

use lictor_engine::value::PathGlob;
use serde_json::Value;

#[test]
fn verdicts_are_those_of_doublestar() {
    let mut lines = include_str!("vectors/path_glob.jsonl").lines();
    let paths: Vec<String> = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut differences = Vec::new();
    for line in lines {
        let row: Value = serde_json::from_str(line).unwrap();
        let glob = row["glob"].as_str().unwrap();
        let compiled = PathGlob::parse(glob);
        let Some(wanted) = row["paths"].as_array() else {
            assert!(compiled.is_err(), "{glob:?} is accepted");
            continue;
        };
        let compiled = compiled.unwrap();
        let wanted: Vec<u64> = wanted.iter().map(|place| place.as_u64().unwrap()).collect();
        for (place, path) in paths.iter().enumerate() {
            let wanted = wanted.contains(&(place as u64));
            if compiled.matches(path) != wanted {
                differences.push(format!("{glob:?} on {path:?} should be {wanted}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

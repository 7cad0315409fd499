//! Verdicts of Go regexp on many patterns and texts, taken with `tests/vectors/go_regex.go`.

use serde_json::Value;

use super::{Pattern, PatternError, contains, whole};

/// Compares one column of the file, and returns what differs.
fn differences(
    pattern: &str,
    texts: &[&str],
    wanted: &Value,
    compiled: Result<Pattern, PatternError>,
    differences: &mut Vec<String>,
) {
    let compiled = match (compiled, wanted.as_str()) {
        (Err(_), None) => return,
        (Err(error), Some(_)) => return differences.push(format!("{pattern:?} is refused: {error}")),
        (Ok(pattern), None) => return differences.push(format!("{pattern:?} is accepted")),
        (Ok(pattern), Some(_)) => pattern,
    };
    let verdicts = wanted.as_str().unwrap_or_default();
    assert_eq!(verdicts.len(), texts.len().div_ceil(4), "{pattern:?} has a verdict for each text");
    for (four, digit) in texts.chunks(4).zip(verdicts.chars()) {
        for (place, text) in four.iter().enumerate() {
            let wanted = digit.to_digit(16).unwrap_or_default() & (8 >> place) != 0;
            if compiled.is_match(text) != wanted {
                differences.push(format!("{compiled:?} on {text:?} should be {wanted}"));
            }
        }
    }
}

#[test]
fn verdicts_are_those_of_go() {
    let mut lines = include_str!("../../tests/vectors/go_regex.jsonl").lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let texts: Vec<&str> =
        header["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let mut found = Vec::new();
    let mut patterns = 0;
    for line in lines {
        let row: Value = serde_json::from_str(line).unwrap();
        let pattern = row["pattern"].as_str().unwrap();
        differences(pattern, &texts, &row["whole"], whole(pattern), &mut found);
        differences(pattern, &texts, &row["contains"], contains(pattern), &mut found);
        patterns += 1;
    }
    assert!(patterns > 1000, "the file is complete");
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// `regex-syntax` also finds a category under these.
#[test]
fn names_of_categories_are_those_of_go() {
    for pattern in [r"\p{Lu}", r"\p{Uppercase_Letter}", r"\p{letter}", r"\p{Closepunctuation}"] {
        assert!(whole(pattern).is_ok(), "{pattern}");
    }
    for pattern in [r"\p{IsL}", r"\p{is_lu}", r"\p{Lué}", r"\p{L:u}", r"\p{Lx}"] {
        assert!(whole(pattern).is_err(), "{pattern}");
    }
}

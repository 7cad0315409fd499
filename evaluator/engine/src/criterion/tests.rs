//! What the type of a row leaves open: every row is walked.

use super::*;

fn each(check: impl Fn(&Criterion)) {
    Criterion::all().for_each(check);
}

#[test]
fn there_are_79_names_and_each_stands_once() {
    let mut names: Vec<_> = Criterion::all().map(|criterion| criterion.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 79);
    assert_eq!(Criterion::all().count(), 79);
}

#[test]
fn names_are_exact() {
    assert!(Criterion::named("Process Name").is_some());
    assert!(Criterion::named("process name").is_none());
    assert!(Criterion::named("Process Name ").is_none());
}

#[test]
fn every_row_is_described() {
    each(|criterion| assert!(criterion.about.len() > 10, "{} says what it looks at", criterion.name));
    assert!(table::GROUPS.iter().all(|group| !group.title.is_empty() && !group.criteria.is_empty()));
    let described: Vec<_> = reference::criteria().map(|described| described.name).collect();
    let rows: Vec<_> = Criterion::all().map(|criterion| criterion.name).collect();
    assert_eq!(described, rows);
}

/// A criterion about the workload or a container has a sentence of its own; one about a thing in them shares the
/// thing's; one about what happened shares the event's.
#[test]
fn every_row_says_what_it_found() {
    each(|criterion| {
        let name = criterion.name;
        let whole = matches!(criterion.level(), Level::Root | Level::Container);
        let event = criterion.family.is_runtime();
        match criterion.sentence {
            Sentence::Event => {
                assert!(event, "{name} is not about what happened and needs a sentence of its own");
            }
            Sentence::Element | Sentence::ElementWith(_) => {
                assert!(!event && !whole, "{name} is about nothing that has a sentence and needs its own");
            }
            Sentence::ImageName { part, empty } => {
                assert_eq!(
                    (criterion.level(), criterion.family),
                    (Level::Container, Family::Image),
                    "{name}"
                );
                [part, empty].iter().for_each(|text| check_text(criterion, text));
            }
            Sentence::Always(text) => {
                assert!(text.contains("{value}"), "{name} shows what it found");
                check_text(criterion, text);
            }
            Sentence::YesNo(yes, no) => {
                assert!(matches!(criterion.operator, Operator::Bool), "{name} finds yes or no");
                assert_ne!(yes, no, "{name}");
                [yes, no].iter().for_each(|text| check_text(criterion, text));
            }
            Sentence::ByName(text, words) => {
                let (Operator::Enum(names) | Operator::AtLeast(names)) = criterion.operator else {
                    panic!("{name} finds values of an enum")
                };
                for (value, _) in names.iter().filter(|(value, _)| *value != "UNSET") {
                    assert!(words.iter().any(|(known, _)| known == value), "{name} has words for {value}");
                }
                check_text(criterion, text);
            }
            Sentence::ByCount { none, one, several } => {
                [none, one, several].iter().for_each(|text| check_text(criterion, text));
            }
        }
    });
}

/// Whether what is in braces is known where the criterion looks.
#[track_caller]
fn check_text(criterion: &Criterion, text: &str) {
    assert!(!text.is_empty(), "{} has a sentence", criterion.name);
    let level = criterion.level();
    for slot in text.split('{').skip(1) {
        let known = match slot.split_once('}').map(|(slot, _)| slot) {
            Some("value") => true,
            Some("container" | "process") => level == Level::Container,
            Some("image" | "digest") => level == Level::Container && criterion.family == Family::Image,
            Some("protocol") => level == Level::Exposure,
            _ => false,
        };
        assert!(known, "{} knows what to put into {text:?}", criterion.name);
    }
}

#[test]
fn every_row_can_be_used_somewhere() {
    each(|criterion| {
        let usable = reference::criteria().any(|row| row.name == criterion.name && !row.stages.is_empty());
        assert!(usable, "{}", criterion.name);
    });
}

#[test]
fn criteria_that_rows_name_exist_and_go_with_them() {
    each(|criterion| {
        for other in [criterion.extra.needs, criterion.extra.excludes].into_iter().flatten() {
            let other = Criterion::named(other).unwrap_or_else(|| panic!("there is no `{other}`"));
            assert_ne!(criterion, other);
            assert_eq!(criterion.family, other.family, "{} and {} go together", criterion.name, other.name);
        }
        for (source, form) in criterion.extra.forms {
            assert_ne!(*form, criterion.form, "{} with {source}", criterion.name);
            assert!(criterion.family.is_usable(LifecycleStage::Runtime, *source), "{}", criterion.name);
        }
        if let Some(source) = criterion.extra.required_by {
            assert!(criterion.family.is_usable(LifecycleStage::Runtime, source), "{}", criterion.name);
        }
    });
}

/// What only vulnerabilities or volumes have, only rows about them say.
#[test]
fn special_rules_are_where_they_mean_something() {
    each(|criterion| {
        let Extra { standing, parity_halves, needs_container, .. } = criterion.extra;
        assert!(!standing || criterion.level() == Level::Vulnerability, "{}", criterion.name);
        assert!(!parity_halves || criterion.level() == Level::Volume, "{}", criterion.name);
        assert!(!needs_container || criterion.family == Family::Workload, "{}", criterion.name);
        if let Sentence::ElementWith(detail) = criterion.sentence {
            let level = match detail {
                Detail::Fix | Detail::NvdScore => Level::Vulnerability,
                Detail::MountPropagation => Level::Volume,
            };
            assert_eq!(criterion.level(), level, "{}", criterion.name);
        }
    });
}

/// Elsewhere criteria are known by their rows. Texts for people name them in backticks.
#[test]
fn no_other_source_names_a_criterion() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![
        root.join("src"),
        root.join("../../store/policies/src"),
        root.join("../../deploy/lictor/src/commands/policy"),
    ];
    let names: Vec<String> = Criterion::all().map(|criterion| format!("\"{}\"", criterion.name)).collect();
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let tests =
                path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
            if tests || path.parent().is_some_and(|folder| folder.ends_with("criterion/table")) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            read += 1;
            let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for line in shipped.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let named = names.iter().find(|name| line.contains(name.as_str()));
                assert_eq!(named, None, "{}: {line}", path.display());
            }
        }
    }
    assert!(read > 40, "the sources were found");
}

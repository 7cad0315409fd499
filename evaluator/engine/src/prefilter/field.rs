//! The sections that are filed under one field of the event.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::bits::Candidates;
use super::condition::Condition;
use super::fold::fold_into;
use crate::criterion::{Criterion, Value};
use crate::matcher::join_parts;

/// The most bytes of literals that are compiled to the fastest kind of search. It takes some 300 bytes for each.
const MAX_FAST: usize = 1 << 15;

/// A field, and who is waiting for what in it. Policies are named by their place.
#[derive(Debug)]
pub(super) struct Field {
    criterion: &'static Criterion,
    /// By the whole text.
    keys: HashMap<String, Vec<usize>>,
    /// The length of the longest of them, in bytes: longer texts need not be hashed.
    longest_key: usize,
    /// By parts of the text.
    literals: Literals,
    /// Everyone.
    all: Vec<usize>,
}

/// What searching writes into, kept from one value to the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    folded: String,
    row: String,
}

#[derive(Debug)]
enum Literals {
    None,
    Searched {
        search: AhoCorasick,
        /// For each literal of the search.
        policies: Vec<Vec<usize>>,
    },
    /// There are too many to search for; any text may hold any of them.
    TooMany(Vec<usize>),
}

/// A field while sections are filed.
#[derive(Debug)]
pub(super) struct FieldBuilder {
    criterion: &'static Criterion,
    keys: HashMap<String, Vec<usize>>,
    literals: HashMap<String, Vec<usize>>,
    all: Vec<usize>,
}

// === impl FieldBuilder ===

impl FieldBuilder {
    /// The builder for a criterion's field, made where there is none yet.
    pub(super) fn among<'b>(builders: &'b mut Vec<Self>, criterion: &'static Criterion) -> &'b mut Self {
        let position = builders.iter().position(|builder| builder.criterion == criterion);
        let position = position.unwrap_or_else(|| {
            let (keys, literals) = (HashMap::new(), HashMap::new());
            builders.push(Self { criterion, keys, literals, all: Vec::new() });
            builders.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was just found or made")]
        &mut builders[position]
    }

    /// Files a section of a policy.
    pub(super) fn file(&mut self, policy: usize, condition: &Condition) {
        self.all.push(policy);
        for key in &condition.keys {
            self.keys.entry(key.clone()).or_default().push(policy);
        }
        for literal in &condition.literals {
            self.literals.entry(literal.clone()).or_default().push(policy);
        }
    }

    pub(super) fn build(self) -> Field {
        let Self { criterion, keys, literals, all } = self;
        let longest_key = keys.keys().map(String::len).max().unwrap_or(0);
        Field { criterion, keys, longest_key, literals: Literals::new(literals), all }
    }
}

// === impl Literals ===

impl Literals {
    fn new(literals: HashMap<String, Vec<usize>>) -> Self {
        if literals.is_empty() {
            return Self::None;
        }
        let (literals, policies): (Vec<String>, Vec<Vec<usize>>) = literals.into_iter().unzip();
        let bytes: usize = literals.iter().map(String::len).sum();
        let kind = if bytes <= MAX_FAST { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        match AhoCorasick::builder().kind(Some(kind)).build(&literals) {
            Ok(search) => Self::Searched { search, policies },
            Err(_) => Self::TooMany(policies.concat()),
        }
    }

    fn search(&self, text: &str, found: &mut Candidates) {
        match self {
            Self::None => {}
            Self::TooMany(policies) => found.add(policies),
            Self::Searched { search, policies } => {
                // One literal may lie inside another; all of them count.
                for hit in search.find_overlapping_iter(text) {
                    if let Some(policies) = policies.get(hit.pattern().as_usize()) {
                        found.add(policies);
                    }
                }
            }
        }
    }
}

// === impl Field ===

impl Field {
    pub(super) fn criterion(&self) -> &'static Criterion {
        self.criterion
    }

    /// Everyone who is filed here.
    pub(super) fn all(&self) -> &[usize] {
        &self.all
    }

    /// Adds those whom a value of the field lets through. The buffers are written over.
    pub(super) fn search(&self, value: &Value<'_>, buffers: &mut Buffers, found: &mut Candidates) {
        let Buffers { folded, row } = buffers;
        match value {
            Value::Missing => {}
            Value::Text(text) => self.search_text(text, folded, found),
            Value::List(texts) => texts.iter().for_each(|text| self.search_text(text, folded, found)),
            Value::Uint(number) => self.search_text(&number.to_string(), folded, found),
            Value::Parts { parts, .. } => {
                join_parts(parts, row);
                self.search_text(row, folded, found);
            }
            // What is unknown may be anything, and so may be what was cut off.
            _ => found.add(&self.all),
        }
    }

    fn search_text(&self, text: &str, buffer: &mut String, found: &mut Candidates) {
        buffer.clear();
        fold_into(text, buffer);
        if buffer.len() <= self.longest_key
            && let Some(policies) = self.keys.get(buffer.as_str())
        {
            found.add(policies);
        }
        self.literals.search(buffer, found);
    }
}

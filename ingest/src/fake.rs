//! A way out that a test opens, closes and holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use lictor_wire::topology::Bucket;
use lictor_wire::{DeadLetter, Event};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::outlet::{Outlet, OutletError};

#[derive(Debug, Clone)]
pub(crate) struct Fake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    events: Mutex<Vec<Event>>,
    letters: Mutex<Vec<DeadLetter>>,
    facts: Mutex<BTreeMap<String, (u64, String)>>,
    pressed: watch::Sender<bool>,
    /// Acknowledgements come only while this is false.
    held: watch::Sender<bool>,
    /// Events handed over and not yet acknowledged.
    waiting: watch::Sender<usize>,
    refused: Mutex<Option<String>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self(Arc::new(Inner {
            events: Mutex::default(),
            letters: Mutex::default(),
            facts: Mutex::default(),
            pressed: watch::Sender::new(false),
            held: watch::Sender::new(false),
            waiting: watch::Sender::new(0),
            refused: Mutex::default(),
        }))
    }
}

impl Fake {
    pub(crate) fn press(&self, stop: bool) {
        self.0.pressed.send_replace(stop);
    }

    pub(crate) fn hold(&self, hold: bool) {
        self.0.held.send_replace(hold);
    }

    /// Refuses facts and events whose line contains this for good.
    pub(crate) fn refuse(&self, text: &str) {
        *self.0.refused.lock().unwrap() = Some(text.to_owned());
    }

    pub(crate) async fn waiting(&self, events: usize) {
        self.0.waiting.subscribe().wait_for(|waiting| *waiting >= events).await.unwrap();
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.events.lock().unwrap().clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.events().iter().map(|event| event.id.to_string()).collect()
    }

    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        self.0.letters.lock().unwrap().clone()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.facts.lock().unwrap().keys().cloned().collect()
    }
}

impl Outlet for Fake {
    async fn publish(&self, events: Vec<Event>) -> Result<(), OutletError> {
        let refused = self.0.refused.lock().unwrap().clone();
        let refuse =
            |event: &Event| refused.as_deref().is_some_and(|text| event.to_line().unwrap().contains(text));
        if events.iter().any(refuse) {
            return Err(OutletError::Refused("refused by the test".to_owned()));
        }
        self.0.waiting.send_modify(|waiting| *waiting += events.len());
        self.0.held.subscribe().wait_for(|held| !held).await.unwrap();
        self.0.waiting.send_modify(|waiting| *waiting -= events.len());
        self.0.events.lock().unwrap().extend(events);
        Ok(())
    }

    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), OutletError> {
        self.0.letters.lock().unwrap().push(letter.clone());
        Ok(())
    }

    async fn put<T: Serialize + Sync>(
        &self,
        bucket: Bucket,
        key: &str,
        value: &T,
    ) -> Result<u64, OutletError> {
        let text = serde_json::to_string(value).unwrap();
        if self.0.refused.lock().unwrap().as_deref().is_some_and(|refused| text.contains(refused)) {
            return Err(OutletError::Refused("refused by the test".to_owned()));
        }
        let mut facts = self.0.facts.lock().unwrap();
        let revision = facts.values().map(|(revision, _)| *revision).max().unwrap_or_default() + 1;
        facts.insert(format!("{bucket:?}/{key}"), (revision, text));
        Ok(revision)
    }

    async fn get<T: DeserializeOwned + Send>(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<(u64, T)>, OutletError> {
        let facts = self.0.facts.lock().unwrap();
        let found = facts.get(&format!("{bucket:?}/{key}"));
        Ok(found.map(|(revision, text)| (*revision, serde_json::from_str(text).unwrap())))
    }

    fn is_closed(&self) -> bool {
        *self.0.pressed.borrow()
    }

    async fn open(&self) {
        self.0.pressed.subscribe().wait_for(|pressed| !pressed).await.unwrap();
    }
}

//! Power goes at any moment: the file then holds what was synced, and any part of what was not.
//!
//! The medium below keeps writes back until they are synced. A crash keeps a random choice of the outstanding ones,
//! some of them torn, and every call after it fails. What is opened afterwards must be some state between two
//! batches, namely the one its checkpoints name, and the rest of the logs must lead to the same end as ever.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};

use lictor_store::{Ledger, Log};
use proptest::prelude::*;
use redb::StorageBackend;

use crate::model::{expected, feed, logs, steps};
use crate::support::shown;

#[derive(Debug, Clone)]
enum Operation {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Default)]
struct State {
    /// What readers see.
    live: Vec<u8>,
    /// What surely survives.
    durable: Vec<u8>,
    /// What was done since the last sync.
    outstanding: Vec<Operation>,
    /// Operations until the power goes.
    left: Option<usize>,
}

#[derive(Debug, Clone, Default)]
struct Medium(Arc<Mutex<State>>);

impl Medium {
    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { live: bytes.clone(), durable: bytes, ..State::default() })))
    }

    fn crash_after(&self, operations: usize) {
        self.0.lock().unwrap().left = Some(operations);
    }

    /// What a crash leaves. `choice` decides which outstanding operations made it.
    fn remains(&self, mut choice: u64) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut image = state.durable.clone();
        for operation in &state.outstanding {
            // A plain generator: the seed is proptest's, so a failure shrinks and repeats.
            choice = choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (choice >> 33) % 4 {
                0 | 1 => {}
                2 => operation.onto(&mut image, 1),
                _ => operation.onto(&mut image, 2),
            }
        }
        image
    }
}

impl Operation {
    /// Does it, or the first half of it.
    fn onto(&self, image: &mut Vec<u8>, part: usize) {
        match self {
            Self::Length(length) => image.resize(usize::try_from(*length).unwrap(), 0),
            Self::Write(offset, data) => {
                let offset = usize::try_from(*offset).unwrap();
                // The first bytes of a file are one sector, which media write whole or not at all.
                let data =
                    if part == 2 && data.len() > 512 { &data[..data.len() / 2 / 512 * 512] } else { data };
                if image.len() < offset + data.len() {
                    image.resize(offset + data.len(), 0);
                }
                image[offset..offset + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl State {
    fn step(&mut self) -> Result<(), Error> {
        match &mut self.left {
            Some(0) => Err(Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn run(&mut self, operation: Operation) -> Result<(), Error> {
        self.step()?;
        operation.onto(&mut self.live, 1);
        self.outstanding.push(operation);
        Ok(())
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let state = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.live.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        self.0.lock().unwrap().run(Operation::Length(length))
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state.durable = state.live.clone();
        state.outstanding.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.0.lock().unwrap().run(Operation::Write(offset, data.to_vec()))
    }
}

fn at(ledger: &Ledger, log: Log) -> usize {
    usize::try_from(ledger.checkpoint(log).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn after_a_crash_the_checkpoint_tells_the_truth(
        steps in steps(120),
        batches in prop::collection::vec((1..16_usize, any::<bool>()), 1..20),
        crash in 0..400_usize,
        choice in any::<u64>(),
    ) {
        let logs = logs(&steps);
        let medium = Medium::default();
        let ledger = Ledger::open_on(medium.clone()).unwrap();
        medium.crash_after(crash);
        let (mut verdicts, mut receipts) = (0, 0);
        for (many, which) in batches {
            let (log, at, all) = if which {
                (Log::Verdicts, &mut verdicts, logs.verdicts.len())
            } else {
                (Log::Receipts, &mut receipts, logs.receipts.len())
            };
            let to = all.min(*at + many);
            if to > *at && !feed(&ledger, &logs, log, *at, to) {
                break;
            }
            *at = to;
        }
        let remains = medium.remains(choice);
        drop(ledger);

        let ledger = Ledger::open_on(Medium::of(remains)).unwrap();
        let (kept, kept_receipts) = (at(&ledger, Log::Verdicts), at(&ledger, Log::Receipts));
        prop_assert!(kept >= verdicts && kept_receipts >= receipts, "an applied batch is lost");
        prop_assert_eq!(shown(&ledger), expected(&logs, kept, kept_receipts));
        prop_assert!(feed(&ledger, &logs, Log::Verdicts, kept, logs.verdicts.len()));
        prop_assert!(feed(&ledger, &logs, Log::Receipts, kept_receipts, logs.receipts.len()));
        prop_assert_eq!(shown(&ledger), expected(&logs, logs.verdicts.len(), logs.receipts.len()));
    }
}

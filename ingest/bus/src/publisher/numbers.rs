//! The numbers of the messages of one kind. Pure.

use std::collections::BTreeSet;

/// Which numbers of one kind are acknowledged.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    last: u64,
    /// All up to here are acknowledged.
    acked: u64,
    /// Those beyond that are.
    beyond: BTreeSet<u64>,
}

impl Numbers {
    /// The next number, and up to which all are acknowledged.
    pub(super) fn next(&mut self) -> (u64, u64) {
        self.last += 1;
        (self.last, self.acked)
    }

    /// The stream has this number.
    pub(super) fn acknowledge(&mut self, number: u64) {
        self.beyond.insert(number);
        while self.beyond.remove(&(self.acked + 1)) {
            self.acked += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_mark_never_passes_a_number_that_is_not_acknowledged(order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut numbers = Numbers::default();
            for expected in 1..=40 {
                prop_assert_eq!(numbers.next().0, expected);
            }
            for (i, number) in order.iter().enumerate() {
                numbers.acknowledge(*number);
                let naive = (1..=40).take_while(|n| order[..=i].contains(n)).last().unwrap_or(0);
                prop_assert_eq!(numbers.acked, naive);
            }
            prop_assert!(numbers.beyond.is_empty());
        }
    }
}

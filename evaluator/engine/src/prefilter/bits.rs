//! A set of small numbers.

use std::iter;

/// Which policies have to be evaluated, by their place among those of their target.
#[derive(Debug)]
pub(crate) struct Candidates {
    words: Vec<u64>,
}

impl Candidates {
    /// None of `policies` yet.
    pub(super) fn none(policies: usize) -> Self {
        Self { words: vec![0; policies.div_ceil(64)] }
    }

    /// Adds some.
    pub(super) fn add(&mut self, policies: &[usize]) {
        for policy in policies {
            if let Some(word) = self.words.get_mut(policy / 64) {
                *word |= 1 << (policy % 64);
            }
        }
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.words.iter().any(|word| *word != 0)
    }

    /// Them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            iter::from_fn(move || {
                let next = (rest != 0).then(|| index * 64 + rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(next)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_names_each_once() {
        let mut candidates = Candidates::none(200);
        candidates.add(&[199, 0, 64]);
        candidates.add(&[63, 64]);
        assert_eq!(candidates.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        assert_eq!(Candidates::none(0).iter().next(), None);
    }
}

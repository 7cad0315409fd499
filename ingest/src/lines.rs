//! From bytes to lines, wherever the bytes are cut.

/// The longest line that is read. The API server cuts audit batches at 10 MiB and a Tetragon event is smaller than
/// that; a longer one is not a line but another kind of file.
pub(crate) const LONGEST_LINE: usize = 64 * 1024 * 1024;

/// Some editors and shells begin a file with this.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is kept of a longer one.
const HEAD: usize = 4 * 1024;

/// A line, numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: u64,
    /// It is longer than allowed.
    pub(crate) too_long: bool,
    /// Without its end; the beginning of one that is too long.
    pub(crate) bytes: Vec<u8>,
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    longest: usize,
    open: Vec<u8>,
    /// The current line is too long: only its beginning is in `open`.
    overflow: bool,
    number: u64,
    /// Bytes up to the end of the last line given out.
    consumed: u64,
    /// Bytes of the current line.
    pending: u64,
}

impl Lines {
    /// Starts behind `consumed` bytes and `number` lines.
    pub(crate) const fn new(longest: usize, consumed: u64, number: u64) -> Self {
        Self { longest, open: Vec::new(), overflow: false, number, consumed, pending: 0 }
    }

    /// Where the first line begins that was not given out.
    pub(crate) const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether the bytes so far end within a line.
    pub(crate) const fn is_within_line(&self) -> bool {
        self.pending > 0
    }

    /// Takes bytes, gives the lines they complete.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<Line>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending += piece.len() as u64;
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            if !self.overflow && self.open.len() + text.len() > self.longest {
                self.overflow = true;
                self.open.truncate(HEAD);
                self.open.shrink_to_fit();
            }
            let free = if self.overflow { HEAD.saturating_sub(self.open.len()) } else { usize::MAX };
            self.open.extend(text.iter().take(free));
            if ends {
                out.extend(self.complete());
            }
        }
    }

    /// What follows the last line's end: a line too, once nothing more can come.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        self.is_within_line().then(|| self.complete()).flatten()
    }

    /// An empty line is counted and not given out.
    fn complete(&mut self) -> Option<Line> {
        self.number += 1;
        self.consumed += std::mem::take(&mut self.pending);
        let too_long = std::mem::take(&mut self.overflow);
        let mut bytes = std::mem::take(&mut self.open);
        if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        let is_blank = !too_long && bytes.trim_ascii().is_empty();
        (!is_blank).then_some(Line { number: self.number, too_long, bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(number: u64, text: &str) -> Line {
        Line { number, too_long: false, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn lines_are_numbered_and_the_last_needs_no_end() {
        let mut lines = Lines::new(10, 0, 0);
        let mut out = Vec::new();
        lines.push(b"ab\n\ncd", &mut out);
        assert_eq!(out, [whole(1, "ab")]);
        assert_eq!(lines.consumed(), 4);
        assert_eq!(lines.finish(), Some(whole(3, "cd")));
        assert_eq!(lines.consumed(), 6);
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn a_byte_order_mark_belongs_to_no_line() {
        let mut lines = Lines::new(10, 0, 0);
        let mut out = Vec::new();
        lines.push(b"\xef\xbb\xbfab\n\xef\xbb\xbfc\n", &mut out);
        assert_eq!(out, [whole(1, "ab"), whole(2, "\u{feff}c")]);
        assert_eq!(lines.consumed(), 11);
    }

    #[test]
    fn a_line_that_never_ends_takes_no_memory() {
        let mut lines = Lines::new(10_000, 0, 0);
        let mut out = Vec::new();
        for _ in 0..100 {
            lines.push(&[b'x'; 1000], &mut out);
        }
        assert!(lines.open.capacity() <= 2 * HEAD);
        lines.push(b"\nok\n", &mut out);
        assert_eq!(out, [Line { number: 1, too_long: true, bytes: vec![b'x'; HEAD] }, whole(2, "ok")]);
        assert_eq!(lines.consumed(), 100_004);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn cuts_do_not_matter(text in "[a\\n]{0,60}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let (mut lines, mut out) = (Lines::new(7, 0, 0), Vec::new());
            for pair in at.windows(2) {
                lines.push(&text.as_bytes()[pair[0]..pair[1]], &mut out);
            }
            out.extend(lines.finish());
            let (mut twin, mut expected) = (Lines::new(7, 0, 0), Vec::new());
            twin.push(text.as_bytes(), &mut expected);
            expected.extend(twin.finish());
            prop_assert_eq!(out, expected);
            prop_assert_eq!(lines.consumed(), text.len() as u64);
        }
    }
}

//! The two passes over a text: backwards for what can lead to a match, and forwards along it.

use super::parse::Look;
use super::program::{Pattern, Step, WIDTH_MAX};

/// Bytes whose sets are kept at a time; of what is behind them only one in so many.
const BLOCK: usize = 4 << 10;

/// For each byte of a block, the steps from which a match can be reached there: a bit for each.
struct Block {
    from: usize,
    sets: Vec<u64>,
}

impl Pattern {
    /// Whether there is a match in `text`.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        let mut found = false;
        self.backwards(text, text.len(), 0, &self.at_end(text), |_, set| found |= set[0] & 1 != 0);
        found || self.at_end(text)[0] & 1 != 0
    }

    /// Calls `put` with the beginning and the end of each match that is not empty, in order, none overlapping another.
    ///
    /// Shape: two steps for each byte of the text at most, each of which asks every step of the pattern once.
    pub(crate) fn matches(&self, text: &[u8], mut put: impl FnMut(usize, usize)) {
        let marks = self.marks(text);
        let mut search =
            Search { pattern: self, text, marks, block: Block { from: usize::MAX, sets: Vec::new() } };
        let mut at = 0;
        while at < text.len() {
            let end = if search.set(at)[0] & 1 == 0 { at } else { search.walk(at) };
            if end > at {
                put(at, end);
                at = end;
            } else {
                at += unit(text, at).1;
            }
        }
    }

    /// The sets at the beginnings of blocks behind the first, and at the end, the last one first.
    fn marks(&self, text: &[u8]) -> Vec<(usize, Vec<u64>)> {
        let mut marks = vec![(text.len(), self.at_end(text))];
        if text.len() > BLOCK {
            let right = marks[0].1.clone();
            let mut last = text.len();
            self.backwards(text, text.len(), 0, &right, |at, set| {
                if last - at >= BLOCK {
                    last = at;
                    marks.push((at, set.to_vec()));
                }
            });
        }
        marks
    }

    fn at_end(&self, text: &[u8]) -> Vec<u64> {
        let mut set = vec![0; self.width];
        self.close(text, text.len(), &mut set);
        set
    }

    /// Goes from `end`, where the set is `right`, back to `start`, and tells the set at each place.
    fn backwards(
        &self,
        text: &[u8],
        end: usize,
        start: usize,
        right: &[u64],
        mut tell: impl FnMut(usize, &[u64]),
    ) {
        let (mut behind, mut set) = (right.to_vec(), vec![0; self.width]);
        let mut at = end;
        while at > start {
            at -= unit_before(text, at);
            self.step_back(text, at, &behind, &mut set);
            tell(at, &set);
            std::mem::swap(&mut behind, &mut set);
        }
    }

    /// The set at `at`, from that `behind` the character there.
    fn step_back(&self, text: &[u8], at: usize, behind: &[u64], set: &mut [u64]) {
        let (character, _) = unit(text, at);
        for index in 0..self.width {
            let above = behind.get(index + 1).map_or(0, |next| next << 63);
            set[index] = behind[index] >> 1 | above;
        }
        if character < 128 {
            let takes = &self.takes[character as usize * self.width..][..self.width];
            set.iter_mut().zip(takes).for_each(|(bits, takes)| *bits &= takes);
        } else {
            let mut left = [0_u64; WIDTH_MAX];
            let of_sets = self.of_sets.chunks_exact(self.width);
            for (_, takes) in self.sets.iter().zip(of_sets).filter(|(set, _)| set.holds(character)) {
                left.iter_mut().zip(takes).for_each(|(left, takes)| *left |= takes);
            }
            set.iter_mut().zip(left).for_each(|(bits, takes)| *bits &= takes);
        }
        self.close(text, at, set);
    }

    /// Adds the steps that take no character and lead to one that is in `set`, until no more do: loops within loops take
    /// as many rounds as there are of them.
    fn close(&self, text: &[u8], at: usize, set: &mut [u64]) {
        let has = |set: &[u64], step: usize| set[step / 64] >> (step % 64) & 1 != 0;
        let mut changes = true;
        while changes {
            changes = false;
            for index in self.free.iter().map(|index| usize::from(*index)) {
                let leads = match self.steps[index] {
                    Step::Match => true,
                    Step::Either(one, two) => has(set, usize::from(one)) || has(set, usize::from(two)),
                    Step::Look(look) => has(set, index + 1) && holds(look, text, at),
                    Step::Set(_) => false,
                };
                if leads && !has(set, index) {
                    set[index / 64] |= 1 << (index % 64);
                    changes = true;
                }
            }
        }
    }
}

struct Search<'a> {
    pattern: &'a Pattern,
    text: &'a [u8],
    /// Those of the blocks that are still to come, the next one last.
    marks: Vec<(usize, Vec<u64>)>,
    block: Block,
}

impl Search<'_> {
    /// The set at `at`: each block is worked out once, because places are asked for in order.
    fn set(&mut self, at: usize) -> &[u64] {
        let width = self.pattern.width;
        let end = self.block.from.saturating_add(self.block.sets.len() / width);
        // One place back, a match has ended at the border of two blocks.
        if at < self.block.from || at >= end {
            self.load(at);
        }
        &self.block.sets[(at - self.block.from) * width..][..width]
    }

    /// Works out the block that begins at `at`.
    fn load(&mut self, at: usize) {
        while self.marks.len() > 1 && self.marks.last().is_some_and(|(place, _)| *place <= at) {
            self.marks.pop();
        }
        let width = self.pattern.width;
        let (end, right) = self.marks.last().expect("the end of the text is the last mark");
        self.block.from = at;
        self.block.sets.clear();
        self.block.sets.resize((end + 1 - at) * width, 0);
        let sets = &mut self.block.sets;
        sets[(end - at) * width..].copy_from_slice(right);
        self.pattern.backwards(self.text, *end, at, right, |place, set| {
            sets[(place - at) * width..][..width].copy_from_slice(set);
        });
    }

    fn has(&mut self, at: usize, step: usize) -> bool {
        self.set(at)[step / 64] >> (step % 64) & 1 != 0
    }

    /// Where the match that begins at `start` ends: along the steps that lead to one, the preferred ones first.
    fn walk(&mut self, start: usize) -> usize {
        let (mut at, mut first) = (start, 0);
        let mut seen = vec![0_u64; self.pattern.width];
        let mut open = Vec::new();
        'characters: loop {
            seen.fill(0);
            open.clear();
            open.push(first);
            while let Some(index) = open.pop() {
                if seen[index / 64] >> (index % 64) & 1 != 0 {
                    continue;
                }
                seen[index / 64] |= 1 << (index % 64);
                match self.pattern.steps[index] {
                    Step::Match => return at,
                    Step::Either(one, two) => open.extend([usize::from(two), usize::from(one)]),
                    Step::Look(look) if holds(look, self.text, at) => open.push(index + 1),
                    Step::Set(set) if at < self.text.len() => {
                        let (character, length) = unit(self.text, at);
                        let takes = self.pattern.sets[usize::from(set)].holds(character);
                        if takes && self.has(at + length, index + 1) {
                            (at, first) = (at + length, index + 1);
                            continue 'characters;
                        }
                    }
                    Step::Set(_) | Step::Look(_) => {}
                }
            }
            // Not reached: the set said that there is a match.
            return start;
        }
    }
}

/// The character at `at` and its length; the replacement character for a byte that is no UTF-8.
fn unit(text: &[u8], at: usize) -> (u32, usize) {
    let first = text[at];
    if first < 0x80 {
        return (u32::from(first), 1);
    }
    let length = match first {
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => 1,
    };
    let decoded = text.get(at..at + length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match decoded.and_then(|text| text.chars().next()) {
        Some(character) => (u32::from(character), length),
        None => (u32::from(char::REPLACEMENT_CHARACTER), 1),
    }
}

/// The length of the character that ends at `at`.
fn unit_before(text: &[u8], at: usize) -> usize {
    if text[at - 1] < 0x80 {
        return 1;
    }
    (2..=4.min(at)).find(|length| unit(text, at - length).1 == *length).unwrap_or(1)
}

fn holds(look: Look, text: &[u8], at: usize) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let behind = text.get(at);
    match look {
        Look::Start => at == 0,
        Look::End => at == text.len(),
        Look::StartOfLine => before.is_none_or(|byte| *byte == b'\n'),
        Look::EndOfLine => behind.is_none_or(|byte| *byte == b'\n'),
        Look::Border => is_word(before) != is_word(behind),
        Look::NoBorder => is_word(before) == is_word(behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Rng;
    use regex_lite::Regex;

    fn found(pattern: &str, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let pattern = Pattern::new(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
        pattern.matches(text, |start, end| found.push((start, end)));
        assert!(pattern.is_match(text) || found.is_empty());
        found
    }

    fn expected(pattern: &str, text: &str) -> Vec<(usize, usize)> {
        let regex = Regex::new(pattern).expect("a pattern");
        let all = regex.find_iter(text).map(|found| (found.start(), found.end()));
        all.filter(|(start, end)| start < end).collect()
    }

    #[test]
    fn matches_are_those_of_another_engine() {
        let patterns = [
            r"ORD-[0-9]{6}",
            r"\d+(?:.*USD)?",
            "a|ab|abc",
            "abc|ab|a",
            "(a|b)*c",
            "(?:a*)*b",
            "(a*?)+b",
            "a{2,3}?",
            r"\bfoo\b",
            "^x|y$",
            "(?m)^x|y$",
            "(?i)straße",
            ".",
            "(?s).+",
            "[^a-c]+",
            "[[:alpha:]_]+",
            r"\W+",
            r"(?x) a  b # c",
            "(?i:AB)c",
            "a??b",
            "(|a)+b",
            r"\x41\u00e9",
            "[]a]+",
            r"[\d\-.]+",
            "(?U)a+",
            "(?:ab?)*?c",
            r"\Aab|ab\z",
            r"\Ba",
            "(a|(b|c)*d)*e",
            "x{0,2}y{1,}",
            "é+|ü",
        ];
        let alphabet: Vec<char> = "aabbcxyéüß😀 \n-._0123456789USDORfoABstre".chars().collect();
        let mut rng = Rng::new(7);
        let mut hits = 0;
        for round in 0..20_000 {
            let length = rng.below(24);
            let text: String =
                (0..length).map(|_| alphabet[rng.below(alphabet.len() as u64) as usize]).collect();
            let pattern = patterns[round % patterns.len()];
            let all = expected(pattern, &text);
            hits += all.len();
            assert_eq!(found(pattern, text.as_bytes()), all, "{pattern:?} in {text:?}");
        }
        assert!(hits > 5_000, "{hits} matches prove little");
    }

    /// Patterns that nobody has thought of: what both engines understand, they find alike.
    #[test]
    fn random_patterns_mean_the_same_to_both() {
        const PARTS: [&str; 22] = [
            "a", "b", "c", ".", "(", ")", "|", "*", "+", "?", "{2}", "{1,}", "{0,2}", "[ab]", "[^a]", "^",
            "$", r"\b", r"\w", "(?:", "(?i:", "B",
        ];
        let mut rng = Rng::new(11);
        let mut understood = 0;
        for _ in 0..60_000 {
            let count = 1 + rng.below(9);
            let pattern: String = (0..count).map(|_| PARTS[rng.below(PARTS.len() as u64) as usize]).collect();
            let (ours, theirs) = (Pattern::new(&pattern), Regex::new(&pattern));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{pattern:?}: {ours:?}, {theirs:?}");
            if ours.is_err() {
                continue;
            }
            understood += 1;
            let text: String =
                (0..rng.below(12)).map(|_| ["a", "b", "c", "B", " "][rng.below(5) as usize]).collect();
            assert_eq!(
                found(&pattern, text.as_bytes()),
                expected(&pattern, &text),
                "{pattern:?} in {text:?}"
            );
        }
        assert!(understood > 5_000, "{understood}");
    }

    #[test]
    fn matches_across_blocks_are_whole() {
        let text = format!("{}x{}y{}", "-".repeat(BLOCK - 3), "a".repeat(3 * BLOCK), "é".repeat(BLOCK));
        assert_eq!(found("xa+y", text.as_bytes()), [(BLOCK - 3, 4 * BLOCK - 1)]);
        assert_eq!(found("é+", text.as_bytes()), [(4 * BLOCK - 1, text.len())]);
        let many = "ab ".repeat(10_000);
        assert_eq!(found("ab", many.as_bytes()).len(), 10_000);
    }

    #[test]
    fn bytes_that_are_no_text_are_passed_over_and_found() {
        assert_eq!(found("b", b"\xff\xfe b \xe2\x82 b"), [(3, 4), (8, 9)]);
        assert_eq!(found("a.c", b"a\xffc a\xe2\x82\xacc"), [(0, 3), (4, 9)]);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for text in [
            "(",
            ")",
            "[",
            "a{2,1}",
            "*",
            r"\k",
            "(?=a)",
            "(?P<>a)",
            r"\",
            "[b-a]",
            "a{9999}",
            "(a{100}){100}",
        ] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
        let deep = format!("{}a{}", "(".repeat(40), ")".repeat(40));
        assert!(Pattern::new(&deep).is_err());
    }
}

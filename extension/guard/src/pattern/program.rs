//! A pattern as steps, one for each place in it.

use super::parse::{Look, Node, Set};

/// Steps of one pattern. Each byte of a text asks all steps, 64 at a time.
const STEPS_MAX: usize = 512;
pub(super) const WIDTH_MAX: usize = STEPS_MAX.div_ceil(64);

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A character of this set; the next step follows.
    Set(u16),
    /// If this holds, the next step follows.
    Look(Look),
    /// The first one if it leads to a match, else the second.
    Either(u16, u16),
    Match,
}

/// See the module's parent.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(super) steps: Vec<Step>,
    pub(super) sets: Vec<Set>,
    /// The steps that take no character, the last one first.
    pub(super) free: Vec<u16>,
    /// For each byte of ASCII, the steps that take it: a bit for each.
    pub(super) takes: Vec<u64>,
    /// The same for each of `sets`: what is no ASCII asks every set once, and not every step.
    pub(super) of_sets: Vec<u64>,
    /// Ranges in all sets.
    ranges: usize,
    /// Numbers of 64 bits in a bit for each step.
    pub(super) width: usize,
}

impl Pattern {
    pub(super) fn compile(node: &Node) -> Result<Self, String> {
        let mut compiler = Compiler { steps: Vec::new(), sets: Vec::new() };
        compiler.put(node)?;
        compiler.step(Step::Match)?;
        let Compiler { steps, sets } = compiler;
        let width = steps.len().div_ceil(64);
        let mut takes = vec![0_u64; 128 * width];
        let mut of_sets = vec![0_u64; sets.len() * width];
        let ranges = sets.iter().map(|set| set.0.len()).sum();
        let mut free = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Set(set) => {
                    of_sets[usize::from(*set) * width + index / 64] |= 1 << (index % 64);
                    let set = &sets[usize::from(*set)];
                    for byte in (0..128_usize).filter(|byte| set.holds(*byte as u32)) {
                        takes[byte * width + index / 64] |= 1 << (index % 64);
                    }
                }
                _ => free.insert(0, index as u16),
            }
        }
        Ok(Self { steps, sets, free, takes, of_sets, ranges, width })
    }

    /// What searching `text` costs, where looking at a byte is one: the steps that are asked, eight for one.
    pub(crate) fn cost(&self, text: &[u8]) -> usize {
        let narrow = 1 + (self.width + self.free.len()) / 8;
        let wide = 1 + (self.width * (1 + self.sets.len()) + self.ranges + self.free.len()) / 8;
        // Each byte of another letter is counted: one that is no UTF-8 is a character of its own.
        let others = text.iter().filter(|byte| !byte.is_ascii()).count();
        (text.len() - others).saturating_mul(narrow).saturating_add(others.saturating_mul(wide))
    }
}

struct Compiler {
    steps: Vec<Step>,
    sets: Vec<Set>,
}

impl Compiler {
    fn step(&mut self, step: Step) -> Result<usize, String> {
        if self.steps.len() == STEPS_MAX {
            return Err(format!("it has more than {STEPS_MAX} steps"));
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn put(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Set(set) => {
                let known = self.sets.iter().position(|known| known == set);
                let index = known.unwrap_or(self.sets.len());
                if known.is_none() {
                    self.sets.push(set.clone());
                }
                self.step(Step::Set(index as u16)).map(drop)
            }
            Node::Look(look) => self.step(Step::Look(*look)).map(drop),
            Node::All(nodes) => nodes.iter().try_for_each(|node| self.put(node)),
            Node::Any(nodes) => self.put_any(nodes),
            Node::Repeat { node, min, max, is_lazy } => self.put_repeat(node, *min, *max, *is_lazy),
        }
    }

    fn put_any(&mut self, nodes: &[Node]) -> Result<(), String> {
        let Some((last, others)) = nodes.split_last() else { return Ok(()) };
        let mut ends = Vec::new();
        for node in others {
            let fork = self.step(Step::Match)?;
            self.put(node)?;
            ends.push(self.step(Step::Match)?);
            self.steps[fork] = Step::Either(fork as u16 + 1, self.steps.len() as u16);
        }
        self.put(last)?;
        let end = self.steps.len() as u16;
        ends.into_iter().for_each(|jump| self.steps[jump] = Step::Either(end, end));
        Ok(())
    }

    fn put_repeat(&mut self, node: &Node, min: u32, max: Option<u32>, is_lazy: bool) -> Result<(), String> {
        let either = |go_in: usize, go_on: usize| {
            let (go_in, go_on) = (go_in as u16, go_on as u16);
            if is_lazy { Step::Either(go_on, go_in) } else { Step::Either(go_in, go_on) }
        };
        for _ in 1..min {
            self.put(node)?;
        }
        let Some(max) = max else {
            let skip = if min == 0 { Some(self.step(Step::Match)?) } else { None };
            let start = self.steps.len();
            self.put(node)?;
            let again = self.step(Step::Match)?;
            self.steps[again] = either(start, again + 1);
            if let Some(skip) = skip {
                self.steps[skip] = either(start, again + 1);
            }
            return Ok(());
        };
        if min > 0 {
            self.put(node)?;
        }
        let mut skips = Vec::new();
        for _ in min..max {
            skips.push(self.step(Step::Match)?);
            self.put(node)?;
        }
        let end = self.steps.len();
        skips.into_iter().for_each(|skip| self.steps[skip] = either(skip + 1, end));
        Ok(())
    }
}

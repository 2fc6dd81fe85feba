//! The text of a pattern, as a tree.

/// Brackets in brackets: reading uses no more of the stack than so many calls.
const NESTING_MAX: u32 = 32;
/// `{n}` up to this; more would be more steps than a pattern may have.
const REPEAT_MAX: u32 = 1_000;

/// Characters, as ranges of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(pub(super) Vec<(u32, u32)>);

const LAST: u32 = char::MAX as u32;

impl Set {
    fn of(ranges: &[(char, char)]) -> Self {
        Self(ranges.iter().map(|(first, last)| (u32::from(*first), u32::from(*last))).collect())
    }

    fn one(character: char) -> Self {
        Self::of(&[(character, character)])
    }

    fn add(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// All others.
    fn negated(mut self) -> Self {
        self.0.sort_unstable();
        let (mut others, mut next) = (Vec::new(), 0);
        for (first, last) in self.0 {
            if first > next {
                others.push((next, first - 1));
            }
            next = next.max(last + 1);
        }
        if next <= LAST {
            others.push((next, LAST));
        }
        Self(others)
    }

    /// With the other case of each letter of ASCII.
    fn any_case(mut self) -> Self {
        for index in 0..self.0.len() {
            let (first, last) = self.0[index];
            for (from, to, other) in [(b'a', b'z', b'A'), (b'A', b'Z', b'a')] {
                let (from, to, other) = (u32::from(from), u32::from(to), u32::from(other));
                let (first, last) = (first.max(from), last.min(to));
                if first <= last {
                    self.0.push((first - from + other, last - from + other));
                }
            }
        }
        self
    }

    pub(super) fn holds(&self, character: u32) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&character))
    }
}

/// A condition on a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Start,
    End,
    StartOfLine,
    EndOfLine,
    Border,
    NoBorder,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Set(Set),
    Look(Look),
    /// One after the other; nothing where there is none.
    All(Vec<Node>),
    /// The first that leads to a match.
    Any(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
        is_lazy: bool,
    },
}

/// What holds from where it is said to the end of the group.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    any_case: bool,
    many_lines: bool,
    dot_is_all: bool,
    swaps_greed: bool,
    is_spaced: bool,
}

pub(super) struct Parser<'a> {
    rest: &'a str,
    flags: Flags,
    depth: u32,
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    pub(super) fn parse(text: &'a str) -> Parsed<Node> {
        let mut parser = Self { rest: text, flags: Flags::default(), depth: 0 };
        let node = parser.alternatives()?;
        if parser.rest.is_empty() { Ok(node) } else { Err("a bracket is closed that was not opened".into()) }
    }

    fn take(&mut self) -> Option<char> {
        let taken = self.rest.chars().next()?;
        self.rest = &self.rest[taken.len_utf8()..];
        Some(taken)
    }

    fn skip(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn alternatives(&mut self) -> Parsed<Node> {
        let flags = self.flags;
        let mut all = vec![self.sequence()?];
        while self.skip("|") {
            all.push(self.sequence()?);
        }
        self.flags = flags;
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Any(all) })
    }

    fn sequence(&mut self) -> Parsed<Node> {
        let mut all = Vec::new();
        loop {
            if self.flags.is_spaced {
                self.skip_space();
            }
            match self.rest.chars().next() {
                None | Some('|' | ')') => return Ok(Node::All(all)),
                Some('*' | '+' | '?' | '{') => return Err("there is nothing to repeat".into()),
                Some(_) => {
                    if let Some(node) = self.single()? {
                        all.push(self.repeated(node)?);
                    }
                }
            }
        }
    }

    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    /// `None` for flags, which match nothing themselves.
    fn single(&mut self) -> Parsed<Option<Node>> {
        let taken = self.take().ok_or("it ends too early")?;
        let (many_lines, any_case) = (self.flags.many_lines, self.flags.any_case);
        Ok(Some(match taken {
            '(' => return self.group(),
            '[' => {
                let set = self.class()?;
                Node::Set(set)
            }
            '.' if self.flags.dot_is_all => Node::Set(Set::default().negated()),
            '.' => Node::Set(Set::one('\n').negated()),
            '^' => Node::Look(if many_lines { Look::StartOfLine } else { Look::Start }),
            '$' => Node::Look(if many_lines { Look::EndOfLine } else { Look::End }),
            '\\' => self.escape()?,
            character if any_case => Node::Set(Set::one(character).any_case()),
            character => Node::Set(Set::one(character)),
        }))
    }

    fn group(&mut self) -> Parsed<Option<Node>> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err("its brackets are nested too deep".into());
        }
        let before = self.flags;
        if self.skip("?P<") || self.skip("?<") {
            let (name, rest) = self.rest.split_once('>').ok_or("the name of a group has no end")?;
            if name.is_empty() || !name.chars().all(|part| part.is_ascii_alphanumeric() || part == '_') {
                return Err(
                    "the name of a group is no name, or it looks around, which is not supported".into()
                );
            }
            self.rest = rest;
        } else if self.skip("?") {
            self.read_flags()?;
            if self.skip(")") {
                self.depth -= 1;
                return Ok(None);
            }
            if !self.skip(":") {
                return Err("such a group is not supported".into());
            }
        }
        let node = self.alternatives()?;
        if !self.skip(")") {
            return Err("a bracket is not closed".into());
        }
        self.flags = before;
        self.depth -= 1;
        Ok(Some(node))
    }

    fn read_flags(&mut self) -> Parsed<()> {
        let mut value = true;
        if self.rest.starts_with(')') {
            return Err("there is nothing to repeat".into());
        }
        while let Some(flag) = self.rest.chars().next().filter(|flag| !matches!(flag, ':' | ')')) {
            self.take();
            match flag {
                '-' => value = false,
                'i' => self.flags.any_case = value,
                'm' => self.flags.many_lines = value,
                's' => self.flags.dot_is_all = value,
                'U' => self.flags.swaps_greed = value,
                'x' => self.flags.is_spaced = value,
                'u' => {}
                _ => return Err("such a group is not supported".into()),
            }
        }
        Ok(())
    }

    fn repeated(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            if self.flags.is_spaced {
                self.skip_space();
            }
            let (min, max) = match self.rest.chars().next() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => {
                    self.take();
                    let (min, max) = self.counts()?;
                    node = self.repeat(node, min, max);
                    continue;
                }
                _ => return Ok(node),
            };
            self.take();
            node = self.repeat(node, min, max);
        }
    }

    fn repeat(&mut self, node: Node, min: u32, max: Option<u32>) -> Node {
        let is_lazy = self.skip("?") != self.flags.swaps_greed;
        Node::Repeat { node: Box::new(node), min, max, is_lazy }
    }

    fn counts(&mut self) -> Parsed<(u32, Option<u32>)> {
        let wrong = || "a repetition is not {n}, {n,} or {n,m}".to_owned();
        let (text, rest) = self.rest.split_once('}').ok_or_else(wrong)?;
        self.rest = rest;
        let number = |text: &str| {
            let number = text.trim().parse().ok().filter(|number| *number <= REPEAT_MAX);
            number.ok_or_else(|| format!("a repetition is not a number up to {REPEAT_MAX}"))
        };
        match text.split_once(',') {
            None => number(text).map(|count| (count, Some(count))),
            Some((min, "")) => Ok((number(min)?, None)),
            Some((min, max)) => {
                let (min, max) = (number(min)?, number(max)?);
                if min <= max { Ok((min, Some(max))) } else { Err(wrong()) }
            }
        }
    }

    fn escape(&mut self) -> Parsed<Node> {
        let taken = self.take().ok_or("it ends in a backslash")?;
        Ok(match taken {
            'b' if self.rest.starts_with('{')
                && self.rest[1..].starts_with(|next: char| next.is_alphabetic()) =>
            {
                return Err("such a border is not supported".into());
            }
            'b' => Node::Look(Look::Border),
            'B' => Node::Look(Look::NoBorder),
            'A' => Node::Look(Look::Start),
            'z' => Node::Look(Look::End),
            _ => match named(taken) {
                Some(set) => Node::Set(set),
                None => {
                    let set = Set::one(self.character(taken)?);
                    Node::Set(if self.flags.any_case { set.any_case() } else { set })
                }
            },
        })
    }

    /// The character that a backslash and `taken` begin.
    fn character(&mut self, taken: char) -> Parsed<char> {
        Ok(match taken {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            'x' => return self.hex(2),
            'u' => return self.hex(4),
            'U' => return self.hex(8),
            _ if taken.is_ascii_alphanumeric() => return Err("an escape is not supported".into()),
            _ => taken,
        })
    }

    fn hex(&mut self, digits: usize) -> Parsed<char> {
        let text = if self.skip("{") {
            let (text, rest) = self.rest.split_once('}').ok_or("an escape has no end")?;
            self.rest = rest;
            text
        } else {
            let text = self.rest.get(..digits).ok_or("an escape ends too early")?;
            self.rest = &self.rest[digits..];
            text
        };
        let number = u32::from_str_radix(text, 16).ok();
        Ok(number.and_then(char::from_u32).ok_or("an escape is no character")?)
    }

    /// What stands between `[` and `]`.
    fn class(&mut self) -> Parsed<Set> {
        let is_negated = self.skip("^");
        let mut set = Set::default();
        let mut is_first = true;
        loop {
            if !is_first && self.skip("]") {
                break;
            }
            is_first = false;
            match self.posix()? {
                Some(named) => set.add(&named),
                None => self.range(&mut set)?,
            }
        }
        let set = if self.flags.any_case { set.any_case() } else { set };
        Ok(if is_negated { set.negated() } else { set })
    }

    fn range(&mut self, set: &mut Set) -> Parsed<()> {
        let first = match self.class_character()? {
            Ok(character) => character,
            Err(named) => {
                set.add(&named);
                return Ok(());
            }
        };
        if !self.rest.starts_with('-') || self.rest.starts_with("-]") {
            set.add(&Set::one(first));
            return Ok(());
        }
        self.take();
        let last = self.class_character()?.map_err(|_| "a range ends in a class")?;
        if first > last {
            return Err("a range is upside down".into());
        }
        set.add(&Set::of(&[(first, last)]));
        Ok(())
    }

    fn class_character(&mut self) -> Parsed<Result<char, Set>> {
        let taken = self.take().ok_or("a class has no end")?;
        match taken {
            '\\' => {
                let taken = self.take().ok_or("it ends in a backslash")?;
                match named(taken) {
                    Some(set) => Ok(Err(set)),
                    None => self.character(taken).map(Ok),
                }
            }
            '&' if self.rest.starts_with('&') => Err("operations on classes are not supported".into()),
            '[' => Err("classes in classes are not supported".into()),
            _ => Ok(Ok(taken)),
        }
    }

    fn posix(&mut self) -> Parsed<Option<Set>> {
        if !self.rest.starts_with("[:") {
            return Ok(None);
        }
        let (name, rest) = self.rest[2..].split_once(":]").ok_or("a named class has no end")?;
        let (name, is_negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let set = match name {
            "alnum" => Set::of(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
            "alpha" => Set::of(&[('A', 'Z'), ('a', 'z')]),
            "ascii" => Set::of(&[('\0', '\x7f')]),
            "blank" => Set::of(&[('\t', '\t'), (' ', ' ')]),
            "cntrl" => Set::of(&[('\0', '\x1f'), ('\x7f', '\x7f')]),
            "digit" => digits(),
            "graph" => Set::of(&[('!', '~')]),
            "lower" => Set::of(&[('a', 'z')]),
            "print" => Set::of(&[(' ', '~')]),
            "punct" => Set::of(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
            "space" => Set::of(&[('\t', '\r'), (' ', ' ')]),
            "upper" => Set::of(&[('A', 'Z')]),
            "word" => words(),
            "xdigit" => Set::of(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
            _ => return Err("there is no class of this name".into()),
        };
        self.rest = rest;
        Ok(Some(if is_negated { set.negated() } else { set }))
    }
}

fn digits() -> Set {
    Set::of(&[('0', '9')])
}

fn words() -> Set {
    Set::of(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')])
}

/// The class of `\d` and its like.
fn named(taken: char) -> Option<Set> {
    let spaces = || Set::of(&[('\t', '\r'), (' ', ' ')]);
    Some(match taken {
        'd' => digits(),
        'D' => digits().negated(),
        's' => spaces(),
        'S' => spaces().negated(),
        'w' => words(),
        'W' => words().negated(),
        _ => return None,
    })
}

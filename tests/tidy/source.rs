//! Just enough of Rust's grammar to tell code from comments, strings and tests.

/// Which parts of a file a rule looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Code alone; the insides of strings and characters are blank.
    Code,
    /// Code and what its strings say.
    CodeAndStrings,
}

/// `text` with everything else blanked out; every line stays where it was.
pub(crate) fn keep(text: &str, look: Look) -> String {
    let mut lexer = Lexer { rest: text, kept: String::with_capacity(text.len()), look };
    while lexer.step() {}
    lexer.kept
}

/// `code` (from [`keep`]) without the items under `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        kept.push_str(&rest[..start]);
        let item = &rest[start..];
        let length = MARK.len() + item_length(&item[MARK.len()..]);
        push_blank(&mut kept, &item[..length]);
        rest = &item[length..];
    }
    kept + rest
}

/// The functions of `code` (from [`keep`]): (name, line it begins on, lines it takes).
pub(crate) fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for start in word_positions(code, "fn") {
        let name: String = code[start + 2..].trim_start().chars().take_while(|c| is_word(*c)).collect();
        let item = &code[start..start + item_length(&code[start..])];
        if !name.is_empty() && item.ends_with('}') {
            found.push((name, line_of(code, start), item.lines().count()));
        }
    }
    found
}

/// Where `word` stands in `code` with no letter, digit or underscore beside it.
pub(crate) fn word_positions(code: &str, word: &str) -> Vec<usize> {
    let starts_as_word = word.starts_with(is_word);
    let ends_as_word = word.ends_with(is_word);
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| !(starts_as_word && code[..*at].ends_with(is_word)))
        .filter(|at| !(ends_as_word && code[at + word.len()..].starts_with(is_word)))
        .collect()
}

/// The line, counted from 1, of a position in `text`.
pub(crate) fn line_of(text: &str, position: usize) -> usize {
    text[..position].matches('\n').count() + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How far an item reaches: to the `;` or the closing `}` that ends it, outside all brackets.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Adds as many blanks as `text` has characters, and its line ends.
fn push_blank(kept: &mut String, text: &str) {
    kept.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
}

struct Lexer<'a> {
    rest: &'a str,
    kept: String,
    look: Look,
}

impl Lexer<'_> {
    /// Takes one comment, literal or character; `false` at the end.
    fn step(&mut self) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        if let Some(length) = comment(self.rest) {
            self.blank(length);
        } else if let Some((opening, length)) = self.literal() {
            self.keep(opening);
            self.inside(length - opening);
        } else {
            self.keep(self.rest.chars().next().map_or(0, char::len_utf8));
        }
        true
    }

    /// The literal that begins here: the bytes of its opening, and of the whole.
    fn literal(&self) -> Option<(usize, usize)> {
        if self.kept.ends_with(is_word) {
            return None; // the r of `for"`, were that Rust, opens nothing
        }
        raw_string(self.rest).or_else(|| string(self.rest)).or_else(|| character(self.rest))
    }

    fn keep(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.kept.push_str(taken);
        self.rest = rest;
    }

    fn blank(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        push_blank(&mut self.kept, taken);
        self.rest = rest;
    }

    fn inside(&mut self, length: usize) {
        if self.look == Look::CodeAndStrings { self.keep(length) } else { self.blank(length) }
    }
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return Some(at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    Some(text.len())
}

fn raw_string(text: &str) -> Option<(usize, usize)> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let hashes = text[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let opening = prefix.len() + hashes + 1;
    if !text[prefix.len() + hashes..].starts_with('"') {
        return None;
    }
    let closing = format!("\"{}", "#".repeat(hashes));
    let length = text[opening..].find(&closing).map_or(text.len(), |at| opening + at + closing.len());
    Some((opening, length))
}

fn string(text: &str) -> Option<(usize, usize)> {
    let opening = ["b\"", "c\"", "\""].into_iter().find(|opening| text.starts_with(opening))?.len();
    Some((opening, opening + quoted_length(&text[opening..], '"')))
}

/// A character, and not a lifetime: `'a'` ends after one character, or begins with a backslash.
fn character(text: &str) -> Option<(usize, usize)> {
    let opening = ["b'", "'"].into_iter().find(|opening| text.starts_with(opening))?.len();
    let mut inside = text[opening..].chars();
    let first = inside.next()?;
    (first == '\\' || inside.next() == Some('\''))
        .then(|| (opening, opening + quoted_length(&text[opening..], '\'')))
}

/// Up to and with the closing quote, past whatever a backslash escapes.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[test]
fn comments_and_strings_are_told_from_code() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("b")"#, r#"f(" )"#),
        (r##"f(r#"b"#)"##, r##"f(r#"  )"##),
        (r"f('b', '\'', 'x)", r"f(' , ' , 'x)"),
        ("for x in y<'a> {}", "for x in y<'a> {}"),
    ];
    for (text, code) in cases {
        let kept = keep(text, Look::Code);
        assert_eq!(
            kept.split_whitespace().collect::<Vec<_>>(),
            code.split_whitespace().collect::<Vec<_>>(),
            "{text}"
        );
        assert_eq!(kept.chars().count(), text.chars().count(), "{text}");
    }
    assert_eq!(keep("f(\"b\") // c", Look::CodeAndStrings), "f(\"b\")     ");
}

#[test]
fn tests_are_cut_out() {
    let code = "a();\n#[cfg(test)]\nmod tests {\n    b();\n}\nc();\n#[cfg(test)]\nextern crate std;\nd();";
    let kept = without_tests(code);
    assert_eq!(kept.split_whitespace().collect::<Vec<_>>(), ["a();", "c();", "d();"]);
    assert_eq!(kept.lines().count(), code.lines().count());
}

#[test]
fn functions_are_measured() {
    let code = "trait T {\n    fn a();\n    fn b() {\n        c();\n    }\n}\nlet f: fn(u8) = g;";
    assert_eq!(functions(code), [("b".to_owned(), 3, 3)]);
}

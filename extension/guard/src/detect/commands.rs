//! Commands whose options take a password: `curl -u name:…`, `mysql -p…`, `docker login -p …`.

use super::{before, has_word};

/// A word of a command line, the option behind it that takes a password, and whether it may be written without a blank.
struct Command {
    word: &'static [u8],
    option: u8,
    is_glued: bool,
}

const fn command(word: &'static [u8], option: u8, is_glued: bool) -> Command {
    Command { word, option, is_glued }
}

/// # Source
/// The manual page of each.
const COMMANDS: [Command; 14] = [
    command(b"curl", b'u', true),
    command(b"login", b'p', false),
    command(b"sshpass", b'p', true),
    command(b"mysql", b'p', true),
    command(b"mysqldump", b'p', true),
    command(b"mysqladmin", b'p', true),
    command(b"mariadb", b'p', true),
    command(b"mongo", b'p', false),
    command(b"mongosh", b'p', false),
    command(b"mongodump", b'p', false),
    command(b"redis-cli", b'a', false),
    command(b"ldapsearch", b'w', false),
    command(b"sqlcmd", b'P', false),
    command(b"bcp", b'P', false),
];
/// Long options whose value is a name, a colon and a password.
const USERS: [&[u8]; 2] = [b"user", b"proxy-user"];

/// A secret in a command line: where it begins, and the quotation mark that ends its word, if one opens it.
pub(super) struct Secret {
    pub(super) start: usize,
    quote: Option<u8>,
}

impl Secret {
    /// The rest of the word of a shell from `start` on; the quotation mark, if there is one, is at `opens`.
    fn of_word(text: &[u8], opens: usize, start: usize) -> Self {
        let quote = text.get(opens).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        Self { start: if quote.is_some() { start.max(opens + 1) } else { start }, quote }
    }

    /// Where it ends: with its word.
    pub(super) fn end(&self, text: &[u8]) -> usize {
        let ends = |byte: &u8| match self.quote {
            Some(quote) => *byte == quote,
            None => byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b';' | b'|'),
        };
        let length = text[self.start..].iter().position(ends);
        length.map_or(text.len(), |length| self.start + length)
    }
}

/// The commands of the line that is read; each byte is looked at once, however many options ask.
pub(super) struct Commands<'a> {
    text: &'a [u8],
    /// How far it has been read.
    read: usize,
    /// A bit for each command of the line so far.
    found: u16,
}

impl<'a> Commands<'a> {
    pub(super) const fn of(text: &'a [u8]) -> Self {
        Self { text, read: 0, found: 0 }
    }

    /// The secret that the option at `sign` takes, whose name is `start..end`.
    pub(super) fn secret_of(&mut self, sign: usize, start: usize, end: usize) -> Option<Secret> {
        let name = &self.text[start..end];
        if start == sign + 2 {
            let takes_user = USERS.contains(&name) && matches!(self.text.get(end), Some(b' ' | b'='));
            return if takes_user { self.password(end + 1) } else { None };
        }
        let option = *name.first()?;
        if !COMMANDS.iter().any(|command| command.option == option) {
            return None;
        }
        self.read_to(sign);
        let is_found = |(index, command): &(usize, &Command)| {
            self.found & 1 << index != 0 && command.option == option && (command.is_glued || name.len() == 1)
        };
        let (_, command) = COMMANDS.iter().enumerate().find(is_found)?;
        let is_apart = name.len() == 1;
        if is_apart && self.text.get(end) != Some(&b' ') {
            return None;
        }
        let value = if is_apart { end + 1 } else { start + 1 };
        match (command.option, self.text.get(value)) {
            (b'u', _) => self.password(value),
            (_, None | Some(b'-')) => None,
            _ => Some(Secret::of_word(self.text, value, value)),
        }
    }

    /// The password in `name:password` at `start`; what has none in it, or a scheme, is none.
    fn password(&self, start: usize) -> Option<Secret> {
        /// Longer names are none.
        const NAME_MAX: usize = 64;
        let rest = self.text.get(start..)?;
        let ends = |byte: &u8| *byte == b':' || byte.is_ascii_whitespace();
        let colon = rest.iter().take(NAME_MAX).position(ends).filter(|at| rest[*at] == b':')?;
        let password = &rest[colon + 1..];
        let is_number = password.first().is_some_and(u8::is_ascii_digit)
            && password.iter().take_while(|byte| !byte.is_ascii_whitespace()).all(u8::is_ascii_digit);
        // `docker run --user 1000:1000`.
        (!password.starts_with(b"//") && !is_number)
            .then(|| Secret::of_word(self.text, start, start + colon + 1))
    }

    fn read_to(&mut self, sign: usize) {
        while self.read < sign {
            match self.text[self.read] {
                // Behind a backslash the line goes on.
                b'\n' if before(self.text, self.read) == Some(b'\\') => {}
                b'\n' | b'\r' | b';' | b'|' => self.found = 0,
                byte if byte.is_ascii_alphabetic() => {
                    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    let begins = before(self.text, self.read).is_none_or(|byte| !is_word(byte));
                    for (index, command) in COMMANDS.iter().enumerate().filter(|_| begins) {
                        let end = self.read + command.word.len();
                        let is_it =
                            has_word(self.text, self.read, command.word) && self.text.get(end) == Some(&b' ');
                        self.found |= u16::from(is_it) << index;
                    }
                }
                _ => {}
            }
            self.read += 1;
        }
    }
}

//! Commands whose options take a password: `curl -u name:…`, `mysql -p…`, `docker login -p …`.

use std::ops::Range;

use super::secrets::{NAME_MAX, ends_value};
use super::states::{is_gone, is_plain};
use super::{before, has_word};
use crate::keys::{Naming, naming_in_text};

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
const COMMANDS: [Command; 26] = [
    command(CURL, b'u', true),
    command(b"login", b'p', false),
    command(b"sshpass", b'p', true),
    command(b"mysql", b'p', true),
    command(b"mysqldump", b'p', true),
    command(b"mysqladmin", b'p', true),
    command(b"mysqlimport", b'p', true),
    command(b"mysqlcheck", b'p', true),
    command(b"mysqlshow", b'p', true),
    command(b"mysqlpump", b'p', true),
    command(b"mariadb", b'p', true),
    command(b"mariadb-dump", b'p', true),
    command(b"mariadb-admin", b'p', true),
    command(b"mongo", b'p', false),
    command(b"mongosh", b'p', false),
    command(b"mongodump", b'p', false),
    command(b"mongorestore", b'p', false),
    command(b"mongoexport", b'p', false),
    command(b"mongoimport", b'p', false),
    command(b"redis-cli", b'a', false),
    command(b"ldapsearch", b'w', false),
    command(b"ldapadd", b'w', false),
    command(b"ldapmodify", b'w', false),
    command(b"ldapdelete", b'w', false),
    command(b"sqlcmd", b'P', true),
    command(b"bcp", b'P', true),
];
const CURL: &[u8] = b"curl";
/// Options of curl that take nothing, and may stand before another one behind the same dash: `curl -sSu name:…`.
const CURL_FLAGS: &[u8] = b"#012346aBfgGiIjJklLMnNOpqRsSvVZ";
/// Between two words of a list: a comma and blanks.
const GAP_MAX: usize = 64;
/// Long options whose value is a name, a colon and a password.
const USERS: [&[u8]; 2] = [b"user", b"proxy-user"];

/// The command of `found` that takes a password by the short options `name`, and which letter of them does.
fn taking(found: u32, name: &[u8]) -> Option<(&'static Command, usize)> {
    let takes = |(index, command): (usize, &'static Command)| {
        let flags = if command.word == CURL { CURL_FLAGS } else { b"" };
        let letter = name.iter().take_while(|byte| flags.contains(byte)).count();
        let is_it = name.get(letter) == Some(&command.option) && found & 1 << index != 0;
        (is_it && (command.is_glued || name.len() == letter + 1)).then_some((command, letter))
    };
    COMMANDS.iter().enumerate().find_map(takes)
}

/// Where the word behind an option begins whose dash is at `sign`, and which ends at `end`: behind a blank; or, in a list of
/// quoted words, with its quotation mark: `'--password', '…'`.
pub(super) fn next_word(text: &[u8], sign: usize, end: usize) -> Option<usize> {
    let quote = match *text.get(end)? {
        b' ' => return Some(end + 1),
        quote @ (b'"' | b'\'') if before(text, sign) == Some(quote) => quote,
        _ => return None,
    };
    let behind = text[end + 1..].strip_prefix(b",")?;
    let blanks = behind.iter().take(GAP_MAX).take_while(|byte| byte.is_ascii_whitespace()).count();
    (behind.get(blanks) == Some(&quote)).then_some(end + 2 + blanks)
}

/// Whether a value begins at `end`, right behind an option whose dash is at `sign`: in quotation marks, `-p'…'`, or with a sign
/// that is no part of a name, `-p!…`. A variable of a shell is no value.
fn begins_glued(text: &[u8], sign: usize, end: usize) -> bool {
    let Some((first, behind)) = text[end..].split_first() else { return false };
    let is_quoted = matches!(first, b'"' | b'\'');
    if is_quoted && before(text, sign) == Some(*first) {
        return false;
    }
    let value = if is_quoted { behind } else { &text[end..] };
    let begins = value.first().is_some_and(|byte| !ends_value(*byte));
    let is_sign = matches!(
        first,
        b'!' | b'@'
            | b'#'
            | b'$'
            | b'%'
            | b'^'
            | b'*'
            | b'+'
            | b'='
            | b'~'
            | b'/'
            | b'?'
            | b':'
            | b'{'
            | b'('
    );
    let goes_on = is_quoted || behind.first().is_some_and(|byte| !ends_value(*byte));
    begins && (is_quoted || is_sign) && goes_on && !is_variable(value)
}

/// Whether a variable or a place for a value is what `value` begins with: `$MYSQL_PWD`, `${PASS}`, `$(cat f)`, `%s`.
fn is_variable(value: &[u8]) -> bool {
    let Some(name) = value.strip_prefix(b"$") else { return value.starts_with(b"%s") };
    let is_of_name = |byte: &&u8| byte.is_ascii_uppercase() || **byte == b'_';
    let length = name.iter().take(NAME_MAX).take_while(is_of_name).count();
    let is_bracket = matches!(name.first(), Some(b'{' | b'('));
    is_bracket || (length > 0 && name.get(length).is_none_or(|byte| ends_value(*byte)))
}

/// A secret in a command line: where it begins, and the quotation mark that it stands in.
pub(super) struct Word {
    pub(super) start: usize,
    quote: Option<u8>,
}

impl Word {
    /// The rest of the word of a shell from `from` on, in quotation marks where it `opens` with one.
    fn of(text: &[u8], opens: usize, from: usize) -> Self {
        let quote = text.get(opens).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        Self { start: if quote.is_some() { from.max(opens + 1) } else { from }, quote }
    }

    /// Where it ends. Reading that far is for a word that is to be replaced: one that stays would be read again from
    /// each option in it.
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
    found: u32,
}

impl<'a> Commands<'a> {
    pub(super) const fn of(text: &'a [u8]) -> Self {
        Self { text, read: 0, found: 0 }
    }

    /// Where the secret is that the option at `sign` takes, whose name is `start..end`.
    pub(super) fn secret_of(&mut self, sign: usize, start: usize, end: usize) -> Option<Word> {
        let name = &self.text[start..end];
        if start == sign + 2 {
            let takes_user = USERS.contains(&name);
            let next = next_word(self.text, sign, end);
            let next = next.or_else(|| (self.text.get(end) == Some(&b'=')).then_some(end + 1));
            return next.filter(|_| takes_user).and_then(|next| self.password(next));
        }
        taking(u32::MAX, name)?;
        self.read_to(sign);
        let (command, letter) = taking(self.found, name)?;
        let is_apart = name.len() == letter + 1;
        let glued = is_apart && command.is_glued && begins_glued(self.text, sign, end);
        let value = match is_apart {
            true if glued => end,
            true => next_word(self.text, sign, end)?,
            false => start + letter + 1,
        };
        // In a list of words the quotation mark before the dash ends it.
        let in_list = before(self.text, sign).is_some_and(|byte| matches!(byte, b'"' | b'\''));
        let is_quoted = glued && matches!(self.text[end], b'"' | b'\'');
        let opens =
            if is_apart && (!glued || is_quoted || !in_list) { value } else { sign.saturating_sub(1) };
        match (command.option, self.text.get(value)) {
            (b'u', _) => self.password(value),
            (_, None | Some(b'-')) => None,
            _ => Some(Word::of(self.text, opens, value)),
        }
    }

    /// The password in `name:password` at `start`; what has none in it, or a scheme, is none.
    fn password(&self, start: usize) -> Option<Word> {
        let rest = self.text.get(start..)?;
        let opens = usize::from(matches!(rest.first(), Some(b'"' | b'\'')));
        let ends = |byte: &u8| matches!(byte, b':' | b'"' | b'\'') || byte.is_ascii_whitespace();
        let name = rest[opens..].iter().take(NAME_MAX).position(ends);
        let colon = name.map(|length| opens + length).filter(|at| rest[*at] == b':')?;
        let password = &rest[colon + 1..];
        let is_number = password.first().is_some_and(u8::is_ascii_digit)
            && password.iter().take_while(|byte| !byte.is_ascii_whitespace()).all(u8::is_ascii_digit);
        // `docker run --user 1000:1000`.
        (!password.starts_with(b"//") && !is_number).then(|| Word::of(self.text, start, start + colon + 1))
    }

    fn read_to(&mut self, sign: usize) {
        while self.read < sign {
            match self.text[self.read] {
                // Behind a backslash the line goes on, and so it does within a list.
                b'\n' if matches!(before(self.text, self.read), Some(b'\\' | b',' | b'[' | b'(')) => {}
                b'\n' | b'\r' | b';' | b'|' => self.found = 0,
                byte if byte.is_ascii_alphabetic() => {
                    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    let begins = before(self.text, self.read).is_none_or(|byte| !is_word(byte));
                    for (index, command) in COMMANDS.iter().enumerate().filter(|_| begins) {
                        let end = self.read + command.word.len();
                        let is_it = has_word(self.text, self.read, command.word) && self.ends_word(end);
                        self.found |= u32::from(is_it) << index;
                    }
                }
                _ => {}
            }
            self.read += 1;
        }
    }
    /// A blank, or in a list of words a quotation mark.
    fn ends_word(&self, end: usize) -> bool {
        matches!(self.text.get(end), Some(b' ' | b'"' | b'\''))
    }
}

/// The words of a command that come one by one, each as a text: `["mysql", "-p…"]`, `["app", "--password", "…"]`.
#[derive(Default)]
pub(crate) struct Arguments {
    /// A bit for each command so far.
    found: u32,
    takes: Takes,
}

/// What the next word is.
#[derive(Default)]
enum Takes {
    /// A word like others.
    #[default]
    Nothing,
    /// A secret, by an option that is called like this.
    Secret(Vec<u8>),
    /// A name, a colon and a password.
    User,
}

impl Arguments {
    /// What of the next word is a secret.
    pub(crate) fn secret_of(&mut self, word: &[u8]) -> Option<Range<usize>> {
        let takes = std::mem::take(&mut self.takes);
        let secret = match takes {
            Takes::Secret(name) if word.first().is_some_and(|byte| *byte != b'-') => {
                (!is_plain(word, &name, None)).then_some(0..word.len())
            }
            Takes::User => self.user(word, 0),
            _ => match word {
                [b'-', b'-', name @ ..] => self.long(name),
                [b'-', name @ ..] => self.short(name, word),
                _ => self.command(word),
            },
        };
        secret.filter(|place| !place.is_empty() && !is_gone(&word[place.clone()]))
    }

    fn long(&mut self, name: &[u8]) -> Option<Range<usize>> {
        if USERS.contains(&name) {
            self.takes = Takes::User;
        } else if name.len() <= NAME_MAX && naming_in_text(name) != Naming::Plain {
            self.takes = Takes::Secret(name.to_vec());
        }
        None
    }

    fn short(&mut self, name: &[u8], word: &[u8]) -> Option<Range<usize>> {
        let Some((command, letter)) = taking(self.found, name) else { return self.long(name) };
        // With the dash before it.
        let value = letter + 2;
        match (command.option, value < word.len()) {
            (b'u', true) => self.user(word, value),
            (_, true) => Some(value..word.len()),
            (option, false) => {
                self.takes = if option == b'u' { Takes::User } else { Takes::Secret(Vec::new()) };
                None
            }
        }
    }

    /// The password in `name:password`, as [`Commands`] finds it.
    fn user(&self, word: &[u8], start: usize) -> Option<Range<usize>> {
        Commands::of(word).password(start).map(|secret| secret.start..word.len())
    }

    fn command(&mut self, word: &[u8]) -> Option<Range<usize>> {
        let name = word.rsplit(|byte| *byte == b'/').next().unwrap_or(word);
        if let Some(index) = COMMANDS.iter().position(|command| command.word == name) {
            self.found |= 1 << index;
        }
        None
    }
}

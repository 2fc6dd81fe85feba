//! Whether work grows in line with what it is done on: the same at one length, at twice and at four times that.

use crate::{payload, spool, waiting};
use guard::{Guard, Limits, Redaction, Rules};

/// What is repeated, each to make one detector look again at what it has seen.
const UNITS: [&str; 120] = [
    "<password><![CDATA[x ",
    "x<password><![CDATA[x",
    "\t",
    "1-",
    "1 ",
    "12 34 ",
    "cookie:* ",
    "authorization:x ",
    "a@",
    "4111 ",
    "eyJ.",
    "?a&",
    "-----BEGIN ",
    "{\"token\":",
    "token:[",
    "token:\"",
    "password=\\\"",
    "password:'",
    "password=>",
    "password, ",
    "('password',",
    "('password','",
    "name:password ",
    "\"name\":\"password\",",
    "<password>",
    "<a",
    "<",
    ">",
    "=",
    ":",
    ":=",
    "=> ",
    "a = ",
    "a:\t",
    "--password ",
    "-",
    "--",
    "token:\t",
    "password\t",
    "\\",
    "\\u",
    "\\u0026",
    "\\\"",
    "%",
    "%25",
    "%2525",
    "&quot;",
    "&amp",
    "Bearer ",
    "Basic YTpi",
    "basic ",
    "AKIA",
    "sk-",
    "-----BEGIN PRIVATE KEY-----",
    "://",
    "https://a:b",
    "?",
    "#",
    "?a=b",
    "'",
    "a@b.",
    "4111-",
    "+91 ",
    "ABCPE1234",
    "password abc12345 ",
    "password (",
    "OTP is 1234",
    "otp ",
    " is your ",
    "curl -u a:b ",
    "mysql -p",
    "-p",
    "--user a:b",
    "a:b@",
    "a:b@c:1",
    "thin:a/b@",
    "&#x3d;",
    "%5C%22",
    "<name>password</name>",
    "<key><![CDATA[",
    "DE89 3704 ",
    "+1 (4.1e+15 ",
    "sk-~",
    "hf_/",
    "SG.",
    "xoxb-+",
    "api.telegram.org/bot/",
    "hooks.slack.com/services/",
    "sk-/",
    "sk-.",
    "xai-/",
    "API-+",
    "**",
    "**password:** ",
    "<name>x",
    "<password>x <",
    "password is: ",
    "password[0]=",
    "o'",
    "a/",
    "bot123456:",
    "services/T",
    "webhookb2/",
    "[password,A",
    "{:password, ",
    "\"password\";s:11:\"",
    "phone: 12345678, ",
    "+12345678 ",
    "\"n\":[41111111,",
    "a:b@@(",
    "//a:b#",
    "value:\"",
    "value:\"a\",name:",
    "<token><![CDATA[ ",
    "name=password <x><![CDATA[ ",
    "<name>password</name><v><![CDATA[ ",
    "--user=a:*,",
    "-ua:*,",
    "-pREDACTED,",
    "'-p',",
];
/// What stands once before each of these, and is about all of them: the commands of one line, and names.
const HEADED: [(&str, &str); 8] = [
    ("curl ", "-ua:*,"),
    ("curl ", "-ua:*)"),
    ("curl ", "-su "),
    ("mysql ", "-pREDACTED,"),
    ("mysql ", "/-p'*"),
    ("sshpass ", "-p*,"),
    ("password ", "\"a "),
    ("phone ", "1 "),
];
/// Own patterns that make other engines search again and again.
const PATTERNS: [&str; 5] = [r"\d+(?:.*USD)?", "(?:a|b|ab)*c", "a.*b", "(a*)*b", ".+?x"];

/// Does the work on texts of so many bytes.
type Family = fn(usize);

/// Every family, by name.
pub(crate) const FAMILIES: &[(&str, Family)] = &[
    ("hostile-texts", texts),
    ("hostile-pairs", pairs),
    ("hostile-begun", headed),
    ("own-patterns", patterns),
    ("statements", statements),
    ("waiting-traces", waiting::traces),
    ("shedding", |length| waiting::shedding(length * CROWD)),
    ("giving-up", |length| waiting::giving_up(length * CROWD)),
    ("relatives", waiting::relatives),
    ("empty-groups", |length| payload::empty_groups(length * REQUEST)),
    ("empty-groups-json", |length| payload::empty_groups_json(length * REQUEST)),
    ("small-spans", |length| payload::small_spans(length * REQUEST)),
    ("long-buckets", |length| payload::long_buckets(length * REQUEST)),
    ("spool-replay", |length| spool::replay(length * FILE)),
];
/// A request is so many times as long as a text, and a file so many times.
const REQUEST: usize = 16;
const FILE: usize = 16;
/// What is worth keeping is in the way of what is not: that is felt where there are thousands.
const CROWD: usize = 32;
/// A kind of work that takes the square of this grows by three to four from one to the next.
pub(crate) const LENGTHS: [usize; 3] = [8 << 10, 16 << 10, 32 << 10];
/// In tenths: twice the length may take so many times the instructions.
pub(crate) const RATIO_MAX: u64 = 25;

fn guard(rules: &str) -> Guard {
    let (redaction, faults) = Redaction::parse(rules, None);
    assert_eq!(faults, Vec::<String>::new());
    Guard::new(Rules { redaction, limits: Limits::NONE, attributes: None }).expect("there are rules")
}

fn of(unit: &str, length: usize) -> String {
    unit.repeat(length.div_ceil(unit.len()))
}

fn texts(length: usize) {
    let mut guard = guard(r#"["all"]"#);
    for unit in UNITS {
        guard.text(&of(unit, length));
    }
}

fn pairs(length: usize) {
    let mut guard = guard(r#"["all"]"#);
    for (index, unit) in UNITS.iter().enumerate() {
        guard.text(&of(&format!("{unit}{}", UNITS[(index * 7 + 3) % UNITS.len()]), length));
    }
}

fn headed(length: usize) {
    let mut guard = guard(r#"["all"]"#);
    for (head, unit) in HEADED {
        guard.text(&format!("{head}{}", of(unit, length)));
    }
}

fn patterns(length: usize) {
    for pattern in PATTERNS {
        let mut guard =
            guard(&format!(r#"[{{"value":"{}","action":"mask"}}]"#, pattern.replace('\\', r"\\")));
        for unit in ["1 ", "ab", "a", "x", "क", "%2D"] {
            guard.text(&of(unit, length));
        }
    }
}

fn statements(length: usize) {
    let mut guard = guard(r#"["sql"]"#);
    let blanks = "from \"a\" ";
    for unit in [
        "'", "\"", "$a", "$a$", "/*", "--", "'\\", "1", "e", "E'", "`", "\"a\" ", "#", "q'[", "nq'", ":1 ",
        blanks, "\"a ",
    ] {
        guard.value("db.query.text", &of(unit, length));
    }
}

/// A line for each family, and whether none has grown faster.
pub(crate) fn compare(counted: &[(String, [u64; 3])]) -> (String, bool) {
    let (mut lines, mut is_held) = (String::new(), true);
    for (name, counts) in counted {
        let ratios = [counts[1] * 10 / counts[0].max(1), counts[2] * 10 / counts[1].max(1)];
        let is_linear = ratios.iter().all(|ratio| *ratio < RATIO_MAX);
        is_held &= is_linear;
        let word = if is_linear { "" } else { "  grows faster than what it is done on" };
        lines += &format!(
            "  {name:24} {}.{} and {}.{} times for twice as much{word}\n",
            ratios[0] / 10,
            ratios[0] % 10,
            ratios[1] / 10,
            ratios[1] % 10
        );
    }
    (lines, is_held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_with_the_square_is_found() {
        let rows = [
            ([100, 200, 400], true),
            ([100, 249, 600], true),
            ([100, 260, 500], false),
            ([100, 200, 700], false),
        ];
        for (counts, expected) in rows {
            assert_eq!(compare(&[("x".into(), counts)]).1, expected, "{counts:?}");
        }
    }
}

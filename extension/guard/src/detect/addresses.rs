//! What has an at-sign: e-mail addresses, and the payment addresses of UPI, which have no dot behind it.

use super::is_inside;
use crate::limits::cut;
use crate::rewrite::{Action, Rewrite};

/// Longest parts of an address (RFC 5321).
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 255;
const LABEL_MAX: usize = 63;
/// Parts of a name with apostrophes between.
const PARTS_MAX: usize = 4;
/// Longer words are no handle.
const HANDLE_MAX: usize = 32;

/// File names such as `icon@2x.png` end like a domain, and packages such as `react@18.2.0.min.js`.
const FILES: &[&[u8]] = &[
    b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"mjs", b"cjs", b"ts", b"css", b"html", b"json",
    b"avif", b"bmp", b"ico", b"pdf", b"mp3", b"mp4", b"webm", b"woff", b"woff2", b"ttf", b"tgz", b"gz",
    b"tar", b"whl", b"gem", b"jar", b"war", b"exe", b"dll", b"deb", b"rpm", b"apk", b"dmg", b"iso", b"wasm",
    b"jsx", b"tsx", b"scss", b"xml", b"yaml", b"yml", b"toml", b"txt", b"csv", b"log", b"lock", b"parquet",
    b"service", b"socket", b"timer", b"mount", b"slice",
];

/// The handles of banks and apps, as of 2026-11. Not compared with NPCI's own list
/// (<https://www.npci.org.in/what-we-do/upi/3rd-party-apps>), which could not be read here; `docs/privacy.md` says
/// what was.
const HANDLES: &[&[u8]] = &[
    b"abfspay",
    b"airtel",
    b"allbank",
    b"apl",
    b"aubank",
    b"axis",
    b"axisb",
    b"axisbank",
    b"axisgo",
    b"axl",
    b"bandhan",
    b"barodampay",
    b"boi",
    b"cboi",
    b"centralbank",
    b"citi",
    b"citigold",
    b"cmsidfc",
    b"cnrb",
    b"csbpay",
    b"cub",
    b"dbs",
    b"dcb",
    b"dlb",
    b"eazypay",
    b"equitas",
    b"ezeepay",
    b"fam",
    b"fbl",
    b"federal",
    b"freecharge",
    b"goaxb",
    b"hdfcbank",
    b"hdfcbankjd",
    b"hsbc",
    b"ibl",
    b"icici",
    b"idbi",
    b"idfcbank",
    b"idfcfirst",
    b"idfcnetc",
    b"ikwik",
    b"imobile",
    b"inhdfc",
    b"indianbank",
    b"indus",
    b"iob",
    b"jio",
    b"jkb",
    b"jsb",
    b"jupiteraxis",
    b"karb",
    b"kbl",
    b"kmbl",
    b"kotak",
    b"kvb",
    b"lvb",
    b"mahb",
    b"mbk",
    b"myicici",
    b"naviaxis",
    b"nsdl",
    b"nyes",
    b"obc",
    b"okaxis",
    b"okhdfcbank",
    b"okicici",
    b"oksbi",
    b"payzapp",
    b"pingpay",
    b"pnb",
    b"postbank",
    b"psb",
    b"ptaxis",
    b"pthdfc",
    b"ptsbi",
    b"ptyes",
    b"paytm",
    b"pz",
    b"rapl",
    b"rbl",
    b"sbi",
    b"sib",
    b"sliceaxis",
    b"superyes",
    b"tapicici",
    b"timecosmos",
    b"tmb",
    b"ubi",
    b"uboi",
    b"uco",
    b"unionbank",
    b"upi",
    b"waaxis",
    b"wahdfcbank",
    b"waicici",
    b"wasbi",
    b"yapl",
    b"ybl",
    b"yesbank",
    b"yescred",
    b"yespay",
    b"zoicici",
];

/// Domains inside a network: `ec2-user@ip-10-0-0-1.eu-west-1.compute.internal` is a machine's user, and nobody's address.
const INTERNAL: &[&[u8]] =
    &[b"internal", b"local", b"localdomain", b"lan", b"intranet", b"localhost", b"corp", b"home", b"svc"];

fn next_at(text: &[u8], from: usize) -> Option<usize> {
    Some(from + text.get(from..)?.iter().position(|byte| *byte == b'@')?)
}

/// Replaces the names in e-mail addresses: by a keyed hash where there is a key, else by stars.
pub(crate) fn redact_emails(text: &[u8], action: Action, out: &mut Rewrite<'_>) {
    let mut from = 0;
    while let Some(at) = next_at(text, from) {
        from = at + 1;
        let start = local_start(text, at, out.done());
        let end = domain_end(text, at + 1);
        let local = &text[start..at];
        if local.is_empty() || !is_domain(&text[at + 1..end]) || is_repository(local, &text[end..]) {
            continue;
        }
        match action {
            Action::Fitting => {
                let mut fitting = out.hash(local).unwrap_or_else(|| vec![b'*'; local.len()]);
                fitting.extend_from_slice(&text[at..end]);
                out.put(start, end, &fitting);
            }
            // The domain of an address that is to go, goes with it.
            _ => out.put(start, end, b""),
        }
        from = end;
    }
}

/// Replaces the names in payment addresses by stars.
pub(crate) fn redact_upi(text: &[u8], out: &mut Rewrite<'_>) {
    let mut from = 0;
    while let Some(at) = next_at(text, from) {
        from = at + 1;
        let start = local_start(text, at, out.done());
        let rest = &text[at + 1..];
        let length = rest.iter().take(HANDLE_MAX).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let end = at + 1 + length;
        let dot_follows =
            text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
        let is_upi = at - start >= 2 && !dot_follows && text.get(end) != Some(&b'-');
        if is_upi && is_handle(&text[at + 1..end]) {
            let mut fitting = vec![b'*'; at - start];
            fitting.extend_from_slice(&text[at..end]);
            out.put(start, end, &fitting);
            from = end;
        }
    }
}

fn is_handle(word: &[u8]) -> bool {
    let lower = word.to_ascii_lowercase();
    HANDLES.iter().any(|handle| *handle == lower)
}

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

/// `git@github.com:owner/name` is where code is, and not who writes it.
fn is_repository(local: &[u8], rest: &[u8]) -> bool {
    matches!(local, b"git" | b"hg") && matches!(rest.first(), Some(b':' | b'/'))
}

/// Where the name before the at-sign begins; never before `floor`.
fn local_start(text: &[u8], at: usize, floor: usize) -> usize {
    let floor = floor.max(at.saturating_sub(LOCAL_MAX));
    let count = |end: usize| text[floor..end].iter().rev().take_while(|byte| is_local(**byte)).count();
    let mut length = count(at);
    // `o'brien`; and a bounce names who it is about: `bounces+jane=example.com@…`.
    for _ in 0..PARTS_MAX {
        let start = at - length;
        let part = &text[start..at];
        let goes_on = start > floor
            && match text[start - 1] {
                b'\'' => {
                    part.first().is_some_and(u8::is_ascii_alphabetic)
                        && start.checked_sub(2).is_some_and(|index| text[index].is_ascii_alphabetic())
                }
                b'=' => is_domain(part),
                // Signs that RFC 5322 allows in a name; in a path they part it from others.
                b'/' | b'!' => {
                    let word = count(start - 1);
                    word > 0 && super::before(text, start - 1 - word).is_none_or(opens_name)
                }
                _ => false,
            };
        if !goes_on {
            break;
        }
        length += 1 + count(start - 1);
    }
    // A character of several bytes is not cut in two.
    let inside = text[at - length..at].iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
    let start = at - length + inside;
    // What `urls` has left of a name is none.
    if &text[start..at] == b"REDACTED" { at } else { start }
}

/// Whether a name begins behind this byte, and no part of a path.
const fn opens_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'(' | b'[' | b',' | b';' | b'=')
}

fn domain_end(text: &[u8], start: usize) -> usize {
    let rest = cut(&text[start..], DOMAIN_MAX);
    let is_domain_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || matches!(*byte, b'.' | b'-');
    let length = rest.iter().take_while(|byte| is_domain_byte(byte)).count();
    // A full stop ends a sentence, not a domain.
    let trimmed = rest[..length].iter().rev().take_while(|byte| !is_inside(**byte) && **byte < 0x80).count();
    start + length - trimmed
}

/// Labels with dots between them, the last one of letters, and no file's ending.
fn is_domain(domain: &[u8]) -> bool {
    let Some(dot) = domain.iter().rposition(|byte| *byte == b'.') else { return false };
    let top = &domain[dot + 1..];
    let is_word =
        (2..=24).contains(&top.len()) && top.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    let is_punycode = top.len() <= LABEL_MAX
        && top.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--"))
        && top.len() > 4;
    dot > 0
        && domain[0] != b'.'
        && domain[0] != b'-'
        && (is_word || is_punycode)
        && !INTERNAL.iter().any(|name| top.eq_ignore_ascii_case(name))
        && !FILES.iter().any(|file| top.eq_ignore_ascii_case(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;
    use crate::hash::Hasher;
    use crate::view::View;

    fn emails(text: &str, key: Option<&[u8]>) -> String {
        let hasher = key.map(Hasher::new);
        let view = View::of(text.as_bytes());
        let mut out = Rewrite::reading(text.as_bytes(), view.as_ref(), Action::Fitting, hasher.as_ref());
        redact_emails(view.as_ref().map_or(text.as_bytes(), |view| &view.bytes), Action::Fitting, &mut out);
        out.finish().map_or_else(|| text.to_owned(), |left| String::from_utf8(left).expect("UTF-8"))
    }

    fn upi(text: &str) -> String {
        detect::redacted(text, redact_upi)
    }

    #[test]
    fn the_name_in_an_address_goes() {
        let rows = [
            ("jane.doe@example.com", "********@example.com"),
            ("mailto:jane@example.co.in.", "mailto:****@example.co.in."),
            ("<a@b.io>, c@d.org", "<*@b.io>, *@d.org"),
            ("?mail=jane%40example.com&x=1", "?mail=****%40example.com&x=1"),
            ("josé@example.com", "*****@example.com"),
            ("jane@müller.de, 用户@例子.广告", "****@müller.de, ******@例子.广告"),
            (r"jos\u00e9@example.com\n", r"*****@example.com\n"),
            ("jane/doe@example.com, <a!b@c.io>", "********@example.com, <***@c.io>"),
            ("/users/jane@example.com", "/users/****@example.com"),
            ("?mail=%22jane%40example.com", "?mail=%22****%40example.com"),
        ];
        for (text, expected) in rows {
            assert_eq!(emails(text, None), expected);
        }
    }

    #[test]
    fn with_a_key_the_same_name_gives_the_same_letters() {
        let one = emails("jane@example.com", Some(b"key"));
        assert!(one.ends_with("}@example.com") && one.starts_with('{'), "{one}");
        assert_eq!(emails(&one, Some(b"key")), one, "a hash is no address");
        assert_ne!(one, emails("jane@example.com", Some(b"other")));
    }

    #[test]
    fn what_is_no_address_stays() {
        for text in [
            "react@18.2.0",
            "icon@2x.png",
            "logo@2x.avif",
            "foo@1.0.0.tgz",
            "getty@tty1.service",
            "@scope/pkg",
            "a@b",
            "image@sha256:abc",
            "x@.com",
            "jane@okaxis",
            "a @b.c",
            "git@github.com:owner/name.git",
            "ssh://git@github.com/owner/name",
            "ec2-user@ip-10-0-0-1.eu-west-1.compute.internal",
        ] {
            assert_eq!(emails(text, None), text);
        }
    }

    #[test]
    fn payment_addresses_are_known_by_their_handle() {
        let rows = [
            ("jane.doe@okaxis", "********@okaxis"),
            ("pay 9876543210@ybl now", "pay **********@ybl now"),
            ("upi://pay?pa=shop%40paytm&am=1", "upi://pay?pa=****%40paytm&am=1"),
            ("jane@sbi.co.in", "jane@sbi.co.in"),
            ("foo@latest", "foo@latest"),
        ];
        for (text, expected) in rows {
            assert_eq!(upi(text), expected);
        }
    }
}

//! The ways in which programs print a name and its value, the places in which such a print stands, and the escapes that it
//! goes through: each with each.

/// A way to print: `{n}` is the name, `{v}` the value.
pub(crate) const STYLES: [&str; 48] = [
    "{n}={v}",
    "{n} = {v}",
    "{n}:{v}",
    "{n}: {v}",
    "{n} : {v}",
    "{n}=>{v}",
    "{n} => {v}",
    "{n}:={v}",
    "{n} := {v}",
    "{n}=={v}",
    "{n} == {v}",
    "{n} -> {v}",
    "{n}\t=\t{v}",
    "{n}:\t{v}",
    "{n}          = {v}",
    "{n}      :         {v}",
    "\"{n}\":\"{v}\"",
    "\"{n}\": \"{v}\"",
    "\"{n}\" : \"{v}\"",
    "'{n}': '{v}'",
    "\"{n}\"=>\"{v}\"",
    "'{n}' => '{v}'",
    ":{n}=>\"{v}\"",
    "{n}: \"{v}\"",
    "{n}: '{v}'",
    "{n}=\"{v}\"",
    "{n}='{v}'",
    "{n}=`{v}`",
    "[{n}] => {v}",
    "{{n}:{v}}",
    "map[{n}:{v} user:jane]",
    "User({n}={v}, id=7)",
    "User{{n}='{v}', id=7}",
    "('{n}', '{v}')",
    "(\"{n}\",\"{v}\")",
    "[\"{n}\",\"{v}\"]",
    "{n}: Some(\"{v}\")",
    "b'{n}': b'{v}'",
    "<{n}>{v}</{n}>",
    "<x:{n} a=\"1\">{v}</x:{n}>",
    "<add key=\"{n}\" value=\"{v}\"/>",
    "{\"name\":\"{n}\",\"value\":\"{v}\"}",
    "--{n} {v}",
    "--{n}={v}",
    "export {n}={v}",
    "headers[\"{n}\"] = \"{v}\"",
    "form-data; name=\"{n}\"\r\n\r\n{v}\r\n",
    "%{{n}: \"{v}\"}",
];

/// What stands before and behind it.
pub(crate) const PLACES: [(&str, &str); 14] = [
    ("", ""),
    ("failed with ", " after 3 ms"),
    ("{\"a\":1,", ",\"z\":2}"),
    ("first line\n", "\nlast line"),
    ("(", ")"),
    ("[", "]"),
    ("user=jane ", " id=7"),
    ("user=jane,", ",id=7"),
    ("user=jane;", ";id=7"),
    ("user=jane&", "&id=7"),
    ("<log>", "</log>"),
    ("\"", "\""),
    ("2026-11-28T10:00:00Z INFO ", ""),
    ("| ", " |"),
];

type Escape = fn(&str) -> String;

/// What a text goes through, by name.
pub(crate) const ESCAPES: [(&str, Escape); 9] = [
    ("as it is", str::to_owned),
    ("JSON", json),
    ("JSON in JSON", |text| json(&json(text))),
    ("JSON three deep", |text| json(&json(&json(text)))),
    ("JSON four deep", |text| json(&json(&json(&json(text))))),
    ("Go's and Gson's JSON", unicode),
    ("a URL", percent),
    ("a URL in a URL", |text| percent(&percent(text))),
    ("HTML", html),
];

pub(crate) fn printed(style: &str, name: &str, value: &str) -> String {
    style.replace("{n}", name).replace("{v}", value)
}

fn json(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            other => out.push(other),
        }
    }
    out
}

/// As encoders write it that make JSON safe within HTML.
fn unicode(text: &str) -> String {
    let escaped = json(text);
    let mut out = String::new();
    for character in escaped.chars() {
        match character {
            '&' | '<' | '>' | '=' | '\'' => out += &format!("\\u{:04x}", u32::from(character)),
            other => out.push(other),
        }
    }
    out
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

fn html(text: &str) -> String {
    let mut out = text.replace('&', "&amp;");
    for (from, to) in [("\"", "&quot;"), ("'", "&#39;"), ("<", "&lt;"), (">", "&gt;")] {
        out = out.replace(from, to);
    }
    out
}

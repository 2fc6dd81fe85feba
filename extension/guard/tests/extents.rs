//! Where a value that is hidden ends: all of it goes, what stands beside it stays, and JSON stays JSON.

use guard::{Guard, Limits, Redaction, Rules};

fn everything() -> Guard {
    let rules = Rules { redaction: Redaction::everything(None), limits: Limits::NONE, attributes: None };
    Guard::new(rules).expect("there are rules")
}

fn by(rules: &str) -> Guard {
    let (redaction, faults) = Redaction::parse(rules, Some(b"key"));
    assert_eq!(faults, Vec::<String>::new());
    Guard::new(Rules { redaction, limits: Limits::NONE, attributes: None }).expect("there is something to do")
}

/// What is left of each text; `[r]` is `[redacted]`.
#[track_caller]
fn assert_left(rows: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in rows {
        let expected = expected.replace("[r]", "[redacted]");
        let left = everything().text(text).unwrap_or_else(|| (*text).to_owned());
        if left != expected {
            wrong.push(format!("{text}\n   is {left}\n  not {expected}"));
        } else if let Some(again) = everything().text(&left) {
            wrong.push(format!("{text}\n   is {left}\n then {again}"));
        } else if serde_json::from_str::<serde_json::Value>(text).is_ok()
            && serde_json::from_str::<serde_json::Value>(&left).is_err()
        {
            wrong.push(format!("{text}\n   is no JSON any more: {left}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[track_caller]
fn assert_same(texts: &[&str]) {
    let rows: Vec<(&str, &str)> = texts.iter().map(|text| (*text, *text)).collect();
    assert_left(&rows);
}

#[test]
fn a_text_that_ends_in_a_name_and_a_sign_has_no_value() {
    assert_same(&[
        r#"{"log":"Enter password: ","stream":"stdout"}"#,
        r#"{"log":"Enter password:","stream":"stdout"}"#,
        r#"{"log":"Enter password:\n","stream":"stdout"}"#,
        r#"{"log": "token=", "stream": "stdout"}"#,
        r#"["PIN:","a"]"#,
        r#"{'prompt': 'Password: ', 'user': 'jane'}"#,
        "input('Password: ', user)",
        r#"msg="missing token:" method=GET status=401 user=jane"#,
        r#"time=10:00 msg="password=" user=jane"#,
        r#"{"body":"{\"log\":\"Enter password: \",\"user\":\"jane\"}","z":1}"#,
        r#"{"log":"-p, --password ","user":"jane"}"#,
        r#"said "your token:" and left"#,
        r#"{"a":"it's the password: ","user":"jane"}"#,
        r#"{"prompt":"Cookie: ","user":"jane"}"#,
        r#"{"prompt":"<password>","user":"jane"}"#,
        r#"{"prompt":"mysql -p ","user":"jane"}"#,
        r#"{"log":"Enter password: "#,
        "password=",
        "a password: ",
    ]);
    assert_left(&[
        // A mark with a word behind it begins a value.
        (r#"12 " password: "hunter2X" wide"#, r#"12 " password: "[r]" wide"#),
        (
            r#"{"log":"the password: \"hunter2X\" is wrong","user":"jane"}"#,
            r#"{"log":"the password: \"[r]\" is wrong","user":"jane"}"#,
        ),
        (r#"{"log":"password: ","password":"hunter2X"}"#, r#"{"log":"password: ","password":"[r]"}"#),
        (r#"x" password:"hunter2X" y"#, r#"x" password:"[r]" y"#),
        (r#"password: ", hunter2X""#, r#"password: "[r]""#),
    ]);
}

#[test]
fn a_quoted_value_ends_with_the_mark_that_is_escaped_as_often() {
    assert_left(&[
        (
            r#"{"message":"invalid token: \"abc\"","status":401}"#,
            r#"{"message":"invalid token: \"[r]\"","status":401}"#,
        ),
        (
            r#"{"message":"invalid token: 'abc'","status":401}"#,
            r#"{"message":"invalid token: '[r]'","status":401}"#,
        ),
        (
            r#"{"m":"{\"t\":\"token=\\\"abc\\\"\",\"b\":1}","c":2}"#,
            r#"{"m":"{\"t\":\"token=\\\"[r]\\\"\",\"b\":1}","c":2}"#,
        ),
        (
            r#"{"body":"{\"password\":\"hun%22ter2X\",\"a\":1}"}"#,
            r#"{"body":"{\"password\":\"[r]\",\"a\":1}"}"#,
        ),
        (
            r#"{"body":"{\"password\":\"hun&quot;ter2X\",\"a\":1}"}"#,
            r#"{"body":"{\"password\":\"[r]\",\"a\":1}"}"#,
        ),
        (r"password = 'it''s', user = 'jane'", r"password = '[r]', user = 'jane'"),
        (r#"{"password":"s3cr3t\\","user":"jane"}"#, r#"{"password":"[r]\\","user":"jane"}"#),
        (r#"{"password":"s3cr3t\\\\","user":"jane"}"#, r#"{"password":"[r]\\\\","user":"jane"}"#),
        (r#"{"user":"jane","password":"s3cr3t\\"}"#, r#"{"user":"jane","password":"[r]\\"}"#),
        (r#"{"a":{"password":"s3cr3t\\"},"user":"jane"}"#, r#"{"a":{"password":"[r]\\"},"user":"jane"}"#),
        (
            r#"{"body":"{\"password\":\"s3cr3t\\\\\",\"user\":\"jane\"}"}"#,
            r#"{"body":"{\"password\":\"[r]\\\\\",\"user\":\"jane\"}"}"#,
        ),
        (
            r#"{"body":"{\"user\":\"jane\",\"password\":\"s3cr3t\\\\\"}","z":1}"#,
            r#"{"body":"{\"user\":\"jane\",\"password\":\"[r]\\\\\"}","z":1}"#,
        ),
        (r#"[{"password":"s3cr3t\\"},{"user":"jane"}]"#, r#"[{"password":"[r]\\"},{"user":"jane"}]"#),
        (r#"{"password":"s3cr3t\\","n":5}"#, r#"{"password":"[r]\\","n":5}"#),
        (r#"{"password":["s3cr3t\\",5,null],"user":"jane"}"#, r#"{"password":"[r]","user":"jane"}"#),
        ("{\"password\":\"s3cr3t\\\\\"}\nof jane", "{\"password\":\"[r]\\\\\"}\nof jane"),
        (
            r#"{'body': '{"secret":"[{\\"a\\": \\"x\\"}, {\\"a\\": \\"hunter2X\\"}, 5]","b":1}'}"#,
            r#"{'body': '{"secret":"[r]","b":1}'}"#,
        ),
        (r#"{"password":["a\"]hunter2X","b"],"user":"jane"}"#, r#"{"password":"[r]","user":"jane"}"#),
        (r#"{"password":{"a\"}":"hunter2X"},"user":"jane"}"#, r#"{"password":"[r]","user":"jane"}"#),
        (
            r#"{"q":"password=Some(\"a\\\")hunter2X\")","user":"jane"}"#,
            r#"{"q":"password=Some(\"[r]\")","user":"jane"}"#,
        ),
        (r#"{"password":"a\"hunter2X","user":"jane"}"#, r#"{"password":"[r]","user":"jane"}"#),
        (r#"{"password":"a\\\"hunter2X","user":"jane"}"#, r#"{"password":"[r]","user":"jane"}"#),
        (
            r#"{"path":"C:\\","q":"token=(x9Kq","user":"jane"}"#,
            r#"{"path":"C:\\","q":"token=[r]","user":"jane"}"#,
        ),
    ]);
}

#[test]
fn a_quoted_value_is_read_to_its_own_mark() {
    assert_left(&[
        // What says how a secret is was read up to a mark within it.
        (
            r#"{"password":["is invalid\"]x","hunter2X"],"user":"jane"}"#,
            r#"{"password":"[r]","user":"jane"}"#,
        ),
        (r#"{"password":"is invalid\" hunter2X","user":"jane"}"#, r#"{"password":"[r]","user":"jane"}"#),
        (
            r#"{"password":"password is invalid\" hunter2X","user":"jane"}"#,
            r#"{"password":"[r]","user":"jane"}"#,
        ),
        // Python has doubled the backslashes of JSON.
        (
            r#"{'body': '{"secret":"say \\"hunter2X\\" now","user":"jane"}'}"#,
            r#"{'body': '{"secret":"[r]","user":"jane"}'}"#,
        ),
        (
            r#"{'body': '{"a":"{\\"password\\": \\"hunter2X\\", \\"b\\": 1}"}'}"#,
            r#"{'body': '{"a":"{\\"password\\": \\"[r]\\", \\"b\\": 1}"}'}"#,
        ),
        (
            r#"{'body': '{"secret":"{\\"a\\": \\"hunter2X\\"}","b":1}'}"#,
            r#"{'body': '{"secret":"[r]","b":1}'}"#,
        ),
    ]);
}

#[test]
fn a_value_that_is_not_closed_ends_with_the_text_that_it_is_in() {
    for value in ["(x9Kq", "{x9Kq", "[x9Kq", "'x9Kq", "`x9Kq", "Secret(x9Kq", "|\\n  x9Kq"] {
        assert_left(&[
            (
                &format!(r#"{{"q":"password={value}","user":"jane"}}"#),
                &format!(r#"{{"q":"password={}[r]","user":"jane"}}"#, quote_of(value)),
            ),
            (
                &format!(
                    r#"{{"b":"{{\"q\":\"password={}\",\"user\":\"jane\"}}","z":1}}"#,
                    value.replace('\\', r"\\")
                ),
                &format!(
                    r#"{{"b":"{{\"q\":\"password={}[r]\",\"user\":\"jane\"}}","z":1}}"#,
                    quote_of(value)
                ),
            ),
            (
                &format!(r#"level=info msg="password={value}" user=jane"#),
                &format!(r#"level=info msg="password={}[r]" user=jane"#, quote_of(value)),
            ),
        ]);
    }
    assert_left(&[
        (r#"{"q":"password=\"x9Kq","user":"jane"}"#, r#"{"q":"password=\"[r]","user":"jane"}"#),
        (r#"{"q":"password=Secret('a, b","user":"jane"}"#, r#"{"q":"password=Secret('[r]","user":"jane"}"#),
        (r#"{"q":"<password>abc","user":"jane"}"#, r#"{"q":"<password>[r]","user":"jane"}"#),
        (
            r#"{"q":"<password><![CDATA[a b","user":"jane"}"#,
            r#"{"q":"<password><![CDATA[[r]","user":"jane"}"#,
        ),
        (r#"{"k":"-----BEGIN PRIVATE KEY-----\nMIIEabc\n","user":"jane"}"#, r#"{"k":"[r]","user":"jane"}"#),
        (r#"{"cmd":"sshpass -p 'abc","user":"jane"}"#, r#"{"cmd":"sshpass -p '[r]","user":"jane"}"#),
        ("run(['app', '--password', 'hunter', '-v'])", "run(['app', '--password', '[r]', '-v'])"),
        ("run(['curl', '--user', 'admin:hunter two'])", "run(['curl', '--user', 'admin:[r]'])"),
        (r#"["mysql", "-p", "hunter", "-v"]"#, r#"["mysql", "-p", "[r]", "-v"]"#),
        (r#"{"cookies":3,"user":17}"#, r#"{"cookies":"[r]","user":17}"#),
        (r#"{"cmd":"app --password (abc","user":"jane"}"#, r#"{"cmd":"app --password [r]","user":"jane"}"#),
        (r#"{"h":"Cookie: a=b; c=(d","user":"jane"}"#, r#"{"h":"Cookie: [r]","user":"jane"}"#),
        // Outside of any text it has no other end.
        ("password=(x9Kq and \"more\" of it", "password=[r]"),
        (
            r#"curl -d '{"password":"it's hunter2X","user":"jane"}' x"#,
            r#"curl -d '{"password":"[r]","user":"jane"}' x"#,
        ),
        (r#"{"password":"hun' ter2X","user":"jane"}"#, r#"{"password":"[r]","user":"jane"}"#),
        (
            r#"curl -d '{"password":"hun' ter2X","user":"jane"}' x"#,
            r#"curl -d '{"password":"[r]","user":"jane"}' x"#,
        ),
    ]);
}

/// The mark that a value begins with stays.
fn quote_of(value: &str) -> &str {
    if value.starts_with(['\'', '`']) { &value[..1] } else { "" }
}

#[test]
fn numbers_of_json_become_texts() {
    assert_left(&[
        (r#"{"card":4111111111111111.0}"#, r#"{"card":"411111******1111.0"}"#),
        (r#"{"card": 4111111111111111.0 , "z": 1}"#, r#"{"card": "411111******1111.0" , "z": 1}"#),
        (r#"{\"card\":4111111111111111.0}"#, r#"{\"card\":\"411111******1111.0\"}"#),
        (
            r#"{"cards":[4111111111111111.0,4111111111111111]}"#,
            r#"{"cards":["411111******1111.0","411111******1111"]}"#,
        ),
        (r#"{"aadhaar":234123412346.0}"#, r#"{"aadhaar":"********2346.0"}"#),
        (r#"{"phone":-9876543210}"#, r#"{"phone":"-********10"}"#),
        (r#"{"cookie":1234,"z":1}"#, r#"{"cookie":"[r]","z":1}"#),
        (r#"{"authorization":-12.5e3}"#, r#"{"authorization":"[r]"}"#),
        (r#"{"cookies":1234,"z":1}"#, r#"{"cookies":"[r]","z":1}"#),
        (r#"{"pin":1234.0,"z":1}"#, r#"{"pin":"[r]","z":1}"#),
    ]);
    let sql = |rules: &str, text: &str| {
        let left = by(rules).value("db.query.text", text).expect("it stays an attribute");
        assert_eq!(by(rules).value("db.query.text", &left).as_deref(), Some(&*left), "once is enough");
        left
    };
    let query = r#"{"find":"users","filter":{"n":-5,"m":[1, 2.5e+3],"b":true,"e":""}}"#;
    assert_eq!(
        sql(r#"["sql"]"#, query),
        r#"{"find":"?","filter":{"n":"?","m":["?", "?"],"b":true,"e":"?"}}"#
    );
    assert_eq!(
        sql(r#"[{"use":"sql","action":"mask"}]"#, query),
        r#"{"find":"*****","filter":{"n":"**","m":["*", "******"],"b":true,"e":""}}"#
    );
    assert_eq!(
        sql(r#"[{"use":"sql","action":"delete"}]"#, query),
        r#"{"find":"","filter":{"n":"","m":["", ""],"b":true,"e":""}}"#
    );
    let hashed = sql(r#"[{"use":"sql","action":"hash"}]"#, query);
    assert!(serde_json::from_str::<serde_json::Value>(&hashed).is_ok(), "{hashed}");
    assert_eq!(hashed.matches('{').count(), 2 + 4, "{hashed}");
    assert_eq!(sql(r#"["sql"]"#, "{call f(1)}"), "{call f(?)}");
    let mut own = by(r#"[{"value":"[0-9]+","action":"mask"}]"#);
    for (text, expected) in [
        (r#"{"a":-1,"d":3.5}"#, r#"{"a":"-*","d":"*.*"}"#),
        (r#"{"a":[-1,2.5,3]}"#, r#"{"a":["-*","*.*","*"]}"#),
        (r#"{\"a\":-1,\"d\":3.5e+7}"#, r#"{\"a\":\"-*\",\"d\":\"*.*e+*\"}"#),
        (r#"{"a":"1-2, 3","b":4}"#, r#"{"a":"*-*, *","b":"*"}"#),
        ("a: -1, d: 3.5", "a: -*, d: *.*"),
    ] {
        assert_eq!(own.text(text).as_deref(), Some(expected));
    }
}

#[test]
fn a_hash_is_not_hashed_again() {
    let is_hash = |text: &str| text.len() == 22 && text.starts_with('{') && text.ends_with('}');
    let rest = |left: &str, head: &str, tail: &str| {
        left.strip_prefix(head).and_then(|left| left.strip_suffix(tail)).map(str::to_owned)
    };
    for rules in [r#"[{"use":"urls","action":"hash"}]"#, r#"[{"use":"all","action":"hash"}]"#] {
        for (head, secret, tail) in [
            ("GET https://a.io/p?x=", "1", " took 3 ms"),
            ("https://", "jane:pw", "@a.io/p"),
            ("https://", "jane", "@a.io/p"),
            ("/p%3Fx%3D", "1", ""),
        ] {
            let text = format!("{head}{secret}{tail}");
            let left = by(rules).text(&text).expect("something is hidden");
            let hash = rest(&left, head, tail).unwrap_or_else(|| panic!("{text} -> {left}"));
            assert!(is_hash(&hash), "{text} -> {left}");
            assert_eq!(by(rules).text(&left), None, "{text} -> {left}");
        }
    }
    let mut guard = by(r#"[{"use":"sql","action":"hash"}]"#);
    for (key, text, head, tail) in [
        ("db.query.parameter.0", "Jane", "", ""),
        ("db.query.text", "SELECT a FROM t WHERE n = 'Jane'", "SELECT a FROM t WHERE n = ", ""),
    ] {
        let left = guard.value(key, text).expect("it stays an attribute");
        let hash = rest(&left, head, tail).unwrap_or_else(|| panic!("{text} -> {left}"));
        assert!(is_hash(&hash), "{text} -> {left}");
    }
    let one = by(r#"[{"use":"sql","action":"hash"}]"#).value("db.query.parameter.0", "Jane");
    let other = by(r#"[{"use":"sql","action":"hash"}]"#).value("db.query.parameter.0", "Joan");
    assert_ne!(one, other);
}

#[test]
fn a_line_goes_whole() {
    assert_left(&[
        (r#"Cookie: prefs={"theme":"dark"}; acct=hunter2X"#, "Cookie: [r]"),
        (r#"Cookie: prefs={"theme": "dark", "a": ["b"]}; acct=hunter2X"#, "Cookie: [r]"),
        (r#"-H 'Cookie: prefs={"theme":"dark"}; acct=hunter2X' -v"#, "-H 'Cookie: [r]' -v"),
        (
            r#"{"h":"Cookie: prefs={\"theme\":\"dark\"}; acct=hunter2X","z":1}"#,
            r#"{"h":"Cookie: [r]","z":1}"#,
        ),
        ("Cookies: a=b; c=hunter2X\nHost: x", "Cookies: [r]\nHost: x"),
        ("cookie_header=a=b; c=hunter2X", "cookie_header=[r]"),
        ("map[Authorization:[Bearer hunter2X] Accept:[*/*]]", "map[Authorization:[r] Accept:[*/*]]"),
        ("authorizationHeader: Custom a b hunter2X", "authorizationHeader: [r]"),
        (r#"Authorization: Digest username="jane \"x\" doe", response="hunter2X""#, "Authorization: [r]"),
        (r#"set Cookie: a=b","status":401}"#, r#"set Cookie: [r]","status":401}"#),
        (r#"{"cookies":{"a":"hunter2X"},"z":1}"#, r#"{"cookies":"[r]","z":1}"#),
    ]);
    assert_same(&[
        "cookies: 3 method=GET",
        "cookies: enabled",
        "cookies: none found",
        r#"{"cookies":null,"z":1}"#,
    ]);
}

#[test]
fn a_value_goes_on_behind_its_brackets() {
    assert_left(&[
        ("password: (hun)ter2X", "password: [r]"),
        ("password: {hun}ter2X", "password: [r]"),
        ("password: [hun]ter2X", "password: [r]"),
        ("password: (hun)(ter)2X, a=b", "password: [r], a=b"),
        ("password: (hun)!ter2X", "password: [r]"),
        ("password=Hun(t)er2X", "password=[r]"),
        ("password={abcdefghijklmnopabcd}hunter2X", "password=[r]"),
        ("password=[redacted]-hunter2X", "password=[r]"),
        ("password=[redacted]:hunter2X", "password=[r]"),
        ("password: rejected value [hunter2X] z", "password: rejected value [[r]] z"),
        ("token={abcdefghijklmnopabcd}:s3cr3tSig99 x", "token=[r] x"),
        (r#"{"q":"password=(hun)ter2X","z":1}"#, r#"{"q":"password=[r]","z":1}"#),
    ]);
    assert_same(&[
        "password: [redacted]: not valid",
        "password: [redacted].",
        "password: [redacted]... and more",
        "<p>password: [redacted]</p>",
        "password: [redacted]; a=b",
        r#"{"password":"[redacted]"}{"a":"b"}"#,
        "password=[redacted] - a",
        "token={abcdefghijklmnopabcd}, a",
    ]);
    assert_left(&[
        (r#"{"password":["a"]}{"b":"c"}"#, r#"{"password":"[r]"}{"b":"c"}"#),
        (r#"password={"a":1}{"b":2}"#, r#"password=[r]{"b":2}"#),
    ]);
}

#[test]
fn an_escaped_sign_is_a_part_of_an_element() {
    assert_left(&[
        ("<password>hun&lt;ter2X9</password>", "<password>[r]</password>"),
        ("<password>hun&lt;/a>ter2X9</password>", "<password>[r]</password>"),
        (r"<password>hun\u003cter2X9</password>", "<password>[r]</password>"),
        ("&lt;password&gt;hun&amp;lt;ter2X9&lt;/password&gt;", "&lt;password&gt;[r]&lt;/password&gt;"),
        (
            r"\u003cpassword\u003ehunter2X9\u003c/password\u003e",
            r"\u003cpassword\u003e[r]\u003c/password\u003e",
        ),
    ]);
    assert_same(&[
        "<token>a<b>c</b></token>",
        "GET /users/<session>/items/<id>/orders",
        "a &lt;token&gt; b &lt;c&gt;",
    ]);
}

#[test]
fn an_encoded_sign_is_a_part_of_a_value_in_a_form() {
    for sign in [
        "%26", "%20", "%2C", "%3B", "%22", "%5C", "%7C", "%7B", "%7D", "%27", "%28", "%29", "%0A", "%5D",
        "%60",
    ] {
        assert_left(&[
            (&format!("user=a&password=hun{sign}ter2X&x=1"), "user=a&password=[r]&x=1"),
            (&format!("user=a&password=.{sign}{sign}hun&x=1"), "user=a&password=[r]&x=1"),
            (
                &format!(r#"{{"body":"user=a&password=hun{sign}ter2X&x=1"}}"#),
                r#"{"body":"user=a&password=[r]&x=1"}"#,
            ),
            (&format!("user=a&password=new{sign}hunter2X&x=1"), "user=a&password=[r]&x=1"),
        ]);
    }
    assert_left(&[
        ("user%3Da%26password%3Dhunter2X%26x%3D1", "user%3Da%26password%3D[r]%26x%3D1"),
        ("user%3Da%26password%3Dhun%2526ter2X%26x%3D1", "user%3Da%26password%3D[r]%26x%3D1"),
        (r"user=a\u0026password=hunter2X\u0026x=1", r"user=a\u0026password=[r]\u0026x=1"),
        ("user=a&amp;password=hunter2X&amp;x=1", "user=a&amp;password=[r]&amp;x=1"),
        ("payload=%7B%22password%22%3A+%22hunter2X%22%7D", "payload=%7B%22password%22%3A+%22[r]%22%7D"),
        (
            "payload=%7B%22pin%22%3A+1234%2C+%22a%22%3A+1%7D",
            "payload=%7B%22pin%22%3A+%22[r]%22%2C+%22a%22%3A+1%7D",
        ),
        (
            "{%22password%22:%22hunter2X%22,%22user%22:%22jane%22}",
            "{%22password%22:%22[r]%22,%22user%22:%22jane%22}",
        ),
        ("msg=password:%20hunter2X%20for%20jane", "msg=password:%20[r]%20for%20jane"),
    ]);
    assert_same(&["msg=token:%20not%20found&x=1", "msg=token%20expired&x=1", "token=&x=%26"]);
}

/// What random texts are made of.
const PARTS: [&str; 40] = [
    "password=",
    "token: ",
    "Enter PIN:",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "'",
    "\"",
    "`",
    "\\",
    "\n",
    " ",
    ",",
    ";",
    "=",
    ":",
    "&",
    "<password>",
    "</password>",
    "<",
    "x9Kq",
    "hunter2X9",
    "Cookie: ",
    "a=b; ",
    "--password ",
    "mysql -p",
    "Secret(",
    "%26",
    "%22",
    "&lt;",
    "u'",
    "it's",
    "Authorization: ",
    "|\n  a",
    "[redacted]",
    "-----BEGIN PRIVATE KEY-----",
    "\"password\":\"",
];

#[test]
fn json_of_any_texts_stays_json_and_what_stands_beside_them_stays() {
    let mut rng = policy::Rng::new(7);
    let mut guard = everything();
    for _ in 0..20_000 {
        let any = |rng: &mut policy::Rng| {
            let count = rng.below(7);
            (0..count).map(|_| PARTS[rng.below(PARTS.len() as u64) as usize]).collect::<String>()
        };
        let text = |value: String| serde_json::Value::String(value).to_string();
        let secret = |rng: &mut policy::Rng| text(format!("{}s3cr3tSig99{}", any(rng), any(rng)));
        let inner = format!(
            r#"{{"a":{},"user":"jane","password":{},"b":{},"z":"last"}}"#,
            text(any(&mut rng)),
            match rng.below(3) {
                0 => format!("[{},{}]", secret(&mut rng), secret(&mut rng)),
                1 => format!(r#"{{"a":{},{}:"5"}}"#, secret(&mut rng), text(any(&mut rng))),
                _ => secret(&mut rng),
            },
            text(any(&mut rng)),
        );
        let outer = format!(r#"{{"q":{},"body":{},"z":"last"}}"#, text(any(&mut rng)), text(inner.clone()));
        for text in [inner, outer] {
            let left = guard.text(&text).unwrap_or_else(|| text.clone());
            assert!(!left.contains("s3cr3tSig99"), "{text}\n{left}");
            let read: serde_json::Value =
                serde_json::from_str(&left).unwrap_or_else(|error| panic!("{error}: {text}\n{left}"));
            assert_eq!(read["z"], "last", "{text}\n{left}");
            let read = match &read["body"] {
                serde_json::Value::String(body) => {
                    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}\n{left}"))
                }
                _ => read,
            };
            assert_eq!((&read["user"], &read["z"]), (&"jane".into(), &"last".into()), "{text}\n{left}");
        }
    }
}

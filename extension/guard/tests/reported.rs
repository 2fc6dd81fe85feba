//! What was reported as missed, or as hidden for nothing: each as a row, by what kind of fault it was.

use guard::{Guard, Limits, Redaction, Rules};

fn guard() -> Guard {
    let rules = Rules { redaction: Redaction::everything(None), limits: Limits::NONE, attributes: None };
    Guard::new(rules).expect("there are rules")
}

/// The second is in none of what is left of the first.
#[track_caller]
fn assert_hidden(rows: &[(&str, &str)]) {
    for (text, secret) in rows {
        let left = guard().text(text).unwrap_or_else(|| (*text).to_owned());
        assert!(!left.contains(secret), "{text:?} -> {left:?}");
        assert_eq!(guard().text(&left), None, "once is enough: {text:?} -> {left:?}");
    }
}

#[test]
fn what_stands_behind_an_escape() {
    assert_hidden(&[
        (r#"{"a":"card\n4111111111111111"}"#, "4111111111111111"),
        (r#"{\"a\":\"card\\n4111111111111111\"}"#, "4111111111111111"),
        (r"uid\n234123412346", "234123412346"),
        (r"pan\tABCPE1234F", "ABCPE1234F"),
        (r"tel\n+919876543210", "9876543210"),
        (r"key\nAKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        (r"pem\n-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----\n", "MIIEabc"),
        (r"user=jane\u0026password=hunter2X9", "hunter2X9"),
        (r"user\u003djane\u0026password\u003dhunter2X9", "hunter2X9"),
        (r"\x70assword\x3dhunter2X9", "hunter2X9"),
    ]);
}

#[test]
fn names_in_every_print() {
    assert_hidden(&[
        (r#""password"=>"hunter2X9""#, "hunter2X9"),
        ("password := hunter2X9", "hunter2X9"),
        ("password == hunter2X9", "hunter2X9"),
        ("[cvv] => 123", "123"),
        ("password\t=\thunter2X9", "hunter2X9"),
        ("password:        hunter2X9", "hunter2X9"),
        (r#"{\\\\\\\"password\\\\\\\":\\\\\\\"hunter2X9\\\\\\\"}"#, "hunter2X9"),
        ("password1=hunter2X9", "hunter2X9"),
        ("secret_key=hunter2X9", "hunter2X9"),
        (r#"{"secretKey":"hunter2X9"}"#, "hunter2X9"),
        ("pass=hunter2X9", "hunter2X9"),
        ("db_pass: hunter2X9", "hunter2X9"),
        ("PGPASSWORD=hunter2X9", "hunter2X9"),
        ("DBPassword=hunter2X9", "hunter2X9"),
        ("CSRFToken: hunter2X9", "hunter2X9"),
        ("JWTToken=hunter2X9", "hunter2X9"),
        ("DefaultEndpointsProtocol=https;AccountKey=hunter2X9==;EndpointSuffix=x", "hunter2X9"),
        ("auth=hunter2X9", "hunter2X9"),
        ("signature=hunter2X9", "hunter2X9"),
        ("otp_code=482913", "482913"),
        ("cvv_number: 123", "123"),
    ]);
}

#[test]
fn queries_of_every_form() {
    assert_hidden(&[
        ("https://a.io/p?flag&dob=1990-01-01", "1990"),
        ("https://a.io/p?name=O'Hara&dob=1990-01-01", "1990"),
        ("https://a.io/p?a:b=1990", "1990"),
        ("https://a.io/p?a|b=1990", "1990"),
        ("https://a.io/p?f(x)=1990&g*=1990&h,i=1990&j/k=1990&l@m=1990", "1990"),
        ("https://a.io/p%3Fdob%3D1990%26x%3D1", "1990"),
        ("https://a.io/p?naïve=1990", "1990"),
        ("q=%7B%22dob%22%3A%22x%22%2C%22token%22%3A%22hunter2X9%22%7D", "hunter2X9"),
    ]);
}

#[test]
fn statements_that_read_in_two_ways() {
    let statement = r"SELECT a FROM t WHERE a LIKE '%' ESCAPE '\' AND n = 'Jane' AND m = 'Doe'";
    let left = guard().value("db.query.text", statement).expect("it stays an attribute");
    assert!(!left.contains("Jane") && !left.contains("Doe"), "{left}");
    assert!(left.starts_with("SELECT a FROM t WHERE a LIKE ? ESCAPE "), "{left}");
}

#[test]
fn numbers_and_tokens_in_other_forms() {
    assert_hidden(&[
        ("4111111111111111.0", "4111111111111111"),
        ("4111  1111  1111  1111", "4111  1111  1111"),
        ("4111\t1111\t1111\t1111", "4111\t1111\t1111"),
        ("4111–1111–1111–1111", "4111–1111–1111"),
        ("4111_1111_1111_1111", "4111_1111_1111"),
        ("4111/1111/1111/1111", "4111/1111/1111"),
        // `abcd:`, whose colon is in a last group of two characters.
        ("Basic YWJjZDo=", "YWJjZDo"),
        ("Basic dXNlcm5hbWU6cGE=", "dXNlcm5hbWU6cGE"),
        ("josé@example.com", "josé"),
        ("abcpe1234f", "abcpe1234f"),
        ("sk-proj-abcdefghijklmnop1234567890abcdefghijklmnop", "abcdefghijklmnop1234567890"),
        ("sk-ant-api03-abcdefghijklmnop1234567890abcdefghijklmnop", "abcdefghijklmnop1234567890"),
        (
            "SG.abcdefghijklmnop12345.abcdefghijklmnop1234567890abcdefghijklmnop1",
            "abcdefghijklmnop1234567890",
        ),
        ("npm_abcdefghijklmnop1234567890abcdefghij", "abcdefghijklmnop1234567890"),
        ("pypi-AgEIcHlwaS5vcmcabcdefghijklmnop1234567890abcdef", "abcdefghijklmnop1234567890"),
        ("hf_abcdefghijklmnop1234567890abcdefgh", "abcdefghijklmnop1234567890"),
        ("rzp_test_abcdefghij1234", "abcdefghij1234"),
    ]);
    for key in ["card.us", "phone_us", "card.time", "card_duration"] {
        assert_ne!(guard().value(key, "4111111111111111").as_deref(), Some("4111111111111111"), "{key}");
    }
}

#[test]
fn what_is_set_in_bold() {
    assert_hidden(&[
        ("Your card **4111 1111 1111 1111** was declined", "4111 1111 1111 1111"),
        ("*4111111111111111*", "4111111111111111"),
        ("mail **jane.doe@example.com** now", "jane.doe"),
        ("call **+919876543210**", "9876543210"),
        ("phone: **9876543210**", "9876543210"),
        ("Aadhaar **2341 2341 2346**", "2341 2341 2346"),
        ("PAN *ABCPE1234F*", "ABCPE1234F"),
        ("IBAN **DE89370400440532013000**", "370400440532013000"),
        ("upi *jane.doe@okaxis*", "jane.doe"),
        ("token *ghp_0123456789abcdefghijklmnopqrstuvwxyz*", "ghp_0123456789"),
        ("key **AKIAIOSFODNN7EXAMPLE**", "AKIAIOSFODNN7EXAMPLE"),
        ("**password:** hunter2X", "hunter2X"),
        ("OTP is **482913**", "482913"),
        ("**password**: hunter2X", "hunter2X"),
        ("password: **hunter2X**", "hunter2X"),
        ("/*4111111111111111*/", "4111111111111111"),
    ]);
}

#[test]
fn what_stands_behind_a_warning() {
    assert_hidden(&[
        ("warn:password=hunter2X", "hunter2X"),
        ("level=warn:card:4111111111111111", "4111111111111111"),
        ("warn:4111111111111111", "4111111111111111"),
        ("warn:aadhaar:234123412346", "234123412346"),
        ("2026-11-28 warn:authorization=Basic abc", "Basic abc"),
        ("event=warn:cvv=123", "123"),
    ]);
}

#[test]
fn what_stands_behind_a_placeholder() {
    assert_hidden(&[
        ("POST /users/<name> failed: password=hunter2X", "hunter2X"),
        (r#"no route for /login/<key> with {"password":"hunter2X","cvv":"123"}"#, "hunter2X"),
        ("expected <field>, got password=hunter2X", "hunter2X"),
        ("Vec<Key> password: hunter2X", "hunter2X"),
        ("<header>X-Api-Key: 12345abcdef</header>", "12345abcdef"),
        ("<param>password=hunter2X</param>", "hunter2X"),
        ("<password>hunter2X</password>", "hunter2X"),
        ("<password>hunter2X", "hunter2X"),
        ("<name>password</name><value>hunter2X</value>", "hunter2X"),
    ]);
}

#[test]
fn passwords_that_begin_with_a_word() {
    assert_hidden(&[
        ("password=new!pass2024", "pass2024"),
        ("password=no.way.1234", "1234"),
        ("secret=open!Sesame1", "Sesame1"),
        (r#"{"secret":"new.s3cr3t"}"#, "s3cr3t"),
        (r#"{"token":"ok s3cr3t99"}"#, "s3cr3t99"),
        ("cvv: ok.123", "123"),
        ("Authorization: New hunter2X", "hunter2X"),
    ]);
}

#[test]
fn secrets_that_begin_with_two_slashes() {
    assert_hidden(&[
        ("secret=//8AAbcdef0123456789abcd", "8AAbcdef"),
        ("AccountKey=//8AAbcdef0123456789abcd==", "8AAbcdef"),
    ]);
}

#[test]
fn other_spellings() {
    assert_hidden(&[
        ("password[0]=hunter2X", "hunter2X"),
        ("password is: hunter2X", "hunter2X"),
        (r#""passwords": ["a]hunter2X", "Secret99x"]"#, "Secret99x"),
        ("password=a)bcdef99", "bcdef99"),
        ("bounces+123-jane.doe=example.com@em.example.org", "jane.doe"),
        ("o'brien@example.com", "o'"),
        ("jane@example.xn--p1ai", "jane"),
        ("postgres://jane:p#hunter2X@db/app", "hunter2X"),
        ("password=hun'ter2X", "ter2X"),
        (r#"{"password":{"v":"a}hunter2X"}}"#, "hunter2X"),
        (r#"{"password":"[redacted] hunter2X"}"#, "hunter2X"),
        ("passwords[1]=hunter2X", "hunter2X"),
        (r#"{"value":"hunter2X","name":"password"}"#, "hunter2X"),
        (r#"[{"Value": "hunter2X", "Key": "db_password"}]"#, "hunter2X"),
        (r#"{\"value\":\"hunter2X\",\"name\":\"password\"}"#, "hunter2X"),
    ]);
}

#[test]
fn what_is_left_of_a_value_of_several_parts_whose_first_has_gone() {
    const PARTS: [&str; 15] = [
        "password=('FIRST', 'hunter2X')",
        r#"passwords: ["FIRST", "hunter2X"]"#,
        r#"{"password":["FIRST","hunter2X"]}"#,
        r#"{"password":{"old":"FIRST","new":"hunter2X"}}"#,
        r#"{"password":"FIRST, hunter2X"}"#,
        "Cookie: FIRST; b=hunter2X",
        "curl -H 'Cookie: FIRST; b=hunter2X'",
        "Authorization: Digest FIRST, response=hunter2X",
        "<password>FIRST hunter2X</password>",
        "<password>FIRST, hunter2X</password>",
        "<password><![CDATA[FIRST hunter2X]]></password>",
        r#"("password", "FIRST, hunter2X")"#,
        "password: |\n  FIRST\n  hunter2X\n",
        r#"password = Secret("FIRST, hunter2X")"#,
        "--password 'FIRST, hunter2X'",
    ];
    // What another rule has left, or whoever wrote the text.
    for gone in ["[redacted]", "REDACTED", "*******", "{abcdefghijklmnopabcd}"] {
        for part in PARTS {
            let text = part.replace("FIRST", gone);
            assert_hidden(&[(&text, "hunter2X")]);
        }
    }
}

#[test]
fn what_has_gone_stays_as_it_is() {
    for gone in ["[redacted]", "REDACTED", "*******", "{abcdefghijklmnopabcd}"] {
        for text in [
            "password=('GONE', 'GONE')",
            r#"passwords: ["GONE", "GONE"]"#,
            r#"{"password":"GONE, GONE","a":1}"#,
            "Cookie: GONE; GONE",
            "<password>GONE GONE</password>",
            "<password><![CDATA[GONE]]></password>",
            r#"("password", "GONE")"#,
            r#"password = Secret("GONE, GONE")"#,
            "--password 'GONE' -v",
            "mysql -pGONE",
        ] {
            let text = text.replace("GONE", gone);
            assert_eq!(guard().text(&text), None, "{text}");
        }
    }
}

#[test]
fn numbers_in_the_path_of_an_api() {
    assert_hidden(&[
        ("GET https://x1.execute-api.ap-south-1.amazonaws.com/4111111111111111", "4111111111111111"),
        ("GET https://x1.execute-api.ap-south-1.amazonaws.com/234123412346/kyc", "234123412346"),
    ]);
}

#[test]
fn own_patterns_read_what_is_escaped() {
    let (redaction, faults) =
        Redaction::parse(r#"[{"value":"\"ssn\": ?\"[0-9-]+\""},{"value":"ORD-[0-9]{6}"}]"#, None);
    assert_eq!(faults, Vec::<String>::new());
    let mut guard =
        Guard::new(Rules { redaction, limits: Limits::NONE, attributes: None }).expect("there are rules");
    for (text, secret) in [
        (r#"{\"ssn\":\"123-45-6789\"}"#, "123-45-6789"),
        (r#"{"ssn":"123-45-6789"}"#, "123-45-6789"),
        ("x ORD%2D123456", "123456"),
        (r"x ORD\u002d123456", "123456"),
        ("x ORD-123456", "123456"),
    ] {
        let left = guard.text(text).unwrap_or_else(|| text.to_owned());
        assert!(!left.contains(secret), "{left}");
    }
}

#[test]
fn parameters_of_statements_are_literals() {
    for value in ["Jane Doe", "42", "a@b.io", "it's"] {
        assert_eq!(guard().value("db.query.parameter.0", value).as_deref(), Some("?"));
    }
    assert_eq!(guard().value("db.query.parameter.0", "?").as_deref(), Some("?"));
}

#[test]
fn what_is_hidden_for_nothing_stays() {
    for text in [
        "session: started",
        "token: expired",
        "secret: not found",
        "password is required",
        "git@github.com:owner/name.git",
        "ec2-user@ip-10-0-0-1.eu-west-1.compute.internal",
        "UPI Ref No 234123412346",
        "account 234123412346",
        "4503599627370",
        "Result<Token> was expected in module payments\n at main (app.ts:12)\n at run",
        "GET /users/<session>/items/<id>/orders",
        "usage: login <token>\nmore of the log",
        "Cannot parse token: unexpected end of JSON input",
        "password: expected string",
        "auth: upstream timed out",
        "token: expired.",
        "erlang OTP: 26",
        r#"{"value":"hunter2X","name":"region"}"#,
        "a -> token -> parser",
    ] {
        assert_eq!(guard().text(text), None, "{text}");
    }
    for key in [
        "otp.verified",
        "pin.attempts",
        "music.track.1",
        "code.function.signature",
        "rpc.method.signature",
        "test.pass",
        "gpio.pin",
        "pin.location",
    ] {
        assert_eq!(guard().value(key, "3").as_deref(), Some("3"), "{key}");
    }
}

//! What an attack on the guard on 28 November 2026 got through it, and what it hid for nothing, each by its kind.

use guard::{Guard, Limits, Redaction, Rules};

fn guard() -> Guard {
    let (redaction, faults) = Redaction::parse(r#"["all"]"#, None);
    assert_eq!(faults, Vec::<String>::new());
    Guard::new(Rules { redaction, limits: Limits::NONE, attributes: None }).expect("there are rules")
}

fn left(text: &str) -> String {
    guard().text(text).unwrap_or_else(|| text.to_owned())
}

/// Of each text the secret goes, and a second reading finds nothing.
#[track_caller]
fn assert_hidden(rows: &[(&str, &str)]) {
    let mut leaks = Vec::new();
    for (text, secret) in rows {
        assert!(text.contains(secret), "{text:?} has {secret:?}");
        let left = left(text);
        if left.contains(secret) {
            leaks.push(format!("{text:?} -> {left:?}"));
        }
        if let Some(again) = guard().text(&left) {
            leaks.push(format!("{text:?} -> {left:?} -> {again:?}"));
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[track_caller]
fn assert_kept(texts: &[&str]) {
    let changed = texts.iter().filter_map(|text| Some(format!("{text:?} -> {:?}", guard().text(text)?)));
    let changed: Vec<String> = changed.collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

#[track_caller]
fn assert_left(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(left(text), *expected, "{text:?}");
        assert_eq!(left(expected), *expected, "once is enough");
    }
}

#[test]
fn a_line_of_a_program_is_no_value() {
    assert_kept(&[
        "session = boto3.Session(profile_name=p)",
        "token = get_token(event)",
        "token = await get_token(event, 30)",
        "self.token = token",
        "token = self.token",
        "password = settings.DB_PASSWORD",
        "client = connect(user=user, password=password, port=port)",
        "    password=password,",
        "return token == other",
        "if token != expected_token:",
        "def f(password: str, token: str = None)",
        "def login(password: Optional[str] = None, token: str | None = None) -> Session:",
        "fn login(password: &str, token: String) -> Result<(), Error>",
        "function login(password: string, token?: string)",
        "session = requests.Session()",
        "session = Session()",
        "token = os.environ[\"API_TOKEN\"]",
        "password = os.environ.get(\"DB_PASSWORD\")",
        "const token = getToken(event);",
        "otp = generate_otp(user)",
    ]);
    assert_hidden(&[
        ("password = Secret(\"hunter2X\")", "hunter2X"),
        ("token = jwt.encode(payload, \"hunter2X\", algorithm=alg)", "hunter2X"),
        ("session = boto3.Session(secret, \"hunter2X\")", "hunter2X"),
        ("password == hunter2X9", "hunter2X9"),
        ("password=get(hunter2X)", "hunter2X"),
        ("password=hunter2X(a)", "hunter2X"),
        ("password: strhunter2X", "hunter2X"),
        ("password=password1", "password1"),
        ("token = get_token(\n    \"hunter2X\",\n)", "hunter2X"),
        ("Password = Password { Value = hunter two }", "hunter two"),
        ("password: Some(\n    \"hunter2X\",\n)", "hunter2X"),
        ("password: >-\n  hunter2X\n", "hunter2X"),
        ("password: str0ng", "str0ng"),
        ("password=Secret(value=hunter2X)", "hunter2X"),
    ]);
    assert_left(&[(
        "token = jwt.encode(payload, \"hunter2X\", algorithm=\"HS256\")",
        "token = jwt.encode(payload, \"[redacted]\", algorithm=\"[redacted]\")",
    )]);
}

#[test]
fn a_line_of_a_traceback_is_no_value() {
    assert_kept(&[
        "Traceback (most recent call last):\n  File \"/var/task/app.py\", line 3, in handler\n    session = Session(\n        token=tok, secret=s, auth=a)\nValueError: x",
        "  File \"/var/task/app.py\", line 3, in handler\n    password = x if y else z\n               ^^^^^^^^\n",
        "  File \"/var/task/app.py\", line 3, in handler\n    with Session(token=t, auth=(u, p)) as s:\n",
    ]);
    assert_hidden(&[
        ("  File \"/var/task/app.py\", line 3, in f\n    password = \"hunter2X\"\nKeyError: x", "hunter2X"),
        (
            "  File \"/var/task/app.py\", line 3, in f\n    login(password='hunter2X', a=b)\nKeyError: x",
            "hunter2X",
        ),
        ("  File \"/var/task/app.py\", line 3, in f\n    raise E(\"password=hunterX\")\nE: x", "hunterX"),
        ("  File \"/var/task/app.py\", line 3, in f\n    raise E(x)\nE: password=hunterX", "hunterX"),
        ("  File \"/var/task/app.py\", line 3, in f\n    raise E(x)\n    E: password=hunterX", "hunterX"),
        ("  File \"/var/task/app.py\", line 3, in f\n    pin = 1234\nE: x", "1234"),
        ("  File \"/var/task/app.py\", line 3, in f\n    password=tok('hunter2X')\nE: x", "hunter2X"),
    ]);
}

#[test]
fn a_sentence_about_a_secret_is_no_value() {
    assert_kept(&[
        "InvalidToken: Token is invalid or expired",
        "rest_framework_simplejwt.exceptions.InvalidToken: Token is invalid or expired",
        "BadSignature: Signature \"abc\" does not match",
        "ValidationError: User validation failed: password: Path `password` is required.",
        "{\"password\":[\"This field is required.\"]}",
        "{\"password\":[\"can't be blank\",\"is too short (minimum is 8 characters)\"]}",
        "{\"password\":[\"The password must be at least 8 characters.\"]}",
        "{\"password\":\"This field may not be blank.\"}",
        "{'password': ['This field is required.'], 'token': [\"can't be blank\"]}",
        "token: <nil>",
        "token=<nil> user=jane",
        "token: n/a",
        "token: N/A",
        "token: -",
        "auth: user not found",
        "auth: github",
        "secret: prod/db",
        "secret: prod/payments/db",
        "pass: test_login",
        "--- PASS: TestLogin (0.00s)",
        "balance: +12345678.90",
        "delta +12345678.5",
    ]);
    assert_hidden(&[
        ("password: Token2is invalid", "Token2is"),
        ("password: hunter is", "hunter"),
        ("{\"password\":[\"This is hunter\"]}", "hunter"),
        ("{\"password\":[\"This field is required.\",\"hunter2X\"]}", "hunter2X"),
        ("{\"password\":\"correct horse battery\"}", "horse"),
        ("token: -hunter2X", "hunter2X"),
        ("secret: prod/dB9xhunter", "dB9xhunter"),
        ("password: prod/db", "prod/db"),
        ("pass: hunter_login", "hunter"),
        ("password: <hunter2X>", "hunter2X"),
        ("call +1.415.555.26.71", "555.26"),
        ("tel +491512345678", "1512345"),
    ]);
}

#[test]
fn a_password_in_quotation_marks_behind_its_option() {
    assert_hidden(&[
        ("mysql -u root -p'hunter2X' db", "hunter2X"),
        ("mysql -u root -p\"hunter2X\" db", "hunter2X"),
        ("sshpass -p'hunter 2X' ssh h", "2X"),
        ("curl -u'app:hunter2X' https://x", "hunter2X"),
        ("curl -u\"app:hunter2X\" https://x", "hunter2X"),
        ("curl -sSu'app:hunter2X' https://x", "hunter2X"),
        ("sqlcmd -S db -P'hunter2X' -Q x", "hunter2X"),
        ("mysql -p!hunter2X db", "hunter2X"),
        ("mysql -p@hunter2X db", "hunter2X"),
        ("mysql -p#hunter2X db", "hunter2X"),
        ("mysql -p$ecr3tX db", "ecr3tX"),
        ("sh -c \"mysql -p'hunter2X' db\"", "hunter2X"),
    ]);
    assert_kept(&[
        "mysql -p",
        "mysql -u root -p, then type it",
        "run 'mysql -p' and type",
        "mysql -p$MYSQL_PWD db",
        "mysql -p\"$MYSQL_PWD\" db",
        "mysql -p${PWD} db",
        "git log -p'x'",
    ]);
}

#[test]
fn quotation_marks_that_are_doubled() {
    assert_hidden(&[
        (r#"7,"{""user"":""jane"",""password"":""hunter2X"",""cvv"":""123""}""#, "hunter2X"),
        (r#"7,"{""user"":""jane"",""password"":""hunter2X"",""cvv"":""123""}""#, "123"),
        (r#"password=""hunter2X"" x"#, "hunter2X"),
        (r#"@"{""password"": ""hunter 2X""}""#, "2X"),
        (r#""{""password"":""a""""hunter2X""}""#, "hunter2X"),
        ("'{''password'':''hunter2X''}'", "hunter2X"),
    ]);
    assert_left(&[(
        r#"7,"{""user"":""jane"",""password"":""hunter2X"",""cvv"":""123"",""a"":""b""}""#,
        r#"7,"{""user"":""jane"",""password"":""[redacted]"",""cvv"":""[redacted]"",""a"":""b""}""#,
    )]);
    assert_kept(&[
        r#"{"password":"","user":"jane"}"#,
        r#"password="" user="jane""#,
        r#"{""password"":"""",""user"":""jane""}"#,
    ]);
}

#[test]
fn signs_that_are_parts_of_a_value() {
    assert_hidden(&[
        ("Server=db;Password=hun&ter2X;Database=x", "ter2X"),
        ("Server=db;Password=hun|ter2X;", "ter2X"),
        ("Server=db; Pwd=hun&ter2X", "ter2X"),
        ("Password=hun&ter2X;Server=db;", "ter2X"),
        ("password: hun;ter2X", "ter2X"),
        ("password: hun&ter2X", "ter2X"),
        ("password: hun|ter2X", "ter2X"),
        (r"PASSWORD=hun\&ter2X", "ter2X"),
        (r"password=DOM\hunter2X", "hunter2X"),
        ("password=hun\"ter2X", "ter2X"),
        ("password=&hunter2X", "hunter2X"),
        ("password=|hunter2X", "hunter2X"),
        (r"password=\hunter2X", "hunter2X"),
        ("password: &hunter2X", "hunter2X"),
    ]);
    assert_left(&[
        ("password=hunter2&user=jane", "password=[redacted]&user=jane"),
        ("a=1|password=hunter2X|user=jane", "a=1|password=[redacted]|user=jane"),
        ("Password=hunter2X;Server=db", "Password=[redacted];Server=db"),
        ("{\"msg\":\"password=hunter2X\",\"a\":1}", "{\"msg\":\"password=[redacted]\",\"a\":1}"),
        ("password: hunter2X; user: jane", "password: [redacted]; user: jane"),
        ("password:hunter2X;user:jane", "password:[redacted];user:jane"),
    ]);
    assert_kept(&[
        "password=&user=jane",
        "password=|user=jane",
        "password=;Server=db",
        "password: ;user: jane",
    ]);
}

#[test]
fn values_whose_name_is_the_value_of_another_name() {
    assert_hidden(&[
        (
            r#"{"Parameter":{"Name":"/prod/db/password","Type":"SecureString","Value":"hunter2X"}}"#,
            "hunter2X",
        ),
        (r#"{"Name":"ConnectionStrings:DbPassword","Value":"hunter2X"}"#, "hunter2X"),
        ("Parameter(Name=/prod/db/password, Type=SecureString, Value=hunter2X)", "hunter2X"),
        (r#"{"ParameterKey":"DbPassword","ParameterValue":"hunter2X"}"#, "hunter2X"),
        (
            r#"{"Name":"db_password","ARN":"arn:aws:ssm:eu-central-1:123456789012:parameter/prod/payments/orders/database/db_password","Value":"hunter2X"}"#,
            "hunter2X",
        ),
        (
            r#"{"loc":["body","password"],"msg":"String should have at least 8 characters","input":"hunter2X"}"#,
            "hunter2X",
        ),
        (r#"{"field":"password","rejectedValue":"hunter2X"}"#, "hunter2X"),
        (r#"{"op":"replace","path":"/user/password","value":"hunter2X"}"#, "hunter2X"),
        (
            "Field error in object 'user' on field 'password': rejected value [hunter2X]; codes [x]",
            "hunter2X",
        ),
        ("Field error in object 'user' on field 'password': rejected value [hun]ter2X]; codes [x]", "ter2X"),
    ]);
    assert_kept(&[
        r#"{"Name":"/prod/db/host","Type":"String","Value":"db.internal"}"#,
        r#"{"ParameterKey":"DbHost","ParameterValue":"db.internal"}"#,
        r#"{"loc":["body","email"],"msg":"x","input":"abc"}"#,
        r#"{"op":"replace","path":"/user/name","value":"x"}"#,
        r#"{"path":"/login","value":"x"}"#,
        "Field error in object 'user' on field 'age': rejected value [abc]; codes [x]",
    ]);
}

#[test]
fn a_password_is_no_folder() {
    assert_hidden(&[
        ("pwd=/aB3x+hunter2X==", "hunter2X"),
        ("Server=db;Pwd=/aB3xhunter2X;", "hunter2X"),
        ("pwd=/aB3xhunter2X", "hunter2X"),
    ]);
    assert_kept(&["PWD=/var/task", "pwd=/opt/Jane/app1 x", "PWD=/", "pwd: /Users/jane/src"]);
}

#[test]
fn pairs_of_other_languages() {
    assert_hidden(&[
        (r#"s:11:"\u0000*\u0000password";s:8:"hunter2X";"#, "hunter2X"),
        ("s:11:\"\0*\0password\";s:8:\"hunter2X\";", "hunter2X"),
        ("s:14:\"\0User\0password\";s:8:\"hunter2X\";", "hunter2X"),
        (r#"{password,<<"hunter2X">>}"#, "hunter2X"),
        (r#"{<<"password">>,<<"hunter2X">>}"#, "hunter2X"),
        (r#"[{<<"user">>,<<"jane">>},{<<"password">>, <<"hunter2X">>}]"#, "hunter2X"),
    ]);
    assert_kept(&[r#"{user,<<"jane">>}"#, r#"{<<"user">>,<<"jane">>}"#, "s:4:\"\0*\0user\";s:4:\"jane\";"]);
}

#[test]
fn further_names() {
    for name in [
        "storepass",
        "smtppass",
        "bindpw",
        "rootpw",
        "session_key",
        "hmac_key",
        "aes_key",
        "jwt_key",
        "recovery_code",
        "code_verifier",
        "client_assertion",
        ".ASPXAUTH",
    ] {
        assert_hidden(&[(&format!("{name}=hunterXyz"), "hunterXyz")]);
        assert_ne!(guard().value(name, "hunterXyz").as_deref(), Some("hunterXyz"), "{name}");
    }
    assert_hidden(&[
        ("keytool -storepass hunterX -list", "hunterX"),
        (
            "Stripe-Signature: t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
            "5257a869",
        ),
    ]);
    assert_kept(&[
        "client_assertion_type=urn:x",
        "code_challenge=abc",
        "bypass=hunterXyz",
        "session_keyboard=a",
        "error_code=abc",
    ]);
}

#[test]
fn a_password_behind_a_blank() {
    assert_hidden(&[
        ("aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
        ("aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "K7MDENG"),
        ("password p@ssw0rd1 rejected", "ssw0rd1"),
        ("ALTER USER a SET PASSWORD 'secr3t-P@ss'", "secr3t"),
        ("Invalid password \"p@ssw0rd!\" for user jane", "ssw0rd"),
    ]);
    assert_kept(&[
        "password policy-2024 applied",
        "token jane1@example/x",
        "secret prod/db1 rotated",
        "unknown token 'user_id1'",
        "password 'admin' rejected",
        "the token https://x.io/a1 was",
        "Secret \"prod/db-1\" was rotated",
    ]);
}

#[test]
fn a_password_with_signs_in_a_url() {
    assert_hidden(&[
        ("postgres://a:hun\"ter2X@h/x", "ter2X"),
        ("postgres://a:12#ter2X@h/x", "ter2X"),
        ("url=\"postgres://a:hun\"ter2X@h/x\"", "ter2X"),
    ]);
    assert_kept(&[
        "http://localhost:3000#/users/@me",
        "http://localhost:3000/@scope/pkg",
        r#"{"url":"http://a:80","by":"x@h"}"#,
    ]);
}

#[test]
fn values_in_further_wrappings() {
    assert_hidden(&[
        ("$password = ConvertTo-SecureString \"hunter2X\" -AsPlainText", "hunter2X"),
        ("$password = ConvertTo-SecureString -String \"hunter2X\" -AsPlainText -Force", "hunter2X"),
        ("password = new SecureString(\"hunter2X\")", "hunter2X"),
        ("password: |\n  a\n\n  hunter2X\nnext: b", "hunter2X"),
        ("password: |2-\n    hunter2X\nnext: b", "hunter2X"),
        ("-[ RECORD 1 ]----\nusername | jane\npassword | hunter2X\n", "hunter2X"),
        ("OTP=482 913", "913"),
        ("otp: 482 913", "482"),
        ("Your OTP is 482 913.", "913"),
        ("password = new NetworkCredential(\"jane\", \"hunter2X\")", "hunter2X"),
        ("<AdministratorPassword><Value>hunter2X</Value><PlainText>true</PlainText>", "hunter2X"),
        ("Bearer 12|abcdefghijklmnop1234567890", "abcdefgh"),
        ("gstin: 27ABCPE1234F1Z5", "ABCPE1234F"),
    ]);
    assert_left(&[("password: |\n  a\n\n  hunter2X\n\nnext: b", "password: [redacted]\n\nnext: b")]);
    assert_kept(&[
        "cat token | grep x",
        "erlang otp: 482 9130",
        "password | string | required",
        "<Users><Value>jane</Value>",
        "token | type",
    ]);
}

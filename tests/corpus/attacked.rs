//! Texts with what must not be left of them, as `hidden.rs` has them: what a second attacker has found.

use super::hidden::{Report, hides, of};

/// Of these something goes.
pub(crate) const ATTACKED: &[Report] = &[
    // Webhooks, with and without their host.
    hides(
        "POST https://contoso.webhook.office.com/webhookb2/a1b2c3d4-1111-2222-3333-1234567890ab@b1b2c3d4-1111-2222-3333-1234567890ab/IncomingWebhook/0123456789abcdef0123456789abcdef/c1b2c3d4-1111-2222-3333-1234567890ab failed",
        &["a1b2c3d4-1111", "0123456789abcdef", "c1b2c3d4-1111"],
        &["contoso.webhook.office.com", " failed"],
    ),
    hides(
        "https://outlook.office.com/webhook/a1b2c3d4-1111-2222-3333-1234567890ab@b1b2c3d4-1111-2222-3333-1234567890ab/IncomingWebhook/0123456789abcdef0123456789abcdef/c1b2c3d4-1111-2222-3333-1234567890ab",
        &["a1b2c3d4-1111", "0123456789abcdef", "c1b2c3d4-1111"],
        &["outlook.office.com"],
    ),
    hides(
        "https://discord.com/api/v10/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-abcd",
        &["123456789012345678", "abcdefghijklmnop"],
        &["discord.com/api/v10/webhooks/"],
    ),
    of(
        "url.path",
        "/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-abcd",
        &["abcdefghijklmnop"],
    ),
    of("http.target", "/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0/sendMessage", &["AAHdqTcvCH1v"]),
    hides(
        "POST http://localhost:8081/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0/sendMessage",
        &["AAHdqTcvCH1v"],
        &["localhost:8081", "/sendMessage"],
    ),
    of("url.path", "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", &["XXXXXXXXXXXXXXXXXXXXXXXX"]),
    of(
        "url.path",
        "/triggers/T0A1B2C3D/1234567890123/0123456789abcdef0123456789abcdef",
        &["0123456789abcdef"],
    ),
    // Addresses as Go's drivers write them.
    hides("root:hunter2X9zz@/orders", &["hunter2X9zz"], &["@/orders"]),
    hides("u:hunter2X9zz@(h:3306)/d", &["hunter2X9zz"], &["@(h:3306)/d"]),
    hides("u:hunter2X9zz@cloudsql(p:i)/d", &["hunter2X9zz"], &["@cloudsql(p:i)/d"]),
    hides("root:hunter/two@tcp(h:3306)/d", &["hunter", "two"], &["@tcp(h:3306)/d"]),
    hides("root:hunter@two@tcp(h:3306)/d", &["hunter", "two"], &["@tcp(h:3306)/d"]),
    hides("u:hunter2X9zz@acct/db", &["hunter2X9zz"], &["@acct/db"]),
    // A value without quotation marks in JSON gets some.
    hides(
        "{\"message\":\"login\",\"phone\":9876543210}",
        &["98765432"],
        &["{\"message\":\"login\",\"phone\":\"********10\"}"],
    ),
    hides("{\"cookies\":3,\"user\":17}", &[":3,"], &["{\"cookies\":\"[redacted]\",\"user\":17}"]),
    hides("{\"pan\": 4111111111111111 }", &["4111111111111111"], &["{\"pan\": \"411111******1111\" }"]),
    hides("{\"token\":{\"type\":\"x\"}}", &["type"], &["{\"token\":\"[redacted]\"}"]),
    hides(
        "{\"body\":\"{\\\"phone\\\":9876543210}\"}",
        &["98765432"],
        &["{\"body\":\"{\\\"phone\\\":\\\"********10\\\"}\"}"],
    ),
    hides(
        "{\"phones\":[9876543210, 9876543211,9876543212],\"n\":1}",
        &["98765432"],
        &["{\"phones\":[\"********10\", \"********11\",\"********12\"],\"n\":1}"],
    ),
    hides("\"phone\": 9876543210 was refused", &["98765432"], &["\"phone\": ********10 was"]),
    // Names of secrets and of codes.
    of("auth_header", "hunter2X9zz", &["hunter2X9zz"]),
    of("authHeader", "hunter2X9zz", &["hunter2X9zz"]),
    of("auth.value", "hunter2X9zz", &["hunter2X9zz"]),
    of("http.request.header.x-rapidapi-key", "hunter2X9zz", &["hunter2X9zz"]),
    of("http.request.header.ocp-apim-subscription-key", "hunter2X9zz", &["hunter2X9zz"]),
    of("x-functions-key", "hunter2X9zz", &["hunter2X9zz"]),
    of("totp", "482913", &["482913"]),
    of("mfa_code", "482913", &["482913"]),
    of("2fa_code", "482913", &["482913"]),
    of("smsCode", "482913", &["482913"]),
    of("cardVerificationValue", "123", &["123"]),
    hides("x-rapidapi-key: hunter2X9zz, totp=482913", &["hunter2X9zz", "482913"], &[]),
    hides("{\"mfaCode\":\"482913\",\"cardVerificationValue\":\"123\"}", &["482913", "123"], &[]),
    // Telephones: several, and with a number.
    of("user.phones", "9876543210", &["98765432"]),
    of("contactPhones", "9876543210", &["98765432"]),
    of("user.phone1", "9876543210", &["98765432"]),
    of("phone_us", "4155552671", &["41555526"]),
    hides("{\"phones\":[\"9876543210\"]}", &["98765432"], &[]),
    hides("mobiles=9876543210", &["98765432"], &[]),
    hides("phone: 9876543210, 9876543211", &["98765432"], &["********10, ********11"]),
    hides(
        "phones: 9876543210, 9876543211; 9876543212 / 9876543213 and 9876543214, 9876543215",
        &["98765432"],
        &[],
    ),
    hides("2341 2341 2346 2341 2341 2346", &["2341 2341"], &[]),
    hides("iban=DE89+3704+0044+0532+0130+00", &["3704+0044"], &[]),
    hides("DE89  3704  0044  0532  0130  00", &["3704  0044"], &[]),
    // Keys whose value is nothing but a URL.
    of("http.target", "/p?filter={\"name\":\"Jane Doe\"}&dob=1990-01-01", &["Jane Doe", "1990"]),
    of("url.query", "filter={\"name\":\"Jane Doe\"}&dob=1990-01-01", &["Jane Doe", "1990"]),
    of("url.full", "https://a.io/p?name=Jane Doe&dob=1990-01-01", &["Jane Doe", "1990"]),
    // Oracle's own quotation marks.
    of(
        "db.query.text",
        "SELECT a FROM t WHERE n = q'[O'Hara, 12 Main Street]' AND m = 'x'",
        &["Hara", "Main", "x'"],
    ),
    of("db.query.text", "SELECT a FROM t WHERE n = nQ'!it's Jane!' AND m = 'x'", &["Jane", "x'"]),
    of("db.query.text", "INSERT INTO \"t\" (\"a\") VALUES (\"Jane\", \"Doe\")", &["Jane", "Doe"]),
    of(
        "db.query.text",
        "SELECT \"a\" FROM \"t\" WHERE n = \"Jane\" OR m IN (\"Doe\") OR k LIKE \"Ro%\"",
        &["Jane", "Doe", "Ro"],
    ),
    of("db.query.text", "MATCH (n {age:42, born :1980}) RETURN n", &["42", "1980"]),
    of("db.query.text", "UPDATE u SET password = 'hunter2X9zz', otp = 482913", &["hunter2X9zz", "482913"]),
    Report {
        key: "db.query.text",
        text: "{\"find\":\"u\",\"filter\":{\"password\":\"hunter2X9zz\"}}",
        gone: &["hunter2X9zz"],
        kept: &["{\"find\":\"?\",\"filter\":{\"password\":\"?\"}}"],
    },
    // Pairs.
    hides("headers: [password, hunter2X9zz]", &["hunter2X9zz"], &[]),
    hides("a:2:{s:8:\"password\";s:11:\"hunter2X9zz\";}", &["hunter2X9zz"], &[]),
    hides("{:password, \"hunter2X9zz\"}", &["hunter2X9zz"], &[]),
    hides("jane/doe@example.com", &["jane", "doe"], &["@example.com"]),
    hides("jane!doe@example.com", &["jane", "doe"], &["@example.com"]),
    // Schemes are no secret, but what stands behind them is.
    hides("auth: basic aHVudGVyMlg5eno=", &["aHVudGVyMlg5eno"], &[]),
    hides("Authorization: Digest username=\"jane\"", &["jane"], &[]),
    hides("session:8f14e45fceea167a", &["8f14e45fceea167a"], &[]),
    hides("token:abcdefghijklmnopqrstuvwx", &["abcdefghijklmnop"], &[]),
];

//! Made-up trees: a clean one, and one violation at a time planted into it.

use super::tree::Tree;

/// The least a tidy workspace has: every file that a rule names.
const CLEAN: &[(&str, &str)] = &[
    ("CHANGELOG.md", "# Changelog\n\n## Unreleased\n"),
    ("Makefile", "demo: build ## Show it\n\t./demo\n\nbuild-Layer:\n\tcp layer x\n"),
    ("README.md", "# Prefreeze\n\nSee [the changes](CHANGELOG.md), [the code](extension/src).\n"),
    ("docs/configuration.md", "| `PREFREEZE_A` | on |\n| `PREFREEZE_OTLP_B` ¹ | off |\n"),
    ("extension/Cargo.toml", "[package]\nname = \"extension\"\n[dependencies]\nwire.workspace = true\n"),
    ("extension/policy/Cargo.toml", "[package]\nname = \"policy\"\n[dependencies]\n"),
    ("extension/policy/src/agent/turning.rs", "//! Asks.\nfn ask() { outputs.push_back(Output::Next); }\n"),
    ("extension/policy/src/lib.rs", "//! Decides.\n#![no_std]\nextern crate alloc;\n"),
    ("extension/src/clock.rs", "//! Reads the clock.\npub fn now() { Instant::now(); }\n"),
    ("extension/src/driver.rs", "//! Drives.\n"),
    ("extension/src/exporter.rs", "//! Exports.\nuse reqwest::Client;\n"),
    ("extension/src/intake.rs", "//! Takes spans in.\nfn listen() { TcpListener::bind(\"a\"); }\n"),
    ("extension/src/lambda.rs", "//! Speaks to Lambda.\nuse lambda_extension::Extension;\n"),
    ("extension/src/log.rs", "//! Speaks to the log.\nfn say() { println!(\"{}\", 1); }\n"),
    ("extension/src/main.rs", "//! Starts.\nfn main() { std::env::args(); Some(\"config\"); }\n"),
    (
        "extension/src/settings.rs",
        "//! Reads the environment.\nfn get() { std::env::var(\"PREFREEZE_A\"); b(\"PREFREEZE_OTLP_B\"); }\n",
    ),
    ("extension/src/telemetry.rs", "//! Hears the platform.\n"),
    ("extension/wire/Cargo.toml", "[package]\nname = \"wire\"\n[dependencies]\npolicy.workspace = true\n"),
    ("extension/wire/src/lib.rs", "//! Translates.\n"),
    ("template.yaml", "Resources:\n  Layer:\n    Metadata:\n      BuildMethod: makefile\n"),
    ("tests/sandbox/Cargo.toml", "[package]\nname = \"sandbox\"\n"),
];

const DRIVER: &str = "extension/src/driver.rs";
const POLICY: &str = "extension/policy/src/agent.rs";
const WIRE: &str = "extension/wire/src/otlp.rs";

/// Files that break a rule: (path, text, what tidy must complain of, and of nothing else).
pub(crate) const GUILTY: &[(&str, &str, &str)] = &[
    // what only one file may do
    (DRIVER, "//! D.\nfn f() { let t = Instant::now(); }\n", "only extension/src/clock.rs reads a clock"),
    (
        DRIVER,
        "//! D.\nfn f() { std::time::SystemTime::now(); }\n",
        "only extension/src/clock.rs reads a clock",
    ),
    (DRIVER, "//! D.\nfn f() { start.elapsed(); }\n", "only extension/src/clock.rs reads a clock"),
    (POLICY, "//! P.\nfn f() { Instant::now(); }\n", "only extension/src/clock.rs reads a clock"),
    (DRIVER, "//! D.\nfn f() { std::env::var(\"HOME\"); }\n", "reads the environment"),
    (
        DRIVER,
        "//! D.\nuse lambda_extension::NextEvent;\n",
        "only extension/src/lambda.rs speaks to the Lambda APIs",
    ),
    (DRIVER, "//! D.\nconst A: &str = \"AWS_LAMBDA_RUNTIME_API\";\n", "knows where the Lambda APIs are"),
    ("extension/src/settings_too.rs", "//! S.\nfn f() { std::env::var(\"A\"); }\n", "reads the environment"),
    (DRIVER, "//! D.\nuse reqwest::Client;\n", "only extension/src/exporter.rs speaks to the backend"),
    (DRIVER, "//! D.\nfn f() { TcpListener::bind(a); }\n", "binds a listener"),
    (DRIVER, "//! D.\nfn f() { println!(\"x\"); }\n", "only extension/src/log.rs prints"),
    (DRIVER, "//! D.\nfn f() { std::process::exit(1); }\n", "only extension/src/main.rs ends the process"),
    (DRIVER, "//! D.\n#[allow(clippy::disallowed_methods)]\nfn f() {}\n", "lifted outside its file"),
    (DRIVER, "//! D.\nfn f() { m.lock().expect(\"no panic\"); }\n", "no file gives up on a lock"),
    // wire and policy stay pure
    (WIRE, "//! W.\nuse std::net::TcpStream;\n", "no file does I/O or waits, in wire"),
    (WIRE, "//! W.\nuse std::fs;\n", "no file does I/O or waits, in wire"),
    (WIRE, "//! W.\nasync fn f() {}\n", "no file does I/O or waits, in wire"),
    (WIRE, "//! W.\nuse hyper::Request;\n", "no file does I/O or waits, in wire"),
    (POLICY, "//! P.\nuse std::collections::HashMap;\n", "no file names std or waits, in policy"),
    (POLICY, "//! P.\nextern crate std;\n", "no file names std or waits, in policy"),
    (POLICY, "//! P.\nasync fn f() {}\n", "no file names std or waits, in policy"),
    (
        "extension/policy/src/lane/exports.rs",
        "//! E.\nuse crate::account::Account;\n",
        "no file knows invocations, in lanes",
    ),
    (
        "extension/policy/src/lanes.rs",
        "//! L.\nfn f(id: &RequestId) {}\n",
        "no file knows invocations, in lanes",
    ),
    (
        "extension/policy/src/room.rs",
        "//! R.\nuse crate::platform::Invoke;\n",
        "no file knows invocations, in room",
    ),
    (
        "extension/policy/src/turn.rs",
        "//! T.\nfn f(lane: &Lane<B>) {}\n",
        "no file knows spans or lanes, in turn",
    ),
    (
        "extension/policy/src/account/root.rs",
        "//! A.\nuse crate::lane::LaneId;\n",
        "no file knows backends, in the account",
    ),
    (
        "extension/policy/src/agent/draining.rs",
        "//! D.\nfn f() { o.push(Output::Next); }\n",
        "only extension/policy/src/agent/turning.rs asks `/next`, in policy",
    ),
    ("extension/policy/src/lib.rs", "//! P.\n#![cfg_attr(not(test), no_std)]\n", "no plain #![no_std]"),
    ("extension/policy/src/lib.rs", "//! P.\n// #![no_std]\n", "no plain #![no_std]"),
    // dependencies point one way
    (
        "extension/policy/Cargo.toml",
        "[package]\nname = \"policy\"\n[dependencies]\nserde = \"1\"\n",
        "policy depends on serde",
    ),
    (
        "extension/policy/Cargo.toml",
        "[package]\nname = \"policy\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n",
        "policy depends on libc",
    ),
    (
        "extension/wire/Cargo.toml",
        "[package]\nname = \"wire\"\n[dev-dependencies]\nextension.workspace = true\n",
        "wire points back to extension",
    ),
    (
        "extension/Cargo.toml",
        "[package]\nname = \"extension\"\n[dev-dependencies]\ns = { package = \"sandbox\", path = \"x\" }\n",
        "extension points back to sandbox",
    ),
    (
        "examples/pay/Cargo.toml",
        "[package]\nname = \"pay\"\n[dependencies]\nwire.workspace = true\n",
        "pay points back to wire",
    ),
    // what every file keeps
    (DRIVER, "fn f() {}\n", "does not begin with a //! sentence"),
    (DRIVER, "//! driver\n", "does not begin with a //! sentence"),
    (DRIVER, concat!("//! D.\n// TO", "DO: more\n"), "is unfinished"),
    ("examples/pay/receipt.py", concat!("# FIX", "ME\n"), "is unfinished"),
    (DRIVER, concat!("//! D.\nfn f() { todo", "!() }\n"), "is unfinished"),
    ("docs/start.md", concat!("Run `/ho", "me/me/run`.\n"), "exists on one machine only"),
    ("notes.txt", "", "not one of the names of the top level"),
    ("src/lib.rs", "//! Lost.\n", "not one of the names of the top level"),
    ("CHANGELOG.md", "# Changelog\n\n## 0.1.0\n", "no Unreleased section"),
    ("docs/start.md", "See [there](nowhere.md).\n", "link leads nowhere: nowhere.md"),
    ("docs/start.md", "See [there](../../outside.md#part).\n", "link leads nowhere"),
    ("docs/start.md", "Run `make dem`.\n", "make has no target dem"),
    ("docs/start.md", "So:\n\n```sh\nmake dem\n```\n", "make has no target dem"),
    ("docs/start.md", "Set `PREFREEZE_C`.\n", "there is no setting PREFREEZE_C"),
    ("docs/start.md", "Set `PREFREEZE_A_LOGS`.\n", "there is no setting PREFREEZE_A_LOGS"),
    ("examples/pay/run.sh", "PREFREEZE_C=1 pay\n", "there is no setting PREFREEZE_C"),
    (DRIVER, "//! D.\nconst C: &str = \"PREFREEZE_C\";\n", "PREFREEZE_C is not in docs/configuration.md"),
    (
        "docs/configuration.md",
        "| `PREFREEZE_A` | on |\n| `PREFREEZE_OTLP_B` ¹ |\n| `PREFREEZE_C` | |\n",
        "nothing reads PREFREEZE_C",
    ),
    (
        "docs/troubleshooting.md",
        "| `event` | means |\n|---|---|\n| `no_luck` | bad |\n",
        "nothing says no_luck",
    ),
    (
        DRIVER,
        "//! D.\nfn f() { say(Level::Warn, \"new_luck\", \"m\"); }\n",
        "docs/troubleshooting.md lacks new_luck",
    ),
    ("docs/start.md", "Run `prefreeze confi`.\n", "prefreeze has no confi"),
    ("docs/start.md", "Run `prefreeze config --fast`.\n", "prefreeze has no --fast"),
    ("docs/start.md", "See [it](../README.md#x).\n", "no heading for ../README.md#x"),
    (
        "template.yaml",
        "Resources:\n  Pay:\n    Type: X\n    Metadata:\n      BuildMethod: makefile\n",
        "the Makefile does not build Pay",
    ),
];

/// Files that only look as if they broke one.
pub(crate) const INNOCENT: &[(&str, &str)] = &[
    (DRIVER, "//! D: calls no Instant::now.\n/* std::env::var(\"A\") */\n"),
    (DRIVER, "//! D.\nconst A: &str = \"Instant::now() println!\";\n"),
    (DRIVER, "//! D.\nconst A: &str = r#\"\"reqwest\"\"#;\n"),
    (DRIVER, "//! D.\n#[cfg(test)]\nmod tests {\n    fn f() { println!(\"{:?}\", Instant::now()); }\n}\n"),
    (DRIVER, "//! D.\nfn f() { MyInstant::nowhere(); reqwester(); }\n"),
    ("extension/src/settings/table.rs", "//! T.\nconst A: &str = \"AWS_LAMBDA_RUNTIME_API\";\n"),
    (POLICY, "//! P.\n#[cfg(test)]\nextern crate std;\nfn std_dev() {}\n"),
    (POLICY, "//! P.\n#[cfg(test)]\nmod tests {\n    use std::vec;\n}\n"),
    (WIRE, "//! W: no async here, no std::net.\nfn asynchronous() {}\n"),
    ("extension/policy/Cargo.toml", "[package]\nname = \"policy\"\n[dependencies]\nlibm = \"1\"\n"),
    (
        "docs/start.md",
        "# A b, c!\nSee [it](../README.md#prefreeze), [here](#a-b-c), [web](https://a.b/c), `[code](no)`.\n```\n[fenced](no)\n```\n",
    ),
    ("docs/start.md", "`PREFREEZE_OTLP_LOGS_B` and `PREFREEZE_…`; `prefreeze config`; `prefreeze` runs.\n"),
    ("docs/start.md", "People\nmake dem of it.\n"),
    ("docs/start.md", "Run `make demo`, or `make demo X=1`, or `make`.\n"),
    ("docs/start.md", concat!("<https://example.com/ho", "me/> and a/wo", "rk/b\n")),
];

/// What policy must not be able to name, as items: each alone must fail to compile there.
pub(crate) const WORLD: &[&str] = &[
    "pub fn f() { std::time::Instant::now(); }",
    "pub fn f() { let _ = std::env::var(\"HOME\"); }",
    "pub type T = std::collections::HashMap<u8, u8>;",
    "pub fn f() { let _ = std::net::TcpListener::bind(\"127.0.0.1:0\"); }",
    "pub fn f() { std::thread::spawn(|| ()); }",
    "pub fn f() { std::fs::read(\"a\").ok(); }",
];

/// A tree that keeps every rule.
pub(crate) fn clean_tree() -> Tree {
    Tree { files: CLEAN.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
}

/// The clean tree with one file added or replaced.
pub(crate) fn tree_with(path: &str, text: &str) -> Tree {
    let mut tree = clean_tree();
    tree.files.insert(path.to_owned(), text.to_owned());
    tree
}

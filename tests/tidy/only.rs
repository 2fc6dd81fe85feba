//! What only one file may do: read a clock, open a listener, speak to the backend, print.

use super::source::{Look, keep, line_of, without_tests, word_positions};
use super::tree::{Tree, Violation};

/// A thing that has one home.
struct Only {
    what: &'static str,
    /// How doing it looks in code.
    words: &'static [&'static str],
    look: Look,
    /// The part of the tree the rule is about.
    within: &'static str,
    /// The files that may; in an empty list, none may.
    homes: &'static [&'static str],
}

const CLOCK: &[&str] = &["Instant::now", "SystemTime::now", ".elapsed()"];
const ENVIRONMENT: &[&str] =
    &["env::var", "env::var_os", "env::vars", "env::vars_os", "env::args", "env::args_os"];
const PRINTING: &[&str] = &[
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "dbg!",
    "io::stdout",
    "io::stderr",
    "stdout()",
    "stderr()",
];
const OUTSIDE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "tokio",
    "hyper",
    "reqwest",
    "async",
    ".await",
];

/// What a lane must not know: whose data it carries, and what an invocation is.
const INVOCATIONS: &[&str] = &[
    "account",
    "RequestId",
    "TraceId",
    "Invocation",
    "Invoke",
    "Phase",
    "crate::platform",
    "crate::sampling",
    "crate::pace",
    "crate::cap",
];

/// What a turn must not know: what is carried, and where to.
const CARGO: &[&str] = &[
    "crate::span",
    "crate::entry",
    "crate::lane",
    "crate::lanes",
    "crate::sampling",
    "Lane",
    "Entry",
    "Span",
];
/// What the account must not know: where its spans go.
const BACKENDS: &[&str] = &["crate::lane", "crate::lanes", "crate::room", "Lane", "Outcome", "BatchId"];

const ONLY: &[Only] = &[
    Only {
        what: "reads a clock",
        words: CLOCK,
        look: Look::Code,
        within: "extension/",
        homes: &["extension/src/clock.rs"],
    },
    Only {
        what: "reads the environment",
        words: ENVIRONMENT,
        look: Look::Code,
        within: "extension/",
        homes: &["extension/src/settings.rs", "extension/src/main.rs"],
    },
    Only {
        what: "speaks to the Lambda APIs",
        words: &["lambda_extension"],
        look: Look::Code,
        within: "extension/",
        homes: &["extension/src/lambda.rs"],
    },
    Only {
        what: "knows where the Lambda APIs are",
        words: &["AWS_LAMBDA_RUNTIME_API"],
        look: Look::CodeAndStrings,
        within: "extension/",
        homes: &["extension/src/lambda.rs", "extension/src/settings.rs"],
    },
    Only {
        what: "speaks to the backend",
        words: &["reqwest"],
        look: Look::Code,
        within: "extension/",
        homes: &["extension/src/exporter.rs"],
    },
    Only {
        what: "binds a listener",
        words: &["TcpListener::bind", "UnixListener::bind", "UdpSocket::bind", "TcpSocket"],
        look: Look::Code,
        within: "extension/",
        homes: &["extension/src/intake.rs", "extension/src/telemetry.rs"],
    },
    Only {
        what: "prints",
        words: PRINTING,
        look: Look::Code,
        within: "extension/",
        homes: &["extension/src/log.rs"],
    },
    Only {
        what: "ends the process",
        words: &["process::exit", "process::abort"],
        look: Look::Code,
        within: "extension/",
        homes: &["extension/src/main.rs"],
    },
    Only {
        what: "gives up on a lock because its holder panicked",
        words: &[".lock().expect(", ".lock().unwrap("],
        look: Look::Code,
        within: "extension/",
        homes: &[],
    },
    Only {
        what: "does I/O or waits, in wire",
        words: OUTSIDE,
        look: Look::Code,
        within: "extension/wire/src/",
        homes: &[],
    },
    Only {
        what: "does I/O or waits, in guard",
        words: OUTSIDE,
        look: Look::Code,
        within: "extension/guard/src/",
        homes: &[],
    },
    Only {
        what: "knows invocations, in lanes",
        words: INVOCATIONS,
        look: Look::Code,
        within: "extension/policy/src/lane",
        homes: &[],
    },
    Only {
        what: "knows invocations, in room",
        words: INVOCATIONS,
        look: Look::Code,
        within: "extension/policy/src/room.rs",
        homes: &[],
    },
    Only {
        what: "knows spans or lanes, in turn",
        words: CARGO,
        look: Look::Code,
        within: "extension/policy/src/turn",
        homes: &[],
    },
    Only {
        what: "knows backends, in the account",
        words: BACKENDS,
        look: Look::Code,
        within: "extension/policy/src/account",
        homes: &[],
    },
    Only {
        what: "asks `/next`, in policy",
        words: &["Output::Next"],
        look: Look::Code,
        within: "extension/policy/src/",
        homes: &["extension/policy/src/agent/turning.rs"],
    },
    Only {
        what: "names std or waits, in policy",
        words: &["std", "async", ".await"],
        look: Look::Code,
        within: "extension/policy/src/",
        homes: &[],
    },
];

/// No file does what another one is the only one to do; and each home is still there.
pub(crate) fn each_thing_in_its_file(tree: &Tree) -> Vec<Violation> {
    ONLY.iter().flat_map(|only| strays(tree, only).chain(lost_homes(tree, only))).collect()
}

fn strays<'a>(tree: &'a Tree, only: &'a Only) -> impl Iterator<Item = Violation> + 'a {
    let files = tree.rust(only.within).filter(|(path, _)| !is_home(only.homes, path));
    files.flat_map(|(path, text)| {
        let code = without_tests(&keep(text, only.look));
        let places = only
            .words
            .iter()
            .flat_map(|word| word_positions(&code, word).into_iter().map(move |at| (*word, at)));
        places
            .map(|(word, at)| Violation::at(path, line_of(&code, at), complaint(only, word)))
            .collect::<Vec<_>>()
    })
}

/// A home is a file, with the modules in the folder of its name.
fn is_home(homes: &[&str], path: &str) -> bool {
    homes.iter().any(|home| {
        let folder = home.trim_end_matches(".rs");
        path == *home || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    })
}

fn complaint(only: &Only, word: &str) -> String {
    match only.homes {
        [] => format!("`{word}`: no file {}", only.what),
        homes => format!("`{word}`: only {} {}", homes.join(" or "), only.what),
    }
}

fn lost_homes<'a>(tree: &'a Tree, only: &'a Only) -> impl Iterator<Item = Violation> + 'a {
    let lost = only.homes.iter().filter(|home| !tree.has(home));
    lost.map(|home| {
        Violation::of_file(home, format!("is not there, but tidy says that only it {}", only.what))
    })
}

/// Files in which clippy is told to allow a banned call: a home of the thing banned, and nowhere else.
pub(crate) fn exemptions_match_homes(tree: &Tree) -> Vec<Violation> {
    let homes: Vec<&str> = ONLY.iter().flat_map(|only| only.homes).copied().collect();
    let mut found = Vec::new();
    for (path, text) in tree.rust("extension/").filter(|(path, _)| !is_home(&homes, path)) {
        let code = without_tests(&keep(text, Look::Code));
        for word in ["clippy::disallowed_methods", "clippy::disallowed_macros"] {
            let places = word_positions(&code, word);
            found.extend(places.iter().map(|at| {
                Violation::at(path, line_of(&code, *at), format!("`{word}`: lifted outside its file"))
            }));
        }
    }
    found
}

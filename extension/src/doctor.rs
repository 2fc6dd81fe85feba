//! `prefreeze doctor`: what is wrong with the settings, and whether each backend takes what would be sent to it.

use std::fmt::Write;
use std::io;
use std::path::Path;

use crate::clock::Clock;
use crate::driver::Inbox;
use crate::exporter::{Exporter, unusable_files};
use crate::settings::{Problem, Settings};

/// What was found, for people.
#[derive(Debug)]
pub struct Diagnosis {
    /// Lines.
    pub text: String,
    /// Whether everything is as it should be.
    pub is_well: bool,
}

/// Where each cause is explained.
const PAGE: &str = "docs/troubleshooting.md#why-do-requests-to-the-backend-fail";

/// Adds to the problems of `settings` what is wrong with the files that they name, which only people are told before the files
/// are needed. Such files are not named any more then.
pub fn look_at_files(settings: &mut Settings) {
    let mut problems = Vec::new();
    for destination in settings.destinations.iter_mut().flatten() {
        for (name, reason) in unusable_files(destination) {
            let problem = Problem { name: name.to_owned(), reason };
            // Signals share files as a rule.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
            let tls = &mut destination.tls;
            match name.ends_with("_OTLP_CERTIFICATE") {
                true => tls.certificate = None,
                false => (tls.client_certificate, tls.client_key) = (None, None),
            }
        }
    }
    settings.problems.extend(problems);
}

/// Checks `settings`, and sends an empty request of each signal to where it goes. To a queue that is a message, because
/// nothing else shows that the role may send one, and that SQS can use its key. The forwarder takes it for what it is.
///
/// # Errors
/// When there are no threads or file descriptors for a client.
pub fn examine(settings: Settings) -> io::Result<Diagnosis> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let diagnosis = runtime.block_on(look(settings));
    // A resolver that does not answer holds a thread of the runtime for as long as it likes.
    runtime.shutdown_background();
    Ok(diagnosis)
}

async fn look(mut settings: Settings) -> Diagnosis {
    look_at_files(&mut settings);
    let mut text = String::new();
    let mut is_well = settings.is_well();
    let found = [
        ("invalid setting", &settings.problems),
        ("not allowed", &settings.refused),
        ("most likely wrong", &settings.hints),
    ];
    for (what, problems) in found {
        for problem in problems {
            let _ = writeln!(text, "{what}: {problem}");
        }
    }
    if let Err(error) = writable(&settings.spool_dir) {
        is_well = false;
        let path = settings.spool_dir.display();
        let _ = writeln!(text, "the spool's folder {path} cannot be written: {error}");
    }
    let lanes = settings.lanes();
    let exporter = Exporter::new(
        settings.routes().map(|(lane, to)| (lane, to.clone())).collect::<Vec<_>>(),
        settings.credentials,
        settings.vaults,
        Inbox::new().0,
        Clock::start(),
    );
    for (name, lane, url) in lanes {
        let Some(url) = url else {
            let _ = writeln!(text, "{name}: go nowhere (PREFREEZE_EXPORTER_OTLP_ENDPOINT)");
            continue;
        };
        let is_queue = url.starts_with("sqs:");
        let _ = write!(text, "{name}: {url}: ");
        match exporter.probe(lane).await {
            None | Some(Ok(())) if is_queue => text.push_str(
                "well, it took a message with nothing in it
",
            ),
            None | Some(Ok(())) => text.push_str("well, an empty request was accepted\n"),
            Some(Err(finding)) => {
                is_well = false;
                let status = finding.status.map_or_else(String::new, |status| format!(" (status {status})"));
                let detail =
                    if finding.detail.is_empty() { String::new() } else { format!("\n  {}", finding.detail) };
                let _ =
                    writeln!(text, "{}{status}: {}{detail}\n  see {PAGE}", finding.cause, finding.sentence);
            }
        }
    }
    text.push_str(if is_well { "everything is well\n" } else { "something is wrong, see above\n" });
    Diagnosis { text, is_well }
}

/// Whether files can be made in `folder`, or in the one that it would be made in.
fn writable(folder: &Path) -> io::Result<()> {
    let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
    let probe = existing.join(format!(".prefreeze-doctor-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)
}

/// The variables of a file as Docker and systemd read them: a name, `=`, a value, one on a line; `export` before it and
/// quotes around the value are taken off, and lines that begin with `#` are passed over.
///
/// # Errors
/// When the file cannot be read, or a line of it is no variable.
pub fn variables_of(path: &str) -> io::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path)?;
    let lines =
        text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(line, number)| {
            variable(line).ok_or_else(|| io::Error::other(format!("line {number} is no variable")))
        })
        .collect()
}

fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    is_name.then(|| (name.to_owned(), quoted.unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_are_variables() {
        let rows = [
            ("A=b", Some(("A", "b"))),
            ("export A_1 = 'b c' ", Some(("A_1", "b c"))),
            ("A=\"b=c\"", Some(("A", "b=c"))),
            ("A=", Some(("A", ""))),
            ("A='", Some(("A", "'"))),
            ("A", None),
            ("A-b=c", None),
            ("=b", None),
        ];
        for (line, expected) in rows {
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(variable(line.trim()), expected, "{line}");
        }
    }
}

//! What the processes find in their environment, and what they must not find.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use crate::config::{Credentials, FunctionSpec};

/// Variables of the runtime that extensions do not see.
const HIDDEN_FROM_EXTENSIONS: [&str; 9] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
];

pub(crate) type Variables = BTreeMap<String, OsString>;

/// What the variables say about the environment around the function.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) api: String,
    pub(crate) region: String,
    pub(crate) credentials: Credentials,
    pub(crate) log_stream: String,
    /// Stands for the private /tmp.
    pub(crate) scratch: std::path::PathBuf,
    /// The host's, so that interpreters are found.
    pub(crate) path: OsString,
}

/// The runtime's variables.
pub(crate) fn of_runtime(spec: &FunctionSpec, around: &Surroundings) -> Variables {
    let mut variables = Variables::new();
    let root = spec.task_root();
    // What a customer may override comes first.
    set(&mut variables, "PATH", &around.path);
    set(&mut variables, "LANG", "en_US.UTF-8");
    set(&mut variables, "TZ", ":UTC");
    set(&mut variables, "LD_LIBRARY_PATH", library_path(&root, spec.extensions_dir.as_deref()));
    set(&mut variables, "AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    for (key, value) in &spec.env {
        set(&mut variables, key, value);
    }
    if let Some(wrapper) = &spec.exec_wrapper {
        set(&mut variables, "AWS_LAMBDA_EXEC_WRAPPER", wrapper);
    }
    // What is reserved comes last.
    set(&mut variables, "AWS_LAMBDA_RUNTIME_API", &around.api);
    set(&mut variables, "AWS_REGION", &around.region);
    set(&mut variables, "AWS_DEFAULT_REGION", &around.region);
    set(&mut variables, "AWS_ACCESS_KEY_ID", &around.credentials.access_key_id);
    set(&mut variables, "AWS_SECRET_ACCESS_KEY", &around.credentials.secret_access_key);
    set(&mut variables, "AWS_SESSION_TOKEN", &around.credentials.session_token);
    set(&mut variables, "AWS_LAMBDA_FUNCTION_NAME", &spec.name);
    set(&mut variables, "AWS_LAMBDA_FUNCTION_VERSION", &spec.version);
    set(&mut variables, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string());
    set(&mut variables, "AWS_LAMBDA_INITIALIZATION_TYPE", spec.init_type.name());
    if spec.init_type.is_managed() {
        set(&mut variables, "AWS_LAMBDA_MAX_CONCURRENCY", spec.init_type.room().to_string());
    }
    set(&mut variables, "AWS_LAMBDA_LOG_FORMAT", spec.log_format.name());
    set(&mut variables, "AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", spec.name));
    set(&mut variables, "AWS_LAMBDA_LOG_STREAM_NAME", &around.log_stream);
    set(&mut variables, "LAMBDA_TASK_ROOT", &root);
    set(&mut variables, "LAMBDA_RUNTIME_DIR", "/var/runtime");
    set(&mut variables, "TMPDIR", &around.scratch);
    set(&mut variables, "_HANDLER", &spec.handler);
    variables
}

/// An extension's variables: the runtime's, without what is the runtime's business.
pub(crate) fn of_extension(spec: &FunctionSpec, around: &Surroundings) -> Variables {
    let mut variables = of_runtime(spec, around);
    variables.retain(|key, _| !key.starts_with('_') && !HIDDEN_FROM_EXTENSIONS.contains(&key.as_str()));
    variables
}

fn set(variables: &mut Variables, key: &str, value: impl Into<OsString>) {
    variables.insert(key.to_owned(), value.into());
}

/// Lambda's order: the task's own libraries, then those of the layers, which lie beside `extensions`.
fn library_path(root: &Path, extensions_dir: Option<&Path>) -> OsString {
    let mut dirs = vec![root.to_path_buf(), root.join("lib")];
    dirs.extend(extensions_dir.and_then(Path::parent).map(|opt| opt.join("lib")));
    std::env::join_paths(dirs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            api: "127.0.0.1:4711".into(),
            region: "eu-west-1".into(),
            credentials: Credentials::default(),
            log_stream: "2026/11/22/[$LATEST]0a".into(),
            scratch: "/tmp/x".into(),
            path: "/usr/bin".into(),
        }
    }

    fn spec() -> FunctionSpec {
        let env = [("TABLE", "orders"), ("_PRIVATE", "1"), ("AWS_REGION", "mars"), ("TZ", "CET")];
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        FunctionSpec { command: vec!["/srv/app/bootstrap".into()], env, ..FunctionSpec::default() }
    }

    #[test]
    fn the_runtime_sees_the_platform_and_the_customers_variables() {
        let variables = of_runtime(&spec(), &around());
        let expected = [
            ("TABLE", "orders"),
            ("TZ", "CET"),
            ("AWS_REGION", "eu-west-1"),
            ("_HANDLER", "bootstrap"),
            ("LAMBDA_TASK_ROOT", "/srv/app"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:4711"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function"),
        ];
        for (key, value) in expected {
            assert_eq!(variables.get(key), Some(&value.into()), "{key}");
        }
        assert!(!variables.contains_key("HOME") && !variables.contains_key("_X_AMZN_TRACE_ID"));
    }

    #[test]
    fn extensions_do_not_see_the_runtimes_own() {
        let variables = of_extension(&spec(), &around());
        for hidden in HIDDEN_FROM_EXTENSIONS.iter().chain(&["_HANDLER", "_PRIVATE"]) {
            assert!(!variables.contains_key(*hidden), "{hidden}");
        }
        for seen in ["TABLE", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_ACCESS_KEY_ID"] {
            assert!(variables.contains_key(seen), "{seen}");
        }
    }
}

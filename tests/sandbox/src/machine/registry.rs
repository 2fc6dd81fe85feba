//! The extensions of one environment: who registered, under which identifier, for what.

use serde::Deserialize;
use serde_json::json;

use super::extension_state::{ExtensionEvent, ExtensionState};
use super::{Facts, Token};
use crate::answer::{Answer, ApiError};
use crate::ids::{Ids, is_uuid};

/// External and internal extensions together.
const EXTENSIONS_MAX: usize = 10;

/// One extension.
#[derive(Debug)]
pub(crate) struct Extension {
    pub(crate) name: String,
    /// Started from the extensions directory, rather than registered from inside the runtime.
    pub(crate) external: bool,
    /// Given out at registration.
    pub(crate) id: Option<String>,
    pub(crate) state: ExtensionState,
    pub(crate) invoke: bool,
    pub(crate) shutdown: bool,
    /// The pending `/event/next`.
    pub(crate) waiting: Option<Token>,
    /// Its process runs; always false for internal extensions.
    pub(crate) alive: bool,
    pub(crate) error_type: Option<String>,
    pub(crate) subscribed: bool,
}

impl Extension {
    pub(crate) fn events(&self) -> Vec<&'static str> {
        [(self.invoke, "INVOKE"), (self.shutdown, "SHUTDOWN")]
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, e)| *e)
            .collect()
    }

    /// Applies `event`; a transition that the table does not have is the caller's error to answer.
    pub(crate) fn apply(&mut self, event: ExtensionEvent, call: &'static str) -> Result<(), ApiError> {
        let refused =
            || ApiError::InvalidExtensionState { name: self.name.clone(), from: self.state.name(), call };
        self.state = self.state.on(event).ok_or_else(refused)?;
        Ok(())
    }

    /// Whether the end of an invocation waits for it. A report of an error ends nothing by itself: an extension
    /// that goes on after it is waited for until it exits or the deadline comes.
    pub(crate) fn is_running(&self) -> bool {
        let gone = self.external && !self.alive;
        self.invoke && !gone && matches!(self.state, ExtensionState::Running | ExtensionState::ExitError)
    }
}

/// All extensions of one generation of processes.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) extensions: Vec<Extension>,
}

/// The call of `POST /register`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) wants_account_id: bool,
    pub(crate) body: bytes::Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    configuration_keys: Vec<String>,
}

impl Registry {
    /// One entry for each file of the extensions directory.
    pub(crate) fn of_files(names: &[String]) -> Self {
        let extension = |name: &String| Extension {
            name: name.clone(),
            external: true,
            id: None,
            state: ExtensionState::Started,
            invoke: false,
            shutdown: false,
            waiting: None,
            alive: true,
            error_type: None,
            subscribed: false,
        };
        Self { extensions: names.iter().map(extension).collect() }
    }

    /// Answers a registration; `open` is whether the runtime still initialises.
    ///
    /// The index is that of the extension that registered.
    pub(crate) fn register(
        &mut self,
        call: &Registration,
        open: bool,
        facts: &Facts,
        ids: &mut Ids,
    ) -> Result<(usize, Answer), ApiError> {
        if call.name.is_empty() {
            return Err(ApiError::InvalidExtensionName);
        }
        let body: Body =
            serde_json::from_slice(&call.body).map_err(|e| ApiError::InvalidRequestFormat(e.to_string()))?;
        if !body.configuration_keys.is_empty() {
            return Err(ApiError::InvalidRequestFormat("configurationKeys are not supported".into()));
        }
        let found = self.extensions.iter().position(|e| e.external && e.name == call.name);
        check_events(&body.events, found.is_some(), facts.init_type.is_managed())?;
        let index = match found {
            Some(index) => index,
            None => self.add_internal(&call.name, open)?,
        };
        let extension = &mut self.extensions[index];
        extension.apply(ExtensionEvent::Register, "Registered")?;
        extension.invoke = body.events.iter().any(|e| e == "INVOKE");
        extension.shutdown = body.events.iter().any(|e| e == "SHUTDOWN");
        let id = ids.uuid();
        extension.id = Some(id.clone());
        let mut about = json!({
            "functionName": facts.function, "functionVersion": facts.version, "handler": facts.handler,
        });
        if call.wants_account_id {
            about["accountId"] = json!(facts.account_id);
        }
        Ok((index, Answer::json(200, &about).with("Lambda-Extension-Identifier", id)))
    }

    fn add_internal(&mut self, name: &str, open: bool) -> Result<usize, ApiError> {
        if let Some(other) = self.extensions.iter().find(|e| e.name == name) {
            let from = other.state.name();
            return Err(ApiError::InvalidExtensionState { name: name.into(), from, call: "Registered" });
        }
        if !open {
            return Err(ApiError::RegistrationClosed);
        }
        if self.extensions.len() >= EXTENSIONS_MAX {
            return Err(ApiError::TooManyExtensions);
        }
        let mut of_one = Self::of_files(&[name.to_owned()]);
        let mut extension = of_one.extensions.pop().expect("one name makes one extension");
        extension.external = false;
        extension.alive = false;
        self.extensions.push(extension);
        Ok(self.extensions.len() - 1)
    }

    /// The extension that `id`, the header's value, belongs to.
    pub(crate) fn identify(&self, id: Option<&str>) -> Result<usize, ApiError> {
        let id = id.filter(|id| !id.is_empty()).ok_or(ApiError::MissingExtensionIdentifier)?;
        if !is_uuid(id) {
            return Err(ApiError::InvalidExtensionIdentifier);
        }
        let known = self.extensions.iter().position(|e| e.id.as_deref() == Some(id));
        known.ok_or_else(|| ApiError::UnknownExtensionIdentifier(id.to_owned()))
    }

    pub(crate) fn all_registered(&self) -> bool {
        self.extensions
            .iter()
            .all(|e| !matches!(e.state, ExtensionState::Started | ExtensionState::LaunchError))
    }

    pub(crate) fn all_ready(&self) -> bool {
        self.extensions.iter().all(|e| e.state == ExtensionState::Ready)
    }

    pub(crate) fn any_running(&self) -> bool {
        self.extensions.iter().any(Extension::is_running)
    }
}

/// On Managed Instances nobody hears of invocations.
fn check_events(events: &[String], external: bool, managed: bool) -> Result<(), ApiError> {
    let allowed = |event: &str| (event == "INVOKE" && !managed) || (external && event == "SHUTDOWN");
    match events.iter().find(|event| !allowed(event)) {
        Some(event) if event == "SHUTDOWN" => {
            Err(ApiError::InvalidEventType("SHUTDOWN: ShutdownEventNotSupportedForInternalExtension".into()))
        }
        Some(event) => Err(ApiError::InvalidEventType(event.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(
        registry: &mut Registry,
        name: &str,
        body: &'static str,
        open: bool,
    ) -> Result<Answer, ApiError> {
        let call = Registration { name: name.into(), wants_account_id: false, body: body.into() };
        registry.register(&call, open, &Facts::example(), &mut Ids::new(1)).map(|(_, answer)| answer)
    }

    fn error_type(result: Result<Answer, ApiError>) -> String {
        let answer = result.unwrap_or_else(Answer::from);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["errorType"].as_str().unwrap_or("none").to_owned()
    }

    #[test]
    fn registration_rules() {
        let both = r#"{"events":["INVOKE","SHUTDOWN"]}"#;
        let cases = [
            ("tracer", both, true, "none"),
            ("tracer", "{}", true, "none"),
            ("", both, true, "Extension.InvalidExtensionName"),
            ("tracer", "events", true, "InvalidRequestFormat"),
            ("tracer", r#"{"configurationKeys":["A"]}"#, true, "InvalidRequestFormat"),
            ("tracer", r#"{"events":["RESTORE"]}"#, true, "Extension.InvalidEventType"),
            ("other", both, true, "Extension.InvalidEventType"),
            ("other", r#"{"events":["INVOKE"]}"#, true, "none"),
            ("other", r#"{"events":["INVOKE"]}"#, false, "Extension.RegistrationClosed"),
        ];
        for (name, body, open, expected) in cases {
            let mut registry = Registry::of_files(&["tracer".into()]);
            assert_eq!(
                error_type(register(&mut registry, name, body, open)),
                expected,
                "{name} {body} {open}"
            );
        }
    }

    #[test]
    fn a_name_registers_once_and_ten_is_the_limit() {
        let mut registry = Registry::of_files(&["tracer".into()]);
        assert_eq!(error_type(register(&mut registry, "tracer", "{}", true)), "none");
        assert_eq!(
            error_type(register(&mut registry, "tracer", "{}", true)),
            "Extension.InvalidExtensionState"
        );
        for n in 0..9 {
            assert_eq!(error_type(register(&mut registry, &format!("internal-{n}"), "{}", true)), "none");
        }
        assert_eq!(
            error_type(register(&mut registry, "internal-0", "{}", true)),
            "Extension.InvalidExtensionState"
        );
        assert_eq!(
            error_type(register(&mut registry, "internal-9", "{}", true)),
            "Extension.TooManyExtensions"
        );
    }

    #[test]
    fn the_account_id_is_given_on_request() {
        let mut registry = Registry::of_files(&["tracer".into()]);
        let call = Registration { name: "tracer".into(), wants_account_id: true, body: "{}".into() };
        let (_, answer) = registry.register(&call, true, &Facts::example(), &mut Ids::new(1)).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["accountId"], "123456789012");
    }

    #[test]
    fn identifiers_are_checked() {
        let registry = Registry::of_files(&["tracer".into()]);
        let unknown = "3da1f2dc-3222-475e-9205-e2e6c6318895";
        assert_eq!(registry.identify(None), Err(ApiError::MissingExtensionIdentifier));
        assert_eq!(registry.identify(Some("abc")), Err(ApiError::InvalidExtensionIdentifier));
        assert_eq!(
            registry.identify(Some(unknown)),
            Err(ApiError::UnknownExtensionIdentifier(unknown.into()))
        );
    }
}

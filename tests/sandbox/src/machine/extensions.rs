//! The calls and the exits of extensions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::extension_state::{ExtensionEvent, ExtensionState};
use super::runtime_state::RuntimeState;
use super::{Exit, Failure, Machine, Output, Phase, Registration, Token};
use crate::answer::{Answer, ApiError};
use crate::clock::Time;
use crate::faults::{RegisterAnswer, SubscribeAnswer};
use crate::history::What;
use crate::telemetry::{EventKind, Subscription};

impl Machine {
    pub(super) fn on_register(&mut self, now: Time, token: Token, registration: &Registration) {
        let initialising = matches!(self.phase, Phase::Init(_));
        match self.facts.faults.register {
            RegisterAnswer::Honest => {}
            RegisterAnswer::Closed => return self.refuse(token, "register", ApiError::RegistrationClosed),
            RegisterAnswer::ServerError => return self.refuse(token, "register", ApiError::Internal),
        }
        let open = initialising && matches!(self.runtime.state, RuntimeState::Absent | RuntimeState::Started);
        match self.registry.register(registration, open, &self.facts, &mut self.ids) {
            Ok((index, answer)) => {
                let extension = &self.registry.extensions[index];
                let what = What::Registered { extension: extension.name.clone(), events: extension.events() };
                self.note(what);
                self.answer(token, answer);
                if std::mem::take(&mut self.kills_registered) {
                    return self.kill_extensions();
                }
                if initialising {
                    self.advance_init(now);
                }
            }
            Err(error) => self.refuse(token, "register", error),
        }
    }

    pub(super) fn on_extension_next(&mut self, now: Time, token: Token, id: Option<&str>) {
        if self.next_failures > 0 {
            self.next_failures -= 1;
            return self.refuse(token, "event/next", ApiError::Internal);
        }
        let result = self.registry.identify(id).and_then(|index| {
            self.registry.extensions[index].apply(ExtensionEvent::Next, "Ready")?;
            Ok(index)
        });
        let index = match result {
            Ok(index) => index,
            Err(error) => return self.refuse(token, "event/next", error),
        };
        let extension = &mut self.registry.extensions[index];
        extension.waiting = Some(token);
        let what = What::ExtensionNext { extension: extension.name.clone() };
        self.note(what);
        if let Some(invocation) = &mut self.invocation
            && self.registry.extensions[index].invoke
        {
            invocation.last_next = Some(now);
        }
        match self.phase {
            Phase::Init(_) => self.advance_init(now),
            Phase::Invoke => self.advance_invocation(now),
            Phase::Shutdown(_) => self.on_next_in_shutdown(now, index),
            Phase::Cold | Phase::Idle | Phase::Serve | Phase::Reset | Phase::Gone => {}
        }
    }

    pub(super) fn on_extension_error(
        &mut self,
        token: Token,
        id: Option<&str>,
        at_init: bool,
        error_type: Option<String>,
        body: &Bytes,
    ) {
        let (event, call) = match at_init {
            true => (ExtensionEvent::InitError, "InitError"),
            false => (ExtensionEvent::ExitError, "ExitError"),
        };
        let parsed = match body.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_slice(body).map_err(|e| ApiError::InvalidRequestFormat(e.to_string())),
        };
        let result = self.registry.identify(id).and_then(|index| {
            let error_type =
                error_type.ok_or(ApiError::MissingHeader("Lambda-Extension-Function-Error-Type"))?;
            parsed?;
            let extension = &mut self.registry.extensions[index];
            extension.apply(event, call)?;
            extension.error_type.get_or_insert(error_type);
            Ok(())
        });
        match result {
            Ok(()) => self.answer(token, Answer::accepted()),
            Err(error) => self.refuse(token, "extension error", error),
        }
    }

    pub(super) fn on_subscribe(&mut self, now: Time, token: Token, id: Option<&str>, body: &Bytes) {
        if self.facts.faults.subscribe == SubscribeAnswer::Silence {
            return;
        }
        match self.subscribe(now, id, body) {
            Ok(answer) => self.answer(token, answer),
            Err(error) => self.refuse(token, "telemetry", error),
        }
    }

    fn subscribe(&mut self, now: Time, id: Option<&str>, body: &Bytes) -> Result<Answer, ApiError> {
        let index = self.registry.identify(id)?;
        match self.facts.faults.subscribe {
            SubscribeAnswer::Honest | SubscribeAnswer::Silence => {}
            SubscribeAnswer::NotSupported => return Err(ApiError::TelemetryNotSupported),
            SubscribeAnswer::Closed => return Err(ApiError::SubscriptionClosed),
            SubscribeAnswer::NotFound => return Err(ApiError::NotFound),
            SubscribeAnswer::ServerError => return Err(ApiError::Internal),
        }
        if !matches!(self.phase, Phase::Init(_)) {
            return Err(ApiError::SubscriptionClosed);
        }
        let subscription = Subscription::parse(body)?;
        if self.is_managed() && !subscription.schema.is_known_to_managed_instances() {
            return Err(ApiError::Validation("schemaVersion must be 2025-01-29 on Managed Instances".into()));
        }
        let extension = &mut self.registry.extensions[index];
        let name = extension.name.clone();
        if !extension.external {
            let from = extension.state.name();
            return Err(ApiError::InvalidExtensionState { name, from, call: "Subscribed" });
        }
        let types = subscription.types.clone();
        let state = if extension.subscribed { "Already subscribed" } else { "Subscribed" };
        if !extension.subscribed {
            extension.subscribed = true;
            self.out.push_back(Output::Subscribe { extension: name.clone(), subscription });
            self.note(What::Subscribed { extension: name.clone(), types: types.clone() });
        }
        let record = json!({"name": name, "state": state, "types": types});
        self.emit(now, EventKind::TelemetrySubscription, record);
        Ok(Answer::json(200, &json!("OK")))
    }

    pub(super) fn on_extension_exit(&mut self, index: usize, exit: Exit, expected: bool) -> Failure {
        let killed = matches!(&self.phase, Phase::Shutdown(s) if s.is_killing());
        let extension = &mut self.registry.extensions[index];
        extension.alive = false;
        extension.waiting = None;
        let event = match (expected, killed) {
            (false, _) => ExtensionEvent::Crash,
            (true, false) => ExtensionEvent::Exit,
            (true, true) => ExtensionEvent::Kill,
        };
        extension.state = extension.state.on(event).expect("a process can end in every state");
        let error_type = match extension.state {
            ExtensionState::InitError => "Extension.InitError",
            ExtensionState::ExitError => "Extension.ExitError",
            _ => "Extension.Crash",
        };
        extension.error_type.get_or_insert_with(|| error_type.to_owned());
        Failure::error(error_type, exit.to_string())
    }
}

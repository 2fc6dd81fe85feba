//! The environment's processes: started, read, frozen.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::sync::oneshot;

use super::{Environment, Message};
use crate::history::{TimelineEntry, What};
use crate::http_server::Server;
use crate::machine::{Input, Role};
use crate::process::{self, Drained, Launch, LaunchError, LogWatch, Process, Surroundings, Variables};
use crate::runtime_api::Api;
use crate::uplink::Link;

impl Environment {
    pub(super) async fn read_output(&mut self) {
        let roles: Vec<Role> = self.processes.keys().copied().collect();
        for role in roles {
            self.read_process(role).await;
        }
    }

    pub(super) async fn read_process(&mut self, role: Role) {
        let Some(process) = self.processes.get(&role) else { return };
        for text in process.output.take() {
            self.step(Input::Line { role, text }).await;
        }
    }

    pub(super) async fn begin_generation(&mut self) {
        self.generation += 1;
        self.router.begin_generation();
        let api = Api { generation: self.generation, inbox: self.inbox.clone() };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(address, move |request| api.clone().handle(request)).await;
        self.server = Some(server.expect("loopback has a free port"));
        std::fs::create_dir_all(&self.scratch).expect("the scratch directory can be made");
        if self.link.is_none() {
            self.link = self.start_link().await;
        }
    }

    async fn start_link(&self) -> Option<Link> {
        let uplink = self.spec.uplink.as_ref()?;
        let (_, backend, _) =
            self.spec.backend(uplink).expect("it was checked when the function was created");
        let (shared, facts) = (self.shared.clone(), self.facts.clone());
        let note = move |bytes| {
            shared.history.push(TimelineEntry {
                at: shared.clock.now(),
                environment: Some(facts.environment),
                function: facts.function.clone(),
                request_id: None,
                what: What::ArrivedFrozen { bytes },
            });
        };
        let link = Link::start(backend.to_owned(), uplink.in_freeze, note).await;
        Some(link.expect("loopback has a free port"))
    }

    /// What a process finds in place of the backend's address.
    fn lead_through_link(&self, variables: &mut Variables) {
        let (Some(uplink), Some(link)) = (&self.spec.uplink, &self.link) else { return };
        if let Some((before, _, after)) = self.spec.backend(uplink) {
            variables.insert(uplink.variable.clone(), format!("{before}{}{after}", link.address).into());
        }
    }

    pub(super) fn end_generation(&mut self) {
        self.router.end_generation();
        self.processes.clear();
        self.replies.clear();
        self.server = None;
    }

    pub(super) async fn spawn(&mut self, role: Role) -> Option<Input> {
        let name = self.machine.process_name(role);
        match Process::start(&self.launch(role, &name), &self.shared.watchdog).await {
            Ok((process, watch, exit)) => {
                let pid = u32::try_from(process.group).expect("process ids are positive");
                self.note(What::Spawned { process: name, pid });
                self.watch_output(role, watch);
                self.processes.insert(role, process);
                let (inbox, generation) = (self.inbox.clone(), self.generation);
                tokio::spawn(async move {
                    let exit = exit.await;
                    // The environment may be gone before its processes are reaped.
                    let _ = inbox.send(Message::Exited { generation, role, exit });
                });
                None
            }
            Err(LaunchError { error_type, message }) => {
                Some(Input::LaunchFail { role, error_type, error: message })
            }
        }
    }

    pub(super) fn launch(&self, role: Role, name: &str) -> Launch {
        let server = self.server.as_ref().expect("the API is open before processes start");
        let around = Surroundings {
            api: server.address.to_string(),
            region: self.shared.config.region.clone(),
            credentials: self.shared.config.credentials.clone(),
            log_stream: self.facts.log_stream.clone(),
            scratch: self.scratch.clone(),
            path: std::env::var_os("PATH").unwrap_or_default(),
        };
        let mut launch = match role {
            Role::Runtime => Launch {
                command: self.spec.wrapper().into_iter().chain(self.spec.command.iter().cloned()).collect(),
                variables: process::of_runtime(&self.spec, &around),
                working_dir: self.spec.task_root(),
            },
            Role::Extension(_) => {
                let dir = self.spec.extensions_dir.as_ref().expect("extensions come from a directory");
                Launch {
                    command: vec![dir.join(name).into_os_string()],
                    variables: process::of_extension(&self.spec, &around),
                    working_dir: "/".into(),
                }
            }
        };
        self.lead_through_link(&mut launch.variables);
        launch
    }

    /// A task that says when there is output, and does not look again before it was taken.
    pub(super) fn watch_output(&self, role: Role, watch: LogWatch) {
        let (inbox, generation) = (self.inbox.clone(), self.generation);
        tokio::spawn(async move {
            loop {
                let drained = watch.readable().await;
                let (taken, done) = oneshot::channel();
                let told = inbox.send(Message::Readable { generation, role, taken });
                if told.is_err() || done.await.is_err() || drained == Drained::End {
                    return;
                }
            }
        });
    }

    pub(super) async fn freeze(&mut self) {
        self.link.iter().for_each(|link| link.freeze(true));
        self.router.pause().await;
        self.limits.is_frozen = true;
        let members = process::freeze(&self.groups()).await;
        self.note(What::Frozen { processes: members.len() });
        self.frozen = Some(members);
    }

    pub(super) fn groups(&self) -> Vec<i32> {
        self.processes.values().map(|process| process.group).collect()
    }
}

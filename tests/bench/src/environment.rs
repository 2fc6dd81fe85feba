//! An execution environment whose extension is the real binary, and whose function is the measurement.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::Result;
use crate::body::{self, Ending};
use crate::folder::Folder;
use crate::http::{self, Client};
use crate::launch::{Ended, command, free_address};
use crate::platform::{self, Asked, Platform};
use crate::process::{self, Usage};
use crate::quota::Quota;

/// See the module.
pub(crate) struct Environment {
    platform: Platform,
    extension: Ended,
    function: Client,
    events: Client,
    asked: Option<Asked>,
    invocations: u64,
    receiver: SocketAddr,
    /// Where else the function can send to.
    pub(crate) grpc: SocketAddr,
    pub(crate) socket: PathBuf,
    _spool: Folder,
}

/// When what the extension did for one invocation happened.
pub(crate) struct Timing {
    /// The function had the answer to its last request.
    pub(crate) answered: Instant,
    /// The extension asked for the next event.
    pub(crate) next: Instant,
}

impl Environment {
    /// Starts the extension with a backend and further settings, and waits until it asks for an event.
    pub(crate) fn start(
        binary: &Path,
        backend: SocketAddr,
        settings: &[(&'static str, &'static str)],
    ) -> Result<Self> {
        let platform = Platform::start()?;
        let (receiver, grpc) = (free_address()?, free_address()?);
        let spool = Folder::new(&format!("environment-{}", receiver.port()))?;
        let socket = spool.path.join("prefreeze.sock");
        let mut command = command(binary, platform.address);
        command
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", format!("http://{backend}"))
            .env("PREFREEZE_RECEIVER_HTTP", receiver.to_string())
            .env("PREFREEZE_RECEIVER_GRPC", grpc.to_string())
            .env("PREFREEZE_RECEIVER_UDS", &socket)
            .env("PREFREEZE_SPOOL_DIR", spool.path.join("records"))
            .envs(settings.iter().copied());
        let extension = Ended(command.spawn()?);
        let events = Client::connect(platform.wait_for_subscription()?)?;
        let asked = Some(platform.wait_for_next()?);
        let function = Client::connect(receiver)?;
        Ok(Self {
            platform,
            extension,
            function,
            events,
            asked,
            invocations: 0,
            receiver,
            grpc,
            socket,
            _spool: spool,
        })
    }

    /// Begins an invocation, with all that the platform tells while it runs.
    pub(crate) fn invoke(&mut self) -> Result<()> {
        self.invocations += 1;
        let asked = self.asked.take().ok_or("the invocation before has not ended")?;
        let now = body::request_id(self.invocations);
        asked.invoke(&now)?;
        let events = platform::events(&body::request_id(self.invocations - 1), &now);
        self.events.send(&http::post_events(&events))?;
        Ok(())
    }

    /// One more connection of the function.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(self.receiver)
    }

    /// Sends spans as the function would.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(Instant, Instant)> {
        self.function.send(request)
    }

    /// Sends the invocation's own span, and waits until the extension asks for the next event.
    pub(crate) fn finish(&mut self, ending: &mut Ending) -> Result<Timing> {
        ending.name(&body::request_id(self.invocations));
        let (_, answered) = self.function.send(&http::post_spans(&ending.bytes))?;
        let asked = self.platform.wait_for_next()?;
        let next = asked.at;
        self.asked = Some(asked);
        Ok(Timing { answered, next })
    }

    /// Leaves it the CPU of a small function only, from now on.
    pub(crate) fn slow_down(&self, quota: &Quota) -> Result<()> {
        quota.hold(self.extension.0.id())
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        process::usage(self.extension.0.id())
    }
}

//! The variables of the process as far as they concern us, understood in two steps: the platform waits for the first.

use std::net::SocketAddr;
use std::path::PathBuf;

use policy::InitType;

use super::table::FOREIGN;
use super::{Reader, Receivers, Settings, proxies, residency, sdk};

/// What we were told. Little of it is needed to register; the rest can be understood while the platform answers.
pub struct Variables {
    reader: Reader,
    receivers: Receivers,
}

impl Variables {
    /// These; those that are empty count as not set.
    pub(super) fn of(variables: impl Iterator<Item = (String, String)>) -> Self {
        let is_known = |name: &str| {
            super::is_ours(name)
                || FOREIGN.iter().any(|(own, _)| *own == name)
                || residency::PROXIES.contains(&name)
                || proxies::EXCEPTED.contains(&name)
                || sdk::is_read(name)
        };
        let set = variables.filter(|(name, value)| is_known(name) && !value.trim().is_empty()).collect();
        let mut reader = Reader { set, problems: Vec::new(), refused: Vec::new() };
        let receivers = reader.receivers();
        Self { reader, receivers }
    }

    /// Where the function sends to.
    pub const fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// Whether there are no INVOKE events to register for.
    pub fn is_managed(&self) -> bool {
        self.reader.init_type() == InitType::ManagedInstances
    }

    /// All that they say, and every problem with them.
    pub fn understand(self) -> Settings {
        Settings::read(self.reader, self.receivers)
    }
}

impl Reader {
    /// A type of the future is treated as the most common one.
    pub(super) fn init_type(&self) -> InitType {
        let known = [
            InitType::OnDemand,
            InitType::ProvisionedConcurrency,
            InitType::SnapStart,
            InitType::ManagedInstances,
        ];
        let text = self.get("AWS_LAMBDA_INITIALIZATION_TYPE").unwrap_or_default();
        known.into_iter().find(|known| known.as_str() == text).unwrap_or_default()
    }

    fn receivers(&mut self) -> Receivers {
        Receivers {
            http: self.receiver("PREFREEZE_RECEIVER_HTTP", 4318),
            grpc: self.receiver("PREFREEZE_RECEIVER_GRPC", 4317),
            socket: self.receiver_socket(),
        }
    }

    fn receiver(&mut self, name: &str, port: u16) -> Option<SocketAddr> {
        let default = SocketAddr::from(([127, 0, 0, 1], port));
        let Some(text) = self.get(name) else { return Some(default) };
        if is_off(text) {
            return None;
        }
        let address: Result<SocketAddr, _> = text.replacen("localhost", "127.0.0.1", 1).parse();
        // Port 0 is any that is free, which no SDK would know of.
        Some(address.ok().filter(|address| address.port() != 0).unwrap_or_else(|| {
            self.problem(name, format!("not an address and port, such as 127.0.0.1:{port}"));
            default
        }))
    }

    fn receiver_socket(&mut self) -> Option<PathBuf> {
        const NAME: &str = "PREFREEZE_RECEIVER_UDS";
        let default = self.temporary().join("prefreeze.sock");
        let Some(text) = self.get(NAME) else { return Some(default) };
        if is_off(text) {
            return None;
        }
        // `sun_path` of Linux, with the zero at its end.
        if !text.starts_with('/') || text.len() > 107 {
            self.problem(NAME, "not an absolute path of at most 107 bytes");
            return Some(default);
        }
        Some(text.into())
    }
}

/// Whether a setting is switched off; YAML writes `off` as `false`.
pub(super) fn is_off(text: &str) -> bool {
    ["off", "none", "false", "no"].iter().any(|word| word.eq_ignore_ascii_case(text))
}

//! AWS's own backends: their hosts, and what a request to them must carry.

mod credentials;
mod queue;
mod refusal;
mod region;
mod secret;
mod signature;

pub use credentials::{Credentials, Keeper, Source};
pub use queue::{Message, QUEUE_ITEMS_BYTES, QUEUE_SPANS_BYTES, QUEUE_TYPE, Queue, SEND_MESSAGE};
pub use refusal::{Refusal, refusal};
pub use region::{CloudWatch, DOMAINS, Names, domain_of, is_region};
pub use secret::{Missing, SecretRef, Vault};
pub use signature::{Request, Scope, Signature, sign};

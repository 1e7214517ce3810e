//! One PostgreSQL session as the edge sees it: pure, bytes in and bytes out. The session core asks its gate before
//! any byte of a statement goes on (E1), lets the server itself raise refusals (E4), and writes the record of every
//! statement (E6).

pub mod attempts;
pub mod catalog;
pub mod certificate;
pub mod frame;
pub mod gate;
pub mod ledger;
pub mod login;
pub mod oauthbearer;
pub mod outbox;
pub mod policy_gate;
pub mod rate;
pub mod scram;
pub mod screen;
pub mod session;
pub mod startup;
pub mod write;

pub use gate::{Gate, Ruling, SessionNames, Stamp};
pub use outbox::{ApprovalAsk, ApprovalNews, Effect, EndReason, Journal, JournalFull, Outbox};
pub use session::{Backend, Cx, Session, client_message_bytes_max};

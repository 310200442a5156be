//! From a table to the tools of a team: rows of a source become events, go through the transformation, and are delivered.
//!
//! ```text
//!  source ─▶ detect: rows, fingerprints ─▶ spool ─▶ feed: events ─▶ transformation ─▶ sinks: batches, retries
//!                       │ compared with                                                      │ acknowledged
//!                       └──────────────────────────  state (SQLite) ◀────────────────────────┘
//! ```
//!
//! One principle decides everything: rows are compared with what the destination acknowledged, not with what was computed. The
//! state is written after an acknowledgement and never before. So a row is sent at least once, whatever happens; what was
//! acknowledged is not sent again; and a row that a destination rejected is not forgotten.
//!
//! - [`config`] is the file that describes a sync; `table` reads TOML.
//! - [`source`], [`adbc`], [`row`], [`sorter`] and [`detect`] find out what has changed.
//! - [`event`] makes events of rows.
//! - [`feed`] hands events to the transformation ([`transform`]), and its outputs go to [`sink`]s by way of [`delivery`].
//! - [`ledger`] writes and counts the results; [`report`] tells them; [`run`] holds all of it together.
//! - [`state`] is what was acknowledged; [`warehouse`] has it in the database of the rows.

pub mod adbc;
pub mod config;
pub mod delivery;
pub mod detect;
mod dry_run;
pub mod error;
pub mod event;
pub mod feed;
pub mod init;
pub mod inspect;
mod lanes;
pub mod ledger;
pub mod report;
pub mod row;
pub mod run;
pub mod sink;
pub mod sorter;
pub mod source;
pub mod state;
pub(crate) mod table;
pub mod transform;
pub mod warehouse;

pub use error::{Error, Result};

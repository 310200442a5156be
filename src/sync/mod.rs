//! Syncs a table to the tools of a team: rows of a source become
//! events, pass through the transformation and are delivered.
//!
//! ```text
//!  source ─▶ detect: rows, fingerprints ─▶ spool ─▶ feed: events ─▶ transformation ─▶ sinks: batches, retries
//!                       │ compared with                                                      │ acknowledged
//!                       └──────────────────────────  state (SQLite) ◀────────────────────────┘
//! ```
//!
//! One principle decides everything: rows are compared with what the destination acknowledged, not with what was
//! computed. The state is written after an acknowledgement, never before. Every row is therefore sent at least once, an
//! acknowledged row is not sent again, and a row that a destination rejected is not forgotten.
//!
//! - [`config`] parses the file that describes a sync; `table` reads its TOML tables.
//! - [`source`], [`adbc`], [`row`], [`sorter`] and [`detect`] find the rows that changed.
//! - [`event`] makes events of rows.
//! - [`feed`] passes events to the transformation ([`transform`]); [`delivery`] sends the outputs to [`sink`]s.
//! - [`ledger`] records and counts the results; [`report`] formats them; [`run`] drives one run.
//! - [`state`] stores what was acknowledged; [`warehouse`] stores it in the database that has the rows.

pub mod adbc;
mod batcher;
pub mod config;
pub mod delivery;
pub mod detect;
mod dry_run;
pub mod error;
pub mod event;
pub mod feed;
pub mod init;
pub mod inspect;
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

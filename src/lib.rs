//! sluicegate.
pub mod engine;
pub mod verdict;
pub use engine::Engine;

//! sluicegate.
pub mod config;
pub mod engine;
pub mod pool;
pub mod verdict;
pub mod wire;
pub use engine::Engine;

//! Processes of the operating system: which one this is, whether another still lives.

pub mod identity;

pub use identity::{Identity, Liveness, host_name, is_alive, liveness, own, user_name};

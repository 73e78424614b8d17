//! The supervisor: job, lease, run log, limits. Never opens a source or a destination.

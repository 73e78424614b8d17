//! The state store: jobs, slots, leases, runs, audit, outbox. The only user of diesel.

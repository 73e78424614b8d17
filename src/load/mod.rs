//! The worker: reads one source and loads its tables, nothing else. The only folder that knows both ends.

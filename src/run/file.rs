//! Files that went into a load.

use serde::{Deserialize, Serialize};

/// A file that went into a load, as `_etlsched_files` keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Absolute path or URL.
    pub path: String,
    /// Bytes as stored (compressed).
    pub size: u64,
    /// Microseconds since the Unix epoch, where known.
    pub modified_at_micros: Option<i64>,
    /// BLAKE3 of the stored bytes, hex.
    pub content_hash: String,
}

//! The cursor: how far an incremental source has been read.

use serde::{Deserialize, Serialize};

use crate::batch::ColumnType;

/// A value of the cursor column, at the column's full precision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorValue {
    /// The column's type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// The value as the destination's text mapping writes it: digits, `YYYY-MM-DD`, ISO 8601 with up to nine decimals.
    pub text: String,
}

//! Long values, taken piece by piece.

use odbc_sys::CDataType;

use crate::connect::odbc::{OdbcError, Piece, Statement};

/// The bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// The longest value: an Arrow batch counts its bytes with 31 bits.
const VALUE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Takes the value of a column of the present row; returns whether there is one.
///
/// # Errors
/// What the driver reports; a value of more than 1 GiB.
pub(super) fn take(statement: &mut Statement<'_>, number: u16, c_type: CDataType, value: &mut Vec<u8>) -> Result<bool, OdbcError> {
    value.clear();
    loop {
        let start = value.len();
        value.resize(start + PIECE_BYTES, 0);
        let piece = statement.get_data(number, c_type, &mut value[start..])?;
        let (length, is_last) = match piece {
            Piece::Null => {
                value.clear();
                return Ok(false);
            }
            Piece::Over => (0, true),
            Piece::Last(length) => (length, true),
            Piece::Part(length) => (length, false),
        };
        value.truncate(start + length);
        if is_last {
            return Ok(true);
        }
        if length == 0 || value.len() > VALUE_BYTES_MAX {
            let message =
                if length == 0 { "the driver hands over no more of a value that isn't whole" } else { "a value is longer than 1 GiB" };
            return Err(OdbcError::own("SQLGetData", message));
        }
    }
}

//! Errors as every destination makes them.

use super::DestinationError;
use crate::connect::ConnectError;

/// Result of everything in a destination.
pub(super) type Outcome<T> = Result<T, DestinationError>;

/// Makes an error of a code and a message.
pub(super) fn refusal(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> DestinationError {
    DestinationError { code, message: message.into(), hint: Some(hint.into()), is_transient: false }
}

impl From<ConnectError> for DestinationError {
    fn from(error: ConnectError) -> Self {
        let ConnectError { code, message, hint, is_transient, retry_after: _ } = error;
        Self { code, message, hint, is_transient }
    }
}

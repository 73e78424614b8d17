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

/// Says that another run decides.
pub(super) fn fence_lost(target: &str) -> DestinationError {
    refusal(
        "fence_lost",
        format!("table {target}: another run began after this one; nothing of this load is visible"),
        "look at `etlsched logs`: the later run decides",
    )
}

/// Says that the target isn't what the load was made for.
pub(super) fn target_changed(target: &str) -> DestinationError {
    let message = format!("table {target} was altered while the load ran");
    DestinationError { is_transient: true, ..refusal("target_changed", message, "the next attempt sees it as it is now") }
}

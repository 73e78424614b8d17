//! Addresses of webhooks and health checks that no message ever reaches: those that sending refuses. Sends nothing.

use reqwest::Url;

use crate::connect::http::guard::Guard;
use crate::secret::Secret;

/// Returns why every message to a URL is refused, in the words of sending it; host names are looked up.
pub fn refusal(url: &Secret) -> Option<String> {
    let url = Url::parse(url.expose()).ok()?;
    let reason = Guard::new(false).check_name(&url).err()?;
    // What follows is about sources.
    Some(reason.split(';').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_cloud_metadata_are_refused_and_others_are_not() {
        let of = |url: &str| refusal(&Secret::new(url));
        assert_eq!(of("http://169.254.169.254/x").as_deref(), Some("169.254.169.254 is a link-local or cloud metadata address"));
        assert_eq!(of("http://127.0.0.1:8080/x"), None);
        assert_eq!(of(""), None);
    }
}

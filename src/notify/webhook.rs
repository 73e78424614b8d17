//! Messages by POST to a URL, in the form of the service behind it.

use reqwest::Url;

use super::channel::{Delivery, Notifier, SendError};
use super::post::{self, post};
use super::render::{Form, chat};

/// Sends to URLs.
#[derive(Debug, Clone, Copy)]
pub struct Webhook;

impl Notifier for Webhook {
    fn send(&self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        let url = Url::parse(delivery.recipient).map_err(|_| SendError::permanent("it is no web address"))?;
        let form = Form::of(url.host_str().unwrap_or_default(), url.path());
        let body = chat(delivery.message, form).to_string().into_bytes();
        let said = post(delivery.recipient, "application/json", body, delivery.timeout)?;
        // Teams's connectors answer 200 also where they could not deliver.
        if form == Form::Teams && said.contains("delivery failed") {
            return Err(SendError::temporary(format!("{}: its answer says that the delivery failed", post::host(&url))));
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::message::Message;
    use super::super::render::samples;
    use super::*;
    use crate::connect::servers::http::{Response, script};

    fn told(url: &str, message: &Message, seconds: u64) -> Result<(), SendError> {
        Webhook.send(&Delivery { id: "1", recipient: url, message, timeout: Duration::from_secs(seconds) })
    }

    fn answered(response: Response) -> Result<(), SendError> {
        let server = script(vec![response]);
        told(&server.url("/hooks/s3cr3t-token"), &samples::failure(), 5)
    }

    #[test]
    fn everything_that_is_known_goes_to_a_url_of_no_known_service() {
        let server = script(vec![Response::new(200, "ok")]);
        told(&server.url("/hooks/x?key=1"), &samples::failure(), 5).unwrap();
        let seen = &server.seen()[0];
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str(), seen.header("content-type")),
            ("POST", "/hooks/x?key=1", Some("application/json"))
        );
        let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        assert!(body["text"].as_str().unwrap().starts_with("✕ Daily sales failed\n```\n"), "{body}");
        assert_eq!(serde_json::from_value::<Message>(body["event"].clone()).unwrap(), samples::failure());
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        let temporary = |response, retry_after: Option<u64>| match answered(response).unwrap_err() {
            SendError::Temporary { message, retry_after: asked } => {
                assert_eq!(asked, retry_after.map(Duration::from_secs));
                message
            }
            error => panic!("{error:?}"),
        };
        assert!(temporary(Response::new(429, "slow down").header("Retry-After", "17"), Some(17)).ends_with("HTTP 429: slow down"));
        assert!(temporary(Response::new(503, ""), None).ends_with("HTTP 503"));
        assert!(temporary(Response::reset(), None).starts_with("127.0.0.1:"));
        for status in [400, 401, 404, 410] {
            let error = answered(Response::new(status, "no_service /hooks/s3cr3t-token \u{1b}[31m")).unwrap_err();
            assert!(
                matches!(&error, SendError::Permanent { message } if message.contains(&format!("HTTP {status}: no_service"))),
                "{error:?}"
            );
            assert!(!error.message().contains("s3cr3t") && !error.message().contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn a_redirect_is_not_followed_and_metadata_services_are_not_told() {
        let other = script(vec![Response::new(200, "ok")]);
        let error = answered(Response::redirect(307, &other.url("/"))).unwrap_err();
        assert!(matches!(&error, SendError::Permanent { message } if message.contains("it leads elsewhere")), "{error:?}");
        assert_eq!(other.seen().len(), 0);
        let error = told("http://169.254.169.254/latest", &samples::failure(), 5).unwrap_err();
        assert_eq!(error, SendError::permanent("169.254.169.254: 169.254.169.254 is a link-local or cloud metadata address"));
        assert_eq!(
            told("file:///etc/passwd", &samples::failure(), 5),
            Err(SendError::permanent(": the scheme file is neither http nor https"))
        );
        assert_eq!(told("nonsense", &samples::failure(), 5), Err(SendError::permanent("it is no web address")));
    }

    #[test]
    fn a_server_that_never_ends_holds_nobody_longer_than_it_may() {
        for response in [Response::hang(), Response::new(500, "x".repeat(1000)).drip(1, Duration::from_millis(300))] {
            let begin = Instant::now();
            let error = match answered_within(response, 1) {
                Ok(()) => panic!("it never ended"),
                Err(error) => error,
            };
            assert!(error.is_temporary() && begin.elapsed() < Duration::from_secs(4), "{error:?} after {:?}", begin.elapsed());
        }
    }

    fn answered_within(response: Response, seconds: u64) -> Result<(), SendError> {
        let server = script(vec![response]);
        told(&server.url("/"), &samples::failure(), seconds)
    }
}

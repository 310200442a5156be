//! Answers that are no rows: what is wrong with a request, or with this server, as `{"error": …}` and a status that says
//! to the caller whether the request is to be sent again.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::code::Refused;

/// Tells the caller to send the request again, for as long as it takes.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-rudder-should-retry");

/// Why it should.
const REASON: HeaderName = HeaderName::from_static("x-rudder-error-reason");

/// A request that has no rows as its answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    message: String,
    reason: Option<&'static str>,
}

impl Problem {
    /// The request is at fault; sending it again changes nothing.
    pub fn request(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), reason: None }
    }

    /// The request is fine, and cannot be answered now.
    pub fn later(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into(), reason: Some(reason) }
    }

    /// More requests than this server can take.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::later("overloaded", message)
    }

    /// The config backend does not let this server in.
    pub fn refused(refused: Refused) -> Self {
        match refused {
            Refused::AuthFailed => Self::later(
                "config_backend_auth_failed",
                "the config backend answered 401: see that CONFIG_BACKEND_HOSTED_SECRET is right",
            ),
            Refused::Forbidden => Self::later(
                "config_backend_forbidden",
                "the config backend answered 403: the secret is not allowed to read this code",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.message }).to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the request may still come, and is not waited for.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(reason) = self.reason {
            let headers = response.headers_mut();
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("true"));
            headers.insert(REASON, HeaderValue::from_static(reason));
        }
        response
    }
}

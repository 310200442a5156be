//! Answers without rows: `{"error": …}` describes a fault of the request or of this server, and the status tells the
//! client whether to retry.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::code::Refused;

/// Asks the client to retry until the request succeeds.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-rudder-should-retry");

/// The reason for the retry.
const REASON: HeaderName = HeaderName::from_static("x-rudder-error-reason");

/// An answer without rows.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    message: String,
    reason: Option<&'static str>,
}

impl Problem {
    /// Creates an answer for a faulty request. Retrying does not help.
    pub fn request(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), reason: None }
    }

    /// Creates an answer for a valid request that cannot be answered now.
    pub fn later(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into(), reason: Some(reason) }
    }

    /// Creates an answer for more requests than this server can accept.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::later("overloaded", message)
    }

    /// Creates an answer for when the config backend rejects this server.
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
            // The server does not wait for the rest of the request, which may still be on its way.
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

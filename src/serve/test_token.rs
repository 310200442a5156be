//! Decides which clients may run code that is not saved.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::App;
use super::problem::Problem;

/// The hash of a token. Comparing hashes takes time that reveals nothing about the token.
pub struct TestToken([u8; 32]);

impl TestToken {
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let (scheme, token) = value.split_at(value.len().min("bearer ".len()));
        scheme.eq_ignore_ascii_case(b"bearer ") && Self(Sha256::digest(token.trim_ascii()).into()).0 == self.0
    }
}

/// Answers 401 to a request without the token, if a token is set.
pub async fn require(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    match &app.test_token {
        Some(token) if !token.is_in(request.headers()) => {
            let message = "this endpoint wants the header Authorization: Bearer TOKEN, with the token of --test-token";
            let mut response = Problem::request(StatusCode::UNAUTHORIZED, message).into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_whole_and_by_its_scheme() {
        let token = TestToken::new("s3cret");
        for (value, fits) in [
            ("Bearer s3cret", true),
            ("bearer  s3cret", true),
            ("Bearer s3cre", false),
            ("Bearer s3cret2", false),
            ("Bearer ", false),
            ("Basic s3cret", false),
            ("s3cret", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(token.is_in(&headers), fits, "{value}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }
}

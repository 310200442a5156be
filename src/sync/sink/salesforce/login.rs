//! Sessions: a fixed token, or client credentials that are exchanged for tokens. A token of the second kind that
//! expires in the middle of a run is replaced.

use std::sync::Mutex as SyncMutex;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::super::super::config::{SalesforceLogin, SinkConfig};
use super::super::super::error::{Error, Result};
use super::super::http::{self, Answer, Endpoint, Request};
use super::super::{Reply, cut};
use super::NOT_TODAY;

/// A token, and the address it is for.
#[derive(Clone)]
pub struct Session {
    /// The URL of the instance with the records, without a slash at the end.
    pub instance: String,
    /// The value of `Authorization`.
    pub token: HeaderValue,
    number: u64,
}

/// Creates and keeps the session.
pub struct Login {
    /// Id and secret of the client; `None` if there is a fixed token.
    client: Option<(String, String)>,
    url: Url,
    session: Mutex<Option<Session>>,
    numbers: AtomicU64,
    /// Why nothing more may be sent today.
    closed: SyncMutex<Option<String>>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    instance_url: Option<String>,
}

impl Login {
    /// Reads the secret. `url` is the organisation's own address.
    pub fn open(config: &SalesforceLogin, url: &Url, sink: &SinkConfig, dry: bool) -> Result<Self> {
        let (client, session) = match config {
            SalesforceLogin::Client(secret) => {
                let secret = secret.read(dry)?;
                match secret.split_once(':') {
                    Some((id, secret)) => (Some((id.to_owned(), secret.to_owned())), None),
                    None if dry => (None, None),
                    None => {
                        return Err(Error::new(format!(
                            "the auth of the sink {} is not client_id:client_secret",
                            sink.name
                        ))
                        .help("Salesforce shows both in the connected app: Manage Consumer Details"));
                    }
                }
            }
            SalesforceLogin::Token(secret) => {
                let session = Session { instance: base(url), token: bearer(&secret.read(dry)?)?, number: 0 };
                (None, Some(session))
            }
        };
        let (session, numbers, closed) = (Mutex::new(session), AtomicU64::new(1), SyncMutex::default());
        Ok(Self { client, url: url.clone(), session, numbers, closed })
    }

    /// Returns the session; requests a token if there is none.
    pub async fn session(&self, endpoint: &Endpoint) -> std::result::Result<Session, Reply> {
        if let Some(reason) = self.closed.lock().ok().and_then(|closed| closed.clone()) {
            return Err(Reply::Later { reason, after: Some(NOT_TODAY) });
        }
        // The lock makes other tasks wait for the one that requests a token.
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(session.clone());
        }
        let (id, secret) = self.client.as_ref().ok_or_else(|| refused("there is no token".to_owned()))?;
        let mut url = self.url.clone();
        url.set_path("/services/oauth2/token");
        let form =
            [("grant_type", "client_credentials"), ("client_id", id.as_str()), ("client_secret", secret.as_str())];
        let answer = endpoint.ask(Request::form(Method::POST, url, &form)).await?;
        let granted = granted(&answer)?;
        let instance = granted.instance_url.map_or_else(|| base(&self.url), |url| url.trim_end_matches('/').to_owned());
        let token = bearer(&granted.access_token).map_err(|error| refused(error.message))?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Ok(session.insert(Session { instance, token, number }).clone())
    }

    /// Discards a session that is no longer accepted; returns `false` if there can be no other.
    pub async fn renew(&self, stale: &Session) -> bool {
        if self.client.is_none() {
            return false;
        }
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|session| session.number == stale.number) {
            *session = None;
        }
        true
    }

    /// Refuses all further sessions of this run.
    pub fn close(&self, reason: String) {
        if let Ok(mut closed) = self.closed.lock() {
            closed.get_or_insert(reason);
        }
    }
}

fn base(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn bearer(token: &str) -> Result<HeaderValue> {
    Ok(http::header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))?.1)
}

fn refused(reason: String) -> Reply {
    Reply::Stop {
        reason: format!("it gives no token: {reason}"),
        help: "see that auth is client_id:client_secret, that url is the organisation's own (…my.salesforce.com), and that the app allows client credentials".to_owned(),
    }
}

/// Parses the granted token. The content of an answer with a token is never shown.
fn granted(answer: &Answer) -> std::result::Result<Granted, Reply> {
    match answer.status {
        200..300 => serde_json::from_str(&answer.body)
            .map_err(|_| refused(format!("its answer ({}) has no access_token", answer.status))),
        300..400 => Err(http::redirect(answer)),
        408 | 425 | 429 | 500.. => {
            Err(Reply::Later { reason: format!("no token: {}", answer.shown()), after: answer.after })
        }
        _ => Err(refused(cut(&answer.shown()))),
    }
}

//! Fetches code from a config backend over HTTP.
//!
//! A version never changes, so a fetched module is cached. Concurrent requests for the same version share one fetch and
//! its result. If a backend fails or answers with something other than code, the fetch is retried twice. After that,
//! the client is asked to retry its request later, because its events are not at fault.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{Missing, Module, ModuleKind, NAMELESS, Refused, javascript, legacy};
use crate::root_cause::root_cause;
use sluicegate_engine::handle_of;

/// The pauses before each new attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// The time limit of one attempt.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is accepted, in bytes.
const LARGEST: usize = 64 << 20;

/// The most modules that are cached.
const MAX_MODULES: usize = 10_000;

/// The result of a fetch, once it has finished.
type Cell = Arc<OnceCell<Result<Arc<Module>, Missing>>>;

/// A config backend.
pub struct Backend {
    client: reqwest::Client,
    base: String,
    secret: Option<String>,
    kept: Mutex<HashMap<(ModuleKind, String), Cell>>,
}

/// The answer of the backend.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revision {
    version_id: Option<String>,
    name: Option<String>,
    import_name: Option<String>,
    code: Option<String>,
    code_version: Option<Value>,
    language: Option<String>,
}

impl Backend {
    /// Creates a client for the backend at `url`, which expects `secret` as the user of its Basic auth.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(url: &str, secret: Option<String>) -> Result<Self, reqwest::Error> {
        // Fails if a provider is already installed; that one works as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::limited(3))
            .build()?;
        Ok(Self { client, base: url.trim_end_matches('/').to_owned(), secret, kept: Mutex::default() })
    }

    pub(super) async fn module(&self, kind: ModuleKind, id: &str) -> Result<Arc<Module>, Missing> {
        let key = (kind, id.to_owned());
        let cell = {
            let mut kept = self.table();
            if kept.len() >= MAX_MODULES && !kept.contains_key(&key) {
                kept.clear();
            }
            kept.entry(key.clone()).or_default().clone()
        };
        let answer = cell.get_or_init(|| async { self.fetch(kind, id).await.map(Arc::new) }).await.clone();
        if answer.is_err() {
            let mut kept = self.table();
            if kept.get(&key).is_some_and(|other| Arc::ptr_eq(other, &cell)) {
                kept.remove(&key);
            }
        }
        answer
    }

    /// Returns whether a backend can have a shared library with this name and version.
    pub(super) fn may_share(id: &str) -> bool {
        let Some((name, version)) = id.split_once('/') else { return false };
        let digits = version.strip_prefix('v').unwrap_or_default();
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (1..=3).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    }

    async fn fetch(&self, kind: ModuleKind, id: &str) -> Result<Module, Missing> {
        let mut tries = 0;
        loop {
            let answer = self.ask(kind, id).await;
            let (Err(Missing::Later(why)), Some(pause)) = (&answer, PAUSES.get(tries)) else { return answer };
            tracing::warn!(%why, tries, "the config backend does not answer as it should, asking again");
            tokio::time::sleep(*pause).await;
            tries += 1;
        }
    }

    fn url(&self, kind: ModuleKind, id: &str) -> Result<reqwest::Url, Missing> {
        let mut url = reqwest::Url::parse(&self.base).map_err(|error| Missing::Later(error.to_string()))?;
        let (parts, query): (Vec<&str>, (&str, &str)) = match kind {
            ModuleKind::Transformation => (vec!["transformation", "getByVersionId"], ("versionId", id)),
            ModuleKind::Library => (vec!["transformationLibrary", "getByVersionId"], ("versionId", id)),
            ModuleKind::Shared => {
                let (name, version) = id.split_once('/').unwrap_or((id, ""));
                (vec!["rudderstackTransformationLibraries", name], ("version", version))
            }
        };
        // The URL type escapes the id, so any id stays one path segment or one query value.
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(parts),
            Err(()) => return Err(Missing::Later(format!("{} is no URL with a path", self.base))),
        };
        url.query_pairs_mut().append_pair(query.0, query.1);
        Ok(url)
    }

    async fn ask(&self, kind: ModuleKind, id: &str) -> Result<Module, Missing> {
        let url = self.url(kind, id)?;
        let later = |why: String| Missing::Later(format!("{} {id}: {why}", kind.name()));
        let mut request = self.client.get(url.clone());
        if let Some(secret) = &self.secret {
            request = request.basic_auth(secret, Some(""));
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| later(format!("the config backend cannot be reached: {}", root_cause(&error))))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(Missing::Refused(Refused::AuthFailed)),
            StatusCode::FORBIDDEN => return Err(Missing::Refused(Refused::Forbidden)),
            status
                if status.is_client_error()
                    && status != StatusCode::TOO_MANY_REQUESTS
                    && status != StatusCode::REQUEST_TIMEOUT =>
            {
                let url = without_user(url);
                return Err(Missing::Final(status.as_u16(), format!("Error: {} not found at {url}", kind.name())));
            }
            status => return Err(later(format!("the config backend answered {status}"))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| later(root_cause(&error).to_string()))? {
            if body.len() + chunk.len() > LARGEST {
                return Err(later("the config backend's answer is larger than 64 MiB".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        let revision: Revision = serde_json::from_slice(&body)
            .map_err(|error| later(format!("the config backend's answer is not what it should be: {error}")))?;
        if kind != ModuleKind::Shared
            && let Some(other) = revision.version_id.as_deref().filter(|other| *other != id)
        {
            return Err(later(format!("the config backend answered with version {other}")));
        }
        let Some(code) = revision.code else {
            return Err(later("the config backend answered without code".to_owned()));
        };
        let name = match kind {
            ModuleKind::Transformation => {
                revision.name.filter(|name| !name.is_empty()).unwrap_or_else(|| NAMELESS.to_owned())
            }
            ModuleKind::Library => match revision.name {
                Some(name) => handle_of(&name),
                None => revision.import_name.unwrap_or_else(|| handle_of(id)),
            },
            ModuleKind::Shared => revision.import_name.unwrap_or_else(|| format!("@rs/{id}")),
        };
        let version = revision.code_version.unwrap_or_default();
        if kind == ModuleKind::Transformation {
            supported(revision.language.as_deref()).map_err(|error| Missing::Final(400, error))?;
        }
        let typescript =
            revision.language.as_deref().is_some_and(|language| language.eq_ignore_ascii_case("typescript"));
        let mut code = javascript(&code, typescript, &name).await.map_err(|error| Missing::Final(400, error))?;
        if kind == ModuleKind::Transformation && is_legacy(&version) {
            code = legacy::as_module(&code);
        }
        Ok(Module { name, code })
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<(ModuleKind, String), Cell>> {
        self.kept.lock().expect("no code panics while it holds this")
    }
}

/// Returns whether code of this `codeVersion` is a global function, not a module.
pub fn is_legacy(code_version: &Value) -> bool {
    code_version == "0" || code_version == 0
}

/// Checks that this server runs code in this language.
///
/// # Errors
/// When it does not; the message says why.
pub fn supported(language: Option<&str>) -> Result<(), String> {
    match language.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "javascript" | "typescript") => Ok(()),
        Some(other) => Err(format!("Error: the language {other} is not supported: JavaScript and TypeScript are")),
    }
}

/// Returns the URL for rows and messages, without user and password.
fn without_user(mut url: reqwest::Url) -> reqwest::Url {
    // Fails only for URLs that cannot have either.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url
}

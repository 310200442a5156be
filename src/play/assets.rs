//! The page from `js/play`, embedded in the binary.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal $type:ident $file:literal,)+) => {
        /// The path, type and text of each asset.
        const ASSETS: &[(&str, &str, &str)] =
            &[$(($path, $type, include_str!(concat!("../../js/play/", $file))),)+];
    };
}

assets! {
    "/" HTML "index.html",
    "/style.css" CSS "style.css",
    "/icon.svg" SVG "icon.svg",
    "/main.js" SCRIPT "main.js",
    "/api.js" SCRIPT "api.js",
    "/codemirror.js" SCRIPT "codemirror.js",
    "/complete.js" SCRIPT "complete.js",
    "/diff.js" SCRIPT "diff.js",
    "/dom.js" SCRIPT "dom.js",
    "/editor.js" SCRIPT "editor.js",
    "/events.js" SCRIPT "events.js",
    "/json.js" SCRIPT "json.js",
    "/lineage.js" SCRIPT "lineage.js",
    "/link.js" SCRIPT "link.js",
    "/project.js" SCRIPT "project.js",
    "/result.js" SCRIPT "result.js",
    "/samples.js" SCRIPT "samples.js",
    "/tests.js" SCRIPT "tests.js",
}

/// Returns the routes of the page and its assets, below a path. The path without its final slash redirects to the page,
/// because the page loads its assets from relative addresses.
pub(super) fn routes(below: &str) -> Router {
    let routes = ASSETS.iter().fold(Router::new(), |router, &(path, kind, text)| {
        router.route(
            &format!("{below}{path}"),
            get(move || async move { ([(CONTENT_TYPE, kind)], text).into_response() }),
        )
    });
    if below.is_empty() {
        return routes;
    }
    let page = format!("{below}/");
    routes.route(below, get(move || async move { Redirect::permanent(&page) }))
}

#[cfg(test)]
mod tests {
    use super::ASSETS;

    #[test]
    fn the_page_is_whole_and_asks_for_nothing_outside() {
        let embedded: Vec<&str> = ASSETS.iter().map(|(path, ..)| path.trim_start_matches('/')).collect();
        let mut files: Vec<String> = std::fs::read_dir("js/play")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace("index.html", ""))
            // Type declarations for tsc are not served.
            .filter(|name| !name.ends_with(".d.ts"))
            .collect();
        files.sort();
        let mut sorted = embedded.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, files);
        for (path, _, text) in ASSETS {
            for import in text.split(" from './").skip(1) {
                let name = import.split('\'').next().unwrap();
                assert!(embedded.contains(&name), "{path} imports {name}");
            }
            let outside = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("://"), "{path} names an address");
        }
    }
}

//! The web interface: the files built from `web/`, embedded in the executable. They use only the REST API.
//!
//! The built files are committed (`web/dist`), so that building needs only cargo; `cargo xtask web` checks that they match
//! the sources. Paths of the API take precedence over files.

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "page"] // a link to web/dist, because a published crate contains only what is below it
struct Files;

const INDEX: &str = "index.html";

/// The content security policy: the page runs only its own script and connects only to its own server. So text in
/// the name of a job or an operator cannot run as a script or send data elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of `/` and the files that the page needs.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Files::iter().fold(serve(Router::new(), "/", INDEX.to_owned()), |router, path| {
        serve(router, &format!("/{path}"), path.into_owned())
    })
}

fn serve<S: Clone + Send + Sync + 'static>(router: Router<S>, route: &str, path: String) -> Router<S> {
    router.route(route, get(async move |headers: HeaderMap| answer(&path, &headers)))
}

/// The file, or `304` if the client has it already.
fn answer(path: &str, request: &HeaderMap) -> Response {
    let file = Files::get(path).expect("only files that are embedded have a route");
    let tag = tag(&file);
    if request.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    let headers: [(HeaderName, String); 4] = [
        (CONTENT_TYPE, content_type(path).to_owned()),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (ETAG, tag),
    ];
    (headers, Body::from(file.data.into_owned())).into_response()
}

/// The entity tag of a file. It changes with the content, and file names do not.
fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<(String, String)> {
        let file = |path: std::borrow::Cow<'static, str>| {
            let data = Files::get(&path).unwrap().data.into_owned();
            (path.into_owned(), String::from_utf8(data).unwrap())
        };
        Files::iter().map(file).collect()
    }

    #[test]
    fn the_page_is_small() {
        let bytes: usize = texts().iter().map(|(_, text)| text.len()).sum();
        assert!((10_000..300_000).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn the_page_asks_nobody_else() {
        // Names of namespaces are no addresses that anything is fetched from.
        for (path, text) in texts() {
            let foreign: Vec<_> =
                text.split("://").skip(1).filter(|rest| !rest.starts_with("www.w3.org/")).collect();
            assert!(foreign.is_empty(), "{path}: {} addresses", foreign.len());
        }
    }

    #[test]
    fn the_page_has_no_script_of_its_own_in_the_markup() {
        let index = texts().into_iter().find(|(path, _)| path == INDEX).unwrap().1;
        let scripts: Vec<_> = index.split("<script").skip(1).collect();
        assert_eq!(scripts.len(), 1);
        assert!(scripts[0].contains("src=\"./assets/app.js\"></script>"), "{}", scripts[0]);
        assert!(!index.contains("style=") && !index.contains("<style"));
    }

    #[test]
    fn each_file_has_a_type() {
        for path in Files::iter() {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn who_has_a_file_is_not_sent_it_again() {
        let first = answer(INDEX, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let again = HeaderMap::from_iter([(IF_NONE_MATCH, first.headers()[ETAG].clone())]);
        assert_eq!(answer(INDEX, &again).status(), StatusCode::NOT_MODIFIED);
        let other = HeaderMap::from_iter([(IF_NONE_MATCH, "\"0\"".parse().unwrap())]);
        assert_eq!(answer(INDEX, &other).status(), StatusCode::OK);
    }
}

//! The status page: three files in the binary, which ask nothing but the REST API.

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

const INDEX: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/style.css");
const SCRIPT: &str = include_str!("../page/status.js");

/// The page loads nothing from elsewhere, and runs no script but its own.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";

/// `/` and what it needs.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", INDEX)))
        .route("/index.html", get(|| file("text/html; charset=utf-8", INDEX)))
        .route("/style.css", get(|| file("text/css; charset=utf-8", STYLE)))
        .route("/status.js", get(|| file("text/javascript; charset=utf-8", SCRIPT)))
}

async fn file(content_type: &'static str, content: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY)], content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small() {
        assert!(INDEX.len() + STYLE.len() + SCRIPT.len() < 40_000);
    }

    #[test]
    fn the_page_asks_nobody_else() {
        for file in [INDEX, STYLE, SCRIPT] {
            let foreign = file.split("://").skip(1).filter(|rest| !rest.starts_with("www.w3.org/2000/svg"));
            assert_eq!(foreign.count(), 0);
        }
    }
}

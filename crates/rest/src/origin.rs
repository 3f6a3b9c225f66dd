//! What pages of other servers may do, whose scripts run in the browser of a user who can reach REST.
//!
//! - Such a page may change nothing. A browser says from where a request comes: in `Sec-Fetch-Site`, and to addresses
//!   without TLS in `Origin`. Command lines and scripts send neither and are not affected.
//! - Such a page may read nothing, since a browser shows it only answers that allow its origin.
//! - A page may not come under a name of its own that resolves to this machine (DNS rebinding), because it would count as a
//!   page of this server. So a `Host` that is a name must be one of this server. An address cannot be rebound.
//!
//! `web.access-control-allow-origin` excepts origins: one that is named may read and change, and `*` lets all read.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN,
    REFERER, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::routes::Failure;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names of this server, and the other servers whose pages may use REST.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    hosts: BTreeSet<String>,
    any_host: bool,
    allowed: BTreeSet<String>,
    any_may_read: bool,
}

impl Origins {
    /// `hosts` are the names of this server besides `localhost`, without ports; `*` stands for all names. `allowed` are
    /// origins as browsers send them, such as `https://example.org:8443`; `*` stands for all, which may only read.
    pub fn new(hosts: impl IntoIterator<Item = String>, allowed: impl IntoIterator<Item = String>) -> Self {
        let hosts: BTreeSet<_> = hosts.into_iter().map(|host| normalized(&host)).collect();
        let trimmed = |origin: String| origin.trim_end_matches('/').to_ascii_lowercase();
        let allowed: BTreeSet<_> = allowed.into_iter().map(trimmed).collect();
        Self { any_host: hosts.contains("*"), any_may_read: allowed.contains("*"), hosts, allowed }
    }

    pub(crate) fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Failure> {
        let host = text(headers, &HOST).unwrap_or_default();
        if !self.is_own(host) {
            return Err(Failure::new(
                StatusCode::MISDIRECTED_REQUEST,
                format!("'{}' is no name of this server: add it to rest.allowed-hosts", without_port(host)),
            ));
        }
        if changes(method, path) && self.is_foreign(host, headers) {
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                "a page of another origin may not change anything: to allow it, name the origin in \
                 web.access-control-allow-origin",
            ));
        }
        Ok(())
    }

    fn is_own(&self, host: &str) -> bool {
        let name = normalized(without_port(host));
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_local = name == "localhost" || name.ends_with(".localhost");
        // Browsers always send a host, so one that is missing is not of a page.
        self.any_host || name.is_empty() || is_address || is_local || self.hosts.contains(&name)
    }

    /// Whether a page of another server sends the request, and is not allowed to.
    fn is_foreign(&self, host: &str, headers: &HeaderMap) -> bool {
        if self.is_named(headers) {
            return false;
        }
        let origin = text(headers, &ORIGIN);
        if let Some(site) = text(headers, &SEC_FETCH_SITE) {
            return !matches!(site, "same-origin" | "none");
        }
        let is_here =
            |url: &str| authority(url).is_some_and(|authority| authority.eq_ignore_ascii_case(host));
        match origin {
            Some(origin) => !is_here(origin),
            // A browser may send a GET without an origin, for example for an image.
            None => {
                let is_browser =
                    text(headers, &USER_AGENT).is_some_and(|agent| agent.starts_with("Mozilla/"));
                is_browser && !text(headers, &REFERER).is_some_and(is_here)
            }
        }
    }

    /// The value of `Access-Control-Allow-Origin` for a request, if its origin may read.
    pub(crate) fn may_read(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.any_may_read {
            return Some(HeaderValue::from_static("*"));
        }
        headers.get(ORIGIN).filter(|_| self.is_named(headers)).cloned()
    }

    fn is_named(&self, headers: &HeaderMap) -> bool {
        text(headers, &ORIGIN).is_some_and(|origin| self.allowed.contains(&origin.to_ascii_lowercase()))
    }

    pub(crate) fn methods(&self, headers: &HeaderMap) -> &'static str {
        if self.is_named(headers) { "GET, POST, PUT, PATCH, DELETE" } else { "GET" }
    }
}

/// Whether a request changes the job or the cluster.
pub(crate) fn changes(method: &Method, path: &str) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || path.trim_end_matches('/').ends_with("/yarn-cancel")
}

/// Whether a browser asks whether it may send a request.
pub(crate) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to such a question.
pub(crate) fn preflight(methods: &'static str) -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // A value that is no text differs from everything that is allowed.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn authority(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    rest.split('/').next()
}

/// `host` of `host:port`, where an IPv6 address is in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn normalized(host: &str) -> String {
    host.trim().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: Method, path: &str, headers: &[(&'static str, &str)], expect: u16) {
        let origins = Origins::new(["JM.example".to_owned()], ["https://dash.example/".to_owned()]);
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let headers: HeaderMap = headers.collect();
        let status =
            origins.check(&method, path, &headers).map_or_else(|failure| failure.status().as_u16(), |()| 200);
        assert_eq!(status, expect, "{method} {path} {headers:?}");
    }

    #[test]
    fn the_host_is_a_name_of_this_server() {
        for host in
            ["localhost:8081", "a.localhost", "127.0.0.1:1", "[::1]:80", "10.2.3.4", "jm.example.:8081", ""]
        {
            check(Method::GET, "/jobs", &[("host", host)], 200);
        }
        for host in
            ["evil.example", "jm.example.evil.example", "localhost.evil.example:8081", "[evil]:1", "a:b"]
        {
            check(Method::GET, "/jobs", &[("host", host)], 421);
        }
        check(Method::GET, "/jobs", &[], 200);
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let here = ("host", "localhost:8081");
        let browser = ("user-agent", "Mozilla/5.0");
        let post = |headers: &[(&'static str, &str)], expect| check(Method::POST, "/jobs", headers, expect);
        post(&[here], 200);
        post(&[here, browser, ("origin", "http://localhost:8081")], 200);
        post(&[here, browser, ("sec-fetch-site", "same-origin"), ("origin", "https://proxy.example")], 200);
        post(&[here, ("origin", "https://dash.example"), ("sec-fetch-site", "cross-site")], 200);
        for origin in
            ["http://localhost:8082", "http://evil.example", "null", "http://localhost:8081.evil.example"]
        {
            post(&[here, ("origin", origin)], 403);
        }
        for site in ["cross-site", "same-site", "?"] {
            post(&[here, ("sec-fetch-site", site)], 403);
        }
        post(&[here, browser], 403);
    }

    #[test]
    fn a_get_that_changes_is_no_exception() {
        let get = |headers: &[(&'static str, &str)], expect| {
            check(Method::GET, "/jobs/1/yarn-cancel", headers, expect)
        };
        let (here, browser) = (("host", "localhost:8081"), ("user-agent", "Mozilla/5.0"));
        get(&[here], 200);
        get(&[here, browser, ("referer", "http://localhost:8081/#/job")], 200);
        get(&[here, browser], 403);
        get(&[here, browser, ("referer", "http://evil.example/localhost:8081/")], 403);
        check(Method::GET, "/jobs", &[here, browser, ("sec-fetch-site", "cross-site")], 200);
    }
}

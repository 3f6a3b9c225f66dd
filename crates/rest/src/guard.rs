//! Passes on only requests that [`Access`] allows, and records those that change something.

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, VARY};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::connections::Bounded;
use crate::credentials::{Credentials, Role, User};
use crate::origin::{Origins, changes, is_preflight, preflight};
use crate::routes::Failure;

/// Who may use REST. By default all programs that reach it, and no page of another server.
#[derive(Debug, Default)]
pub struct Access {
    /// Pages of other servers.
    pub origins: Origins,
    /// Users and tokens. `None`: no request needs one.
    pub credentials: Option<Credentials>,
}

/// The address of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Client {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Refuses what `access` does not allow, answers browsers that ask before they send (preflight), and says in answers who may
/// read them.
pub(crate) async fn guard(
    State(access): State<Arc<Access>>,
    ConnectInfo(Client(from)): ConnectInfo<Client>,
    request: Request,
    next: Next,
) -> Response {
    let reader = access.origins.may_read(request.headers());
    let mut response = if reader.is_some() && is_preflight(&request) {
        preflight(access.origins.methods(request.headers()))
    } else {
        answer(&access, from, request, next).await
    };
    if let Some(reader) = reader {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, reader);
        response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
    }
    response
}

async fn answer(access: &Access, from: SocketAddr, request: Request, next: Next) -> Response {
    let needed = if changes(request.method(), request.uri().path()) { Role::Write } else { Role::Read };
    let call = (needed == Role::Write).then(|| (request.method().clone(), request.uri().clone()));
    let allowed = access.origins.check(request.method(), request.uri().path(), request.headers());
    let admitted = match allowed {
        Ok(()) => admit(access, from, request.headers(), needed).await,
        Err(failure) => Err((None, failure.into_response())),
    };
    let (user, response) = match admitted {
        Ok(user) => (user, next.run(request).await),
        Err((user, refusal)) => (user, refusal),
    };
    if let Some((method, uri)) = call {
        let user = user.as_ref().map_or("-", |user| &*user.name);
        let status = response.status().as_u16();
        tracing::info!(target: "reflow::audit", user, %from, %method, path = %shown(&uri), status, "change over REST");
    }
    response
}

/// The user, if one is needed; or the user, if known, and the answer that refuses the request.
async fn admit(
    access: &Access,
    from: SocketAddr,
    headers: &HeaderMap,
    needed: Role,
) -> Result<Option<User>, (Option<User>, Response)> {
    let Some(credentials) = &access.credentials else { return Ok(None) };
    let user = credentials.authenticate(headers, from.ip()).await.map_err(|refusal| (None, refusal))?;
    if user.role < needed {
        let text = format!("{} may only read: a change needs the role write", user.name);
        return Err((Some(user), Failure::new(StatusCode::FORBIDDEN, text).into_response()));
    }
    Ok(Some(user))
}

/// What the audit log shows of a URI, which a stranger may have made long.
fn shown(uri: &Uri) -> String {
    uri.to_string().chars().take(256).collect()
}

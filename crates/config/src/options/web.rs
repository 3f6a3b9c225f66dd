//! Options of the REST API and the web interface.

use std::path::PathBuf;

use super::section::{Section, section};
use crate::option::{ConfigOption, Default, option};

section! { "REST and web interface" {
    /// The port of the REST API and the web interface. 0: any free port, which is logged.
    REST_PORT: u16 = option("rest.port").aliases(&["web.port"]).default("8081");

    /// The host at which clients reach the REST API.
    REST_ADDRESS: String =
        option("rest.address")
            .aliases(&["web.address"])
            .default_from(Default::SameAs("jobmanager.rpc.address"));

    /// The interface that the REST API listens on. By default only this machine can connect; with `0.0.0.0` all
    /// machines can. TaskManagers fetch the job's executable there. If `jobmanager.bind-host` is another interface, which
    /// REST does not listen on, they fetch it from a free port of that interface, which is logged.
    REST_BIND_ADDRESS: String = option("rest.bind-address").default("localhost");

    /// Names of this server that REST accepts in the `Host` header, besides `localhost`, addresses, `rest.address`,
    /// `rest.bind-address`, `jobmanager.rpc.address` and the machine's name; `*` accepts all. The check keeps pages of other
    /// servers out that let their own name resolve to this machine.
    REST_ALLOWED_HOSTS: Vec<String> = option("rest.allowed-hosts").default("");

    /// Origins, such as `https://example.org`, whose pages may read and change over REST in a user's browser. `*`: the pages of
    /// all may read. By default only pages of REST itself may. Programs other than browsers are not affected.
    WEB_ACCESS_CONTROL_ALLOW_ORIGIN: Vec<String> = option("web.access-control-allow-origin").default("");

    /// A file of those who may use REST, the web interface and `/metrics`, with a line `NAME:ROLE:SECRET` for each. The role is
    /// `read` or `write`; the secret a token or the Argon2 hash of a password. It is read again when it changes. Unset: every
    /// program that reaches the port.
    REST_AUTHENTICATION_FILE: Option<PathBuf> = option("rest.authentication.file");

    /// Whether REST, the web interface and `/metrics` are served with TLS, at `https://`. The JobManager then needs
    /// `security.ssl.rest.certificate` and `.key`; `reflow` and TaskManagers that fetch the job's executable from REST need
    /// `security.ssl.rest.ca`.
    SECURITY_SSL_REST_ENABLED: bool = option("security.ssl.rest.enabled").default("false");

    /// The PEM file of the certificate of REST, for the names and addresses by which clients reach it. A new content counts for
    /// new connections. With `security.ssl.rest.authentication-enabled`, clients show theirs from this option as well.
    SECURITY_SSL_REST_CERTIFICATE: Option<PathBuf> = option("security.ssl.rest.certificate");

    /// The PEM file of the certificate's private key, without a password.
    SECURITY_SSL_REST_KEY: Option<PathBuf> = option("security.ssl.rest.key");

    /// The PEM file of the authorities that sign the certificate of REST, and with
    /// `security.ssl.rest.authentication-enabled` those of its clients.
    SECURITY_SSL_REST_CA: Option<PathBuf> = option("security.ssl.rest.ca");

    /// Whether each client of REST must show a certificate that an authority in `security.ssl.rest.ca` has signed (mutual TLS).
    SECURITY_SSL_REST_AUTHENTICATION_ENABLED: bool =
        option("security.ssl.rest.authentication-enabled").default("false");

    /// A file with the token that `reflow` sends to REST, of which the first line counts.
    REST_CLIENT_TOKEN_FILE: Option<PathBuf> = option("rest.client.token-file");

    /// Whether a job can be cancelled over REST, and so by `reflow cancel`. It can always be stopped with a
    /// savepoint.
    WEB_CANCEL_ENABLE: bool = option("web.cancel.enable").default("true");

    /// Whether the parallelism of a job can be changed over REST, and so by `reflow rescale`, `reflow drain` and
    /// the web interface, which otherwise has no buttons for it.
    WEB_RESCALE_ENABLE: bool = option("web.rescale.enable").default("true");

    /// How many checkpoints of a job are kept for display, with the figures of each subtask.
    WEB_CHECKPOINTS_HISTORY: u32 =
        option("web.checkpoints.history")
            .aliases(&["jobmanager.web.checkpoints.history"])
            .default("10")
            .between(0, 10_000);

    /// How many exceptions of a job are kept.
    WEB_EXCEPTION_HISTORY_SIZE: u32 = option("web.exception-history-size").default("16").between(1, 10_000);

    /// How many rescales of a job are kept for display. 0: none.
    WEB_RESCALE_HISTORY_SIZE: u32 =
        option("web.adaptive-scheduler.rescale-history.size").default("100").between(0, 10_000);
}}

//! REST and the web interface.

use super::{Section, section};
use crate::option::{ConfigOption, Default, option};

section! { "REST and web interface" {
    /// The port of REST and of the web interface. 0: any free one, which the log names.
    REST_PORT: u16 = option("rest.port").aliases(&["web.port"]).default("8081");

    /// The host at which clients reach REST.
    REST_ADDRESS: String =
        option("rest.address")
            .aliases(&["web.address"])
            .default_from(Default::SameAs("jobmanager.rpc.address"));

    /// The interface that REST listens on. The default admits this machine only; `0.0.0.0` admits everybody.
    REST_BIND_ADDRESS: String = option("rest.bind-address").default("localhost");

    /// Whether a job can be cancelled by REST, and so by `reflow cancel`. Stopping it with a savepoint always can be
    /// asked for.
    WEB_CANCEL_ENABLE: bool = option("web.cancel.enable").default("true");

    /// Whether the parallelism of a job can be changed by REST, by `reflow rescale` and `reflow drain`, and by the web
    /// interface, which otherwise has no buttons for it.
    WEB_RESCALE_ENABLE: bool = option("web.rescale.enable").default("true");

    /// How many exceptions of a job are kept.
    WEB_EXCEPTION_HISTORY_SIZE: u32 = option("web.exception-history-size").default("16").between(1, 10_000);

    /// How many rescales of a job are kept for display. 0: none.
    WEB_RESCALE_HISTORY_SIZE: u32 =
        option("web.adaptive-scheduler.rescale-history.size").default("100").between(0, 10_000);
}}

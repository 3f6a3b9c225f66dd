//! Access to object stores.

use super::{Section, section};
use crate::option::{ConfigOption, option};

section! { "S3" {
    /// The URL of the service, which must know create-only puts (`If-None-Match: *`), as Amazon's and most others
    /// do: they decide who leads a job and which checkpoint is complete. Unset: Amazon's. With `http://` the
    /// connection is not encrypted.
    S3_ENDPOINT: Option<String> = option("s3.endpoint");

    /// The region. Unset: from the environment (`AWS_REGION`).
    S3_REGION: Option<String> = option("s3.region").aliases(&["s3.endpoint.region"]);

    /// The id of the access key. Unset: from the environment or the machine's role.
    S3_ACCESS_KEY: Option<String> = option("s3.access-key").aliases(&["s3.access.key"]);

    /// The secret of the access key. It is taken from `config.yaml` and from the environment only: arguments are
    /// visible to every user of a machine.
    S3_SECRET_KEY: Option<String> = option("s3.secret-key").aliases(&["s3.secret.key"]).secret();

    /// The token of temporary credentials, taken as the secret is.
    S3_SESSION_TOKEN: Option<String> = option("s3.session-token").secret();

    /// Whether the bucket stands in the path of URLs instead of the host's name, as most services other than
    /// Amazon's want it.
    S3_PATH_STYLE_ACCESS: bool =
        option("s3.path-style-access").aliases(&["s3.path.style.access"]).default("false");
}}

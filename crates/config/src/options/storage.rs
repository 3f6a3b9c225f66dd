//! Options of object stores.

use super::section::{Section, section};
use crate::option::{ConfigOption, option};

section! { "S3" {
    /// The URL of the service. Unset: Amazon S3. The service must support create-only puts (`If-None-Match: *`), as
    /// Amazon's and most others do, because they decide which JobManager leads a job and which checkpoint is
    /// complete. With `http://` the connection is not encrypted.
    S3_ENDPOINT: Option<String> = option("s3.endpoint");

    /// The region. Unset: from the environment (`AWS_REGION`).
    S3_REGION: Option<String> = option("s3.region").aliases(&["s3.endpoint.region"]);

    /// The id of the access key. Unset: from the environment or the machine's role.
    S3_ACCESS_KEY: Option<String> = option("s3.access-key").aliases(&["s3.access.key"]);

    /// The secret of the access key. It is read only from `config.yaml` and from the environment, because arguments
    /// are visible to every user of a machine.
    S3_SECRET_KEY: Option<String> = option("s3.secret-key").aliases(&["s3.secret.key"]).secret();

    /// The token of temporary credentials. It is read from the same places as the secret.
    S3_SESSION_TOKEN: Option<String> = option("s3.session-token").secret();

    /// Whether the bucket is in the path of URLs instead of the host's name. Most services other than Amazon's need
    /// this.
    S3_PATH_STYLE_ACCESS: bool =
        option("s3.path-style-access").aliases(&["s3.path.style.access"]).default("false");
}}

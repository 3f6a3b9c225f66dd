//! The arguments of `reflow certs`.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  reflow certs conf/tls >> conf/config.yaml           everything for a cluster on this machine
  reflow certs tls --host jm.example --host 10.0.0.7  REST is reached by these names only
  reflow certs conf/tls --renew                       new certificates, before the old ones expire; no restart is needed

Files:
  ca.pem                      the authority, which everyone trusts; clients of REST need only this file
  ca.key                      its key, which makes members of the cluster: keep it apart, no process needs it
  internal.pem, internal.key  what processes show each other; the names in it are not compared
  rest.pem, rest.key          what the JobManager shows clients of REST, for the names of --host

Keys can be read by their owner only. Copy ca.pem, internal.* and rest.* to all machines of the cluster. Everyone with a
certificate of this authority can join the cluster, so sign none for users with it: give them tokens (rest.authentication.file).";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Certs {
    /// The directory of the files, which is created if it is not there. Files that are there are not overwritten.
    pub(crate) directory: PathBuf,
    /// A name or address by which clients reach REST. Can be given several times [default: localhost, 127.0.0.1, ::1 and
    /// this machine's name].
    #[arg(long = "host", value_name = "NAME_OR_ADDRESS")]
    pub(crate) hosts: Vec<String>,
    /// How many days the certificates are valid. The authority is valid for ten years.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    pub(crate) days: u16,
    /// Replace the certificates and keys of processes and REST by new ones of the authority that is there. Name all
    /// hosts again: clients refuse a certificate that does not have theirs.
    #[arg(long, requires = "hosts")]
    pub(crate) renew: bool,
}

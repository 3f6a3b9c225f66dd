//! Reads a kubeconfig, the file by which tools outside of a cluster reach its API server.
//!
//! Programs that make tokens (`exec`), proxies and servers whose certificate is not checked are refused.

use crate::access::{Access, AccessError, Content, Credentials, Server, or_default};
use base64ct::{Base64, Encoding};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct KubeConfig {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    proxy_url: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    username: Option<IgnoredAny>,
}

/// Reads the access of a context; of the current one, if none is named.
pub(crate) fn read(path: &Path, context: Option<&str>) -> Result<Access, AccessError> {
    let text = fs::read_to_string(path)
        .map_err(|error| AccessError::File { path: path.to_owned(), cause: error.to_string() })?;
    let directory = path.parent().unwrap_or(Path::new("."));
    parse(&text, directory, context).map_err(|cause| AccessError::KubeConfig { path: path.to_owned(), cause })
}

fn parse(text: &str, directory: &Path, context: Option<&str>) -> Result<Access, String> {
    let KubeConfig { current_context, clusters, contexts, users } =
        serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
    let name = context.unwrap_or(&current_context);
    let context = contexts.into_iter().find(|context| context.name == name);
    let Context { cluster, user, namespace } =
        context.ok_or_else(|| format!("it has no context `{name}`"))?.context;
    let found = clusters.into_iter().find(|named| named.name == cluster);
    let Cluster {
        server,
        certificate_authority,
        certificate_authority_data,
        insecure_skip_tls_verify,
        proxy_url,
    } = found.ok_or_else(|| format!("it has no cluster `{cluster}`"))?.cluster;
    if insecure_skip_tls_verify {
        return Err("insecure-skip-tls-verify is not supported: name the certificate-authority".to_owned());
    }
    if proxy_url.is_some() {
        return Err("proxy-url is not supported".to_owned());
    }
    let server = Server::parse(&server).map_err(|error| error.to_string())?;
    let authorities = content(directory, certificate_authority, certificate_authority_data)?;
    if server.encrypted && authorities.is_none() {
        return Err(format!("the cluster `{cluster}` names no certificate-authority"));
    }
    let found = users.into_iter().find(|named| named.name == user);
    let found = found.ok_or_else(|| format!("it has no user `{user}`"))?.user;
    Ok(Access {
        server,
        authorities,
        credentials: credentials(directory, found)?,
        namespace: or_default(&namespace),
    })
}

fn credentials(directory: &Path, user: User) -> Result<Credentials, String> {
    if user.exec.is_some() || user.auth_provider.is_some() || user.username.is_some() {
        return Err(
            "the user has a program or a password: only tokens and certificates are supported, such as \
                    `kubectl create token` makes"
                .to_owned(),
        );
    }
    let token = user.token.map(|token| Content::Inline(token.into_bytes()));
    if let Some(token) = user.token_file.map(|path| Content::File(directory.join(path))).or(token) {
        return Ok(Credentials::Token(token));
    }
    let certificate = content(directory, user.client_certificate, user.client_certificate_data)?;
    let key = content(directory, user.client_key, user.client_key_data)?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Credentials::Certificate { certificate, key }),
        (None, None) => Ok(Credentials::None),
        _ => Err("the user has a certificate or a key, but not both".to_owned()),
    }
}

/// Data in the file itself comes before a file that it names, as for kubectl. Relative paths begin at its directory.
fn content(directory: &Path, path: Option<PathBuf>, data: Option<String>) -> Result<Option<Content>, String> {
    match (data.filter(|data| !data.is_empty()), path) {
        (Some(data), _) => match Base64::decode_vec(data.trim()) {
            Ok(bytes) => Ok(Some(Content::Inline(bytes))),
            Err(error) => Err(format!("a field with data is no base64: {error}")),
        },
        (None, Some(path)) => Ok(Some(Content::File(directory.join(path)))),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: dev
clusters:
- name: near
  cluster: {server: 'https://127.0.0.1:6443', certificate-authority: ca.crt}
- name: far
  cluster: {server: 'https://api.example.org/prefix', certificate-authority-data: Y2E=}
- name: blind
  cluster: {server: 'https://api.example.org', insecure-skip-tls-verify: true}
contexts:
- name: dev
  context: {cluster: near, user: anna, namespace: shop}
- name: prod
  context: {cluster: far, user: bot}
- name: blind
  context: {cluster: blind, user: bot}
- name: program
  context: {cluster: near, user: program}
users:
- name: anna
  user: {client-certificate-data: Y2VydA==, client-key: keys/anna.key}
- name: bot
  user: {tokenFile: /run/token, token: old}
- name: program
  user: {exec: {command: aws, args: [eks, get-token]}}
";

    fn parsed(context: Option<&str>) -> Result<Access, String> {
        parse(KUBECONFIG, Path::new("/home/anna/.kube"), context)
    }

    #[test]
    fn the_current_context_counts_unless_another_is_named() {
        let access = parsed(None).unwrap();
        assert_eq!(
            (access.server.authority().as_str(), access.namespace.as_str()),
            ("127.0.0.1:6443", "shop")
        );
        let shown = format!("{access:?}");
        assert!(shown.contains("/home/anna/.kube/ca.crt"), "{shown}");
        assert!(
            shown.contains("certificate: the kubeconfig, key: /home/anna/.kube/keys/anna.key"),
            "{shown}"
        );

        let access = parsed(Some("prod")).unwrap();
        assert_eq!((access.server.path.as_str(), access.namespace.as_str()), ("/prefix", "default"));
        assert_eq!(access.authorities.unwrap().read().unwrap(), b"ca");
        assert!(
            matches!(access.credentials, Credentials::Token(Content::File(path)) if path.ends_with("token"))
        );
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = |context| parsed(Some(context)).unwrap_err();
        assert_eq!(error("test"), "it has no context `test`");
        assert!(error("blind").contains("insecure-skip-tls-verify"));
        assert!(error("program").contains("a program or a password"));
    }
}

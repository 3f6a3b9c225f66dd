//! Who may use REST: the users and tokens of a file, and what each may do.
//!
//! A line of the file is `NAME:ROLE:SECRET`, with the role `read` or `write`. A secret that begins with `$argon2` is the hash
//! of a password; any other is a token, as it is sent in `Authorization: Bearer`. A browser asks for name and password
//! (`Basic`), and takes the token of a name as its password. The file is read again when it changes, so that a token can be
//! replaced without a restart.
//!
//! Guessing is slow: passwords are verified one at a time, and an address that has sent many wrong secrets is refused for a
//! while. A right token or a password that was right before is not affected by that.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64ct::{Base64Unpadded, Encoding};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use crate::routes::Failure;

/// How often the file is looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);
/// A token is at least this long.
const MIN_TOKEN_LEN: usize = 16;
/// How many wrong secrets an address may send before it is refused, and for how long it then is.
const MAX_WRONG: u32 = 10;
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// How many addresses are remembered.
const MAX_ADDRESSES: usize = 1024;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Read,
    Write,
}

/// A user who has been recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
}

/// A file of users and tokens that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot read rest.authentication.file {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is wrong. Its text is not shown because it contains a secret.
    #[error("{}:{line}: {reason}; a line is NAME:ROLE:SECRET with the role read or write", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// It has no line.
    #[error("{} names nobody, so nobody could use REST; a line is NAME:ROLE:SECRET with the role read or write", .0.display())]
    Empty(PathBuf),
}

/// The users and tokens of a file.
#[derive(Debug)]
pub struct Credentials {
    path: PathBuf,
    file: Mutex<File>,
    /// Held while a password is verified, which takes much memory and time.
    verifying: AsyncMutex<()>,
    wrong: Mutex<BTreeMap<IpAddr, Wrong>>,
}

#[derive(Debug)]
struct File {
    looked_at: Instant,
    modified: Option<SystemTime>,
    users: Arc<Users>,
}

#[derive(Debug, Default)]
struct Users {
    /// By SHA-256, so that comparing takes a time that says nothing about a token.
    tokens: BTreeMap<Hash, User>,
    passwords: BTreeMap<Arc<str>, (Role, String)>,
    /// Passwords that were right, by the SHA-256 of name and password: a page sends several requests a second.
    verified: Mutex<BTreeMap<Hash, User>>,
}

type Hash = [u8; 32];

#[derive(Debug)]
struct Wrong {
    count: u32,
    last: Instant,
}

/// What a request sends to show who it is.
enum Shown {
    Token(String),
    Password { name: String, password: String },
}

impl Credentials {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let (users, modified) = read(path)?;
        let file = File { looked_at: Instant::now(), modified, users: Arc::new(users) };
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            verifying: AsyncMutex::default(),
            wrong: Mutex::default(),
        })
    }

    /// The user who sends a request, or the answer that refuses it.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap, from: IpAddr) -> Result<User, Response> {
        let Some(shown) = headers.get(AUTHORIZATION) else {
            return Err(unauthorized("REST needs a token or a password: send Authorization: Bearer TOKEN"));
        };
        let users = self.users();
        let shown = parse(shown);
        let recognized = || shown.as_ref().and_then(|shown| users.recognize(shown));
        if let Some(user) = recognized() {
            return Ok(user);
        }
        let _one_at_a_time = match shown {
            Some(Shown::Password { .. }) => Some(self.verifying.lock().await),
            _ => None,
        };
        // Only now: many passwords that are sent at once count like those that are sent one after the other, and of
        // the first requests of a page, which come together, one is verified.
        if let Some(user) = recognized() {
            return Ok(user);
        }
        if let Some(refusal) = self.refusal(from) {
            return Err(refusal);
        }
        if let Some(Shown::Password { name, password }) = shown
            && let Some(user) = verify(&users, name, password).await
        {
            lock(&self.wrong).remove(&from);
            return Ok(user);
        }
        self.count_wrong(from);
        Err(unauthorized("the token or password is wrong"))
    }

    /// The answer to an address that has sent too many wrong secrets.
    fn refusal(&self, from: IpAddr) -> Option<Response> {
        let mut wrong = lock(&self.wrong);
        let known = wrong.get(&from)?;
        if known.last.elapsed() >= REFUSED_FOR {
            wrong.remove(&from);
        } else if known.count >= MAX_WRONG {
            let text = "too many wrong tokens or passwords from this address: try again later";
            let mut answer = Failure::new(StatusCode::TOO_MANY_REQUESTS, text).into_response();
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(REFUSED_FOR.as_secs()));
            return Some(answer);
        }
        None
    }

    fn count_wrong(&self, from: IpAddr) {
        let mut wrong = lock(&self.wrong);
        if wrong.len() >= MAX_ADDRESSES && !wrong.contains_key(&from) {
            let oldest = wrong.iter().min_by_key(|(_, wrong)| wrong.last).map(|(address, _)| *address);
            oldest.map(|address| wrong.remove(&address));
        }
        let entry = wrong.entry(from).or_insert(Wrong { count: 0, last: Instant::now() });
        entry.count += 1;
        entry.last = Instant::now();
        if entry.count.is_power_of_two() || entry.count == MAX_WRONG {
            tracing::warn!(target: "reflow::audit", %from, count = entry.count, "wrong tokens or passwords");
        }
    }

    /// The users as the file has them now. If it became unusable, those that it had.
    fn users(&self) -> Arc<Users> {
        let mut file = lock(&self.file);
        if file.looked_at.elapsed() >= RELOAD_INTERVAL {
            file.looked_at = Instant::now();
            let modified = modified(&self.path);
            if modified.is_some() && modified != file.modified {
                file.modified = modified;
                match read(&self.path) {
                    Ok((users, _)) => {
                        file.users = Arc::new(users);
                        tracing::info!("read {} again", self.path.display());
                    }
                    Err(error) => tracing::error!("the former users and tokens stay valid: {error}"),
                }
            }
        }
        file.users.clone()
    }
}

/// The user of a password, which is verified beside the threads that serve requests.
async fn verify(users: &Arc<Users>, name: String, password: String) -> Option<User> {
    let users = users.clone();
    tokio::task::spawn_blocking(move || users.verify(&name, &password)).await.ok().flatten()
}

impl Users {
    /// The user of a token, or of a password that was right before.
    fn recognize(&self, shown: &Shown) -> Option<User> {
        match shown {
            Shown::Token(token) => self.tokens.get(&hash(&[token])).cloned(),
            Shown::Password { name, password } => {
                let of_token =
                    self.tokens.get(&hash(&[password])).filter(|user| *user.name == **name).cloned();
                of_token.or_else(|| lock(&self.verified).get(&hash(&[name, ":", password])).cloned())
            }
        }
    }

    fn verify(&self, name: &str, password: &str) -> Option<User> {
        let known = self.passwords.get_key_value(name);
        // A name without a password takes as long as one with, so that the time does not tell which names exist.
        let (_, (_, expected)) = known.or_else(|| self.passwords.first_key_value())?;
        let expected = PasswordHash::new(expected).ok()?;
        Argon2::default().verify_password(password.as_bytes(), &expected).ok()?;
        let (name_of_user, (role, _)) = known?;
        let user = User { name: name_of_user.clone(), role: *role };
        lock(&self.verified).insert(hash(&[name, ":", password]), user.clone());
        Some(user)
    }
}

fn read(path: &Path) -> Result<(Users, Option<SystemTime>), CredentialsError> {
    let modified = modified(path);
    let text = std::fs::read_to_string(path)
        .map_err(|error| CredentialsError::Unreadable { path: path.to_owned(), error })?;
    let mut users = Users::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let malformed =
                |reason| CredentialsError::Malformed { path: path.to_owned(), line: index + 1, reason };
            users.add(line).map_err(malformed)?;
        }
    }
    if users.tokens.is_empty() && users.passwords.is_empty() {
        return Err(CredentialsError::Empty(path.to_owned()));
    }
    Ok((users, modified))
}

impl Users {
    fn add(&mut self, line: &str) -> Result<(), &'static str> {
        let mut parts = line.splitn(3, ':');
        let (Some(name), Some(role), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("fewer than three parts");
        };
        let role = match role {
            "read" => Role::Read,
            "write" => Role::Write,
            _ => return Err("an unknown role"),
        };
        if name.is_empty() || name.contains(|c: char| c.is_control()) {
            return Err("no valid name");
        }
        let name: Arc<str> = name.into();
        if secret.starts_with("$argon2") {
            PasswordHash::new(secret).map_err(|_| "no valid hash of a password")?;
            let former = self.passwords.insert(name, (role, secret.to_owned()));
            return former.map_or(Ok(()), |_| Err("a second password of the same name"));
        }
        if secret.len() < MIN_TOKEN_LEN {
            return Err("a token of fewer than 16 characters, which can be guessed");
        }
        let former = self.tokens.insert(hash(&[secret]), User { name, role });
        former.map_or(Ok(()), |_| Err("a token that an earlier line has"))
    }
}

/// Reads an `Authorization` header.
fn parse(header: &HeaderValue) -> Option<Shown> {
    let (scheme, value) = header.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Shown::Token(value.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(decode_base64(value.trim())?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(Shown::Password { name: name.to_owned(), password: password.to_owned() })
}

/// Decodes standard base64.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    Base64Unpadded::decode_vec(text.trim_end_matches('=')).ok()
}

fn unauthorized(text: &str) -> Response {
    let mut answer = Failure::new(StatusCode::UNAUTHORIZED, text).into_response();
    // A browser asks its user for the first scheme that it knows.
    answer.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Reflow\""));
    answer.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"Reflow\""));
    answer
}

fn hash(parts: &[&str]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

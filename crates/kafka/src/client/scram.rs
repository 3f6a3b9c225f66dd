//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither sends it.
//!
//! The client sends [`first`](Scram::first), proves itself by the server's answer ([`prove`](Scram::prove)), and checks
//! the server's own proof ([`Proof::check`]). There is no I/O here.

use base64ct::{Base64, Encoding};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

/// The rounds of hashing that a server may ask for: those that Kafka's brokers accept for a password. Fewer make passwords easy to
/// guess for one who has listened; more would only keep this thread busy, and no broker is proven to be one yet.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=16_384;

/// The hash function of the mechanism.
#[derive(Clone, Copy)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

/// A login that has begun.
pub(super) struct Scram<'a> {
    hash: Hash,
    password: &'a str,
    nonce: String,
    /// The first message behind its header.
    bare: String,
}

/// What the client sends to prove itself, and what it knows to check the server.
pub(super) struct Proof {
    pub(super) message: String,
    server_key: hmac::Key,
    auth_message: String,
}

impl Hash {
    fn of_hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn of_pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

impl<'a> Scram<'a> {
    /// Begins a login. The nonce has printable characters other than commas, and was never used before.
    pub(super) fn new(hash: Hash, user: &str, password: &'a str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, password, bare: format!("n={user},r={nonce}"), nonce }
    }

    /// The first message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// Answers the server's first message.
    pub(super) fn prove(&self, answer: &str) -> Result<Proof, &'static str> {
        let field = |name: &str| answer.split(',').find_map(|field| field.strip_prefix(name));
        let nonce =
            field("r=").filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let nonce = nonce.ok_or("its answer belongs to another login")?;
        let salt =
            field("s=").and_then(|salt| Base64::decode_vec(salt).ok()).ok_or("its answer has no salt")?;
        let iterations = field("i=").and_then(|iterations| iterations.parse::<u32>().ok());
        let iterations =
            iterations.filter(|iterations| ITERATIONS.contains(iterations)).and_then(NonZeroU32::new);
        let iterations =
            iterations.ok_or("it asks for less than 4,096 or more than 16,384 rounds of hashing")?;

        let algorithm = self.hash.of_hmac();
        let mut salted = vec![0; algorithm.digest_algorithm().output_len()];
        pbkdf2::derive(self.hash.of_pbkdf2(), iterations, &salt, self.password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(algorithm, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let server_key = hmac::Key::new(algorithm, hmac::sign(&salted, b"Server Key").as_ref());
        let stored_key = digest::digest(algorithm.digest_algorithm(), client_key.as_ref());

        let without_proof = format!("c=biws,r={nonce}"); // biws is "n,," in base 64
        let auth_message = format!("{},{answer},{without_proof}", self.bare);
        let signature = hmac::sign(&hmac::Key::new(algorithm, stored_key.as_ref()), auth_message.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, mask)| key ^ mask).collect();
        let message = format!("{without_proof},p={}", Base64::encode_string(&proof));
        Ok(Proof { message, server_key, auth_message })
    }
}

impl Proof {
    /// Checks that the server knows the password's hash, too.
    pub(super) fn check(&self, answer: &str) -> Result<(), &'static str> {
        let signature = answer.split(',').find_map(|field| field.strip_prefix("v="));
        let signature =
            signature.and_then(|signature| Base64::decode_vec(signature).ok()).unwrap_or_default();
        hmac::verify(&self.server_key, self.auth_message.as_bytes(), &signature)
            .map_err(|_| "it does not prove that it knows the user: it may be another server than it seems")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn scram() -> Scram<'static> {
        Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    /// The example of RFC 7677.
    #[test]
    fn a_login_goes_as_in_the_standard() {
        assert_eq!(scram().first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let proof = scram().prove(FIRST).unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!(
            proof.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proof.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        for wrong in ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=", "e=invalid-proof", ""] {
            assert!(proof.check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_that_proves_nothing_is_refused() {
        let refused = |from: &str, to: &str| scram().prove(&FIRST.replace(from, to)).err();
        assert_eq!(refused("r=rO", "r=rX"), Some("its answer belongs to another login"));
        assert_eq!(
            refused("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""),
            Some("its answer belongs to another login")
        );
        assert_eq!(refused("s=W22", "s=?"), Some("its answer has no salt"));
        assert!(refused("i=4096", "i=4095").is_some() && refused("i=4096", "i=16385").is_some());
    }

    #[test]
    fn names_may_have_all_characters() {
        let scram = Scram::new(Hash::Sha512, "a=b,c", "", "n".to_owned());
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=n");
    }
}

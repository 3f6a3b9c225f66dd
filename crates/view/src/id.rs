//! Ids that occur only in the REST API, with 32 hexadecimal digits each.

use std::fmt;
use std::str::FromStr;

use reflow_types::id::ParseIdError;
use serde::{Serialize, Serializer};

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let value = hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
                value.map(Self).ok_or_else(|| ParseIdError(text.to_owned()))
            }
        }
    };
}

hex_id!(
    /// The id of a request for a savepoint or checkpoint.
    RequestId
);
hex_id!(
    /// The id of a rescale, or of the resource requirements that caused it.
    RescaleId
);

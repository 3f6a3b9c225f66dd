//! What a function holds while it is open.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// A value that a function makes in its `open`, such as a connection or a buffered file.
///
/// Functions are cloned for each subtask, but many such values cannot be. A clone of this holder is empty, so a function
/// with it can `#[derive(Clone)]`.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{Opened, RuntimeContext, UnkeyedContext, UnkeyedProcessFunction, UserError};
/// use std::io::Write;
/// use std::net::TcpStream;
///
/// /// Sends each line to a server, and passes it on.
/// #[derive(Clone)]
/// struct Mirror {
///     server: String,
///     connection: Opened<TcpStream>,
/// }
///
/// impl UnkeyedProcessFunction for Mirror {
///     type In = String;
///     type Out = String;
///
///     fn open(&mut self, _: &RuntimeContext) -> Result<(), UserError> {
///         self.connection.set(TcpStream::connect(&self.server)?);
///         Ok(())
///     }
///
///     fn process(&mut self, context: &mut impl UnkeyedContext<String>, line: String) -> Result<(), UserError> {
///         writeln!(self.connection, "{line}")?;
///         context.emit(line);
///         Ok(())
///     }
///
///     fn close(&mut self) -> Result<(), UserError> {
///         match self.connection.take() {
///             Some(connection) => Ok(connection.shutdown(std::net::Shutdown::Both)?),
///             None => Ok(()), // it could not be opened
///         }
///     }
/// }
///
/// let mirror = Mirror { server: "logs:514".to_owned(), connection: Opened::default() };
/// # let _ = mirror;
/// ```
pub struct Opened<T>(Option<T>);

impl<T> Opened<T> {
    /// Holds `value`, instead of what was held.
    pub fn set(&mut self, value: T) {
        self.0 = Some(value);
    }

    /// Takes the value out, if there is one.
    pub fn take(&mut self) -> Option<T> {
        self.0.take()
    }

    /// Whether it holds a value.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// let mut held: reflow::Opened<&str> = reflow::Opened::default();
    /// assert!(!held.is_set());
    /// held.set("a connection");
    /// assert!(held.is_set());
    /// ```
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Opened<T> {
    /// An empty one.
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl<T: fmt::Debug> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => f.debug_tuple("Opened").field(value).finish(),
            None => f.write_str("Opened(nothing)"),
        }
    }
}

/// # Panics
/// If nothing was set.
impl<T> Deref for Opened<T> {
    type Target = T;

    #[track_caller]
    #[inline]
    fn deref(&self) -> &T {
        self.0.as_ref().expect(NOTHING)
    }
}

impl<T> DerefMut for Opened<T> {
    #[track_caller]
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(NOTHING)
    }
}

const NOTHING: &str = "`open` sets what the function uses, and `close` may take it";

#[cfg(test)]
mod tests {
    use super::*;

    /// Cannot be cloned.
    #[derive(Debug, PartialEq, Eq)]
    struct Connection {
        sent: u32,
    }

    #[test]
    fn a_clone_is_empty() {
        let mut opened: Opened<Connection> = Opened::default();
        opened.set(Connection { sent: 1 });
        opened.sent += 1;
        assert_eq!((opened.sent, opened.clone().is_set()), (2, false));
        assert_eq!(format!("{opened:?}"), "Opened(Connection { sent: 2 })");
        assert_eq!(opened.take(), Some(Connection { sent: 2 }));
        assert_eq!(format!("{opened:?}"), "Opened(nothing)");
    }

    #[test]
    #[should_panic(expected = "`open` sets what the function uses")]
    fn an_empty_one_has_no_value() {
        let _ = Opened::<Connection>::default().sent;
    }
}

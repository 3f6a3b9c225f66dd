//! The child's end of its parent's pipe.
//!
//! The parent writes data that must not appear in arguments to the child's standard input, and leaves it open.
//! Its end shows the child that the parent is gone. Because no end of file follows the data, a parent whose child
//! calls [`read_stdin`] writes the length first, as a little-endian `u32`.

use bytes::Bytes;
use std::io::{self, Read};

/// Reads the data that the parent has passed as [`ChildCommand::stdin`](crate::ChildCommand::stdin), without its
/// length.
///
/// # Errors
/// If standard input ends too early: the program was not started by a driver, or its parent is gone.
pub fn read_stdin() -> io::Result<Bytes> {
    read_from(io::stdin().lock())
}

/// Calls `on_close` on a thread of its own when the parent is gone. Call it after [`read_stdin`].
pub fn end_when_stdin_closes(on_close: impl FnOnce() + Send + 'static) {
    let watch = move || {
        let mut ignored = [0; 64];
        loop {
            match io::stdin().read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        on_close();
    };
    let thread = std::thread::Builder::new().name("parent-watch".into()).spawn(watch);
    thread.expect("a process that has just started may start a thread");
}

fn read_from(mut input: impl Read) -> io::Result<Bytes> {
    let mut len = [0; 4];
    input.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    let mut bytes = Vec::new();
    input.take(u64::from(len)).read_to_end(&mut bytes)?;
    if bytes.len() == len as usize {
        Ok(bytes.into())
    } else {
        let text = format!("standard input ended after {} of {len} bytes", bytes.len());
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_says_how_much_is_read() {
        assert_eq!(&read_from(&b"\x03\0\0\0abcdef"[..]).unwrap()[..], b"abc");
        assert!(read_from(&b"\x03\0\0"[..]).is_err());
        let short = read_from(&b"\x09\0\0\0abc"[..]).unwrap_err();
        assert_eq!(short.to_string(), "standard input ended after 3 of 9 bytes");
    }
}

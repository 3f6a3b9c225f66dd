//! Tags, which name the side outputs of operators.

use std::fmt;
use std::marker::PhantomData;

/// The name of a side output, and the type of its records.
///
/// A function emits to it by `context.emit_to(&tag, record)`, and the job takes it by `Stream::side_output`. Tags with
/// the same name are the same output, so the function and the job may each make theirs, or share a constant:
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{OutputTag, UnkeyedContext, UnkeyedProcessFunction, UserError};
///
/// const BROKEN: OutputTag<String> = OutputTag::new("broken");
///
/// /// Emits the lines that are numbers, and sends the others to a side output.
/// #[derive(Clone)]
/// struct Numbers;
///
/// impl UnkeyedProcessFunction for Numbers {
///     type In = String;
///     type Out = u64;
///
///     fn process(&mut self, context: &mut impl UnkeyedContext<u64>, line: String) -> Result<(), UserError> {
///         match line.parse() {
///             Ok(number) => context.emit(number),
///             Err(_) => context.emit_to(&BROKEN, line),
///         }
///         Ok(())
///     }
/// }
/// ```
pub struct OutputTag<T> {
    name: &'static str,
    /// The hash of the name, so that no names are compared for each record.
    id: u64,
    carries: PhantomData<fn() -> T>,
}

impl<T> OutputTag<T> {
    /// The tag of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, id: fnv_1a(name.as_bytes()), carries: PhantomData }
    }

    /// Its name.
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// assert_eq!(reflow::OutputTag::<u64>::new("late").name(), "late");
    /// ```
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the other tag has the same name. It may have another type.
    #[doc(hidden)]
    #[inline]
    pub fn is_named_as<U>(&self, other: &OutputTag<U>) -> bool {
        self.id == other.id
    }
}

impl<T> Clone for OutputTag<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for OutputTag<T> {}

impl<T> fmt::Debug for OutputTag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputTag<{}>({:?})", std::any::type_name::<T>(), self.name)
    }
}

/// <http://www.isthe.com/chongo/tech/comp/fnv/>; a constant function, so that tags can be constants.
const fn fnv_1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

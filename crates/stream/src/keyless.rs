//! What the compiler says when an operator by key follows a stream without a key.
//!
//! [`Stream`] has the names of these operators, with a bound that no stream satisfies. So the compiler's error says that
//! the stream needs a key. Without these methods it would say that there is no such method, and propose one with a
//! similar name. They return a type of the bound's trait, because the compiler then reports no further errors about
//! what follows.

use crate::pipeline::Pipeline;
use crate::stream::Stream;

/// A stream with a key. No type implements it: operators by key are methods of [`KeyedStream`](crate::KeyedStream).
#[diagnostic::on_unimplemented(
    message = "this operator needs a stream with a key",
    label = "this stream has no key",
    note = "call `key_by` before it: `key_by(|record| record.id)`",
    note = "to aggregate all records, whatever their keys, call `window_all`"
)]
pub trait HasKey {
    /// What the operator returns.
    type Operator;
}

macro_rules! operators_by_key {
    ($($name:ident<$($parameter:ident),*>($argument:ty) [$($bounds:tt)*])*) => {
        #[doc(hidden)]
        impl<P: Pipeline> Stream<P> {
            $(
                pub fn $name<$($parameter),*>(self, _: $argument) -> <Self as HasKey>::Operator
                where
                    Self: HasKey,
                    $($bounds)*
                {
                    unreachable!("no stream has this key")
                }
            )*
        }
    };
}

// The bounds give closures the types of their parameters, so that the compiler does not ask for them.
operators_by_key! {
    window<W>(W) []
    count_window<>(u64) []
    aggregate<A>(A) []
    reduce<F>(F) [F: Fn(P::Out, P::Out) -> P::Out]
    sum<F, N>(F) [F: Fn(&P::Out) -> N]
    min<F, N>(F) [F: Fn(&P::Out) -> N]
    max<F, N>(F) [F: Fn(&P::Out) -> N]
    min_by<F, N>(F) [F: Fn(&P::Out) -> N]
    max_by<F, N>(F) [F: Fn(&P::Out) -> N]
}

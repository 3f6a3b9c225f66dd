//! The states that a function declares, by name: values, lists, maps and aggregates, each with or without a time to
//! live.
//!
//! A function declares its states as a struct with `#[derive(States)]`. Each field is a declaration: its type tells
//! the kind of state, its value the name and, if it has one, the time to live. [`Context::states`](crate::Context::states) returns a struct
//! with the same fields, which are the states of the current key.
//!
//! ```standalone_crate
//! # extern crate reflow_api as reflow;
//! use reflow::states::{MapState, States, ValueState};
//! use reflow::{Context, ProcessFunction, UserError};
//!
//! #[derive(States)]
//! struct Cart {
//!     total: ValueState<u64>,
//!     items: MapState<String, u32>,
//! }
//!
//! /// Emits the number of different items and the price of a cart after each purchase.
//! #[derive(Clone)]
//! struct FillCart;
//!
//! impl ProcessFunction for FillCart {
//!     type Key = u64;
//!     type In = (String, u64);
//!     type Out = (usize, u64);
//!     type State = Cart;
//!
//!     fn states(&self) -> Cart {
//!         Cart { total: ValueState::new("total"), items: MapState::new("items") }
//!     }
//!
//!     fn process(
//!         &mut self,
//!         context: &mut impl Context<u64, Cart, (usize, u64)>,
//!         (item, price): (String, u64),
//!     ) -> Result<(), UserError> {
//!         let mut cart = context.states();
//!         *cart.total.or_default() += price;
//!         *cart.items.or_default(item) += 1;
//!         let result = (cart.items.len(), *cart.total.or_default());
//!         context.emit(result);
//!         Ok(())
//!     }
//! }
//! ```
//!
//! Without `fn states`, each state has the name of its field. A checkpoint finds a state by its name, so declarations
//! may be added, removed and reordered. Each state is a table of its own, in which each entry of a map and each
//! element of a list is marked and written by itself.
//!
//! All of it is static: the derive composes the tables from the types of the fields, and a state without a time to
//! live has no trace of one.

mod aggregating;
mod list;
mod map;
mod retention;
mod value;

pub use aggregating::{Aggregating, AggregatingState, Reduce, Reducing, ReducingState};
pub use list::{List, ListState};
pub use map::{Map, MapState, SortedMapState};
pub use reflow_derive::States;
pub use reflow_state::{Hashed, Sorted};
pub use retention::{Expiring, Forever, Retention, TimeToLive};
pub use value::{Value, ValueState};

#[doc(hidden)]
pub use reflow_graph::StateKind;
#[doc(hidden)]
pub use reflow_state::TableId;
use reflow_state::{KeyedTable, SnapshotTable};
#[doc(hidden)]
pub use reflow_types::MaxParallelism;
use reflow_types::{Data, Key, KeyHash, Timestamp};
use std::time::Duration;

/// The states of a function: a struct with `#[derive(States)]`, or one plain value, which is any type that implements
/// `Default` and [`Data`].
///
/// The members are for the derive and the runtime.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of a function with keys of type `{K}`",
    label = "neither a declaration of states nor a plain value",
    note = "derive `States` for a struct whose fields are `ValueState`, `ListState`, `MapState`, `AggregatingState` or `ReducingState`",
    note = "derive `Default` and `reflow::Data` if `{Self}` itself is the value that each key has"
)]
pub trait States<K: Key>: Sized + Send + 'static {
    /// The tables of all keys.
    #[doc(hidden)]
    type Tables: StateTables;
    /// The states of one key.
    type Access<'a>;

    /// The declaration of a function without `fn states`.
    #[doc(hidden)]
    fn undeclared() -> Self;
    /// Calls `visit` with each declaration.
    #[doc(hidden)]
    fn declarations(&self, visit: &mut dyn FnMut(Declaration<'_>));
    /// Empty tables.
    #[doc(hidden)]
    fn tables(self, max: MaxParallelism) -> Self::Tables;
    /// The states of one key.
    #[doc(hidden)]
    fn access<'a>(tables: &'a mut Self::Tables, current: Current<'a, K>) -> Self::Access<'a>;
}

/// The states of the current key, for the parameters of functions that [`Context::states`] is passed to.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, States, ValueState};
///
/// #[derive(States)]
/// struct Visits {
///     count: ValueState<u32>,
/// }
///
/// fn visit(visits: &mut Access<'_, u64, Visits>) -> u32 {
///     let count = visits.count.or_default();
///     *count += 1;
///     *count
/// }
/// ```
///
/// [`Context::states`]: crate::Context::states
pub type Access<'a, K, S> = <S as States<K>>::Access<'a>;

/// One plain value for each key, whose type is the state of its function.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::PlainState;
/// use reflow::{Context, ProcessFunction, UserError};
///
/// /// Numbers the records of each key.
/// #[derive(Clone)]
/// struct Number;
///
/// impl ProcessFunction for Number {
///     type Key = String;
///     type In = String;
///     type Out = (u64, String);
///     type State = u64;
///
///     fn process(
///         &mut self,
///         context: &mut impl Context<String, u64, (u64, String)>,
///         record: String,
///     ) -> Result<(), UserError> {
///         *context.state_mut() += 1;
///         let number = *context.state_mut();
///         context.emit((number, record));
///         Ok(())
///     }
/// }
/// # fn is_plain<S: PlainState<String>>() {}
/// # is_plain::<u64>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` declares states, and is not itself the value that a key has",
    label = "call `states()` instead, or `states_and_emit()`"
)]
pub trait PlainState<K: Key>: States<K, Tables = KeyedTable<K, Self>> + Default + Data {}

impl<K: Key, T: States<K, Tables = KeyedTable<K, T>> + Default + Data> PlainState<K> for T {}

#[diagnostic::do_not_recommend]
impl<K: Key, T: Default + Data> States<K> for T {
    type Tables = KeyedTable<K, T>;
    type Access<'a> = Plain<'a, K, T>;

    fn undeclared() -> Self {
        T::default()
    }

    fn declarations(&self, visit: &mut dyn FnMut(Declaration<'_>)) {
        visit(Declaration { table: PLAIN.0, name: PLAIN.1, kind: StateKind::Value, time_to_live: None });
    }

    fn tables(self, max: MaxParallelism) -> KeyedTable<K, T> {
        KeyedTable::new(PLAIN.0, PLAIN.1, max)
    }

    #[inline]
    fn access<'a>(table: &'a mut KeyedTable<K, T>, current: Current<'a, K>) -> Plain<'a, K, T> {
        Plain { _table: table, _current: current }
    }
}

/// The table of plain values.
const PLAIN: (TableId, &str) = (TableId(0), "state");

/// The access to a plain value. Use [`Context::state`](crate::Context::state) and the methods beside it.
#[doc(hidden)]
pub struct Plain<'a, K, T> {
    _table: &'a mut KeyedTable<K, T>,
    _current: Current<'a, K>,
}

/// The declaration of a state.
///
/// The members are for the derive and the runtime.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the declaration of a state",
    label = "not a state",
    note = "a struct with `#[derive(States)]` has fields of the types `ValueState`, `ListState`, `MapState`, `AggregatingState` and `ReducingState`",
    note = "the keys of a `MapState` implement `reflow::Key`; values and elements implement `reflow::Data`"
)]
pub trait State<K: Key>: Sized + Send + 'static {
    /// Its table.
    #[doc(hidden)]
    type Table: StateTables;
    /// The state of one key.
    type Access<'a>;

    /// A declaration of which only the name is known.
    #[doc(hidden)]
    fn named(name: &str) -> Self;
    /// The declaration without its types.
    #[doc(hidden)]
    fn declaration(&self) -> Declaration<'_>;
    /// An empty table.
    #[doc(hidden)]
    fn table(self, max: MaxParallelism) -> Self::Table;
    /// The state of one key.
    #[doc(hidden)]
    fn access<'a>(table: &'a mut Self::Table, current: Current<'a, K>) -> Self::Access<'a>;
}

/// A declaration without its types.
#[doc(hidden)]
pub struct Declaration<'a> {
    /// The number of the state's table.
    pub table: TableId,
    /// The state's name.
    pub name: &'a str,
    /// The state's kind.
    pub kind: StateKind,
    /// The time after which its entries expire.
    pub time_to_live: Option<Duration>,
}

/// Tables of states, as the runtime sees them.
#[doc(hidden)]
pub trait StateTables: Send {
    /// Calls `visit` with each table.
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable));
    /// Prefetches what a look-up of the key with this hash reads.
    #[inline]
    fn prefetch(&self, _: KeyHash) {}
    /// Removes expired entries: looks at about `budget` slots of each table.
    fn sweep(&mut self, _now: Timestamp, _budget: usize) {}
    /// When to call [`sweep`](Self::sweep) at the latest, if any entries can expire.
    fn next_sweep(&self) -> Option<Timestamp> {
        None
    }
    /// The memory of all tables, in bytes.
    fn memory_bytes(&self) -> usize;
}

impl<K: Key, V: Data> StateTables for KeyedTable<K, V> {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(self);
    }

    #[inline]
    fn prefetch(&self, hash: KeyHash) {
        self.prefetch(hash);
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }
}

impl StateTables for () {
    fn visit(&mut self, _: &mut dyn FnMut(&mut dyn SnapshotTable)) {}

    fn memory_bytes(&self) -> usize {
        0
    }
}

/// The table of a state, and those of the states that are declared after it.
impl<T: StateTables, Rest: StateTables> StateTables for (T, Rest) {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        self.0.visit(visit);
        self.1.visit(visit);
    }

    #[inline]
    fn prefetch(&self, hash: KeyHash) {
        self.0.prefetch(hash);
        self.1.prefetch(hash);
    }

    fn sweep(&mut self, now: Timestamp, budget: usize) {
        self.0.sweep(now, budget);
        self.1.sweep(now, budget);
    }

    fn next_sweep(&self) -> Option<Timestamp> {
        self.0.next_sweep().into_iter().chain(self.1.next_sweep()).min()
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes() + self.1.memory_bytes()
    }
}

/// The key whose states are accessed, and the time at which.
#[doc(hidden)]
pub struct Current<'a, K> {
    /// The hash of the key.
    pub hash: KeyHash,
    /// The key.
    pub key: &'a K,
    /// The processing time.
    pub now: Timestamp,
}

impl<K> Clone for Current<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Current<'_, K> {}

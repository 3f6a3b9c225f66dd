//! The derive macros `#[derive(Data)]`, `#[derive(Key)]` and `#[derive(States)]`.
//!
//! The generated code uses no name that a user's item could have: paths begin at a crate, and bindings have
//! unique names with the macro's hygiene.

mod bounds;
mod data;
mod data_attributes;
mod key;
mod states;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `reflow::Data`: the encoding and the schema of a struct or enum, from those of its fields.
///
/// The trait's documentation has the attributes `#[data(…)]`. If the crate `reflow` has another name or is re-exported,
/// set its path by `#[data(crate = path::to::reflow)]`.
#[proc_macro_derive(Data, attributes(data))]
pub fn derive_data(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    data::implement(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Implements `reflow::Key`.
///
/// A type parameter that is used in fields must be a key itself, unless it is used only in `PhantomData`. If the
/// crate `reflow` has another name or is re-exported, set its path by `#[key(crate = path::to::reflow)]`.
#[proc_macro_derive(Key, attributes(key))]
pub fn derive_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    key::implement(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Implements `reflow::States`: the states of a function, which the fields of a struct declare.
///
/// If the crate `reflow` has another name or is re-exported, set its path by `#[states(crate = path::to::reflow)]`.
#[proc_macro_derive(States, attributes(states))]
pub fn derive_states(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    states::implement(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

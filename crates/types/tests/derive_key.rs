//! Tests of `#[derive(Key)]` on every kind of type, and next to names that its code could confuse with its own.

extern crate reflow_types as reflow;

use reflow::{Data, Key, KeyWriter};
use std::marker::PhantomData;

/// The hash of these keys, encoded one after the other.
macro_rules! parts {
    (@) => { () };
    (@ $first:expr, $($rest:expr,)*) => { ($first, parts!(@ $($rest,)*)) };
    ($($part:expr),*) => { parts!(@ $($part,)*).key_hash() };
}

mod names {
    //! Names of the macro's own, given to other things.
    #![expect(non_upper_case_globals, non_camel_case_types, dead_code, reason = "names that a user may give")]

    use super::*;

    const field0: u8 = 1;
    const __reflow_key: u8 = 1;
    const value: u64 = 1;
    struct KeyWriter;
    struct Clone;
    struct Eq;
    struct Send;
    mod core {}

    #[derive(::core::clone::Clone, PartialEq, ::core::cmp::Eq, Data, Key)]
    pub(super) struct Taken {
        pub(super) out: String,
        pub(super) self_: u8,
        pub(super) value: u64,
        pub(super) r#type: u16,
        pub(super) field0: u8,
        pub(super) write: bool,
        pub(super) encode: char,
    }

    #[derive(::core::clone::Clone, PartialEq, ::core::cmp::Eq, Data, Key)]
    pub(super) enum r#enum {
        out { out: u8, r#match: String },
        r#type(u16, u8),
        field0,
    }
}

#[test]
fn no_name_of_a_user_is_taken_for_the_macros() {
    let taken = names::Taken {
        out: "out".into(),
        self_: 1,
        value: 2,
        r#type: 3,
        field0: 4,
        write: true,
        encode: 'e',
    };
    assert_eq!(taken.key_hash(), parts!["out".to_owned(), 1u8, 2u64, 3u16, 4u8, true, 'e']);
    let out = names::r#enum::out { out: 7, r#match: "m".into() };
    assert_eq!(out.key_hash(), parts![0u32, 7u8, "m".to_owned()]);
    assert_eq!(names::r#enum::r#type(1, 2).key_hash(), parts![1u32, 1u16, 2u8]);
    assert_eq!(names::r#enum::field0.key_hash(), parts![2u32]);
}

#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Unit;
#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Empty {}
#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Tuple(u8, String);
#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
enum Never {}
#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
enum Numbered {
    Seven = 7,
    Three = 3,
}

#[test]
fn every_shape_is_a_key() {
    assert_eq!(Unit.key_hash(), parts![]);
    assert_eq!(Empty {}.key_hash(), parts![]);
    assert_eq!(Tuple(1, "t".into()).key_hash(), parts![1u8, "t".to_owned()]);
    assert_eq!(None::<Never>.key_hash(), parts![0u8]);
    // By position, whatever the discriminant.
    assert_eq!(Numbered::Three.key_hash(), parts![1u32]);
    assert_eq!(Numbered::Seven.key_hash(), parts![0u32]);
}

#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Pair<A, B = u8>
where
    A: PartialOrd,
{
    out: A,
    rest: Vec<Option<B>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
enum Either<L, R> {
    Left(L),
    Right { out: R },
    Neither,
}

#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Tree<T> {
    value: T,
    children: Vec<Tree<T>>,
}

trait Entity {
    type Id;
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Car;

impl Entity for Car {
    type Id = u64;
}

#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Of<E: Entity> {
    id: E::Id,
    again: (<E as Entity>::Id, u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Id<T, const N: usize> {
    id: u64,
    of: PhantomData<T>,
}

#[test]
fn parameters_must_be_keys_where_a_field_holds_them() {
    fn is_key<K: Key>() {}
    is_key::<Id<Car, 3>>();

    let pair = Pair::<String> { out: "a".into(), rest: vec![Some(1), None] };
    assert_eq!(pair.key_hash(), parts!["a".to_owned(), vec![Some(1u8), None]]);
    assert_eq!(Either::<u8, u16>::Left(1).key_hash(), parts![0u32, 1u8]);
    assert_eq!(Either::<u8, Tree<u16>>::Neither.key_hash(), parts![2u32]);
    assert_eq!(Either::<u8, u16>::Right { out: 1 }.key_hash(), parts![1u32, 1u16]);
    let leaf = |value| Tree { value, children: Vec::new() };
    let tree = Tree { value: 1u8, children: vec![leaf(2), leaf(3)] };
    assert_eq!(tree.key_hash(), parts![1u8, 2u64, 2u8, 0u64, 3u8, 0u64]);
    assert_eq!(Of::<Car> { id: 1, again: (2, 3) }.key_hash(), parts![1u64, 2u64, 3u8]);
    assert_eq!(Id::<Car, 3> { id: 1, of: PhantomData }.key_hash(), parts![1u64]);
}

/// Borrows, or does not: as a key it owns what it has, for good.
#[derive(Clone, Debug, PartialEq, Eq, Data, Key)]
struct Named<'a, T: Clone> {
    name: Name<'a>,
    value: T,
}

#[derive(Clone, Debug, PartialEq, Eq, Data)]
struct Name<'a>(std::borrow::Cow<'a, str>);

impl Key for Name<'static> {
    fn encode(&self, out: &mut KeyWriter) {
        self.0.clone().into_owned().encode(out);
    }
}

#[test]
fn a_type_with_a_lifetime_is_a_key_where_it_lasts() {
    let named = Named { name: Name("n".into()), value: 1u8 };
    assert_eq!(named.key_hash(), parts!["n".to_owned(), 1u8]);
}

mod renamed {
    //! The crate under another name.
    pub(super) use ::reflow as streams;
}

#[derive(Clone, PartialEq, Eq, Data, Key)]
#[data(crate = renamed::streams)]
#[key(crate = renamed::streams)]
struct Elsewhere {
    out: u8,
}

#[test]
fn the_crate_may_have_another_name() {
    assert_eq!(Elsewhere { out: 1 }.key_hash(), parts![1u8]);
}

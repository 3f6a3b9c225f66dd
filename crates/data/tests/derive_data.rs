//! `#[derive(Data)]` on every shape of type, and beside names that its code could mistake for its own.

extern crate reflow_data as reflow;

use reflow::{Data, Schema, data};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

#[track_caller]
fn check<T: Data + PartialEq + Debug>(value: &T, bytes: &[u8], schema: &str) {
    assert_eq!(data::to_vec(value).as_deref(), Ok(bytes));
    assert_eq!(data::decode::<T>(bytes).as_ref(), Ok(value));
    assert_eq!(Schema::of::<T>().to_string(), schema);
    assert_eq!(Schema::of::<T>().validate(), Ok(()));
}

mod names {
    //! Names of the macro's own, given to other things.
    #![expect(non_upper_case_globals, non_camel_case_types, dead_code, reason = "names that a user may give")]

    const field_0: u8 = 1;
    const out: u64 = 1;
    const tag: u64 = 1;
    struct Encoder;
    struct Decoder;
    struct Type;
    struct Result;
    struct Vec;
    struct Option;
    struct Default;
    struct B;
    mod core {}
    mod std {}
    mod data {}

    #[derive(Debug, PartialEq, reflow::Data)]
    pub(super) struct Taken {
        pub(super) out: ::std::string::String,
        pub(super) self_: u8,
        pub(super) r#type: u16,
        #[data(default)]
        pub(super) input: bool,
    }

    #[derive(Debug, PartialEq, reflow::Data)]
    pub(super) enum r#enum {
        out { out: u8, r#match: u8 },
        r#type(u8),
        tag,
    }
}

#[test]
fn no_name_of_a_user_is_taken_for_the_macros() {
    let taken = names::Taken { out: "o".into(), self_: 1, r#type: 2, input: true };
    check(&taken, &[1, 111, 1, 2, 0, 1], "Taken { out: String, self_: u8, type: u16, input: bool }");
    let schema = "enum (out { out: u8, match: u8 } | type { 0: u8 } | tag)";
    check(&names::r#enum::out { out: 7, r#match: 8 }, &[0, 7, 8], schema);
    check(&names::r#enum::r#type(1), &[1, 1], schema);
    check(&names::r#enum::tag, &[2], schema);
}

#[derive(Debug, PartialEq, Data)]
struct Unit;
#[derive(Debug, PartialEq, Data)]
struct Empty {}
#[derive(Debug, PartialEq, Data)]
struct Tuple(u8, String);
#[derive(Debug, PartialEq, Data)]
enum Never {}
#[derive(Debug, PartialEq, Data)]
enum Numbered {
    Seven = 7,
    Three = 3,
}

#[test]
fn every_shape_is_data() {
    check(&Unit, &[], "Unit");
    check(&Empty {}, &[], "Empty");
    check(&Tuple(1, "t".into()), &[1, 1, 116], "Tuple { 0: u8, 1: String }");
    check(&None::<Never>, &[0], "Option<Never>; Never ()");
    assert!(data::decode::<Option<Never>>(&[1, 0]).is_err());
    // By position, whatever the discriminant.
    check(&vec![Numbered::Three, Numbered::Seven], &[2, 1, 0], "List<Numbered>; Numbered (Seven | Three)");
}

#[derive(Debug, PartialEq, Data)]
struct Pair<A, B = u8>
where
    A: PartialOrd,
{
    out: A,
    rest: Vec<Option<B>>,
}

#[derive(Debug, PartialEq, Data)]
struct Tree<T> {
    value: T,
    children: Vec<Tree<T>>,
}

trait Entity {
    type Id;
}

#[derive(Debug, PartialEq)]
struct NotData;

impl Entity for NotData {
    type Id = u64;
}

#[derive(Debug, PartialEq, Data)]
struct Of<E: Entity> {
    id: E::Id,
    again: (<E as Entity>::Id, u8),
}

#[derive(Debug, PartialEq, Data)]
struct Id<T, const N: usize> {
    id: [u8; N],
    of: PhantomData<T>,
}

#[test]
fn parameters_must_be_data_where_a_field_holds_them() {
    check(
        &Pair::<u32> { out: 1, rest: vec![Some(1), None] },
        &[1, 2, 1, 1, 0],
        "Pair { out: u32, rest: List<Option<u8>> }",
    );
    let leaf = |value| Tree { value, children: Vec::new() };
    let tree = Tree { value: 1u8, children: vec![leaf(2)] };
    check(&tree, &[1, 1, 2, 0], "Tree { value: u8, children: List<Tree> }");
    check(&Of::<NotData> { id: 1, again: (2, 3) }, &[1, 2, 3], "Of { id: u64, again: (u64, u8) }");
    check(&Id::<NotData, 2> { id: [1, 2], of: PhantomData }, &[1, 2], "Id { id: [u8; 2], of: () }");
}

#[derive(Debug, PartialEq, Data)]
struct Named<'a, T: Clone> {
    name: std::borrow::Cow<'a, str>,
    value: T,
}

#[test]
fn a_type_with_a_lifetime_is_data_where_it_lasts() {
    check(&Named { name: "n".into(), value: 1u8 }, &[1, 110, 1], "Named { name: String, value: u8 }");
}

/// Encodes a foreign type as its text.
struct AsText;

impl reflow::Adapter<std::net::IpAddr> for AsText {
    type As = String;

    fn to_data(address: &std::net::IpAddr) -> String {
        address.to_string()
    }

    fn from_data(text: String) -> Result<std::net::IpAddr, String> {
        text.parse().map_err(|error| format!("`{text}` is none: {error}"))
    }
}

#[derive(Debug, PartialEq, Data)]
struct Visit<T> {
    #[data(with = AsText, rename = "address")]
    from: std::net::IpAddr,
    page: T,
}

#[test]
fn a_foreign_type_has_an_adapter() {
    let visit = Visit { from: [1, 2, 3, 4].into(), page: 5u8 };
    check(&visit, b"\x071.2.3.4\x05", "Visit { address: String, page: u8 }");
    let error = data::decode::<Visit<u8>>(b"\x01x\x05").unwrap_err().to_string();
    assert!(error.contains("field `address`"), "{error}");
    assert!(error.contains("`x` is none: invalid IP address syntax"), "{error}");
}

mod renamed {
    //! The crate under another name.
    pub(super) use ::reflow as streams;
}

#[derive(Debug, PartialEq, Data)]
#[data(crate = renamed::streams, rename = "Other")]
struct Elsewhere {
    map: BTreeMap<u8, Vec<Elsewhere>>,
}

#[test]
fn the_crate_and_the_type_may_have_another_name() {
    check(&Elsewhere { map: BTreeMap::new() }, &[0], "Other { map: Map<u8, List<Other>> }");
}

#[test]
fn fingerprints_tell_what_bytes_mean() {
    mod other {
        #[derive(reflow::Data)]
        pub(super) struct Another(u8, String);
        #[derive(reflow::Data)]
        pub(super) struct Swapped(String, u8);
    }
    let of_tuple = Schema::of::<Tuple>().fingerprint();
    assert_eq!(of_tuple, Schema::of::<other::Another>().fingerprint(), "names of types do not count");
    assert_ne!(of_tuple, Schema::of::<other::Swapped>().fingerprint());
    assert_ne!(of_tuple, Schema::of::<(u8, String)>().fingerprint());
    // Pinned: checkpoints have it.
    assert_eq!(Schema::of::<(u64, Option<Tree<String>>)>().fingerprint().to_string(), "ff305b5b505938ee");
}

#[test]
fn a_part_of_a_schema_is_the_schema_of_its_type() {
    let whole = Schema::of::<(Tuple, Option<Tree<String>>)>();
    let (first, second) = whole.entry().expect("a pair");
    assert_eq!((first, second), (Schema::of::<Tuple>(), Schema::of::<Option<Tree<String>>>()));
}

//! What an earlier build wrote: read where that is possible, refused with the field where it is not.

extern crate reflow_data as reflow;

use proptest::prelude::*;
use reflow::{Data, Dump, Migration, Schema, data, migration};
use std::collections::BTreeMap;
use std::fmt::Debug;

#[track_caller]
fn becomes<W: Data, R: Data + PartialEq + Debug>(written: &W, expected: &R) {
    let (schema, bytes) = (Schema::of::<W>(), data::to_vec(written).expect("it can be encoded"));
    // As it is stored.
    let stored = postcard::to_stdvec(&schema).expect("a schema is plain data");
    let stored: Schema = postcard::from_bytes(&stored).expect("it was just stored");
    assert_eq!(stored, schema);
    assert_eq!(stored.validate(), Ok(()));
    assert_eq!(migration::decode::<R>(&bytes, &stored).as_ref(), Ok(expected));
    for cut in 0..bytes.len() {
        assert!(migration::decode::<R>(&bytes[..cut], &stored).is_err());
    }
}

#[track_caller]
fn refused<W: Data, R: Data>(expected: &str) {
    let error = Migration::new(&Schema::of::<W>(), &Schema::of::<R>()).expect_err("it is incompatible");
    assert_eq!(error.to_string(), expected);
}

mod old {
    use super::*;

    #[derive(Data)]
    pub(super) struct Fleet {
        pub(super) name: String,
        pub(super) cars: BTreeMap<u32, Car>,
        pub(super) note: Option<Vec<String>>,
    }

    #[derive(Data)]
    pub(super) struct Car {
        pub(super) speed: f32,
        pub(super) colour: Colour,
        pub(super) towed: Option<Box<Car>>,
        pub(super) kilometres: u16,
    }

    #[derive(Clone, Copy, Data)]
    pub(super) enum Colour {
        Red,
        Mixed { red: u8, green: u8 },
        Grey(u8),
    }
}

#[derive(Debug, PartialEq, Data)]
#[data(removed = "note")]
struct Fleet {
    owner: Option<String>,
    #[data(rename = "cars")]
    vehicles: std::collections::HashMap<u64, Vehicle>,
    #[data(rename = "name")]
    owner_name: std::sync::Arc<str>,
}

#[derive(Debug, PartialEq, Data)]
struct Vehicle {
    #[data(default = four)]
    wheels: u8,
    kilometres: i32,
    towed: Option<Box<Vehicle>>,
    speed: f64,
    colour: Colour,
    #[data(default)]
    tags: Vec<String>,
}

fn four() -> u8 {
    4
}

#[derive(Clone, Copy, Debug, PartialEq, Data)]
#[data(removed = "Grey")]
enum Colour {
    Mixed {
        green: u16,
        red: u8,
        #[data(default = 7)]
        blue: u8,
    },
    New,
    Red,
}

fn car(colour: old::Colour, towed: Option<Box<old::Car>>) -> old::Car {
    old::Car { speed: 1.5, colour, towed, kilometres: 500 }
}

fn vehicle(colour: Colour, towed: Option<Box<Vehicle>>) -> Vehicle {
    Vehicle { wheels: 4, kilometres: 500, towed, speed: 1.5, colour, tags: Vec::new() }
}

#[test]
fn fields_are_added_removed_renamed_moved_and_widened() {
    let mixed = Colour::Mixed { green: 2, red: 1, blue: 7 };
    let towing = car(old::Colour::Red, Some(Box::new(car(old::Colour::Mixed { red: 1, green: 2 }, None))));
    becomes(&towing, &vehicle(Colour::Red, Some(Box::new(vehicle(mixed, None)))));

    #[derive(Debug, PartialEq, Data)]
    #[data(removed = "note")]
    struct Read {
        #[data(default)]
        owner: Option<String>,
        #[data(rename = "cars")]
        vehicles: std::collections::HashMap<u64, Vehicle>,
        #[data(rename = "name")]
        owner_name: std::sync::Arc<str>,
    }
    let cars = BTreeMap::from([(7, car(old::Colour::Red, None)), (8, towing)]);
    let fleet = old::Fleet { name: "f".into(), cars, note: Some(vec!["dropped".into()]) };
    let vehicles =
        [(7, vehicle(Colour::Red, None)), (8, vehicle(Colour::Red, Some(Box::new(vehicle(mixed, None)))))];
    becomes(&fleet, &Read { owner: None, vehicles: vehicles.into(), owner_name: "f".into() });
}

#[test]
fn what_cannot_be_read_is_refused_with_the_field() {
    refused::<old::Fleet, Fleet>(
        "`owner: Option<String>` was not written; give it a default by `#[data(default)]`, or its former name by \
         `#[data(rename = \"...\")]`",
    );

    #[derive(Data)]
    struct Narrow {
        cars: BTreeMap<u32, NarrowCar>,
        name: String,
        note: Option<Vec<u64>>,
    }
    #[derive(Data)]
    struct NarrowCar {
        kilometres: u8,
        speed: f32,
        colour: String,
        towed: Option<Box<old::Car>>,
    }
    refused::<old::Fleet, Narrow>(
        "field `cars[].colour`: it was written as Colour and is String now, which cannot hold all of its values",
    );
}

#[test]
fn numbers_only_become_wider() {
    becomes(&vec![1u8, 255], &vec![1u64, 255]);
    becomes(&vec![u32::MAX], &vec![i64::from(u32::MAX)]);
    becomes(&i16::MIN, &i128::from(i16::MIN));
    becomes(&u64::MAX, &i128::from(u64::MAX));
    becomes(&(7u8, -1i8), &(7u16, -1i16));
    becomes(&0.1f32, &f64::from(0.1f32));
    becomes(&5u32, &Some(5u64));
    becomes(&Some(5u32), &Some(Some(5u32)));
    let text = |was: &str, is: &str| {
        format!("it was written as {was} and is {is} now, which cannot hold all of its values")
    };
    refused::<u64, u32>(&text("u64", "u32"));
    refused::<i8, u64>(&text("i8", "u64"));
    refused::<u64, i64>(&text("u64", "i64"));
    refused::<u64, f64>(&text("u64", "f64"));
    refused::<String, Option<u64>>(&text("String", "Option<u64>"));
    refused::<Option<u64>, u64>(&text("Option<u64>", "u64"));
    refused::<(u8, u8), (u8,)>(&text("(u8, u8)", "(u8)"));
    refused::<Vec<u8>, String>(&text("Bytes", "String"));
}

#[test]
fn a_value_of_a_removed_variant_is_an_error() {
    let bytes = data::to_vec(&car(old::Colour::Grey(5), None)).unwrap();
    let error = migration::decode::<Vehicle>(&bytes, &Schema::of::<old::Car>()).unwrap_err().to_string();
    assert_eq!(error, "a `Colour` is `Grey`, which was removed: put the variant back");
    #[derive(Data)]
    enum Fewer {
        Red,
        Grey(u8),
    }
    refused::<old::Colour, Fewer>(
        "the variant `Mixed` may have been written and is not there any more; name it in \
         `#[data(removed = \"Mixed\")]` if there are no values of it",
    );
}

#[test]
fn only_names_of_types_differ_is_an_identity() {
    mod same {
        #[derive(reflow::Data)]
        pub(super) enum Color {
            Red,
            Mixed { red: u8, green: u8 },
            Grey(u8),
            Added,
        }
    }
    let identity = |a: &Schema, b: &Schema| Migration::new(a, b).unwrap().is_identity();
    assert!(identity(&Schema::of::<old::Colour>(), &Schema::of::<same::Color>()));
    assert!(identity(&Schema::of::<old::Fleet>(), &Schema::of::<old::Fleet>()));
    assert!(!identity(&Schema::of::<old::Car>(), &Schema::of::<Vehicle>()));
    assert!(!identity(&Schema::of::<Vec<()>>(), &Schema::of::<Vec<Option<()>>>()));
}

#[test]
fn lists_whose_elements_begin_to_have_bytes() {
    becomes(&vec![(), ()], &vec![Some(()), Some(())]);
    mod empty {
        #[derive(reflow::Data)]
        pub(super) struct Item;
    }
    #[derive(Debug, PartialEq, Data)]
    struct Item {
        #[data(default = 3)]
        size: u8,
    }
    becomes(&vec![empty::Item, empty::Item], &vec![Item { size: 3 }, Item { size: 3 }]);
}

fn dump<T: Data>(value: &T) -> String {
    let (schema, bytes) = (Schema::of::<T>(), data::to_vec(value).expect("it can be encoded"));
    serde_json::to_string(&Dump::new(&schema, &bytes)).expect("it was just encoded")
}

#[test]
fn a_dump_needs_no_type() {
    assert_eq!(
        dump(&car(old::Colour::Mixed { red: 1, green: 2 }, Some(Box::new(car(old::Colour::Grey(3), None))))),
        r#"{"speed":1.5,"colour":{"Mixed":{"red":1,"green":2}},"towed":{"speed":1.5,"colour":{"Grey":3},"towed":null,"kilometres":500},"kilometres":500}"#
    );
    assert_eq!(dump(&BTreeMap::from([(1u8, "x")].map(|(k, v)| (k, v.to_owned())))), r#"{"1":"x"}"#);
    assert_eq!(dump(&BTreeMap::from([((1u8, true), vec![9u8, 255])])), r#"[[[1,true],"09ff"]]"#);
    assert_eq!(dump(&((), [1i128; 2], 'x', u64::MAX)), r#"[null,[1,1],"x",18446744073709551615]"#);
    assert_eq!(dump(&vec![(), ()]), "[null,null]");
    let schema = Schema::of::<old::Car>();
    assert!(serde_json::to_string(&Dump::new(&schema, &[1, 2, 3])).is_err());
}

#[test]
fn damaged_schemas_are_found() {
    use reflow::{Field, Shape, Type, schema::Named};
    let named = |ty: Type| Named {
        name: "A".into(),
        shape: Shape::Struct(vec![Field { name: "a".into(), ty, default: None }]),
        removed: Vec::new(),
    };
    let check = |root: Type, types: Vec<Named>| Schema { types, root }.validate().unwrap_err().to_string();
    assert!(check(Type::Named(0), vec![]).ends_with("there is no type number 0"));
    let itself = Type::Tuple(vec![Type::Bool, Type::Named(0)]);
    assert!(check(Type::Named(0), vec![named(itself)]).ends_with("`A` contains itself"));
    let long = Type::Array(Box::new(Type::Unit), 1 << 40);
    assert!(check(long, vec![]).ends_with("an array of 1099511627776 empty elements"));
    let deep = (0..100).fold(Type::Unit, |ty, _| Type::Option(Box::new(ty)));
    assert!(check(deep, vec![]).ends_with("nests more than 64 others"));
    let chain = |next: &dyn Fn(u32) -> Type, length: u32| -> Vec<Named> {
        let types = (1..length).map(|position| named(next(position)));
        types.chain([named(Type::Unit)]).collect()
    };
    let error = check(Type::Named(0), chain(&Type::Named, 200_000));
    assert!(error.ends_with("structs nest more than 512 others"), "{error}");
    // 2^200 paths to the last type.
    let twice = |next| Type::Tuple(vec![Type::Named(next), Type::Named(next)]);
    let many = Schema { types: chain(&twice, 200), root: Type::Array(Box::new(Type::Named(0)), 100_000) };
    assert!(many.validate().unwrap_err().to_string().ends_with("an array of 100000 empty elements"));
    assert!(many.is_empty(&Type::Named(0)));
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(0u8..5, 0..200)) {
        let schema = Schema::of::<old::Fleet>();
        let _ = serde_json::to_string(&Dump::new(&schema, &bytes));
        let _ = migration::decode::<Vehicle>(&bytes, &Schema::of::<old::Car>());
        let _ = migration::decode::<Vec<Option<()>>>(&bytes, &Schema::of::<Vec<()>>());
    }
}

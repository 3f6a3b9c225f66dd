//! Tests of the encoding: pinned bytes, round trips, and arbitrary bytes.

extern crate reflow_data as reflow;

use proptest::prelude::*;
use reflow::{Data, Decoder, EncodeError, MAX_DEPTH, Reason, data};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Checkpoints and savepoints have these bytes.
#[track_caller]
fn pinned<T: Data + PartialEq + Debug>(value: T, bytes: &[u8]) {
    assert_eq!(data::to_vec(&value).as_deref(), Ok(bytes), "{value:?}");
    assert_eq!(data::decode::<T>(bytes).as_ref(), Ok(&value));
    assert!(T::MIN_BYTES <= bytes.len());
    assert_eq!(data::encoded_len(&value), bytes.len());
}

#[test]
fn numbers_are_varints_above_16_bits() {
    pinned(7u8, &[7]);
    pinned(-1i8, &[255]);
    pinned(258u16, &[2, 1]);
    pinned(-2i16, &[254, 255]);
    pinned(0u32, &[0]);
    pinned(247u32, &[247]);
    pinned(248u32, &[248, 248]);
    pinned(256u64, &[249, 0, 1]);
    pinned(0x01_0203u64, &[250, 3, 2, 1]);
    pinned(u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255]);
    pinned(-1i64, &[1]);
    pinned(1i32, &[2]);
    pinned(i64::MIN, &[255, 255, 255, 255, 255, 255, 255, 255, 255]);
    pinned(300usize, &[249, 44, 1]);
    pinned(1u128, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    pinned(-1i128, &[255; 16]);
    pinned(1.5f32, &[0, 0, 192, 63]);
    pinned(-0.0f64, &[0, 0, 0, 0, 0, 0, 0, 128]);
    pinned('é', &[233]);
    pinned(true, &[1]);
}

#[derive(Clone, Debug, PartialEq, Data)]
struct Tree {
    name: String,
    children: Vec<Tree>,
}

#[derive(Clone, Debug, PartialEq, Data)]
enum List {
    End,
    Item(u8, Box<List>),
}

#[derive(Clone, Debug, PartialEq, Data)]
enum Shape {
    Dot,
    Square(u32),
    Named { name: Arc<str>, sides: [u16; 2] },
}

#[test]
fn structures_are_their_parts() {
    pinned("ab".to_owned(), &[2, 97, 98]);
    pinned(Arc::<str>::from("a"), &[1, 97]);
    pinned(vec![1u8, 2], &[2, 1, 2]);
    pinned(bytes::Bytes::from_static(&[9]), &[1, 9]);
    pinned(vec![300u64], &[1, 249, 44, 1]);
    pinned(VecDeque::from([1u32, 2]), &[2, 1, 2]);
    pinned(BTreeSet::from([2u32, 1]), &[2, 1, 2]);
    pinned(BTreeMap::from([(1u32, true)]), &[1, 1, 1]);
    pinned(HashMap::from([(1u32, true)]), &[1, 1, 1]);
    pinned(HashSet::from([1u32]), &[1, 1]);
    pinned([1u32, 2], &[1, 2]);
    pinned((1u8, 2u32, "x".to_owned()), &[1, 2, 1, 120]);
    pinned(
        (1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, 8u8, 9u8, 10u8, 11u8, 12u8),
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    );
    pinned(Some(Box::new(5u8)), &[1, 5]);
    pinned(None::<u64>, &[0]);
    pinned(Some(None::<u64>), &[1, 0]);
    pinned(Ok::<u8, String>(3), &[0, 3]);
    pinned(Err::<u8, String>("e".into()), &[1, 1, 101]);
    pinned(Duration::new(1, 2), &[1, 2]);
    pinned((), &[]);
    pinned(PhantomData::<str>, &[]);
    pinned(Shape::Dot, &[0]);
    pinned(Shape::Square(3), &[1, 3]);
    pinned(Shape::Named { name: "x".into(), sides: [1, 2] }, &[2, 1, 120, 1, 0, 2, 0]);
    let leaf = |name: &str| Tree { name: name.into(), children: Vec::new() };
    pinned(Tree { name: "a".into(), children: vec![leaf("b")] }, &[1, 97, 1, 1, 98, 0]);
}

/// Otherwise a length of four bytes could ask for four billion of them.
#[test]
fn elements_without_bytes_take_one_in_a_collection() {
    #[derive(Clone, Debug, PartialEq, Data)]
    struct Nothing;
    pinned(vec![(); 3], &[3, 0, 0, 0]);
    pinned(VecDeque::from([Nothing]), &[1, 0]);
    pinned([(); 3], &[]);
    pinned(BTreeMap::from([((), ())]), &[1, 0]);
    assert!(data::decode::<Vec<()>>(&[255, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
}

#[test]
fn a_length_does_not_allocate_more_than_there_is() {
    // One byte each, and 8,000 in memory.
    let mut bytes = vec![251, 0, 0, 0, 1];
    bytes.extend([0; 1000]);
    let error = data::decode::<Vec<Option<[u64; 1000]>>>(&bytes).unwrap_err();
    assert_eq!(*error.reason(), Reason::Length { length: 1 << 24, left: 1000 });
    assert_eq!(Decoder::new(&[0; 1000]).capacity::<[u64; 10]>(1 << 20), 12);
}

#[derive(Debug, PartialEq, Data)]
struct Fleet {
    cars: Vec<Car>,
    last: BTreeMap<u8, Shape>,
}

#[derive(Debug, PartialEq, Data)]
struct Car {
    id: u8,
    speed: Option<bool>,
}

#[test]
fn errors_name_the_type_and_the_field() {
    let check = |bytes: &[u8], expected: &str| {
        let error = data::decode::<Fleet>(bytes).unwrap_err().to_string();
        assert_eq!(error.replace("encoding::", ""), expected);
    };
    check(&[2, 1, 0, 1, 1, 2], "field `cars[1].speed` of Fleet: 2 is no bool");
    check(&[2, 1, 0, 1, 7, 2], "field `cars[1].speed` of Fleet: `Option` has no variant number 7");
    check(&[1, 1, 1], "field `cars[0].speed` of Fleet: the bytes end where bool is expected");
    check(&[0, 1, 1, 1], "field `last[0].1.Square.0` of Fleet: the bytes end where u32 is expected");
    check(&[0, 2, 1, 0, 1], "field `last` of Fleet: a length of 2, but only 3 bytes follow");
    check(
        &[0, 1, 5, 2, 9, 0],
        "field `last[0].1.Named.name` of Fleet: a length of 9, but only 1 bytes follow",
    );
    check(&[0, 0, 0], "Fleet: 1 bytes follow the value");
    check(&[200], "field `cars` of Fleet: a length of 200, but only 0 bytes follow");
}

#[test]
fn nesting_has_a_limit_in_both_directions() {
    let list = |len: u32| (0..len).fold(List::End, |list, _| List::Item(1, Box::new(list)));
    let longest = list(MAX_DEPTH);
    assert_eq!(data::decode::<List>(&data::to_vec(&longest).unwrap()).unwrap(), longest);
    let mut out = vec![5];
    assert_eq!(data::encode(&list(MAX_DEPTH + 1), &mut out), Err(EncodeError::TooDeep));
    assert_eq!(out, [5], "nothing is left of it");
    let error = data::decode::<List>(&[1; 100_000]).unwrap_err();
    assert_eq!(*error.reason(), Reason::TooDeep);
}

fn arbitrary_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Dot),
        any::<u32>().prop_map(Shape::Square),
        (any::<String>(), any::<[u16; 2]>())
            .prop_map(|(name, sides)| Shape::Named { name: name.into(), sides }),
    ]
}

fn arbitrary_tree() -> impl Strategy<Value = Tree> {
    let leaf = any::<String>().prop_map(|name| Tree { name, children: Vec::new() });
    leaf.prop_recursive(5, 64, 4, |inner| {
        (any::<String>(), prop::collection::vec(inner, 0..4))
            .prop_map(|(name, children)| Tree { name, children })
    })
}

#[track_caller]
fn returns<T: Data + PartialEq + Debug>(value: &T) {
    let bytes = data::to_vec(value).expect("it can be encoded");
    assert_eq!(data::encoded_len(value), bytes.len());
    assert!(T::MIN_BYTES <= bytes.len());
    assert_eq!(data::decode::<T>(&bytes).as_ref(), Ok(value));
    for cut in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
        assert!(data::decode::<T>(&bytes[..cut]).is_err(), "cut at {cut} of {}", bytes.len());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(data::decode::<T>(&longer).is_err());
    let mut front = &longer[..];
    assert_eq!(data::decode_prefix::<T>(&mut front).as_ref(), Ok(value));
    assert_eq!(front, [0]);
}

proptest! {
    #[test]
    fn values_return(
        integers in any::<(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128)>(),
        others in any::<(bool, char, usize, isize, Option<Option<u32>>, Duration)>(),
        floats in any::<(f32, f64)>(),
        texts in any::<(String, Vec<String>, Vec<u8>)>(),
        maps in any::<(BTreeMap<u32, String>, HashMap<String, Vec<i64>>, HashSet<(u8, u64)>, VecDeque<i32>)>(),
        results in any::<Vec<Result<u64, String>>>(),
        shape in arbitrary_shape(),
        tree in arbitrary_tree(),
    ) {
        returns(&integers);
        returns(&others);
        returns(&floats);
        returns(&texts);
        returns(&maps);
        returns(&results);
        returns(&shape);
        returns(&tree);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), small in prop::collection::vec(0u8..4, 0..200)) {
        for bytes in [bytes, small] {
            let _ = data::decode::<Fleet>(&bytes);
            let _ = data::decode::<Tree>(&bytes);
            let _ = data::decode::<List>(&bytes);
            let _ = data::decode::<HashMap<String, Vec<(u64, Shape)>>>(&bytes);
            let _ = data::decode::<Vec<[Option<char>; 3]>>(&bytes);
            let _ = data::decode::<(BTreeSet<()>, Duration, Arc<[i128]>)>(&bytes);
        }
    }
}

#[test]
fn types_of_other_crates_return() {
    use std::str::FromStr;
    for text in ["2024-06-19T15:22:45.000000001Z", "-009999-01-02T01:59:59Z", "1969-12-31T23:59:59.5Z"] {
        returns(&jiff::Timestamp::from_str(text).unwrap());
    }
    returns(&jiff::SignedDuration::new(-5, -7));
    returns(&jiff::civil::DateTime::from_str("2024-02-29T23:59:59.999999999").unwrap());
    assert!(data::decode::<jiff::civil::Date>(&[0, 0, 13, 1]).is_err());
    assert!(data::decode::<jiff::SignedDuration>(&data::to_vec(&(1i64, -1i32)).unwrap()).is_err());
    returns(&uuid::Uuid::from_u128(0x0123_4567_89ab_cdef));
    for text in ["0.00", "-79228162514264337593543950335", "1.10"] {
        let decimal = rust_decimal::Decimal::from_str(text).unwrap();
        returns(&decimal);
        assert_eq!(
            data::decode::<rust_decimal::Decimal>(&data::to_vec(&decimal).unwrap()).unwrap().to_string(),
            text
        );
    }
    assert!(data::decode::<rust_decimal::Decimal>(&[255; 20]).is_err());
    let json = serde_json::json!({"a": [null, true, 1, -1, 0.1, 1e300], "b": {"c": "text"}, "": false});
    returns(&json);
}

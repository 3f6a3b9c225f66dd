//! Which types survive an exchange, and what is said of those that do not.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use reflow_network::sample::round_trip;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

#[track_caller]
fn passes<T: Serialize + DeserializeOwned>(value: T) {
    if let Err(error) = round_trip(&value) {
        panic!("{}: {error}", std::any::type_name::<T>());
    }
}

#[track_caller]
fn refused<T: Serialize + DeserializeOwned>(value: T, expected: &str) {
    let error = round_trip(&value).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plain {
    #[serde(rename = "n", alias = "number")]
    a_number: u64,
    #[serde(default)]
    text: String,
    #[serde(with = "seconds")]
    wait: Duration,
    shape: Shape,
    nothing: (),
    nested: Option<Option<Box<Plain>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Shape {
    Dot,
    Circle(u32),
    Line(i8, i8),
    Box { width: u16, name: String },
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Meters(f64);

#[derive(Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[derive(Clone)]
struct Code(u32);

impl From<Code> for String {
    fn from(code: Code) -> String {
        format!("#{}", code.0)
    }
}

impl TryFrom<String> for Code {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.trim_start_matches('#').parse().map(Code).map_err(|_| text)
    }
}

mod seconds {
    use super::*;
    pub(super) fn serialize<S: Serializer>(wait: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        wait.as_secs().serialize(serializer)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

fn plain(nested: Option<Option<Box<Plain>>>) -> Plain {
    Plain {
        a_number: 7,
        text: "text".into(),
        wait: Duration::from_secs(3),
        shape: Shape::Box { width: 2, name: "b".into() },
        nothing: (),
        nested,
    }
}

#[test]
fn plain_data_passes() {
    passes(plain(None));
    passes(plain(Some(None)));
    passes(plain(Some(Some(Box::new(plain(None))))));
    passes([Shape::Dot, Shape::Circle(1), Shape::Line(-1, 1)]);
    passes((1u8, -1i16, 2u32, i64::MIN, u64::MAX, i128::MIN, u128::MAX));
    passes(('ß', true, String::new(), "text".to_owned(), [0u8; 32], ()));
    passes((Meters(1.5), Code(5), PhantomData::<u8>, Duration::MAX, SystemTime::UNIX_EPOCH));
    passes((std::net::Ipv4Addr::LOCALHOST, Ok::<u8, String>(1), Err::<u8, String>("no".into())));
    passes((Reverse(1u8), std::num::NonZeroU32::MIN, 1usize..2, std::path::PathBuf::from("/a")));
}

#[test]
fn floats_pass_whatever_they_are() {
    for number in [f64::NAN, -f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE / 2.0] {
        passes((number, number as f32, vec![number], HashMap::from([(1, number)])));
    }
    passes(HashSet::from([f64::NAN.to_bits(), 1]));
}

/// A decoded one has its own order.
#[test]
fn containers_without_order_pass() {
    let words = || (0..100u32).map(|n| format!("word {n}"));
    for _ in 0..20 {
        passes(words().zip(0..100u8).collect::<HashMap<String, u8>>());
        passes(words().collect::<HashSet<String>>());
        passes(words().map(|word| (word, words().collect())).collect::<HashMap<_, HashSet<String>>>());
        passes(vec![words().collect::<HashSet<String>>(), HashSet::new()]);
        passes((0..50u32).map(|n| n * 7 % 31).collect::<BinaryHeap<u32>>());
    }
    passes(words().map(|word| (word, 1u8)).collect::<BTreeMap<_, _>>());
    passes((words().collect::<BTreeSet<_>>(), words().collect::<VecDeque<_>>()));
    passes(words().collect::<LinkedList<_>>());
    passes(HashMap::from([((1u8, 'a'), Some(f32::NAN)), ((2, 'b'), None)]));
}

#[test]
fn large_values_are_compared_without_a_copy_of_every_part() {
    passes(vec![7u8; 4 << 20]);
    passes((0..200_000u64).map(|n| (n, n)).collect::<HashMap<_, _>>());
}

fn cents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    u64::deserialize(deserializer).map(|euros| euros * 100)
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    lines: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(deserialize_with = "cents")]
    price: u64,
}

#[test]
fn what_reads_something_else_than_it_writes_is_refused() {
    let order = |price| Order { id: 1, lines: vec![Line { price: 0 }, Line { price }] };
    refused(order(5), "field `lines[].price` was 5 and is 500 when it is read back");
    passes(order(0));
    refused(HashMap::from([(1, order(5))]), "field `[].lines[].price` was 5 and is 500");
    refused((1, Some(order(5))), "field `1.lines[].price` was 5 and is 500");
}

#[derive(Serialize, Deserialize)]
struct Skips {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    tags: Vec<u8>,
}

#[test]
fn what_leaves_fields_out_is_refused() {
    refused(
        Skips { name: None, count: 1, tags: vec![1] },
        "field `name` is left out here, but reading expects it",
    );
    refused(
        vec![Skips { name: Some("n".into()), count: 1, tags: Vec::new() }],
        "field `[].tags` is left out here, but reading expects it",
    );
    passes(Skips { name: Some("n".into()), count: 1, tags: vec![1] });
}

#[derive(Serialize, Deserialize)]
#[expect(dead_code, reason = "read by nobody but serde")]
struct OneWay {
    before: u8,
    #[serde(skip_serializing)]
    unwritten: u8,
}

#[derive(Serialize, Deserialize)]
struct OtherWay {
    before: u8,
    #[serde(skip_deserializing)]
    unread: u8,
}

#[test]
fn what_is_only_read_or_only_written_is_refused() {
    refused(OneWay { before: 1, unwritten: 2 }, "field `[1]` cannot be read back");
    refused(OtherWay { before: 1, unread: 2 }, "reading it back leaves 1 of its bytes");
}

#[derive(Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: HashMap<String, u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    A { x: u8 },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacent {
    A { x: u8 },
    B(u8),
    C,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Text(String),
}

#[test]
fn what_must_describe_itself_is_refused() {
    refused(Flat { id: 1, rest: HashMap::new() }, "it cannot be encoded");
    refused(Internal::A { x: 1 }, "the value cannot be read back");
    refused(vec![Untagged::Number(1)], "field `[]` cannot be read back");
    refused(Untagged::Text("t".into()), "the value cannot be read back");
    refused(Adjacent::A { x: 1 }, "field `kind` cannot be read back");
    refused((1, Adjacent::B(1)), "field `1.kind` cannot be read back");
    refused(Adjacent::C, "field `kind` cannot be read back");
}

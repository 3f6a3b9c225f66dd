//! Which columns types have, and what is in them.

use reflow_arrow::{Mapping, MappingOptions, TimeUnit, from_batch, to_batch};
use reflow_data::{Data, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// The columns as text.
fn columns<T: Data>() -> Vec<String> {
    let mapping = Mapping::of::<T>().unwrap();
    let nullable = |is_nullable: bool| if is_nullable { "?" } else { "" };
    let column = |field: &std::sync::Arc<reflow_arrow::arrow_schema::Field>| {
        format!("{}{}: {}", field.name(), nullable(field.is_nullable()), field.data_type())
    };
    mapping.arrow().fields().iter().map(column).collect()
}

#[track_caller]
fn check<T: Data>(expected: &[&str]) {
    assert_eq!(columns::<T>(), expected);
}

#[derive(Clone, Debug, PartialEq, Data)]
struct Empty;

#[derive(Clone, Debug, PartialEq, Data)]
struct Id(u64);

#[derive(Clone, Debug, PartialEq, Data)]
enum Colour {
    Red,
    Green,
}

#[derive(Clone, Debug, PartialEq, Data)]
enum Event {
    Start { car: Id },
    Moved(f64, f64),
    Painted(Option<Colour>),
    Nothing(Empty),
    Stop,
}

#[derive(Clone, Debug, PartialEq, Data)]
struct Car {
    #[data(rename = "number")]
    id: Id,
    wheels: [u8; 4],
    tags: Vec<Option<String>>,
    last: Option<Event>,
    marker: PhantomData<u8>,
}

#[test]
fn plain_types() {
    check::<(bool, u8, i16, u32, i64, f32, f64)>(&[
        "f0: Boolean",
        "f1: UInt8",
        "f2: Int16",
        "f3: UInt32",
        "f4: Int64",
        "f5: Float32",
        "f6: Float64",
    ]);
    check::<u64>(&["value: UInt64"]);
    check::<Option<String>>(&["value?: Utf8"]);
    check::<(char, i128, u128)>(&["f0: Utf8", "f1: Utf8", "f2: Utf8"]);
    check::<(Vec<u8>, [u8; 32])>(&["f0: Binary", "f1: FixedSizeBinary(32)"]);
}

#[test]
fn nested_types() {
    check::<Id>(&["value: UInt64"]);
    check::<(Vec<u64>, [f32; 3])>(&["f0: List(non-null UInt64)", "f1: FixedSizeList(3 x non-null Float32)"]);
    check::<(BTreeMap<String, Option<u8>>,)>(&[
        r#"f0: Map("entries": non-null Struct("key": non-null Utf8, "value": UInt8), unsorted)"#,
    ]);
    // The key of a map in Arrow cannot be null.
    check::<(BTreeMap<Option<u8>, u8>,)>(&[
        r#"f0: List(non-null Struct("key": UInt8, "value": non-null UInt8))"#,
    ]);
    // Arrow has one null.
    check::<(Option<Option<u8>>,)>(&[r#"f0?: Struct("value": UInt8)"#]);
    // A long array would take all of its slots where it is missing.
    check::<(Option<[u64; 70_000]>,)>(&["f0?: List(non-null UInt64)"]);
}

#[test]
fn enums() {
    check::<Colour>(&["value: Dictionary(Int32, Utf8)"]);
    check::<(Event,)>(&[
        r#"f0: Struct("variant": non-null Dictionary(Int32, Utf8), "Start": Struct("car": non-null UInt64), "Moved": Struct("f0": non-null Float64, "f1": non-null Float64), "Painted": Dictionary(Int32, Utf8))"#,
    ]);
    #[derive(Data)]
    enum Clash {
        Variant(u8),
    }
    check::<(Clash,)>(&[r#"f0: Struct("variant_": non-null Dictionary(Int32, Utf8), "Variant": UInt8)"#]);
    check::<(Result<u8, String>,)>(&[
        r#"f0: Struct("variant": non-null Dictionary(Int32, Utf8), "Ok": UInt8, "Err": Utf8)"#,
    ]);
}

#[test]
fn what_has_no_bytes_has_no_column_unless_its_presence_counts() {
    check::<(u8, (), PhantomData<u8>, Empty, [(); 3])>(&["f0: UInt8"]);
    check::<(Option<()>, Vec<Empty>)>(&["f0?: Boolean", "f1: List(non-null Boolean)"]);
    check::<Empty>(&["value: Boolean"]);
    let values = [(Some(()), BTreeSet::from([()])), (None, BTreeSet::new())];
    assert_eq!(from_batch::<(Option<()>, BTreeSet<()>)>(&to_batch(&values).unwrap()).unwrap(), values);
    assert_eq!(from_batch::<Empty>(&to_batch(&[Empty, Empty]).unwrap()).unwrap(), [Empty, Empty]);
}

#[test]
fn names_are_those_of_the_schema() {
    let columns = columns::<Car>();
    let names: Vec<&str> = columns.iter().map(|column| column.split(':').next().unwrap()).collect();
    assert_eq!(names, ["number", "wheels", "tags", "last?"]);
}

fn extension<T: Data>() -> Option<String> {
    let mapping = Mapping::of::<T>().unwrap();
    mapping.arrow().field(0).metadata().get("ARROW:extension:name").cloned()
}

#[test]
fn types_of_other_crates() {
    check::<(jiff::Timestamp, jiff::civil::DateTime, jiff::civil::Date, jiff::civil::Time)>(&[
        r#"f0: Timestamp(ns, "UTC")"#,
        "f1: Timestamp(ns)",
        "f2: Date32",
        "f3: Time64(ns)",
    ]);
    check::<(jiff::SignedDuration, Duration)>(&["f0: Duration(ns)", "f1: Duration(ns)"]);
    check::<(rust_decimal::Decimal, uuid::Uuid, serde_json::Value)>(&[
        "f0: Decimal128(38, 18)",
        "f1: FixedSizeBinary(16)",
        "f2: Utf8",
    ]);
    assert_eq!(extension::<(uuid::Uuid,)>().as_deref(), Some("arrow.uuid"));
    assert_eq!(extension::<(Option<serde_json::Value>,)>().as_deref(), Some("arrow.json"));
    assert_eq!(extension::<([u8; 16],)>(), None);
    let options = MappingOptions { time_unit: TimeUnit::Microseconds, decimal_scale: 2 };
    let schema = Schema::of::<(jiff::Timestamp, jiff::civil::Time, rust_decimal::Decimal)>();
    let mapping = Mapping::new(&schema, options).unwrap();
    let types: Vec<String> =
        mapping.arrow().fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(types, [r#"Timestamp(µs, "UTC")"#, "Time64(µs)", "Decimal128(38, 2)"]);
}

#[derive(Clone, Debug, PartialEq, Data)]
struct Foreign {
    at: jiff::Timestamp,
    local: jiff::civil::DateTime,
    day: jiff::civil::Date,
    time: jiff::civil::Time,
    waited: jiff::SignedDuration,
    took: Duration,
    price: rust_decimal::Decimal,
    id: uuid::Uuid,
    json: serde_json::Value,
    wide: (i128, u128),
}

fn foreign(at: &str, local: &str, price: &str, wide: (i128, u128)) -> Foreign {
    let at = jiff::Timestamp::from_str(at).unwrap();
    let local = jiff::civil::DateTime::from_str(local).unwrap();
    Foreign {
        at,
        local,
        day: local.date(),
        time: local.time(),
        waited: at.as_duration(),
        took: at.as_duration().unsigned_abs(),
        price: rust_decimal::Decimal::from_str(price).unwrap(),
        id: uuid::Uuid::from_u128(wide.1),
        json: serde_json::json!({ "a": [null, true, 1, -1, 0.5], "b": { "": "ß\"" } }),
        wide,
    }
}

#[test]
fn values_of_other_crates_return() {
    let values = [
        foreign("1969-12-31T23:59:59.999999999Z", "1677-09-22T00:00:00", "0.00", (i128::MIN, u128::MAX)),
        foreign(
            "2262-04-11T23:47:16Z",
            "2024-02-29T23:59:59.999999999",
            "-79228162514264.337593543950335",
            (i128::MAX, 0),
        ),
        foreign("1970-01-01T00:00:00Z", "1970-01-01T00:00:00", "12345678901234567890", (-1, 7)),
    ];
    let batch = to_batch(&values).unwrap();
    assert_eq!(from_batch::<Foreign>(&batch).unwrap(), values);
}

#[test]
fn dates_are_those_of_the_calendar() {
    let epoch = jiff::civil::date(1970, 1, 1);
    let day = |days: i32| epoch.checked_add(jiff::Span::new().days(days)).unwrap();
    let days: Vec<_> = (-4_371_587..=2_932_896).step_by(977).chain([2_932_896]).map(day).collect();
    let batch = to_batch(&days).unwrap();
    let numbers = batch.column(0).to_data().buffers()[0].typed_data::<i32>().to_vec();
    for (day, number) in days.iter().zip(numbers) {
        assert_eq!((*day - epoch).get_days(), number, "{day}");
    }
    assert_eq!(from_batch::<jiff::civil::Date>(&batch).unwrap(), days);
}

#[test]
fn what_is_below_a_microsecond_is_dropped_downwards() {
    let options = MappingOptions { time_unit: TimeUnit::Microseconds, ..MappingOptions::default() };
    let mapping = Mapping::new(&Schema::of::<jiff::Timestamp>(), options).unwrap();
    let mut encoder = reflow_arrow::BatchEncoder::new(&mapping);
    let times = ["9999-12-30T22:00:00.123456789Z", "-009999-01-02T01:59:59Z", "1969-12-31T23:59:59.9999999Z"];
    let times = times.map(|text| jiff::Timestamp::from_str(text).unwrap());
    times.iter().for_each(|at| encoder.push_value(at).unwrap());
    let read: Vec<jiff::Timestamp> = from_batch(&encoder.finish().unwrap()).unwrap();
    let texts: Vec<String> = read.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["9999-12-30T22:00:00.123456Z", "-009999-01-02T01:59:59Z", "1969-12-31T23:59:59.999999Z"]
    );
}

//! Batches that others wrote: columns in another order, of other widths and layouts.

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BinaryViewArray, Date64Array, Decimal128Array, DictionaryArray, Float32Array, Int16Array,
    Int64Array, LargeListArray, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    TimestampSecondArray,
};
use reflow_arrow::from_batch;
use reflow_data::Data;
use std::sync::Arc;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

#[derive(Debug, PartialEq, Data)]
enum Colour {
    Red,
    Green,
}

#[derive(Debug, PartialEq, Data)]
struct Row {
    small: u8,
    wide: i128,
    ratio: f64,
    name: String,
    initial: char,
    colour: Colour,
    raw: Vec<u8>,
    hash: [u8; 2],
    items: Vec<Option<u8>>,
    pair: [i64; 2],
    at: jiff::Timestamp,
    day: jiff::civil::Date,
    price: rust_decimal::Decimal,
    #[data(default = 7)]
    added: u32,
}

#[test]
fn columns_are_found_by_name_and_cast_without_loss() {
    let names: DictionaryArray<Int8Type> = ["Green"].into_iter().collect();
    let items =
        LargeListArray::from_iter_primitive::<arrow_array::types::UInt64Type, _, _>([Some([Some(1), None])]);
    let pair = arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([Some([
        Some(-1),
        Some(2),
    ])]);
    let read = batch(vec![
        ("ignored", Arc::new(Int64Array::from(vec![1]))),
        ("price", Arc::new(Decimal128Array::from(vec![12_300]).with_precision_and_scale(9, 3).unwrap())),
        ("day", Arc::new(Date64Array::from(vec![-1]))),
        ("at", Arc::new(TimestampSecondArray::from(vec![-1]).with_timezone("Europe/Berlin"))),
        ("pair", Arc::new(pair)),
        ("items", Arc::new(items)),
        ("hash", Arc::new(BinaryViewArray::from_iter_values([[1, 2]]))),
        ("raw", Arc::new(BinaryViewArray::from_iter_values([[1, 2, 3]]))),
        ("colour", Arc::new(names)),
        ("initial", Arc::new(LargeStringArray::from(vec!["ß"]))),
        ("name", Arc::new(StringViewArray::from(vec!["tea"]))),
        ("ratio", Arc::new(Float32Array::from(vec![0.5]))),
        ("wide", Arc::new(Int16Array::from(vec![-3]))),
        ("small", Arc::new(Int64Array::from(vec![255]))),
    ]);
    let expected = Row {
        small: 255,
        wide: -3,
        ratio: 0.5,
        name: "tea".into(),
        initial: 'ß',
        colour: Colour::Green,
        raw: vec![1, 2, 3],
        hash: [1, 2],
        items: vec![Some(1), None],
        pair: [-1, 2],
        at: "1969-12-31T23:59:59Z".parse().unwrap(),
        day: "1969-12-31".parse().unwrap(),
        price: "12.3".parse().unwrap(),
        added: 7,
    };
    assert_eq!(from_batch::<Row>(&read).unwrap(), [expected]);
}

#[track_caller]
fn refused<T: Data>(columns: Vec<(&str, ArrayRef)>, expected: &str) {
    let error = from_batch::<T>(&batch(columns)).err().expect("it is refused").to_string();
    assert_eq!(error, expected);
}

#[derive(Data)]
struct Reading {
    car: u8,
    colour: Option<Colour>,
}

fn cars(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

#[test]
fn errors_name_the_field_and_both_types() {
    let colours: ArrayRef = Arc::new(StringArray::from(vec![Some("Red"), None]));
    refused::<Reading>(
        vec![("car", cars(vec![Some(1)]))],
        "there is no column `colour` (Dictionary(Int32, Utf8)), and the field has no default",
    );
    refused::<Reading>(
        vec![("car", colours.clone()), ("colour", colours.clone())],
        "field `car`: the column is Utf8, which cannot be read as UInt8: cast it, or change the field's type",
    );
    refused::<Reading>(
        vec![("car", cars(vec![Some(1), Some(256)])), ("colour", colours.clone())],
        "field `car`: row 1: 256 is no u8",
    );
    refused::<Reading>(
        vec![("car", cars(vec![Some(1), None])), ("colour", colours)],
        "field `car`: row 1: there is no value (null), and the field is not an `Option`",
    );
    refused::<Reading>(
        vec![("car", cars(vec![Some(1)])), ("colour", Arc::new(StringArray::from(vec!["Blue"])))],
        "field `colour`: row 0: \"Blue\" is no variant of `Colour`",
    );
    let items = arrow_array::ListArray::from_iter_primitive::<Int8Type, _, _>([Some([Some(1), Some(-1)])]);
    refused::<(Vec<u8>, Vec<u64>)>(
        vec![("f0", Arc::new(BinaryViewArray::from_iter_values([[1]]))), ("f1", Arc::new(items))],
        "field `f1[]`: row 1: -1 is no u64",
    );
    refused::<(jiff::Timestamp,)>(
        vec![("f0", Arc::new(TimestampSecondArray::from(vec![1])))],
        "field `f0`: the column is Timestamp(s), which cannot be read as Timestamp(ns, \"UTC\"): cast it, or change the field's type",
    );
    refused::<(f32,)>(
        vec![("f0", Arc::new(arrow_array::Float64Array::from(vec![1.0])))],
        "field `f0`: the column is Float64, which cannot be read as Float32: cast it, or change the field's type",
    );
    refused::<(char,)>(
        vec![("f0", Arc::new(StringArray::from(vec!["ab"])))],
        "field `f0`: row 0: \"ab\" is no single character",
    );
    refused::<([u8; 3],)>(
        vec![("f0", Arc::new(BinaryViewArray::from_iter_values([[1]])))],
        "field `f0`: row 0: 1 bytes is no array of 3 bytes",
    );
}

//! Types and values that Arrow cannot hold.

use reflow_arrow::{BatchEncoder, Mapping, MappingOptions, to_batch};
use reflow_data::schema::Named;
use reflow_data::{Data, Field, Number, Schema, Shape, Type};

#[derive(Data)]
struct Tree {
    name: String,
    children: Vec<Tree>,
}

#[derive(Data)]
struct Forest {
    trees: Vec<(u8, Tree)>,
}

#[test]
fn recursive_types_are_refused_by_name() {
    let error = Mapping::of::<Forest>().unwrap_err().to_string();
    let expected = "field `trees[].f1.children[]`: `Tree` contains itself, and Arrow has no type for that";
    assert!(error.starts_with(expected), "{error}");
}

/// Each type has two fields of the next one: few types, and more columns than memory.
#[test]
fn a_type_with_too_many_columns_is_refused() {
    let field = |name: &str, ty: Type| Field::new(name, ty, None);
    let named = |position: u32| {
        let next = if position == 40 { Type::Number(Number::U8) } else { Type::Named(position + 1) };
        let fields = vec![field("a", next.clone()), field("b", next)];
        Named { name: format!("T{position}"), shape: Shape::Struct(fields), removed: Vec::new() }
    };
    let schema = Schema { types: (0..=40).map(named).collect(), root: Type::Named(0) };
    schema.validate().unwrap();
    let error = Mapping::new(&schema, MappingOptions::default()).unwrap_err();
    assert!(error.to_string().contains("more than 10000 columns"), "{error}");
}

/// Otherwise a stored schema could overflow the stack.
#[test]
fn a_type_that_nests_too_deeply_is_refused() {
    let named = |position: u32| {
        let ty = if position == 399 { Type::Bool } else { Type::Named(position + 1) };
        Named { name: "T".into(), shape: Shape::Struct(vec![Field::new("0", ty, None)]), removed: Vec::new() }
    };
    let schema = Schema { types: (0..400).map(named).collect(), root: Type::Named(0) };
    schema.validate().unwrap();
    let error = Mapping::new(&schema, MappingOptions::default()).unwrap_err();
    assert!(
        error.to_string().ends_with("the type nests more than 128 others: write lines of JSON, or nest less")
    );
}

#[test]
fn times_and_decimals_beyond_their_columns_are_refused() {
    let error = to_batch(&[(1u8, jiff::Timestamp::MAX)]).unwrap_err().to_string();
    assert_eq!(
        error,
        "field `f1`: 253402207200 s does not fit into nanoseconds, which reach 292 years from 1970: use microseconds, or \
         write lines of JSON"
    );
    let third = rust_decimal::Decimal::ONE / rust_decimal::Decimal::from(3);
    let error = to_batch(&[Some(third)]).unwrap_err().to_string();
    assert!(
        error.contains("0.3333333333333333333333333333 does not fit into decimals of 38 digits, 18 of them"),
        "{error}"
    );
    let options = MappingOptions { decimal_scale: 28, ..MappingOptions::default() };
    let mapping = Mapping::new(&Schema::of::<Option<rust_decimal::Decimal>>(), options).unwrap();
    BatchEncoder::new(&mapping).push_value(&Some(third)).unwrap();
}

/// A row that is refused is not there, and the others are.
#[test]
fn a_refused_row_can_be_skipped() {
    type Row = (Vec<(String, Option<[u8; 2]>)>, Option<jiff::Timestamp>);
    let mapping = Mapping::of::<Row>().unwrap();
    let mut encoder = BatchEncoder::new(&mapping);
    let items = || vec![("a".to_owned(), None), ("bc".to_owned(), Some([1, 2]))];
    let rows: [Row; 4] = [
        (items(), None),
        (items(), Some(jiff::Timestamp::MAX)),
        (Vec::new(), Some(jiff::Timestamp::UNIX_EPOCH)),
        (items(), Some(jiff::Timestamp::MIN)),
    ];
    let taken = rows.iter().filter(|row| encoder.push_value(*row).is_ok()).count();
    assert_eq!((taken, encoder.rows()), (2, 2));
    let read: Vec<Row> = reflow_arrow::from_batch(&encoder.finish().unwrap()).unwrap();
    assert_eq!(read, [rows[0].clone(), rows[2].clone()]);
}

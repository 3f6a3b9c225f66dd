//! Rows of any schema become batches, and the same bytes again; also through a Parquet file.

use crate::any_schema::{self, Random};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use reflow_arrow::{BatchEncoder, BatchReader, Mapping, MappingOptions, RecordBatch};

/// The rows of batches, encoded.
fn rows(mapping: &Mapping, batches: &[RecordBatch]) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    for batch in batches {
        let reader = BatchReader::new(mapping, batch).unwrap();
        for row in 0..reader.rows() {
            let mut bytes = Vec::new();
            reader.read(row, &mut bytes).unwrap();
            rows.push(bytes);
        }
    }
    rows
}

fn through_parquet(mapping: &Mapping, batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, mapping.arrow().clone(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap().build().unwrap();
    reader.collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_of_any_schema_return(seed in any::<u64>()) {
        let mut random = Random(seed);
        let schema = any_schema::schema(&mut random);
        let mapping = Mapping::new(&schema, MappingOptions::default()).unwrap();
        let mut written = Vec::new();
        let mut batches = Vec::new();
        // Small batches, so that there are several.
        let mut encoder = BatchEncoder::new(&mapping).max_bytes(200);
        for _ in 0..20 {
            let mut row = Vec::new();
            any_schema::value(&mut random, &schema, &schema.root, &mut row);
            encoder.push(&row).unwrap_or_else(|error| panic!("{schema}: {error}"));
            // A row that ends too early, or does not end, leaves nothing behind.
            let longer = [row.as_slice(), &[7]].concat();
            prop_assert!(encoder.push(&longer).is_err());
            if let Some(shorter) = row.len().checked_sub(1) {
                prop_assert!(encoder.push(&row[..shorter]).is_err());
            }
            written.push(row);
            if encoder.is_full() {
                batches.push(encoder.finish().unwrap_or_else(|error| panic!("{schema}: {error}")));
            }
        }
        batches.push(encoder.finish().unwrap());
        for batch in &batches {
            prop_assert_eq!(&batch.schema(), mapping.arrow());
        }
        prop_assert_eq!(rows(&mapping, &batches), written.clone(), "{}", schema);
        let read = through_parquet(&mapping, &batches);
        prop_assert_eq!(rows(&mapping, &read), written, "{}, through Parquet", schema);
    }

    /// Arbitrary bytes are refused or are rows, and never a panic.
    #[test]
    fn garbage_is_an_error(seed in any::<u64>(), garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        let schema = any_schema::schema(&mut Random(seed));
        let mapping = Mapping::new(&schema, MappingOptions::default()).unwrap();
        let mut encoder = BatchEncoder::new(&mapping);
        let rows = (0..garbage.len()).filter(|from| encoder.push(&garbage[*from..]).is_ok()).count();
        prop_assert_eq!(encoder.rows(), rows);
        prop_assert_eq!(encoder.finish().unwrap().num_rows(), rows);
    }
}

/// Rows above the bound get batches of their own, and nothing is lost.
#[test]
fn a_batch_is_bounded_by_the_memory_of_its_columns() {
    // A missing array of 1,000 numbers is one byte in the encoding, and 8,000 in its column.
    let schema = reflow_data::Schema::of::<(Option<[u64; 1000]>, String)>();
    let mapping = Mapping::new(&schema, MappingOptions::default()).unwrap();
    let mut encoder = BatchEncoder::new(&mapping).max_bytes(100_000);
    let mut sizes = Vec::new();
    for row in 0..100usize {
        let text = "x".repeat(if row == 50 { 1 << 20 } else { 10 });
        encoder.push_value(&(None::<[u64; 1000]>, text)).unwrap();
        if encoder.is_full() {
            sizes.push(encoder.finish().unwrap().num_rows());
        }
    }
    sizes.push(encoder.finish().unwrap().num_rows());
    assert_eq!(sizes.iter().sum::<usize>(), 100);
    assert_eq!(sizes, [13, 13, 13, 12, 13, 13, 13, 10]);
}

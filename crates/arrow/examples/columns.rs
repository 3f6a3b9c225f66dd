//! What a row costs on its way to columns and to Parquet, beside a line of JSON: `cargo run --release -p reflow-arrow
//! --example columns`. Nanoseconds and bytes per row; the least of several runs.
#![expect(clippy::disallowed_methods, reason = "measures time")]

use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use reflow_arrow::{BatchEncoder, BatchReader, Mapping, RecordBatch};
use reflow_data::{Data, Dump, Schema, encode};
use std::hint::black_box;
use std::time::Instant;

extern crate reflow_data as reflow;

const ROWS: usize = 100_000;
const RUNS: usize = 10;

#[derive(Data)]
struct Count {
    key: u64,
    count: u64,
}

#[derive(Data)]
struct Reading {
    car: u32,
    time: i64,
    speed: f64,
    distance: f64,
}

#[derive(Data)]
enum Event {
    Person { id: u64, name: String, city: String },
    Auction { id: u64, seller: u64, category: u16, reserve: Option<u64> },
    Bid { auction: u64, bidder: u64, price: u64, tags: Vec<u32> },
}

fn main() {
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 20
    };
    println!("{:42} batch  back  parquet  JSON     bytes: row  parquet  JSON", "");
    let counts = (0..ROWS).map(|i| Count { key: random() % 1_000_000, count: i as u64 / 8 });
    measure("count, two integers", &counts.collect::<Vec<_>>());
    let readings = (0..ROWS).map(|i| Reading {
        car: i as u32 % 1000,
        time: 1_700_000_000_000 + i as i64,
        speed: i as f64 / 3.6,
        distance: i as f64 * 7.1,
    });
    measure("reading, two integers and two floats", &readings.collect::<Vec<_>>());
    let events = (0..ROWS).map(|_| match random() % 50 {
        0 => Event::Person { id: random(), name: "Ada Lovelace".into(), city: "London".into() },
        1..=3 => {
            Event::Auction { id: random() % 10_000, seller: random() % 1000, category: 7, reserve: Some(250) }
        }
        _ => Event::Bid {
            auction: random() % 10_000,
            bidder: random() % 1000,
            price: random() % 1_000_000,
            tags: vec![1, 300, 70_000],
        },
    });
    measure("event, an enum with texts and lists", &events.collect::<Vec<_>>());
}

fn measure<T: Data>(name: &str, values: &[T]) {
    let rows: Vec<Vec<u8>> = values
        .iter()
        .map(|value| {
            let mut row = Vec::new();
            encode(value, &mut row).expect("plain data");
            row
        })
        .collect();
    let (schema, mapping) = (Schema::of::<T>(), Mapping::of::<T>().expect("plain types"));
    let batches = || -> Vec<RecordBatch> {
        let (mut encoder, mut batches) = (BatchEncoder::new(&mapping), Vec::new());
        for row in &rows {
            encoder.push(row).expect("a row");
            if encoder.is_full() {
                batches.push(encoder.finish().expect("a batch"));
            }
        }
        batches.push(encoder.finish().expect("a batch"));
        batches
    };
    let encoded = least(|| drop(black_box(batches())));
    let written = batches();
    let mut out = Vec::new();
    let back = least(|| {
        for batch in &written {
            let reader = BatchReader::new(&mapping, batch).expect("its columns");
            for row in 0..reader.rows() {
                out.clear();
                reader.read(row, &mut out).expect("a row");
                black_box(&out);
            }
        }
    });
    let mut file = Vec::new();
    let parquet = least(|| {
        file.clear();
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer =
            ArrowWriter::try_new(&mut file, mapping.arrow().clone(), Some(properties)).expect("a writer");
        batches().iter().for_each(|batch| writer.write(batch).expect("memory"));
        writer.close().expect("memory");
    });
    let mut lines = Vec::new();
    let json = least(|| {
        lines.clear();
        for row in &rows {
            serde_json::to_writer(&mut lines, &Dump::new(&schema, row)).expect("a dump");
            lines.push(b'\n');
        }
    });
    let bytes = |len: usize| len as f64 / ROWS as f64;
    let row = bytes(rows.iter().map(Vec::len).sum());
    let (in_parquet, in_json) = (bytes(file.len()), bytes(lines.len()));
    println!(
        "{name:42} {encoded:5.0} {back:5.0}  {parquet:7.0} {json:5.0}          {row:5.1}    {in_parquet:5.1} {in_json:5.1}"
    );
}

fn least(mut run: impl FnMut()) -> f64 {
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64 / ROWS as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

//! What encoding and decoding a record costs, beside postcard and beside copies of fixed width: `cargo run --release -p
//! reflow-data --example codec`. Nanoseconds and bytes per record; the least of several runs.
#![expect(clippy::disallowed_methods, reason = "measures time")]

use reflow_data::{Data, Decoder, Encoder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::hint::black_box;
use std::time::Instant;

extern crate reflow_data as reflow;

const RECORDS: usize = 4096;
const RUNS: usize = 300;

#[derive(Clone, Serialize, Deserialize, Data)]
struct Count {
    key: u64,
    count: u64,
}

#[derive(Clone, Serialize, Deserialize, Data)]
struct Reading {
    car: u32,
    time: i64,
    speed: f64,
    distance: f64,
}

#[derive(Clone, Serialize, Deserialize, Data)]
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
    let counts: Vec<_> =
        (0..RECORDS).map(|i| Count { key: random() % 1_000_000, count: i as u64 / 8 }).collect();
    measure("count, keys below a million", &counts);
    let hashes: Vec<_> = (0..RECORDS).map(|_| Count { key: random() << 20, count: random() << 10 }).collect();
    measure("count, keys of 64 bits", &hashes);
    let readings = (0..RECORDS).map(|i| Reading {
        car: i as u32 % 1000,
        time: 1_700_000_000_000 + i as i64,
        speed: i as f64 / 3.6,
        distance: i as f64 * 7.1,
    });
    measure("reading, two integers and two floats", &readings.collect::<Vec<_>>());
    let events = (0..RECORDS).map(|_| match random() % 50 {
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

fn measure<T: Data + Serialize + DeserializeOwned>(name: &str, records: &[T]) {
    println!("{name}");
    let mut out = Vec::with_capacity(1 << 20);
    let encoded = least(|| {
        out.clear();
        for record in records {
            record.encode_into(&mut Encoder::new(&mut out));
        }
        black_box(&out);
    });
    let decoded = least(|| {
        let mut input = Decoder::new(&out);
        for _ in records {
            black_box(T::decode_from(&mut input).expect("it was just encoded"));
        }
    });
    print("Data", encoded, decoded, out.len());
    let mut bytes = Vec::with_capacity(1 << 20);
    let encoded = least(|| {
        let mut out = std::mem::take(&mut bytes);
        out.clear();
        for record in records {
            out = postcard::to_extend(record, out).expect("plain data");
        }
        bytes = black_box(out);
    });
    let decoded = least(|| {
        let mut rest = &bytes[..];
        for _ in records {
            let (record, after) = postcard::take_from_bytes::<T>(rest).expect("it was just encoded");
            black_box(record);
            rest = after;
        }
    });
    print("postcard", encoded, decoded, bytes.len());
}

fn least(mut run: impl FnMut()) -> f64 {
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64 / RECORDS as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

fn print(codec: &str, encoded: f64, decoded: f64, bytes: usize) {
    let bytes = bytes as f64 / RECORDS as f64;
    println!("  {codec:10} encode {encoded:6.1}  decode {decoded:6.1}  bytes {bytes:6.1}");
}

//! The compression of record batches.

use bytes::Bytes;
use std::io::{self, Read, Write};

/// The most bytes of a batch when decompressed. A batch of ordinary size cannot exceed it, a harmful one would.
const MAX_BYTES: u64 = 512 << 20;
/// What snappy's Java library writes before its blocks, with two version numbers behind it.
const SNAPPY_MAGIC: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_HEADER: usize = 16;

/// A codec of record batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// Why records cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The codec is not known.
    #[error("there is no codec {0}")]
    Codec(i16),
    /// The bytes are not what the codec writes.
    #[error("{0}")]
    Damaged(String),
    /// There are more bytes than are accepted.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
}

impl From<io::Error> for CompressionError {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Compression {
    /// The codec with this number in a batch's attributes.
    pub(crate) fn of(number: i16) -> Result<Self, CompressionError> {
        Ok(match number {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            other => return Err(CompressionError::Codec(other)),
        })
    }

    /// Its number in a batch's attributes.
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    pub(crate) fn compress(self, bytes: &[u8]) -> Vec<u8> {
        const IN_MEMORY: &str = "writing to memory does not fail";
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY)
            }
            // Readers take a plain block as well as the blocks of snappy's Java library.
            Self::Snappy => {
                snap::raw::Encoder::new().compress_vec(bytes).expect("a batch has less than 4 GiB")
            }
            Self::Lz4 => {
                // Kafka's own reader wants the blocks to be independent.
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB)
                    .block_mode(lz4_flex::frame::BlockMode::Independent);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(bytes).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY)
            }
            Self::Zstd => zstd::bulk::compress(bytes, 3).expect("the output has room"),
        }
    }

    pub(crate) fn decompress(self, bytes: Bytes) -> Result<Bytes, CompressionError> {
        match self {
            Self::None => Ok(bytes),
            Self::Gzip => read_all(flate2::read::MultiGzDecoder::new(&bytes[..])),
            Self::Snappy => unsnap(&bytes),
            Self::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(&bytes[..])),
            Self::Zstd => read_all(zstd::stream::read::Decoder::with_buffer(&bytes[..])?),
        }
    }
}

fn read_all(from: impl Read) -> Result<Bytes, CompressionError> {
    let mut out = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut out)?;
    if out.len() as u64 > MAX_BYTES { Err(CompressionError::TooLong) } else { Ok(out.into()) }
}

/// Decompresses one block, or the blocks that snappy's Java library writes, each behind its length.
fn unsnap(bytes: &[u8]) -> Result<Bytes, CompressionError> {
    let mut out = Vec::new();
    let Some(mut rest) =
        bytes.strip_prefix(SNAPPY_MAGIC).map(|_| bytes.get(SNAPPY_HEADER..).unwrap_or_default())
    else {
        unsnap_block(bytes, &mut out)?;
        return Ok(out.into());
    };
    while !rest.is_empty() {
        let damaged = || CompressionError::Damaged("a block of snappy is cut off".to_owned());
        let (length, blocks) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (block, behind) =
            blocks.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(damaged)?;
        unsnap_block(block, &mut out)?;
        rest = behind;
    }
    Ok(out.into())
}

fn unsnap_block(block: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let damaged = |error: snap::Error| CompressionError::Damaged(error.to_string());
    let (begin, length) = (out.len(), snap::raw::decompress_len(block).map_err(damaged)?);
    if (begin + length) as u64 > MAX_BYTES {
        return Err(CompressionError::TooLong);
    }
    out.resize(begin + length, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[begin..]).map_err(damaged)?;
    out.truncate(begin + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_codec_decompresses_and_refuses_damage() {
        let text = b"a record, a record, a record, a record".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&text).unwrap();
        let block = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        let mut blocks = [SNAPPY_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for _ in 0..2 {
            blocks.extend((block.len() as u32).to_be_bytes());
            blocks.extend(&block);
        }
        let cases = [
            (0, text.clone(), 1),
            (1, gzip.finish().unwrap(), 1),
            (2, block, 1),
            (2, blocks, 2),
            (3, lz4.finish().unwrap(), 1),
            (4, zstd::encode_all(&text[..], 1).unwrap(), 1),
        ];
        for (number, compressed, times) in cases {
            let codec = Compression::of(number).unwrap();
            let bytes = Bytes::from(compressed);
            assert_eq!(codec.decompress(bytes.clone()).unwrap(), text.repeat(times), "{codec:?}");
            if number > 0 {
                assert!(codec.decompress(bytes.slice(..bytes.len() / 2)).is_err(), "{codec:?}");
            }
        }
        assert_eq!(Compression::of(5), Err(CompressionError::Codec(5)));
    }
}

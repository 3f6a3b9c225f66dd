//! The pending entries of a segment: they changed before the snapshot under way reached them and were encoded
//! with their old values.

use crate::codec;
use reflow_types::Data;

/// Encoded entries of a block, without its header.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) entries: u32,
    pub(crate) bytes: Vec<u8>,
}

/// Encoded entries, in batches of about a block.
#[derive(Default)]
pub(crate) struct Pending {
    batches: Vec<Batch>,
}

impl Pending {
    /// Encodes an entry. On an error, nothing is added.
    pub(crate) fn push<K: Data, V: Data>(
        &mut self,
        block_bytes: usize,
        key: &K,
        value: &V,
    ) -> Result<(), String> {
        if self.batches.last().is_none_or(|batch| batch.bytes.len() >= block_bytes) {
            self.batches.push(Batch::default());
        }
        let batch = self.batches.last_mut().expect("one was pushed");
        codec::encode_put(key, value, &mut batch.bytes)?;
        batch.entries += 1;
        Ok(())
    }

    /// Takes the last batch.
    pub(crate) fn pop(&mut self) -> Option<Batch> {
        self.batches.pop()
    }

    /// Drops all batches.
    pub(crate) fn clear(&mut self) {
        self.batches = Vec::new();
    }

    /// The bytes of all batches.
    pub(crate) fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes.len()).sum()
    }
}

//! The Merkle tree over a lake's records in lake order: leaves and nodes are hashed with different
//! prefixes, and a tree of n leaves splits at the largest power of two below n (RFC 6962's shape).

use std::fmt;

use crate::chain::sha256;

const LEAF_PREFIX: &[u8] = &[0];
const NODE_PREFIX: &[u8] = &[1];

/// The most hashes that a proof or a frontier can have: one for each bit of the size.
pub const PROOF_HASHES_MAX: usize = 64;

/// The hash of a leaf, a node or a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why a proof proves nothing, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// The place asked for is not in the tree.
    #[error("the tree has {size} records; there is no proof for {asked}")]
    OutOfRange {
        /// The tree's size.
        size: u64,
        /// What was asked for.
        asked: u64,
    },
    /// The proof has the wrong number of hashes.
    #[error("the proof has the wrong number of hashes; it is not one for these sizes")]
    Length,
    /// The proof leads to another root.
    #[error("the proof leads to another root; the record or the proof was altered")]
    Root,
    /// A stored frontier that no tree has.
    #[error("the stored tree state is damaged; rebuild it from the records")]
    Frontier,
}

/// The leaf of one record's canonical bytes.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    Hash(sha256(&[LEAF_PREFIX, bytes]))
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash(sha256(&[NODE_PREFIX, &left.0, &right.0]))
}

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(sha256(&[]))
}

/// The largest power of two below `size`; `size` must be at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - size.saturating_sub(1).max(1).leading_zeros())
}

/// The root over `leaves`.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

fn split_leaves(leaves: &[Hash]) -> (&[Hash], &[Hash]) {
    let middle = usize::try_from(split(leaves.len() as u64)).unwrap_or(usize::MAX);
    leaves.split_at_checked(middle).unwrap_or((leaves, &[]))
}

/// The hashes that lead from leaf `index` to the root over `leaves`.
pub fn inclusion_proof(leaves: &[Hash], index: u64) -> Result<Vec<Hash>, MerkleError> {
    let size = leaves.len() as u64;
    if index >= size {
        return Err(MerkleError::OutOfRange { size, asked: index });
    }
    let (mut leaves, mut index) = (leaves, index);
    let mut proof = Vec::new();
    while leaves.len() > 1 {
        let (left, right) = split_leaves(leaves);
        let middle = left.len() as u64;
        if index < middle {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            leaves = right;
            index -= middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that `leaf` is number `index` of the `size` leaves under `root`.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: Hash,
) -> Result<(), MerkleError> {
    if index >= size {
        return Err(MerkleError::OutOfRange { size, asked: index });
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    let mut proof = proof.iter();
    while last > 0 {
        // A right child, or the last node of a level with a sibling to its left, joins from the right.
        if at & 1 == 1 || at < last {
            let sibling = *proof.next().ok_or(MerkleError::Length)?;
            hash = if at & 1 == 1 { node(sibling, hash) } else { node(hash, sibling) };
        }
        at >>= 1;
        last >>= 1;
    }
    if proof.next().is_some() {
        return Err(MerkleError::Length);
    }
    if hash == root { Ok(()) } else { Err(MerkleError::Root) }
}

/// The hashes that show that the tree over `leaves` begins with its first `old` leaves.
pub fn consistency_proof(leaves: &[Hash], old: u64) -> Result<Vec<Hash>, MerkleError> {
    let size = leaves.len() as u64;
    if old > size {
        return Err(MerkleError::OutOfRange { size, asked: old });
    }
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let (mut leaves, mut old) = (leaves, old);
    let mut proof = Vec::new();
    let mut whole = true;
    while old < leaves.len() as u64 {
        let (left, right) = split_leaves(leaves);
        let middle = left.len() as u64;
        if old <= middle {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            leaves = right;
            old -= middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(root(leaves));
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the tree of `new_size` under `new_root` begins with the tree of `old_size` under `old_root`.
pub fn verify_consistency(
    old_size: u64,
    old_root: Hash,
    new_size: u64,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), MerkleError> {
    if old_size > new_size {
        return Err(MerkleError::OutOfRange { size: new_size, asked: old_size });
    }
    if old_size == 0 || old_size == new_size {
        if !proof.is_empty() {
            return Err(MerkleError::Length);
        }
        let expected = if old_size == 0 { empty_root() } else { new_root };
        return if old_root == expected { Ok(()) } else { Err(MerkleError::Root) };
    }
    let mut hashes = proof.iter().copied();
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // Where the old tree is one whole subtree of the new one, its root is where the proof starts.
    let start = if at == 0 { old_root } else { hashes.next().ok_or(MerkleError::Length)? };
    let (mut old, mut new) = (start, start);
    while last > 0 {
        if at & 1 == 1 {
            let sibling = hashes.next().ok_or(MerkleError::Length)?;
            old = node(sibling, old);
            new = node(sibling, new);
        } else if at < last {
            new = node(new, hashes.next().ok_or(MerkleError::Length)?);
        }
        at >>= 1;
        last >>= 1;
    }
    if hashes.next().is_some() {
        return Err(MerkleError::Length);
    }
    if old == old_root && new == new_root { Ok(()) } else { Err(MerkleError::Root) }
}

/// A tree that only grows, kept as the roots of its whole subtrees, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf at the end.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one-bit of the size is a whole subtree as large as what we carry.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node(left, hash);
            }
        }
        self.subtrees.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.subtrees
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node(left, right))
            .unwrap_or_else(empty_root)
    }

    /// The state as bytes: the size, then each subtree's root.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.size.to_be_bytes().to_vec();
        self.subtrees.iter().for_each(|hash| out.extend_from_slice(&hash.0));
        out
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MerkleError> {
        let (size, hashes) = bytes.split_first_chunk().ok_or(MerkleError::Frontier)?;
        let size = u64::from_be_bytes(*size);
        let (chunks, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() || chunks.len() != size.count_ones() as usize {
            return Err(MerkleError::Frontier);
        }
        Ok(Self { size, subtrees: chunks.iter().copied().map(Hash).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// The definition, written as the definition: the oracle for the frontier.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let middle = usize::try_from(split(many.len() as u64)).expect("small");
                node(root_by_definition(&many[..middle]), root_by_definition(&many[middle..]))
            }
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_definition_and_survives_storage() {
        for count in 0..70 {
            let leaves = leaves(count);
            let mut frontier = Frontier::default();
            for leaf in &leaves {
                frontier.push(*leaf);
                frontier = Frontier::from_bytes(&frontier.to_bytes()).expect("stored");
            }
            assert_eq!(frontier.root(), root_by_definition(&leaves), "{count} leaves");
        }
    }

    #[test]
    fn known_roots_of_the_certificate_transparency_tree() {
        // The empty tree and the tree of one empty leaf, as published for RFC 6962 trees.
        assert_eq!(
            empty_root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            leaf(b"").to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn inclusion_holds_for_each_leaf_and_for_no_other() {
        for count in 1..40 {
            let leaves = leaves(count);
            let top = root(&leaves);
            for index in 0..count {
                let proof = inclusion_proof(&leaves, index).expect("proof");
                let this = leaves[usize::try_from(index).expect("small")];
                verify_inclusion(this, index, count, &proof, top).expect("included");
                assert!(verify_inclusion(leaf(b"other"), index, count, &proof, top).is_err());
                if count > 1 {
                    let other = (index + 1) % count;
                    assert!(verify_inclusion(this, other, count, &proof, top).is_err());
                    assert!(verify_inclusion(this, index, count, &proof[1..], top).is_err());
                }
            }
        }
    }

    #[test]
    fn consistency_holds_for_each_prefix_and_for_no_other_history() {
        for count in 1..40 {
            let new = leaves(count);
            for old in 0..=count {
                let prefix = &new[..usize::try_from(old).expect("small")];
                let proof = consistency_proof(&new, old).expect("proof");
                verify_consistency(old, root(prefix), count, root(&new), &proof).expect("prefix");
                if old > 0 {
                    let mut edited = prefix.to_vec();
                    edited[0] = leaf(b"edited");
                    let wrong = verify_consistency(old, root(&edited), count, root(&new), &proof);
                    assert!(wrong.is_err(), "{old} of {count}");
                }
            }
        }
    }

    #[test]
    fn a_damaged_frontier_is_refused() {
        let mut frontier = Frontier::default();
        leaves(5).into_iter().for_each(|leaf| frontier.push(leaf));
        let bytes = frontier.to_bytes();
        assert_eq!(Frontier::from_bytes(&bytes[..bytes.len() - 1]), Err(MerkleError::Frontier));
        assert_eq!(Frontier::from_bytes(&bytes[..40]), Err(MerkleError::Frontier));
    }
}

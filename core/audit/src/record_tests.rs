//! Canonical bytes: exact in both directions, and every byte counts.

use proptest::prelude::*;
use writ_model::Timestamp;

use crate::chain::{ChainState, FramedRef};
use crate::codec::{DecodeError, Reader, put_number};
use crate::fixtures::{intent, record, session_profile, statement_profile};
use crate::intent::{
    BindValueRef, BindValuesRef, EncodedSession, EncodedStatement, Header, IntentRef, OutcomeRef,
    encode_intent, encode_outcome,
};
use crate::merkle;
use crate::record::*;

proptest! {
    #[test]
    fn decode_inverts_encode(record in record()) {
        let bytes = record.to_bytes();
        prop_assert_eq!(Record::decode(&bytes), Ok(record));
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_another_value_and_changes_hash_and_leaf(
        record in record(), place in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        let bytes = record.to_bytes();
        let mut flipped = bytes.clone();
        let index = place.index(bytes.len());
        flipped[index] ^= 1 << bit;
        if let Ok(other) = Record::decode(&flipped) {
            prop_assert_ne!(&other, &record);
            prop_assert_eq!(other.to_bytes(), flipped.clone(), "exact: accepted bytes encode to themselves");
        }
        let mut chain = ChainState::default();
        let (seq, hash) = chain.append(&bytes);
        let altered = FramedRef { seq, bytes: &flipped, chain: hash };
        prop_assert!(ChainState::default().accept(altered).is_err());
        prop_assert_ne!(merkle::leaf(&flipped), merkle::leaf(&bytes));
    }

    #[test]
    fn cut_and_extended_records_are_errors(record in record(), place in any::<prop::sample::Index>()) {
        let mut bytes = record.to_bytes();
        prop_assert!(Record::decode(&bytes[..place.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert_eq!(Record::decode(&bytes), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn arbitrary_bytes_never_decode_to_something_with_other_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut framed = vec![RECORD_VERSION];
        framed.extend(bytes);
        if let Ok(record) = Record::decode(&framed) {
            prop_assert_eq!(record.to_bytes(), framed);
        }
    }

    #[test]
    fn numbers_have_one_form(value in any::<u64>()) {
        let mut bytes = Vec::new();
        put_number(value, &mut bytes);
        prop_assert_eq!(Reader::new(&bytes).number(), Ok(value));
        if let Some(last) = bytes.last_mut() {
            *last |= 0x80;
        }
        bytes.push(0);
        prop_assert_eq!(Reader::new(&bytes).number(), Err(DecodeError::Number));
    }
}

#[test]
fn unknown_versions_kinds_and_flags_are_refused() {
    let body = Body::Intent(intent(TextValue::Redacted, BindValues::None));
    let record = Record { source: "e".into(), seq: 1, at: Timestamp(2), body };
    let bytes = record.to_bytes();
    let mut version = bytes.clone();
    version[0] = 2;
    assert_eq!(Record::decode(&version), Err(DecodeError::Version(2)));
    let mut kind = bytes;
    kind[1] = 99;
    assert_eq!(Record::decode(&kind), Err(DecodeError::Tag { what: "record kind", tag: 99 }));
    assert!(matches!(Record::decode(&[]), Err(DecodeError::Truncated(_))));
}

#[test]
fn the_hot_path_writes_the_same_bytes() {
    let text = TextValue::Clear("SELECT ssn FROM customers WHERE id = $1".into());
    let values = vec![BindValue::Text("7".into()), BindValue::Null, BindValue::Binary(vec![0, 1])];
    let mut encoded = Vec::new();
    for value in [BindValueRef::Text("7"), BindValueRef::Null, BindValueRef::Binary(&[0, 1])] {
        value.put(&mut encoded);
    }
    let cases = [
        (BindValues::None, BindValuesRef::None),
        (BindValues::Clear(values), BindValuesRef::Clear(3, &encoded)),
        (BindValues::Redacted(3), BindValuesRef::Redacted(3)),
        (BindValues::Sealed(vec![9]), BindValuesRef::Sealed(&[9])),
    ];
    let session = EncodedSession::from(&session_profile());
    let profile = EncodedStatement::from(&statement_profile(text.clone()));
    let header = Header { source: "edge-1", seq: 9, at: Timestamp(5) };
    let mut out = Vec::new();
    for (binds, borrowed) in cases {
        let intent = intent(text.clone(), binds);
        let fast = IntentRef {
            statement: "st-1",
            session: &session,
            profile: &profile,
            protocol: intent.protocol,
            effect: intent.effect,
            decided: "allow",
            epoch: intent.profile.epoch,
            text: b"",
            approval: intent.approval.as_ref(),
            binds: borrowed,
        };
        out.clear();
        encode_intent(header, &fast, &mut out);
        let body = Body::Intent(intent.clone());
        let slow = Record { source: "edge-1".into(), seq: 9, at: Timestamp(5), body };
        assert_eq!(out, slow.to_bytes());
    }
    let outcome = OutcomeRef {
        statement: "st-1",
        sqlstate: Some("42501"),
        rows: 1,
        bytes_out: 300,
        duration_us: 70_000,
        cancelled: false,
        command_tag: "SELECT 1",
    };
    out.clear();
    encode_outcome(header, &outcome, &mut out);
    let Ok(Record { body: Body::Outcome(decoded), .. }) = Record::decode(&out) else {
        panic!("not an outcome");
    };
    assert_eq!(decoded.sqlstate.as_deref(), Some("42501"));
    assert_eq!((decoded.rows, decoded.bytes_out, decoded.duration_us), (1, 300, 70_000));
    assert_eq!(decoded.command_tag, "SELECT 1");
}

#[test]
fn the_bytes_of_version_1_stay_as_they_are() {
    let text = TextValue::Clear("SELECT 1".into());
    let body = Body::Intent(intent(text, BindValues::Redacted(2)));
    let record = Record { source: "edge-1".into(), seq: 300, at: Timestamp(-1), body };
    let digest = merkle::leaf(&record.to_bytes()).to_string();
    expect_test::expect!["9d3c4c916f1425f27ddf3b5f601e39d95d7c489167d3287448039134f7756bcf"]
        .assert_eq(&digest);
}

//! What comes before a session: start-up packets, however they are cut, and proofs of a password.

use writ_edge_core::scram::{AwaitsFirst, Link, NONCE_BYTES, SCRAM, SCRAM_PLUS, Verifier};
use writ_edge_core::startup::{CANCEL_KEY_BYTES, Next, Preamble, STARTUP_BYTES_MAX, Version};
use writ_model::Secret;

use super::choices::Choices;

/// Codes of packets that mean something, and some that do not.
const CODES: [u32; 9] = [
    80_877_103, // TLS
    80_877_104, // GSS encryption
    80_877_102, // cancel
    0x0003_0000,
    0x0003_0002,
    0x0003_0063,
    0x0002_0000,
    0x0004_0000,
    80_877_105,
];
/// The length and the code in front of a packet, in bytes.
const HEAD_BYTES: usize = 8;
/// One TLS and one GSS encryption may be asked for; the next answer is the last.
const ANSWERS_MAX: usize = 3;

pub fn startup(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.below(4) {
        0 => proofs(&mut choices),
        1 => preamble(choices.flag(), 1 + choices.below(7), choices.rest()),
        _ => {
            let (direct, piece) = (choices.flag(), 1 + choices.below(7));
            let mut bytes = Vec::new();
            while !choices.is_empty() {
                bytes.extend(packet(&mut choices));
            }
            preamble(direct, piece, &bytes);
        }
    }
}

fn packet(choices: &mut Choices<'_>) -> Vec<u8> {
    let code = choices.one_of(&CODES);
    let mut body = choices.bytes(0).to_vec();
    for _ in 0..choices.below(4) {
        let words: [&[u8]; 8] = [
            b"user\0",
            b"dana\0",
            b"database\0",
            b"_pq_.x\0",
            b"\0",
            b"\0\0\0\x07",
            b"\xff",
            b"replication\0",
        ];
        body.extend_from_slice(choices.one_of(&words));
    }
    let more = choices.below(4);
    body.extend_from_slice(choices.bytes(more));
    // Most say how long they are.
    let lie = [0, 0, 0, 0, 1, usize::MAX, STARTUP_BYTES_MAX, 1 << 31][choices.below(8)];
    let length = u32::try_from((HEAD_BYTES + body.len()).wrapping_add(lie) & 0xffff_ffff);
    [&length.expect("32 bits").to_be_bytes()[..], &code.to_be_bytes(), &body].concat()
}

/// What one beginning is answered, up to the end of it or of the bytes.
fn preamble(direct: bool, piece: usize, bytes: &[u8]) {
    let whole = answers(direct, bytes.len().max(1), bytes);
    assert_eq!(whole, answers(direct, piece, bytes), "in pieces of {piece}");
    assert!(whole.len() <= ANSWERS_MAX, "no end of it: {whole:?}");
    let tls = whole.iter().filter(|next| **next == Next::StartTls).count();
    assert!(tls <= usize::from(!direct), "TLS in TLS: {whole:?}");
}

fn answers(direct: bool, piece: usize, bytes: &[u8]) -> Vec<Next> {
    let (mut preamble, mut answers) = (Preamble::new(direct), Vec::new());
    let (mut from, mut to) = (0, 0);
    loop {
        let packet = &bytes[from..to];
        match preamble.next(packet) {
            Next::Read(count) => {
                assert!(count > 0 && packet.len() + count <= STARTUP_BYTES_MAX + HEAD_BYTES);
                let come = count.min(piece).min(bytes.len() - to);
                if come == 0 {
                    return answers;
                }
                to += come;
            }
            next @ (Next::StartTls | Next::Decline) => {
                answers.push(next);
                assert!(answers.len() <= ANSWERS_MAX, "no end of it: {answers:?}");
                from = to;
            }
            last => {
                ends(packet, &last);
                answers.push(last);
                return answers;
            }
        }
    }
}

/// What the last packet is read as is all that is in it.
fn ends(packet: &[u8], next: &Next) {
    let body = packet.get(HEAD_BYTES..).unwrap_or_default();
    match next {
        Next::Session(startup) => {
            assert_eq!(startup.version().major, Version::NEWEST.major);
            assert!(startup.get("user").is_some_and(|user| !user.is_empty()));
            if startup.unknown_options.is_empty() {
                let parameters = startup.parameters.iter();
                let read: String = parameters.map(|(n, v)| format!("{n}\0{v}\0")).collect();
                assert_eq!([read.as_bytes(), b"\0"].concat(), body);
            } else {
                assert!(startup.negotiation().is_some(), "what is not known is said");
            }
        }
        Next::Cancel(cancel) => {
            assert!(CANCEL_KEY_BYTES.contains(&cancel.key.expose().len()));
            assert_eq!([&cancel.process_id.to_be_bytes(), &cancel.key.expose()[..]].concat(), body);
        }
        Next::Refuse(_) | Next::Close(_) => {}
        Next::Read(_) | Next::StartTls | Next::Decline => unreachable!("not an end"),
    }
}

/// Whatever is said, who does not know the password proves nothing.
fn proofs(choices: &mut Choices<'_>) {
    let link = if choices.flag() { Link::EndPoint(vec![7; 32]) } else { Link::Unbound };
    let mechanism = choices.one_of(&[SCRAM, SCRAM_PLUS, "OAUTHBEARER"]);
    let awaits =
        AwaitsFirst::new(Verifier::mock(&Secret::new([1; 32]), "dana"), link, &[2; NONCE_BYTES]);
    let header =
        choices.one_of(&["n,,", "y,,", "p=tls-server-end-point,,", "p=tls-unique,,", "n,a=x,", ""]);
    let start = choices.one_of(&["n=,r=", "n=dana,r=", "m=1,n=,r=", ""]);
    let length = choices.below(16);
    let first = [header.as_bytes(), start.as_bytes(), choices.bytes(length)].concat();
    let Ok((awaits, challenge)) = awaits.first(mechanism, &first) else { return };
    let nonce = challenge.split(',').next().expect("a nonce");
    assert!(nonce.starts_with("r=") && nonce.len() > NONCE_BYTES, "{challenge}");
    let binding = choices.one_of(&["c=biws", "c=eSws", "c=", ""]);
    let proof = [",p=", ",x=1,p=", ""][choices.below(3)];
    let rest = choices.rest();
    let last = [binding.as_bytes(), b",", nonce.as_bytes(), proof.as_bytes(), rest].concat();
    assert!(awaits.last("dana", &last).is_err(), "proven by {}", last.escape_ascii());
}

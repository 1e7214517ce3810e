//! Who is locked out by failures, and above all who is not.

use proptest::prelude::*;

use super::*;

const HERE: &str = "203.0.113.7";
const THERE: &str = "198.51.100.1";

struct World {
    attempts: Attempts,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self { attempts: Attempts::new([1, 2, 3, 4]), now: Timestamp(1_000_000_000) }
    }

    fn verdict(&self, name: &str, address: &str) -> Verdict {
        self.attempts.verdict(name, address.parse().expect("an address"), self.now)
    }

    fn fail(&mut self, times: u32, name: &str, address: &str) {
        for _ in 0..times {
            let address = address.parse().expect("an address");
            self.attempts.failed(Failure::Password, name, address, self.now);
        }
    }

    fn succeed(&mut self, name: &str, address: &str) {
        self.attempts.succeeded(name, address.parse().expect("an address"), self.now);
    }

    fn later(&mut self, by: DurationMs) {
        self.now = self.now.plus(by);
    }
}

#[test]
fn a_name_is_not_heard_from_where_it_failed_until_the_window_ends() {
    let mut world = World::new();
    world.fail(FAILURES_OF_NAME_MAX - 1, "service:batch", HERE);
    assert_eq!(world.verdict("service:batch", HERE), Verdict::Go, "control");
    world.fail(1, "service:batch", HERE);
    assert_eq!(world.verdict("service:batch", HERE), Verdict::Refuse(WINDOW));
    assert_eq!(world.verdict("service:batch", THERE), Verdict::Go, "from elsewhere");
    assert_eq!(world.verdict("service:other", HERE), Verdict::Go, "another name");
    world.later(DurationMs(WINDOW.0 - 1));
    assert_eq!(world.verdict("service:batch", HERE), Verdict::Refuse(DurationMs(1)));
    world.later(DurationMs(1));
    assert_eq!(world.verdict("service:batch", HERE), Verdict::Go);
}

#[test]
fn who_logged_in_from_a_network_is_not_locked_out_by_others() {
    let mut world = World::new();
    world.succeed("service:batch", HERE);
    world.succeed("service:batch", THERE);
    // Under other names from the same network, and under the same name from everywhere else.
    for n in 0..FAILURES_OF_NETWORK_MAX {
        world.fail(1, &format!("service:guess{n}"), HERE);
    }
    for n in 0..=FAILURES_EVERYWHERE_MAX {
        world.fail(1, "service:batch", &format!("192.0.2.{n}"));
    }
    assert_eq!(world.verdict("service:batch", HERE), Verdict::Go);
    assert_eq!(world.verdict("service:batch", THERE), Verdict::Go);
    // Controls: whoever never did is.
    assert_eq!(world.verdict("service:another", HERE), Verdict::Refuse(WINDOW));
    assert_eq!(world.verdict("service:batch", "192.0.2.200"), Verdict::Wait(WAIT));
    assert_eq!(world.verdict("service:another", THERE), Verdict::Go);
    // It is remembered for a day.
    world.later(KNOWN_FOR);
    for n in 0..FAILURES_OF_NETWORK_MAX {
        world.fail(1, &format!("service:guess{n}"), HERE);
    }
    assert_eq!(world.verdict("service:batch", HERE), Verdict::Refuse(WINDOW));
}

#[test]
fn tokens_that_nobody_signed_take_no_name_away() {
    let mut world = World::new();
    let address: IpAddr = HERE.parse().expect("an address");
    world.succeed("ada", HERE);
    for _ in 0..FAILURES_OF_NETWORK_MAX {
        assert_eq!(world.verdict("dana", HERE), Verdict::Go);
        world.attempts.failed(Failure::Token, "dana", address, world.now);
    }
    assert_eq!(world.verdict("dana", HERE), Verdict::Refuse(WINDOW), "the network's own limit");
    assert_eq!(world.verdict("ada", HERE), Verdict::Go);
    assert_eq!(world.verdict("dana", THERE), Verdict::Go);
}

#[test]
fn a_good_try_ends_the_count_of_its_own_name() {
    let mut world = World::new();
    for _ in 0..10 {
        world.fail(FAILURES_OF_NAME_MAX - 1, "service:batch", HERE);
        world.succeed("service:batch", HERE);
    }
    assert_eq!(world.verdict("service:batch", HERE), Verdict::Go);
}

#[test]
fn addresses_of_one_network_count_together() {
    let mut world = World::new();
    for n in 0..FAILURES_OF_NAME_MAX {
        world.fail(1, "service:batch", &format!("2001:db8:1:2::{n:x}"));
    }
    assert_eq!(world.verdict("service:batch", "2001:db8:1:2:ffff::1"), Verdict::Refuse(WINDOW));
    assert_eq!(world.verdict("service:batch", "2001:db8:1:3::1"), Verdict::Go, "control");
    world.fail(FAILURES_OF_NAME_MAX, "service:batch", HERE);
    let mapped = format!("::ffff:{HERE}");
    assert_eq!(world.verdict("service:batch", &mapped), Verdict::Refuse(WINDOW), "the same");
}

#[test]
fn what_is_kept_is_bounded() {
    let mut world = World::new();
    world.fail(FAILURES_OF_NAME_MAX, "service:first", HERE);
    for n in 0..u32::try_from(COUNTS_MAX).expect("small") {
        world.fail(1, &format!("service:x{n}"), &std::net::Ipv4Addr::from(n).to_string());
    }
    assert_eq!(world.attempts.len(), COUNTS_MAX);
    assert_eq!(world.verdict("service:first", HERE), Verdict::Go, "the oldest were forgotten");
    world.later(WINDOW);
    world.fail(1, "service:last", HERE);
    assert_eq!(world.attempts.len(), 3, "what has ended is forgotten: a name, a network, both");
}

proptest! {
    /// Against a list of all that happened: nobody is refused for less than is said, and nobody is heard after more.
    #[test]
    fn nobody_is_heard_more_often_than_is_said(
        tries in prop::collection::vec((0..3_u8, 0..3_u8, 0..20_000_u64), 1..200)
    ) {
        let mut world = World::new();
        let mut heard: Vec<(u8, u8, Timestamp)> = Vec::new();
        for (name, address, pause) in tries {
            world.later(DurationMs(pause));
            let (who, from) = (format!("service:{name}"), format!("192.0.2.{address}"));
            let lately = heard.iter().filter(|(n, a, at)| {
                (*n, *a) == (name, address) && world.now.since(*at) < WINDOW
            });
            let lately = lately.count();
            match world.verdict(&who, &from) {
                Verdict::Refuse(_) => prop_assert!(lately > 0, "refused for nothing"),
                _ => {
                    // A window begins with its first failure: two of them meet in any other span.
                    prop_assert!(lately < 2 * FAILURES_OF_NAME_MAX as usize);
                    world.fail(1, &who, &from);
                    heard.push((name, address, world.now));
                }
            }
        }
    }
}

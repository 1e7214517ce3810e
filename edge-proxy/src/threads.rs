//! A number for each thread: what sessions of different threads write at every statement is kept apart by it, so that no
//! core waits for what another one wrote.

use std::sync::atomic::{AtomicUsize, Ordering};

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
}

/// The number of the thread that asks; small, and no other thread's.
pub(crate) fn number() -> usize {
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn each_thread_has_a_number_of_its_own_and_keeps_it() {
        let here = number();
        let other = thread::spawn(|| (number(), number())).join().expect("no panic");
        assert_eq!(number(), here);
        assert_eq!(other.0, other.1);
        assert_ne!(other.0, here);
    }
}

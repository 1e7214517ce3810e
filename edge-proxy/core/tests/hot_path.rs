//! What a statement that was decided before costs in allocations: counted, so that one more is seen when it comes.

mod gates;
mod hot;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hot::{Hot, MODES, Mode};

/// Counts allocations of the thread that makes them.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends allocates behind its own storage.
    let _ended = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[allow(unsafe_code)]
// SAFETY: everything is left to the system's allocator, with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds what `GlobalAlloc` asks.
        unsafe { System.alloc(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, bytes) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Transactions before it is counted: caches are warm then, and buffers as large as they become.
const WARM: usize = 200;
/// Transactions that are counted.
const COUNTED: usize = 1_000;

fn allocations(mode: Mode, pooled: bool) -> f64 {
    let mut hot = Hot::new(mode, pooled);
    for _ in 0..WARM {
        hot.transaction();
    }
    let before = COUNT.get();
    for _ in 0..COUNTED {
        hot.transaction();
    }
    (COUNT.get() - before) as f64 / COUNTED as f64
}

/// Allocations of one transaction: the server's command tag, a portal and its values, a text that was not seen before; and
/// one more where the session shares its connection.
fn stated(mode: Mode) -> f64 {
    match mode {
        Mode::Simple => 1.0,
        Mode::Prepared => 2.0,
        Mode::Extended => 4.0,
        Mode::Varied => 5.0,
    }
}

#[test]
fn a_statement_that_is_known_allocates_as_often_as_stated() {
    for mode in MODES {
        for pooled in [false, true] {
            let found = allocations(mode, pooled);
            println!("{mode:?}, pooled {pooled}: {found} allocations a transaction");
            let limit = stated(mode) + if pooled { 1.0 } else { 0.0 };
            // A cache or a buffer may grow once.
            assert!(found < limit + 0.1, "{mode:?}, pooled {pooled}: {found}, stated {limit}");
        }
    }
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(COUNT.get() - before, 1);
}

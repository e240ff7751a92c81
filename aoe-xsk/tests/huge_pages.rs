//! Regions on huge pages that are made for them, by a real kernel.

use std::fs;
use std::sync::Barrier;

use aoe_xsk::{HugePages, PageKind, Region};

const HUGE_PAGE: usize = 2 << 20;

/// What the kernel's pool has, in pages: all, and those by which it is larger than it is set to.
fn pool() -> (u64, u64) {
    let number = |name: &str| -> u64 {
        let path = format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{name}");
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    };
    (number("nr_hugepages"), number("surplus_hugepages"))
}

/// How many pages the pool is set to.
fn size() -> u64 {
    let (total, surplus) = pool();
    total - surplus
}

fn reserve(pages: usize) -> Region {
    let region = Region::map(pages * HUGE_PAGE, HugePages::Reserve).unwrap();
    assert_eq!(region.pages().kind, PageKind::Huge, "{}", region.pages());
    region
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn huge_pages_are_made_and_nothing_is_left_of_them() {
    let before = pool();
    // Regions come and go while others stay, and several threads map at once.
    let first = reserve(8);
    let barrier = Barrier::new(3);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                barrier.wait();
                let regions: Vec<Region> = (1..5).map(reserve).collect();
                drop(regions);
            });
        }
    });
    let last = reserve(3);
    assert_eq!(size(), before.0 - before.1, "the pool was not put back");
    assert!(pool().0 >= 11, "they are no pages of the pool");
    drop(first);
    assert_eq!(size(), before.0 - before.1);
    drop(last);
    assert_eq!(pool(), before, "pages were left behind");
}

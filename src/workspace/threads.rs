//! Work on many job files at once: a thousand of them take a fifth of a second one after another.

use std::num::NonZero;
use std::panic;
use std::thread;

/// More threads than these gain nothing: the rest of a command is done by one.
const THREADS_MAX: usize = 8;

/// So many files at least are worth a thread.
const ITEMS_MIN: usize = 32;

/// As much as the first thread of a process has: how deep a file may be nested is measured by it.
const STACK_BYTES: usize = 8 << 20;

/// Does the same with each item and returns what came of it, in their order.
pub(super) fn side_by_side<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    side_by_side_in(cores.min(THREADS_MAX).min(items.len() / ITEMS_MIN), items, work)
}

fn side_by_side_in<I: Sync, T: Send>(threads: usize, items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let all = |part: &[I]| part.iter().map(&work).collect::<Vec<T>>();
    if threads.min(items.len()) < 2 {
        return all(items);
    }
    let all = &all;
    thread::scope(|scope| {
        let begun: Vec<_> = items
            .chunks(items.len().div_ceil(threads))
            .map(|part| {
                (part, thread::Builder::new().name("jobs".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, move || all(part)))
            })
            .collect();
        let done = begun.into_iter().map(|(part, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|reason| panic::resume_unwind(reason)),
            // The system has no more threads to give.
            Err(_) => all(part),
        });
        done.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_by_many_threads_comes_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1_001).collect();
        for threads in [0, 1, 2, 3, 8, 2_000] {
            assert_eq!(side_by_side_in(threads, &items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert_eq!(side_by_side_in(4, &Vec::<usize>::new(), |item| *item), Vec::<usize>::new());
    }
}

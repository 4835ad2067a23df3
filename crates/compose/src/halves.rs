//! Work on many things that know nothing of each other is shared with one more thread.

/// Fewer are done sooner than a thread is begun.
pub(crate) const MANY: usize = 64;

/// What `each` makes of all items, in their order.
pub(crate) fn halves<T: Send, R: Send>(mut items: Vec<T>, each: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < MANY {
        return items.into_iter().map(each).collect();
    }
    let far = items.split_off(items.len() / 2);
    std::thread::scope(|scope| {
        let far = scope.spawn(|| far.into_iter().map(&each).collect::<Vec<R>>());
        let mut made: Vec<R> = items.into_iter().map(&each).collect();
        match far.join() {
            Ok(far) => made.extend(far),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays() {
        for count in [0, 1, MANY - 1, MANY, 1001] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(halves(items, |item| item * 2), doubled);
        }
    }
}

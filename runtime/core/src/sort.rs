//! Heap sort. The standard library's sorts may panic when the order is inconsistent, which a target that writes
//! over strings while they are compared can bring about; this one then leaves some order.

/// Sorts in place by `less`. Not stable: what is equal needs a tie-break in `less`.
pub(crate) fn heap_sort<T: Copy>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let len = items.len();
    for start in (0..len / 2).rev() {
        sift_down(items, start, &less);
    }
    for end in (1..len).rev() {
        swap(items, 0, end);
        if let Some(heap) = items.get_mut(..end) {
            sift_down(heap, 0, &less);
        }
    }
}

fn sift_down<T: Copy>(heap: &mut [T], start: usize, less: &impl Fn(&T, &T) -> bool) {
    let mut parent = start;
    loop {
        let left = parent.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let Some(mut largest) = heap.get(left) else { return };
        let mut child = left;
        if let Some(other) = heap.get(right)
            && less(largest, other)
        {
            (largest, child) = (other, right);
        }
        match heap.get(parent) {
            Some(item) if less(item, largest) => {}
            _ => return,
        }
        swap(heap, parent, child);
        parent = child;
    }
}

fn swap<T: Copy>(items: &mut [T], a: usize, b: usize) {
    let (Some(&left), Some(&right)) = (items.get(a), items.get(b)) else { return };
    if let Some(place) = items.get_mut(a) {
        *place = right;
    }
    if let Some(place) = items.get_mut(b) {
        *place = left;
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(items: Vec<u16>) {
            let mut ours = items.clone();
            heap_sort(&mut ours, |a, b| a < b);
            let mut theirs = items;
            theirs.sort();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn an_inconsistent_order_is_survived() {
        let mut items: Vec<u32> = (0..100).collect();
        let calls = core::cell::Cell::new(0u32);
        heap_sort(&mut items, |_, _| {
            calls.set(calls.get() + 1);
            calls.get().is_multiple_of(3)
        });
        items.sort();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}

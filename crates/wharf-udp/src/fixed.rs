//! An array whose elements never move, so that the kernel may be handed pointers into it.

use std::ptr::NonNull;

/// A heap array of constant length, reached through one raw pointer only.
///
/// A `Vec` would do for the address, but borrowing it mutably ends the validity of the pointers that
/// message headers keep into it; pointers taken from here stay valid until the array is dropped.
pub(crate) struct Fixed<T: Copy> {
    start: NonNull<T>,
    length: usize,
}

impl<T: Copy> Fixed<T> {
    pub(crate) fn new(length: usize, value: T) -> Fixed<T> {
        let elements: Box<[T]> = vec![value; length].into_boxed_slice();
        let start = NonNull::from(Box::leak(elements)).cast();
        Fixed { start, length }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// A pointer to one element.
    pub(crate) fn at(&self, index: usize) -> *mut T {
        assert!(index < self.length, "index {index} of {}", self.length);
        // SAFETY: the index was checked just now, so the result stays inside the allocation.
        unsafe { self.start.as_ptr().add(index) }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: `start` points to `length` initialised elements that this value owns. The kernel
        // writes to them only during calls that borrow the owner mutably.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and the exclusive borrow rules out every other reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T: Copy> Drop for Fixed<T> {
    fn drop(&mut self) {
        let elements = std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.length);
        // SAFETY: `new` leaked a box of exactly this slice and nothing else frees it.
        drop(unsafe { Box::from_raw(elements) });
    }
}

// SAFETY: the array is owned like a `Box<[T]>`; the pointer is not shared with another value.
unsafe impl<T: Copy + Send> Send for Fixed<T> {}

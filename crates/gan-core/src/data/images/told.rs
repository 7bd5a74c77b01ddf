//! What only the pixels of a set tell, counted while they are read.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What only pixels tell, over the pictures of a set.
#[derive(Default)]
pub(super) struct Told {
    /// How many white shows through.
    clear: AtomicUsize,
    /// How many of 16 bits have no value in the upper three quarters.
    dark: AtomicUsize,
    /// The largest value of those.
    brightest: AtomicUsize,
}

/// Pictures of 10, 12 or 14 bits in files of 16 have no larger value.
const DARK: u16 = u16::MAX >> 2;

impl Told {
    /// Counts a picture: whether white shows through it, and the largest value of one of 16 bits.
    pub fn of(&self, clear: bool, brightest: Option<u16>) {
        self.clear.fetch_add(usize::from(clear), Ordering::Relaxed);
        if let Some(value) = brightest.filter(|value| *value <= DARK) {
            self.dark.fetch_add(1, Ordering::Relaxed);
            self.brightest.fetch_max(value.into(), Ordering::Relaxed);
        }
    }

    /// What is to be said of so many pictures.
    pub fn notes(self, all: usize) -> Vec<String> {
        let [clear, dark, brightest] =
            [self.clear, self.dark, self.brightest].map(AtomicUsize::into_inner);
        let mut notes = Vec::new();
        if clear > 0 {
            notes.push(format!(
                "{clear} of {all} pictures have transparency and are drawn on white"
            ));
        }
        if dark > 0 {
            notes.push(format!(
                "{dark} of {all} pictures have 16 bits a channel and no value above {brightest} of 65535, so \
                 that they are dark or all but black; if they were taken with 10, 12 or 14 bits, scale them first"
            ));
        }
        notes
    }
}

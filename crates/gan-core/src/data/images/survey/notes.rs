//! What is said of the pictures of a set: what reading them changes, and what bringing them to size does.

use super::{Looks, Survey};
use crate::data::images::parts::some_of;
use crate::data::view::Kept;
use crate::data::{Fit, Part, Reading, Small};

impl Survey {
    /// What reading alone changes.
    pub(super) fn converted(&self) -> Vec<String> {
        let all = self.all().count();
        let colours = self.channels();
        let count = |is: &dyn Fn(&Looks) -> bool| self.all().filter(|(_, looks)| is(looks)).count();
        let said = [
            (
                count(&|looks| looks.turned),
                "are turned as their orientation tag says",
            ),
            (
                count(&|looks| looks.deep),
                "have more than 8 bits a channel and are rounded to 8",
            ),
            (
                count(&|looks| looks.channels < colours),
                "are grey and get three equal channels, as others have colours",
            ),
        ];
        let said = said.into_iter().filter(|(n, _)| *n > 0);
        let mut notes: Vec<String> = said
            .map(|(n, what)| format!("{n} of {all} pictures {what}"))
            .collect();
        let several = self.all().filter(|(_, looks)| looks.first);
        let several: Vec<&str> = several.map(|(item, _)| item.entry.name.as_str()).collect();
        if !several.is_empty() {
            notes.push(format!(
                "{} of {all} pictures are the first of several frames or pages, the others are left out: {}",
                several.len(),
                some_of(&several)
            ));
        }
        notes
    }

    /// What bringing pictures to size changes.
    pub(super) fn changed(
        &self,
        reading: &Reading<'_>,
        kept: &[Vec<(usize, Kept)>],
        small: &[Vec<bool>],
    ) -> Vec<String> {
        let all = self.leading().iter().flatten().count();
        let mut notes = Vec::new();
        let smalls = small.iter().flatten().filter(|small| **small).count();
        if smalls > 0 {
            let needs = reading.view.needs();
            notes.push(match reading.small {
                Small::Skip => format!(
                    "{smalls} of {all} pictures are left out: they, or their partners, are smaller than {needs} pixels"
                ),
                _ => format!("{smalls} of {all} pictures are smaller than {needs} pixels and are enlarged"),
            });
        }
        let sides = kept.iter().zip(self.leading());
        let held: Vec<(&Looks, &Kept)> = sides
            .flat_map(|(kept, side)| {
                kept.iter()
                    .filter_map(|(i, kept)| Some((&side.get(*i)?.1, kept)))
            })
            .collect();
        let count = |is: &dyn Fn(&Looks, &Kept) -> bool| {
            held.iter().filter(|(looks, kept)| is(looks, kept)).count()
        };
        let whole = |looks: &Looks| Part::whole((looks.height, looks.width));
        let cut = count(&|looks, kept| kept.part != whole(looks));
        let scaled = count(&|_, kept| (kept.part.height, kept.part.width) != kept.size);
        match reading.view.fit {
            Fit::Square { size, load } if size == load && cut > 0 => notes.push(format!(
                "{cut} of {all} pictures are cut to the square in their middle, {scaled} are brought to \
                 {size}x{size}"
            )),
            Fit::Square { size, load } if size == load && scaled > 0 => notes.push(format!(
                "{scaled} of {all} pictures are brought to {size}x{size}"
            )),
            Fit::Square { size, load } if size < load && scaled > 0 => notes.push(format!(
                "{scaled} of {all} pictures are brought to a shorter side of {load}, from which squares of \
                 {size} are cut at random"
            )),
            Fit::Multiple { of } if cut > 0 => notes.push(format!(
                "{cut} of {all} pictures are cut at the right or at the bottom, so that height and width are multiples \
                 of {of}"
            )),
            _ => {}
        }
        notes
    }
}

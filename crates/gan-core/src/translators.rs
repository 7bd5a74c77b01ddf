//! Two generators, each of which translates back what the other makes.

use crate::data::Side;
use crate::draws::Draws;
use crate::sampler::{Columns, Probe, Sampler, Takes};
use candle_core::{Result, bail};

/// Both generators of a paper that translates both ways: a picture of either side is translated and brought
/// back.
#[derive(Clone, Debug)]
pub struct Translators<G> {
    /// G: X → Y.
    pub g: G,
    /// F: Y → X.
    pub f: G,
}

impl<G: Sampler> Sampler for Translators<G> {
    fn takes(&self) -> Takes {
        let takes = self.g.takes();
        Takes {
            port: takes.port.map(|port| port.of(&[Side::A, Side::B])),
            ..takes
        }
    }

    /// Of one side the columns are `real`, `fake` and `cycled`; of both, those of X and then, for Y,
    /// `real_y`, `fake_x`, `cycled_y`.
    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        let (mut columns, mut names) = (Columns::default(), ["real", "fake", "cycled"]);
        let ways = [(&input.x, &self.g, &self.f), (&input.y, &self.f, &self.g)];
        for (given, there, back) in ways {
            let Some(given) = given else { continue };
            let mut made = |by: &G, pictures| -> Result<_> {
                let made = by.sample(&Probe::pictures(Side::A, pictures), draws)?;
                Ok(made.get("fake")?.clone())
            };
            let fake = made(there, given.clone())?;
            let cycled = made(back, fake.clone())?;
            let [real, first, again] = names;
            columns = columns
                .with(real, given.clone())
                .with(first, fake)
                .with(again, cycled);
            names = ["real_y", "fake_x", "cycled_y"];
        }
        match columns.is_empty() {
            true => bail!("these generators take pictures, they were given none"),
            false => Ok(columns),
        }
    }
}

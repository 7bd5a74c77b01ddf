//! A history of fakes (Shrivastava et al. 2017, section 2.3): a discriminator sees earlier ones, too.

use candle_core::{Device, Result, Tensor, bail};
use gan_core::{Draws, StateReader, StateWriter, Stateful};

/// Earlier pictures of a generator. What it holds is state, what it chooses are draws.
#[derive(Debug)]
pub struct Pool {
    name: &'static str,
    capacity: usize,
    device: Device,
    held: Vec<Tensor>,
}

impl Pool {
    /// An empty pool of `capacity` pictures; its draws have the roles `NAME.coin` and `NAME.slot`.
    pub fn new(name: &'static str, capacity: usize, device: &Device) -> Self {
        Self {
            name,
            capacity,
            device: device.clone(),
            held: Vec::new(),
        }
    }

    /// Pictures `[b, c, h, w]` for a discriminator, one for each of `fakes`, detached from the graph: while
    /// there is room the new one, which is kept; then, with even chances, the new one, which is not kept,
    /// or a held one, whose place the new one takes.
    pub fn query(&mut self, fakes: &Tensor, draws: &mut dyn Draws) -> Result<Tensor> {
        if self.capacity == 0 {
            return Ok(fakes.detach());
        }
        let (coin, slot) = (format!("{}.coin", self.name), format!("{}.slot", self.name));
        let mut given = Vec::new();
        for picture in fakes.detach().chunk(fakes.dim(0)?, 0)? {
            if self.held.len() < self.capacity {
                self.held.push(picture.copy()?);
                given.push(picture);
            } else if draws.choices(&coin, 1, 2)? == [0] {
                given.push(picture);
            } else {
                let slots = draws.choices(&slot, 1, self.capacity)?;
                let held = slots.first().and_then(|&slot| self.held.get_mut(slot));
                let Some(held) = held else {
                    bail!("{slot}: {slots:?} was drawn among {}", self.capacity)
                };
                // A copy: a part of a batch would keep all of it.
                given.push(std::mem::replace(held, picture.copy()?));
            }
        }
        Tensor::cat(&given, 0)
    }
}

impl Stateful for Pool {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        to.count("held", self.held.len() as u64)?;
        match self.held.is_empty() {
            true => Ok(()),
            false => to.tensor("pictures", &Tensor::cat(&self.held, 0)?),
        }
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        let held = from.count("held")? as usize;
        if held > self.capacity {
            bail!(
                "the saved {} holds {held} pictures, this one has room for {}",
                self.name,
                self.capacity
            )
        }
        self.held = match held {
            0 => Vec::new(),
            n => {
                let pictures = from.tensor("pictures")?.to_device(&self.device)?;
                if pictures.dims4()?.0 != n {
                    bail!(
                        "the saved {} is {:?}, expected {n} pictures",
                        self.name,
                        pictures.dims()
                    )
                }
                let parts = pictures.chunk(n, 0)?;
                parts.iter().map(Tensor::copy).collect::<Result<_>>()?
            }
        };
        Ok(())
    }
}

//! A source that hands out what was recorded.

use super::Tape;
use candle_core::{DType, Device, Tensor};
use gan_core::data::What;
use gan_core::{Ask, Draws, Source, StateReader, StateWriter, Stateful, View};
use std::cell::RefCell;
use std::rc::Rc;

/// Hands out a recording's draws in their order and refuses any other.
pub struct Recorded {
    draws: Vec<(String, Tensor)>,
    next: usize,
    device: Device,
    tape: Rc<RefCell<Tape>>,
}

impl Recorded {
    /// `draws` in their order, by `NNNN.ROLE`; what is taken is written on `tape`.
    pub fn new(draws: Vec<(String, Tensor)>, device: &Device, tape: Rc<RefCell<Tape>>) -> Self {
        Self {
            draws,
            next: 0,
            device: device.clone(),
            tape,
        }
    }

    fn take(&mut self, role: &str, dims: Option<&[usize]>) -> candle_core::Result<Tensor> {
        let Some((key, value)) = self.draws.get(self.next) else {
            candle_core::bail!(
                "draw {role} was asked for after the recording's {} draws",
                self.draws.len()
            )
        };
        let recorded = key.split_once('.').map_or("", |(_, role)| role);
        if recorded != role {
            candle_core::bail!(
                "draw {}: {role} was asked for, {recorded} was recorded",
                self.next
            )
        }
        // Perceptrons' recordings hold pictures as rows; the step flattens them anyway.
        let value = match dims {
            Some(dims) if value.elem_count() == dims.iter().product::<usize>() => {
                value.reshape(dims)?
            }
            Some(dims) => candle_core::bail!(
                "draw {} ({role}): {dims:?} was asked for, {:?} was recorded",
                self.next,
                value.dims()
            ),
            None => value.clone(),
        };
        self.tape.borrow_mut().events.push(format!("draw.{key}"));
        self.next += 1;
        value.to_device(&self.device)
    }

    fn pictures(&mut self, role: &str, b: usize) -> candle_core::Result<Tensor> {
        let value = self.take(role, None)?;
        if value.dim(0)? != b {
            candle_core::bail!(
                "{role}: a batch of {b} was asked for, {:?} was recorded",
                value.dims()
            )
        }
        match value.dims() {
            &[b, pixels] => value.reshape((b, 1, 1, pixels)),
            _ => Ok(value),
        }
    }
}

impl Draws for Recorded {
    fn normal(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.take(role, Some(shape))
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.take(role, Some(shape))
    }

    fn mask(&mut self, role: &str, _: f64, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.take(role, Some(shape))
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> candle_core::Result<Vec<usize>> {
        let values = self
            .take(role, Some(&[n]))?
            .to_dtype(DType::I64)?
            .to_vec1::<i64>()?;
        values
            .into_iter()
            .map(|value| match usize::try_from(value) {
                Ok(value) if value < below => Ok(value),
                _ => candle_core::bail!("{role}: {value} was recorded, expected 0 to {below}"),
            })
            .collect()
    }
}

impl Source for Recorded {
    fn begin(&mut self, t: u64) {
        self.tape.borrow_mut().events.push(format!("iteration.{t}"));
    }

    /// Recordings hold batches as they were, whatever was done to their pictures.
    fn batch(&mut self, b: usize, _: &View, asks: &[Ask<'_>]) -> candle_core::Result<Vec<Tensor>> {
        let tensors = asks.iter().map(|ask| match ask.what {
            What::Labels => self.take(ask.role, Some(&[b]))?.to_dtype(DType::U32),
            What::Pictures { .. } => self.pictures(ask.role, b),
        });
        tensors.collect()
    }
}

impl Stateful for Recorded {
    fn save(&self, _: &mut StateWriter<'_>) -> candle_core::Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &mut StateReader<'_>) -> candle_core::Result<()> {
        Ok(())
    }
}

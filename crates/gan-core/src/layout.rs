//! Key names of networks as files have them, by which a file that fits nothing is said to be nearest to something.

use crate::weights::Weights;
use candle_core::{Result, bail};
use std::cmp::Reverse;

/// What a layer's tensors are called.
const LEAVES: [&str; 5] = [
    "weight",
    "bias",
    "running_mean",
    "running_var",
    "num_batches_tracked",
];

/// The names of one kind of network's layers.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// What such a network is, for people.
    pub name: &'static str,
    /// Layers by their names, with `#` for any number and `**` for any number of words between dots.
    pub layers: &'static [&'static str],
}

impl Layout {
    /// Whether a key names a tensor of such a network.
    pub fn has(&self, key: &str) -> bool {
        let layer = match key.rsplit_once('.') {
            Some((layer, leaf)) if LEAVES.contains(&leaf) => layer,
            _ => key,
        };
        let words: Vec<&str> = layer.split('.').collect();
        let mut patterns = self.layers.iter();
        patterns.any(|layer| is_like(&words, &layer.split('.').collect::<Vec<_>>()))
    }

    /// How many of a file's keys name tensors of such a network.
    pub fn among(&self, weights: &Weights) -> usize {
        weights.keys().filter(|key| self.has(key)).count()
    }
}

/// Channels of a file's convolutions, by which the sizes of its network are told.
pub struct Kernels<'a> {
    weights: &'a Weights,
    /// Whether it is a network of the layout but for some keys.
    is_near: bool,
}

impl<'a> Kernels<'a> {
    /// Of a file that is read as a network of this layout with so many blocks.
    pub fn new(weights: &'a Weights, layout: &Layout, blocks: usize) -> Self {
        let is_near = 2 * layout.among(weights) >= weights.keys().count() && blocks > 0;
        Self { weights, is_near }
    }

    /// Output and input channels of the convolution with that key. Where half of all keys are of the layout and this
    /// one is missing, those of published networks: so all keys are compared, and all that is wrong is named.
    ///
    /// # Errors
    /// A key that is missing or no convolution's, in a file of something else.
    pub fn channels(&self, key: &str, published: (usize, usize)) -> Result<(usize, usize)> {
        match self.weights.dims(key) {
            Some(&[outputs, inputs, _, _]) => Ok((outputs, inputs)),
            _ if self.is_near => Ok(published),
            Some(dims) => bail!("{key} is {dims:?}, expected two numbers of channels and a kernel"),
            None => bail!(
                "{key} is missing, the file begins with {}",
                self.weights.first_keys()
            ),
        }
    }
}

/// The first of the layouts that most of a file's keys are of, and of those the one with the fewest names: what has
/// others as well would have been seen. None where no key is of any.
pub fn nearest<'a, T>(
    layouts: impl IntoIterator<Item = (T, &'a Layout)>,
    weights: &Weights,
) -> Option<(T, &'a Layout)> {
    let rank = |layout: &Layout| (layout.among(weights), Reverse(layout.layers.len()));
    let some = layouts.into_iter();
    let some = some.filter(|(_, layout)| layout.among(weights) > 0);
    some.reduce(|best, other| match rank(other.1) > rank(best.1) {
        true => other,
        false => best,
    })
}

/// Whether words are those of a pattern.
fn is_like(words: &[&str], pattern: &[&str]) -> bool {
    match (words, pattern) {
        (_, ["**", rest @ ..]) => (0..=words.len()).any(|n| {
            let left = words.get(n..);
            left.is_some_and(|left| is_like(left, rest))
        }),
        ([word, words @ ..], [like, pattern @ ..]) => {
            is_word_like(word, like) && is_like(words, pattern)
        }
        (words, pattern) => words.is_empty() && pattern.is_empty(),
    }
}

/// Whether a word is another in which `#` stands for a number.
fn is_word_like(word: &str, like: &str) -> bool {
    let Some((begin, rest)) = like.split_once('#') else {
        return word == like;
    };
    let Some(word) = word.strip_prefix(begin) else {
        return false;
    };
    let after = word.trim_start_matches(|c: char| c.is_ascii_digit());
    after.len() < word.len() && is_word_like(after, rest)
}

/// How many of something with numbers in its name a file has: one more than the largest number between `before` and
/// the next dot, but never more than there are keys.
pub fn count(weights: &Weights, before: &str) -> usize {
    let numbers = weights.keys().filter_map(|key| {
        let number = key.strip_prefix(before)?.split('.').next()?;
        number.parse::<usize>().ok()
    });
    let count = numbers.max().map_or(0, |largest| largest.saturating_add(1));
    count.min(weights.keys().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor};
    use std::path::Path;

    #[test]
    fn keys_are_told_by_their_words() {
        let layout = Layout {
            name: "nested",
            layers: &[
                "model.model.**.model.#",
                "body.#.rdb#.conv#",
                "out",
                "bn#_#",
            ],
        };
        for key in [
            "model.model.model.0.weight",
            "model.model.1.model.3.model.12.running_var",
            "body.22.rdb3.conv5.bias",
            "out.weight",
            "out",
            "bn12_0.bias",
        ] {
            assert!(layout.has(key), "{key}");
        }
        for key in [
            "model.0.weight",
            "body.2.rdb.conv1.weight",
            "body.x.rdb1.conv1.weight",
            "body.1.rdb1.conv1.0.weight",
            "out.0",
            "bn1_.bias",
            "",
        ] {
            assert!(!layout.has(key), "{key}");
        }
    }

    #[test]
    fn blocks_are_as_many_as_the_largest_number_says_and_no_more_than_keys()
    -> candle_core::Result<()> {
        let of = |keys: &[&str]| {
            let one = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
            let tensors = keys.iter().map(|key| (key.to_string(), one.clone()));
            Ok::<_, candle_core::Error>(Weights::from_tensors(Path::new("f"), tensors.collect()))
        };
        let three = of(&["body.0.a", "body.2.a", "body.x.a"])?;
        assert_eq!((count(&three, "body."), count(&three, "up")), (3, 0));
        let liar = of(&["body.99999999999.a", "up1.weight"])?;
        assert_eq!((count(&liar, "body."), count(&liar, "up")), (2, 2));
        Ok(())
    }
}

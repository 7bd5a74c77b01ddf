//! What is compared: a paper, a preset and settings that differ from it, in one word.

use crate::Usage;
use crate::settings::nearest;
use anyhow::{Result, bail};
use gan_core::Preset;

/// The presets that a variant may name.
const PRESETS: [Preset; 3] = [Preset::Demo, Preset::Paper, Preset::Smoke];

/// One variant: `PAPER[@PRESET][:KEY=VALUE,…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// As it was asked for.
    pub name: String,
    /// The paper's name.
    pub paper: String,
    /// The preset's name, where it is not the usual one.
    pub preset: Option<String>,
    /// Words `KEY=VALUE`.
    pub set: Vec<String>,
}

impl Variant {
    /// Reads a word.
    ///
    /// # Errors
    /// A word without a paper, a preset that is not known, a setting without a value.
    pub fn parse(word: &str) -> Result<Self> {
        let (head, settings) = match word.split_once(':') {
            Some((head, settings)) => (head, Some(settings)),
            None => (word, None),
        };
        let (paper, preset) = match head.split_once('@') {
            Some((paper, preset)) => (paper, Some(preset)),
            None => (head, None),
        };
        let known = PRESETS.map(|preset| preset.name());
        if let Some(preset) = preset.filter(|preset| !known.contains(preset)) {
            bail!(Usage(format!(
                "{word}: no preset is called {preset:?}; {}",
                nearest(preset, &known)
            )))
        }
        let set = settings.map_or(Vec::new(), pieces);
        if paper.is_empty() || set.iter().any(|set| !set.contains('=')) {
            bail!(Usage(format!(
                "{word}: expected PAPER[@PRESET][:KEY=VALUE,…], as wgan:clip=0.1"
            )))
        }
        Ok(Self {
            name: word.into(),
            paper: paper.into(),
            preset: preset.map(str::to_string),
            set,
        })
    }

    /// Whether it says what a setting is.
    pub fn sets(&self, key: &str) -> bool {
        let mut set = self.set.iter().filter_map(|word| word.split_once('='));
        set.any(|(named, _)| named.trim() == key)
    }
}

/// The pieces between commas, but for those within brackets or quotes.
fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut depth, mut quoted) = (vec![String::new()], 0usize, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_a_paper_a_preset_and_settings() {
        let all = Variant::parse("wgan@smoke:clip=0.1,widths=[1, 2],name=\"a,b\"").unwrap();
        assert_eq!(all.paper, "wgan");
        assert_eq!(all.preset.as_deref(), Some("smoke"));
        assert_eq!(all.set, ["clip=0.1", "widths=[1, 2]", "name=\"a,b\""]);
        assert!(all.sets("clip") && !all.sets("cli"));
        let bare = Variant::parse("wgan-gp").unwrap();
        assert_eq!((bare.preset, bare.set.len()), (None, 0));
    }

    #[test]
    fn what_is_no_variant_is_refused() {
        for (word, said) in [
            ("", "expected PAPER"),
            (":a=1", "expected PAPER"),
            ("wgan:", "expected PAPER"),
            ("wgan:clip", "expected PAPER"),
            ("wgan:clip=1,", "expected PAPER"),
            ("wgan@", "no preset"),
            ("wgan@demon", "did you mean \"demo\"?"),
        ] {
            let error = Variant::parse(word).unwrap_err();
            assert!(
                error.is::<Usage>() && error.to_string().contains(said),
                "{word}: {error}"
            );
        }
    }
}

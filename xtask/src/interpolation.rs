//! `sample --interpolate-with`: networks between two, as ESRGAN's section 3.4 has them.

use crate::Usage;
use crate::cli::SampleArgs;
use anyhow::{Result, bail};
use gan_core::Weights;

/// α where none is named: the paper's own for its results (section 4.1).
const USUAL: f64 = 0.8;
/// Those of a strip.
const STRIP: [f64; 6] = [0., 0.2, 0.4, 0.6, 0.8, 1.];

/// How far from the other network (0) to the one that is sampled (1), as often as pictures are asked for; none where
/// nothing is to be interpolated.
///
/// # Errors
/// Several α without a strip to show them in.
pub fn alphas(args: &SampleArgs) -> Result<Option<Vec<f64>>> {
    let alphas = match (&args.alpha[..], &args.interpolate_with, args.strip) {
        ([], None, _) => return Ok(None),
        ([], Some(_), true) => STRIP.to_vec(),
        ([], Some(_), false) => vec![USUAL],
        (alphas, ..) => alphas.to_vec(),
    };
    match alphas.len() > 1 && !args.strip {
        true => bail!(Usage(
            "--alpha: several of them are shown beside each other in a strip; add --strip, or name one".into()
        )),
        false => Ok(Some(alphas)),
    }
}

/// The networks that pictures are made with: `weights`, or those between them and the other network, which is `own`
/// where no file is named.
///
/// # Errors
/// Another network that cannot be read, is not there or is not of the same shapes.
pub fn networks(
    weights: Weights,
    args: &SampleArgs,
    own: impl FnOnce() -> Option<Weights>,
) -> Result<Vec<Weights>> {
    let Some(alphas) = alphas(args)? else {
        return Ok(vec![weights]);
    };
    let other = match &args.interpolate_with {
        Some(file) => Weights::read_part(file, None)?,
        None => match own() {
            Some(own) => own,
            None => bail!(Usage(
                "--alpha: between which networks? name the other one with --interpolate-with FILE"
                    .into()
            )),
        },
    };
    let made = alphas
        .into_iter()
        .map(|alpha| Ok(weights.interpolated(&other, alpha)?));
    made.collect()
}

/// What a strip shows, from the left.
pub fn caption(alphas: &[f64]) -> String {
    let alphas: Vec<String> = alphas.iter().map(f64::to_string).collect();
    format!("from the left: bicubic, then alpha {}", alphas.join(", "))
}

/// What the usual name of a picture says of it.
///
/// # Errors
/// Those of [`alphas`].
pub fn named(args: &SampleArgs) -> Result<String> {
    let with = args
        .interpolate_with
        .as_ref()
        .and_then(|file| file.file_stem());
    let with = with.map_or(String::new(), |stem| {
        format!("-with-{}", stem.to_string_lossy())
    });
    let alphas = alphas(args)?.unwrap_or_default();
    let alphas: Vec<String> = alphas
        .iter()
        .map(|alpha| format!("-alpha{alpha}"))
        .collect();
    Ok(format!("{with}{}", alphas.concat()))
}

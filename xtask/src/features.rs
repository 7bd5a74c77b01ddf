//! The weights of the feature network that a run's loss looks through: named by `--vgg`, the same to its end.

use crate::Usage;
use crate::samedata::absolute;
use crate::settings::Vgg;
use anyhow::{Result, bail};
use candle_core::Device;
use gan_core::nn::vgg::Vgg19;
use gan_core::{FileError, Learns, Weights, brief};
use std::path::Path;
use std::sync::Arc;

/// Where VGG19's published weights are, for whoever has none.
const PUBLISHED: &str = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth";

/// The weights, and what `config.toml` says of them.
pub type Named = (Vgg, Arc<Weights>);

/// Reads the weights that `given` names, or the run's own; none where its loss looks at no features.
///
/// # Errors
/// No file where one is needed, one where none is; a file that is not VGG19's; other weights than the run began with.
pub fn read(
    paper: &str,
    learns: &Learns,
    given: Option<&Path>,
    own: Option<&Vgg>,
) -> Result<Option<Named>> {
    let Some(features) = learns.features else {
        return match given {
            Some(file) => bail!(Usage(format!(
                "--vgg {}: with these settings the loss of {paper} looks at no features; see content in cargo xtask \
                 info {paper}",
                file.display()
            ))),
            None => Ok(None),
        };
    };
    let named = given.map(|file| absolute(&file.display().to_string()));
    let Some(file) = named.or_else(|| own.map(|own| own.file.clone())) else {
        bail!(Usage(format!(
            "{paper}: with these settings the loss looks at features of VGG19: name its weights with --vgg FILE \
             ({PUBLISHED}, or the same as safetensors), or choose a loss without them: content in cargo xtask info {paper}"
        )))
    };
    let path = Path::new(&file);
    let weights = features.part(&Weights::read_part(path, None).map_err(|error| match own {
        Some(_) if given.is_none() && !path.exists() => FileError::new(
            path,
            "the weights of VGG19 that this run began with are not there any more",
            "say where they are now: --vgg FILE",
        ),
        _ => error,
    })?);
    Vgg19::open(&weights, features, &Device::Cpu)?;
    let sha256 = weights.sha256()?;
    if let Some(own) = own.filter(|own| own.sha256 != sha256) {
        bail!(FileError::new(
            path,
            format!(
                "holds other weights of VGG19 than this run began with (SHA-256 {}, then {})",
                brief(&sha256),
                brief(&own.sha256)
            ),
            "restore the file, or name one of the same weights with --vgg"
        ))
    }
    Ok(Some((Vgg { file, sha256 }, Arc::new(weights))))
}

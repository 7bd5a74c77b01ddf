//! Features that cost much, kept from one command to the next under a hash of the pictures and of all else that they
//! depend on. What is damaged or cannot be kept is reckoned again, and never an error.

use candle_core::{Result, Tensor};
use gan_eval::features::Features;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The folder of what is kept for the user: `$XDG_CACHE_HOME/gan-zoo`, or `~/.cache/gan-zoo`; none where neither is set.
pub fn folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?;
    Some(base.join("gan-zoo"))
}

/// The features of pictures `[n, c, h, w]` by a network: those that a folder keeps, or new ones, which it keeps then.
///
/// # Errors
/// Those of the network.
pub fn features(network: &dyn Features, pictures: &Tensor, folder: &Path) -> Result<Tensor> {
    let path = folder.join(format!("{}.safetensors", key(network, pictures)?));
    let shape = [pictures.dim(0)?, network.width()];
    if let Some(kept) = kept(&path, shape) {
        return Ok(kept);
    }
    let features = network.of(pictures)?;
    // A folder that cannot be written costs time the next time, and nothing else.
    let _ = keep(&path, &features);
    Ok(features)
}

fn key(network: &dyn Features, pictures: &Tensor) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(network.protocol());
    hash.update(format!("{:?}", pictures.dims()));
    for value in pictures.flatten_all()?.to_vec1::<f32>()? {
        hash.update(value.to_le_bytes());
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn kept(path: &Path, shape: [usize; 2]) -> Option<Tensor> {
    let bytes = std::fs::read(path).ok()?;
    // What is no such file is not worth a word: it is written anew.
    SafeTensors::deserialize(&bytes).ok()?;
    let mut tensors =
        candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).ok()?;
    let features = tensors.remove("features")?;
    let is_whole = features.dims() == shape && features.dtype() == candle_core::DType::F32;
    is_whole.then_some(features)
}

fn keep(path: &Path, features: &Tensor) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let write = |file: &Path| {
        features
            .save_safetensors("features", file)
            .map_err(std::io::Error::other)
    };
    gan_core::whole::write_whole(path, write).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use std::cell::Cell;

    /// Sums, which are counted.
    struct Sums(Cell<u32>, &'static str);

    impl Features for Sums {
        fn name(&self) -> &str {
            "sums"
        }

        fn width(&self) -> usize {
            1
        }

        fn protocol(&self) -> String {
            self.1.into()
        }

        fn of(&self, pictures: &Tensor) -> Result<Tensor> {
            self.0.set(self.0.get() + 1);
            pictures.flatten_from(1)?.sum_keepdim(1)
        }
    }

    #[test]
    fn features_are_reckoned_once_and_again_where_anything_is_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let (sums, others) = (Sums(Cell::new(0), "sums"), Sums(Cell::new(0), "other sums"));
        let pictures = Tensor::ones((3, 1, 2, 2), DType::F32, &Device::Cpu).expect("pictures");
        let of = |network: &Sums, pictures: &Tensor| {
            let features = features(network, pictures, dir.path()).expect("features");
            (features.to_vec2::<f32>().expect("numbers"), network.0.get())
        };
        let four = vec![vec![4.]; 3];
        assert_eq!(of(&sums, &pictures), (four.clone(), 1));
        assert_eq!(of(&sums, &pictures), (four.clone(), 1));
        assert_eq!(of(&others, &pictures), (four.clone(), 1));
        let doubled = (&pictures * 2.).expect("pictures");
        assert_eq!(of(&sums, &doubled), (vec![vec![8.]; 3], 2));
        // Damaged, and of another shape.
        let files = || std::fs::read_dir(dir.path()).expect("a folder").flatten();
        for bytes in [&b""[..], b"\x08\0\0\0\0\0\0\0{\"a\":1}}", &[255; 40]] {
            files().for_each(|file| std::fs::write(file.path(), bytes).expect("a file"));
            let before = sums.0.get();
            assert_eq!(of(&sums, &pictures), (four.clone(), before + 1));
        }
        // A folder that cannot be written.
        let absent = dir.path().join("file");
        std::fs::write(&absent, "").expect("a file");
        let found = features(&sums, &pictures, &absent.join("below")).expect("features");
        assert_eq!(found.to_vec2::<f32>().expect("numbers"), four);
    }
}

//! Published weights that are fetched by name.
//!
//! No hash stands here that its source does not state: PyTorch's convention puts the first eight digits of a file's
//! SHA-256 at the end of its name (`torch.hub.load_state_dict_from_url`, `check_hash`). Of files without one the hash is
//! recorded when they are first fetched, and they are called unverified.

/// Weights that others have published.
#[derive(Debug)]
pub struct Published {
    /// Their name on the command line.
    pub name: &'static str,
    /// What they are, and whose command takes them.
    pub about: &'static str,
    /// Where the file is.
    pub url: &'static str,
    /// The terms that its publishers name.
    pub licence: &'static str,
}

const BERKELEY: &str = "BSD (the code's; the authors name no other)";

/// The weights that have a name.
pub const WEIGHTS: &[Published] = &[
    Published {
        name: "vgg19",
        about: "VGG19 of torchvision, for losses that look at features: train srgan --vgg vgg19",
        url: "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        licence: "BSD-3-Clause (torchvision); trained on ImageNet, whose pictures are for research",
    },
    Published {
        name: "inception",
        about: "Inception v3 of pytorch-fid, for FID: eval RUN --inception inception",
        url: "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        licence: "Apache-2.0",
    },
    Published {
        name: "inception-torchvision",
        about: "Inception v3 of torchvision, whose FID is another than pytorch-fid's",
        url: "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
        licence: "BSD-3-Clause (torchvision); trained on ImageNet, whose pictures are for research",
    },
    Published {
        name: "esrgan",
        about: "ESRGAN's RRDBNet, 4 times: sample esrgan --weights esrgan --input photo.jpg",
        url: "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.1/ESRGAN_SRx4_DF2KOST_official-ff704c30.pth",
        licence: "Apache-2.0",
    },
    Published {
        name: "real-esrgan",
        about: "Real-ESRGAN's RRDBNet for blurred and compressed photographs, 4 times: sample esrgan --weights real-esrgan",
        url: "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/RealESRGAN_x4plus.pth",
        licence: "BSD-3-Clause",
    },
    Published {
        name: "horse2zebra",
        about: "CycleGAN's generator from horses to zebras: sample cyclegan --weights horse2zebra --input horse.jpg",
        url: "http://efrosgans.eecs.berkeley.edu/cyclegan/pretrained_models/horse2zebra.pth",
        licence: BERKELEY,
    },
    Published {
        name: "zebra2horse",
        about: "CycleGAN's generator from zebras to horses",
        url: "http://efrosgans.eecs.berkeley.edu/cyclegan/pretrained_models/zebra2horse.pth",
        licence: BERKELEY,
    },
    Published {
        name: "style-monet",
        about: "CycleGAN's generator from photographs to Monet's paintings",
        url: "http://efrosgans.eecs.berkeley.edu/cyclegan/pretrained_models/style_monet.pth",
        licence: BERKELEY,
    },
    Published {
        name: "facades",
        about: "pix2pix's generator from labels to facades: sample pix2pix --weights facades --input labels.png",
        url: "http://efrosgans.eecs.berkeley.edu/pix2pix/models-pytorch/facades_label2photo.pth",
        licence: BERKELEY,
    },
    Published {
        name: "edges2shoes",
        about: "pix2pix's generator from edges to shoes",
        url: "http://efrosgans.eecs.berkeley.edu/pix2pix/models-pytorch/edges2shoes.pth",
        licence: BERKELEY,
    },
];

/// The weights of this name.
pub fn known(name: &str) -> Option<&'static Published> {
    WEIGHTS.iter().find(|published| published.name == name)
}

impl Published {
    /// The first digits of the SHA-256 that the file's own name states.
    #[cfg(any(feature = "hub", test))]
    pub fn digits(&self) -> Option<&'static str> {
        let (stem, _) = self.url.rsplit_once('.')?;
        let (_, digits) = stem.rsplit_once('-')?;
        let are_hex = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        are_hex.then_some(digits)
    }
}

/// Where a file of weights is fetched: its own place, or by its name at the address that `GAN_WEIGHTS_URL` holds.
#[cfg(feature = "hub")]
pub fn url(published: &Published) -> String {
    let mirror = std::env::var("GAN_WEIGHTS_URL")
        .ok()
        .filter(|url| !url.is_empty());
    match mirror {
        Some(mirror) => {
            let file = published.url.rsplit('/').next().unwrap_or_default();
            format!("{}/{file}", mirror.trim_end_matches('/'))
        }
        None => published.url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_stated_by_a_name_or_not_at_all() {
        let digits = |name: &str| known(name).expect("known").digits();
        assert_eq!(digits("vgg19"), Some("dcbb9e9d"));
        assert_eq!(digits("inception"), Some("6726825d"));
        assert_eq!(digits("esrgan"), Some("ff704c30"));
        assert_eq!((digits("real-esrgan"), digits("horse2zebra")), (None, None));
        let mut names: Vec<_> = WEIGHTS.iter().map(|published| published.name).collect();
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n);
    }
}

//! The papers. A further one is one folder and one line here.

use gan_core::Recipe;

/// Every paper.
pub const PAPERS: &[&dyn Recipe] = &[
    &gan_vanilla::RECIPE,
    &gan_dcgan::RECIPE,
    &gan_wgan::RECIPE,
    &gan_wgan_gp::RECIPE,
    &gan_cgan::RECIPE,
    &gan_pix2pix::RECIPE,
    &gan_cyclegan::RECIPE,
    &gan_discogan::RECIPE,
    &gan_dualgan::RECIPE,
    &gan_progan::RECIPE,
    &gan_srgan::RECIPE,
    &gan_esrgan::RECIPE,
];

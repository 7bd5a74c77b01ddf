//! What training has besides G: the size of D. Its two stages are tested beside each other's in `tests/stages.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::Device;
use gan_core::{Context, DataInfo, Net, Paper, Preset, Tally, init};
use gan_srgan::{Config, Discriminator};

/// The count of the reference's network, with the 3,712 running statistics of its norms.
#[test]
fn the_papers_discriminator_has_the_references_parameters() {
    let mut cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 200), 1);
    let tally = Tally::default();
    cx.tally = Some(tally.clone());
    let config = Config::preset(Preset::Paper, &cx.data);
    let sizes = config.discriminator(&cx.data);
    let build = |vb| Discriminator::new(&sizes, vb);
    Net::new(&cx, "d", init::as_layers, build).unwrap();
    assert_eq!(tally.bytes() / 4, 23_563_649 + 3_712);
}

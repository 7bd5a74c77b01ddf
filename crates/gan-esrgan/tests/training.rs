//! What training has besides G: the size of D, and how G begins. Its two stages are tested beside each other's in `tests/stages.rs`.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::Device;
use gan_core::{Context, DataInfo, Net, Paper, Preset, Tally, init};
use gan_esrgan::{Config, Discriminator, Rrdb, initial};

/// The count of the reference's network, with the 5,760 running statistics of its norms.
#[test]
fn the_papers_discriminator_has_the_references_parameters() {
    let mut cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 200), 1);
    let tally = Tally::default();
    cx.tally = Some(tally.clone());
    let config = Config::preset(Preset::Paper, &cx.data);
    let sizes = config.discriminator(&cx.data);
    let build = |vb| Discriminator::new(&sizes, vb);
    Net::new(&cx, "d", init::as_layers, build).unwrap();
    assert_eq!(tally.bytes() / 4, 14_499_401 + 5_760);
}

#[test]
fn pictures_that_its_levels_leave_nothing_of_are_refused() {
    let data = DataInfo::picture(3, 64, 24);
    let cx = Context::new(&Device::Cpu, 1, data, 1);
    let mut config = Config {
        size: 0,
        levels: 4,
        ..Config::preset(Preset::Smoke, &cx.data)
    };
    config.build(&cx).unwrap();
    config.levels = 5;
    let error = config.build(&cx).err().unwrap().to_string();
    assert!(
        error.contains("levels is 5") && error.contains("64x24"),
        "{error}"
    );
}

/// Residual branches begin small (section 3.1): kernels of N(0, .01·2 / fan-in), offsets 0.
#[test]
fn dense_blocks_begin_small() {
    let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 16), 1);
    let sizes = Config {
        width_g: 16,
        growth: 8,
        ..Config::preset(Preset::Smoke, &cx.data)
    };
    let build = |vb| Rrdb::new(&sizes.generator(), vb);
    let g = Net::new(&cx, "g", initial, build).unwrap();
    let values = |key: &str| {
        let all = g.params.all().into_iter();
        let (_, var) = all.into_iter().find(|(known, _)| known == key).unwrap();
        var.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let kernel = values("body.0.rdb2.conv5.weight"); // of 48 channels
    let mean_square = kernel.iter().map(|x| x * x).sum::<f32>() / kernel.len() as f32;
    let want = 0.01 * 2. / (48. * 9.);
    assert!(
        (mean_square / want - 1.).abs() < 0.1,
        "{mean_square} {want}"
    );
    assert!(values("body.0.rdb2.conv5.bias").iter().all(|&x| x == 0.));
    assert!(values("conv_first.bias").iter().any(|&x| x != 0.));
}

//! Shapes, key names and parameter counts of the networks.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Tensor};
use gan_core::{Context, DataInfo, Net, Paper, Params, Preset, init};
use gan_vanilla::{Config, Discriminator, Generator};

fn keys(params: &Params) -> Vec<(String, Vec<usize>)> {
    let all = params.all().into_iter();
    all.map(|(key, var)| (key, var.dims().to_vec())).collect()
}

#[test]
fn keys_shapes_and_counts() {
    let data = DataInfo::picture(1, 28, 28).labelled(10).of(9000);
    let cx = Context::new(&Device::Cpu, 1, data.clone(), 1);
    let config = Config::preset(Preset::Paper, &data);
    let d = Net::new(&cx, "d", init::as_layers, |vb| {
        Discriminator::new(data.pixels(), config.hidden_d, vb)
    })
    .unwrap();
    let g = Net::new(&cx, "g", init::as_layers, |vb| {
        Generator::new(config.z_dim, config.hidden_g, [1, 28, 28], vb)
    })
    .unwrap();
    let want = |prefix: &str, i: usize, h: usize, o: usize| {
        vec![
            (format!("{prefix}.0.weight"), vec![h, i]),
            (format!("{prefix}.0.bias"), vec![h]),
            (format!("{prefix}.2.weight"), vec![o, h]),
            (format!("{prefix}.2.bias"), vec![o]),
        ]
    };
    assert_eq!(keys(&d.params), want("disc", 784, 128, 1));
    assert_eq!(keys(&g.params), want("gen", 64, 256, 784));
    assert_eq!(d.params.count(), 784 * 128 + 128 + 128 + 1);
    assert_eq!(g.params.count(), 64 * 256 + 256 + 256 * 784 + 784);

    let z = Tensor::zeros((5, 64), DType::F32, &Device::Cpu).unwrap();
    let fake = g.live.forward(&z).unwrap();
    assert_eq!(fake.dims(), [5, 784]);
    let p = d.live.forward(&fake).unwrap().flatten_all().unwrap();
    assert!(
        p.to_vec1::<f32>()
            .unwrap()
            .iter()
            .all(|p| (0. ..=1.).contains(p))
    );
}

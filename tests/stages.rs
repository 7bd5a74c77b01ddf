//! Papers that train in two stages: what each trains and at which rate, what the game needs, what settings are refused.

use candle_core::{Device, Tensor};
use gan_core::data::{Data, Held};
use gan_core::{Algorithm, Context, DataInfo, Iter, Length, LiveSource, Preset, Recipe, Seen};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const PAPERS: [&dyn Recipe; 2] = [&gan_srgan::RECIPE, &gan_esrgan::RECIPE];

/// Three photographs of 20x24.
fn data() -> Data {
    let info = DataInfo::picture(3, 20, 24).of(3);
    let bytes = (0..3 * 3 * 20 * 24).map(|i| (i * i % 251) as u8).collect();
    Data::one(Arc::new(Held::new(info, bytes, None).unwrap()))
}

/// The smoke preset with these settings.
fn config(recipe: &dyn Recipe, set: Value) -> Value {
    let mut config = recipe.preset(Preset::Smoke, &data().info()).unwrap();
    for (key, value) in set.as_object().unwrap() {
        assert!(config.get(key).is_some(), "{key}");
        config[key] = value.clone();
    }
    config
}

fn built(recipe: &dyn Recipe, set: Value) -> Box<dyn Algorithm> {
    let cx = Context::new(&Device::Cpu, 1, data().info(), 8);
    recipe.build(&config(recipe, set), &cx).unwrap()
}

/// A network's weights by their keys.
fn weights(gan: &mut dyn Algorithm, net: &str) -> BTreeMap<String, Vec<f32>> {
    let parts = gan.parts().into_iter();
    let params = parts.filter(|(name, _)| *name == net);
    let params = params.filter_map(|(_, part)| part.params().map(gan_core::Params::trainable));
    let values = |var: &Tensor| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let all = params.flatten();
    all.map(|(key, var)| (key, values(var.as_tensor())))
        .collect()
}

fn rate(seen: &Seen, net: &str) -> Option<f32> {
    let name = format!("lr/{net}");
    let found = seen.scalars.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.to_scalar::<f32>().unwrap())
}

#[test]
fn pre_training_moves_g_and_the_game_both_at_their_rates() {
    for recipe in PAPERS {
        let set = json!({"pretrain": 3, "lr": 1e-3, "lr_at": [2], "lr_factor": 0.5, "lr_gan": 1e-4,
            "lr_gan_at": [1], "lr_gan_factor": 0.1});
        let mut gan = built(recipe, set.clone());
        let mut source = LiveSource::new(&data(), 1, &Device::Cpu);
        let mut seen = Seen::default();
        let first = weights(&mut *gan, "d");
        let mut before = weights(&mut *gan, "g");
        assert!(!first.is_empty() && before == weights(&mut *gan, "psnr"));
        let rates = [
            (1e-3, None),
            (1e-3, None),
            (5e-4, None),
            (1e-4, Some(1e-4)),
            (1e-5, Some(1e-5)),
        ];
        for (t, (of_g, of_d)) in (0..).zip(rates) {
            gan.step(&mut Iter::new(t, &mut source, &mut seen)).unwrap();
            assert_eq!((rate(&seen, "g"), rate(&seen, "d")), (Some(of_g), of_d));
            let now = weights(&mut *gan, "g");
            assert_ne!(now, before);
            // What pre-training has made stays as it was.
            assert_eq!(weights(&mut *gan, "psnr") == now, t < 3);
            assert_eq!(weights(&mut *gan, "d") == first, t < 3);
            before = now;
        }
        let ends = recipe.parts_end(&config(recipe, set), &Length::of(5));
        assert_eq!(ends.unwrap(), [3]);
    }
}

#[test]
fn without_a_game_there_is_no_discriminator() {
    for recipe in PAPERS {
        let mut gan = built(recipe, json!({"adversarial": false, "pretrain": 1}));
        assert!(gan.parts().iter().all(|(name, _)| !name.contains('d')));
        let mut source = LiveSource::new(&data(), 1, &Device::Cpu);
        for t in 0..3 {
            let mut seen = Seen::default();
            gan.step(&mut Iter::new(t, &mut source, &mut seen)).unwrap();
        }
        assert_eq!(weights(&mut *gan, "g"), weights(&mut *gan, "psnr"));
    }
}

/// Sampling, measuring and pre-training need no features; the game says what it lacks. What stands in for them is said.
#[test]
fn a_loss_of_features_without_their_weights_is_refused_by_the_game_alone() {
    for (recipe, stand_in) in PAPERS.into_iter().zip(["mse", "l1"]) {
        let set = json!({"pretrain": 1, "content": "vgg54"});
        assert!(
            recipe
                .notes(&config(recipe, set.clone()))
                .unwrap()
                .is_empty()
        );
        let mut gan = built(recipe, set);
        let (mut source, mut seen) = (LiveSource::new(&data(), 1, &Device::Cpu), Seen::default());
        gan.step(&mut Iter::new(0, &mut source, &mut seen)).unwrap();
        let error = gan.step(&mut Iter::new(1, &mut source, &mut seen));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("VGG19"), "{error}");
        let notes = recipe
            .notes(&config(recipe, json!({"content": stand_in})))
            .unwrap();
        assert!(
            notes.len() == 1 && notes[0].contains("--vgg FILE"),
            "{notes:?}"
        );
    }
}

#[test]
fn settings_out_of_range_are_named() {
    for recipe in PAPERS {
        recipe.check(&config(recipe, json!({}))).unwrap();
        for (set, word) in [
            (json!({"scale": 3}), "scale is 3"),
            (json!({"size": 18}), "a multiple of scale, 4"),
            (json!({"lr_factor": 0}), "lr_factor is 0"),
            (json!({"lr_gan": -1}), "lr_gan is -1"),
            (json!({"channels": 4}), "channels is 4"),
            (json!({"size": 12, "content": "vgg54"}), "VGG19"),
        ] {
            let error = recipe.check(&config(recipe, set)).unwrap_err().to_string();
            assert!(error.contains(word), "{word:?} is missing in {error}");
        }
    }
}

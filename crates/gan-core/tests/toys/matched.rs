//! Pairs and classes in one batch: a combination that no paper has yet.

use super::{Generator, Mode, paper, square};
use candle_core::{Result, Tensor};
use candle_nn::encoding::one_hot;
use gan_core::loss::mse;
use gan_core::{
    Algorithm, Columns, Context, Draws, Erased, Iter, Learns, Net, Optimizer, Paper, Port, Probe,
    Rule, Sampler, Side, Stateful, Takes, View, init, labels, pictures,
};

pub const MATCHED: Erased<MatchedConfig> = Erased::NEW;

const CLASSES: usize = 3;

pub struct Matched {
    config: MatchedConfig,
    g: Net<Generator>,
    opt_g: Optimizer,
}

paper!(Matched, MatchedConfig, "toy-matched" on "outline", |batch| {
    let view = View::jittered(6, 2).flipped(true);
    Learns::pictures(view, batch).labelled().paired(Side::A)
});

impl Matched {
    fn new(config: &MatchedConfig, cx: &Context) -> Result<Self> {
        let g = Net::new(cx, "g", init::as_layers, |vb| {
            Generator::new(36 + CLASSES, 36, vb)
        })?;
        Ok(Self {
            opt_g: Optimizer::new(Rule::adam(0.9, 0.999), config.lr, &[&g.params])?,
            config: config.clone(),
            g,
        })
    }
}

fn joined(x: &Tensor, classes: &Tensor) -> Result<Tensor> {
    let classes = one_hot::<f32>(classes.clone(), CLASSES, 1., 0.)?;
    Tensor::cat(&[x.flatten_from(1)?, classes], 1)
}

impl Algorithm for Matched {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let asks = [
            pictures("x").of(Side::A),
            pictures("y").of(Side::B),
            labels("c"),
        ];
        let view = self.config.learns().view;
        let [x, y, c] = it.batch(it.share(self.config.batch)?, view, asks)?;
        let made = self.g.live.forward(&joined(&x, &c)?, Mode::Train, it)?;
        let loss = mse(&made, &y.flatten_from(1)?)?;
        it.minimise(&mut self.opt_g, "g", &[("g", &loss)])
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translator(&self.g.frozen))
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![("g", &mut self.g), ("opt_g", &mut self.opt_g)]
    }
}

struct Translator<'a>(&'a Generator);

impl Sampler for Translator<'_> {
    fn takes(&self) -> Takes {
        Takes::pictures(Port::new(1, 6)).classes(CLASSES)
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        let x = input.one()?;
        let made = self
            .0
            .forward(&joined(x, input.labels()?)?, Mode::Eval, draws)?;
        Ok(Columns::new("real", x.clone()).with("fake", square(&made, 6)?))
    }
}

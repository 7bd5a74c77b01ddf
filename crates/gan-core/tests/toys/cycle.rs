//! Two cycles and a pool.

use super::{Discriminator, Generator, Mode, paper};
use candle_core::{Result, Tensor};
use gan_core::optim::schedule;
use gan_core::{
    Algorithm, Columns, Context, Draws, Erased, Iter, Learns, Length, Net, Optimizer, Paper, Port,
    Probe, Rule, Sampler, Side, StateReader, StateWriter, Stateful, Takes, View, init, pictures,
};

pub const CYCLE: Erased<CycleConfig> = Erased::NEW;

/// The last few pictures that a generator made; its contents are state, its choices are draws.
pub struct Pool {
    capacity: usize,
    held: Vec<Tensor>,
}

impl Pool {
    fn query(&mut self, fake: &Tensor, role: &str, draws: &mut dyn Draws) -> Result<Tensor> {
        let mut out = Vec::new();
        for picture in fake.detach().chunk(fake.dim(0)?, 0)? {
            if self.held.len() < self.capacity {
                self.held.push(picture.clone());
                out.push(picture);
            } else if draws.choices(&format!("{role}.coin"), 1, 2)? == [0] {
                out.push(picture);
            } else {
                let slot = draws.choices(&format!("{role}.slot"), 1, self.capacity)?[0];
                out.push(std::mem::replace(&mut self.held[slot], picture));
            }
        }
        Tensor::cat(&out, 0)
    }
}

impl Stateful for Pool {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        to.count("len", self.held.len() as u64)?;
        for (i, picture) in self.held.iter().enumerate() {
            to.tensor(&i.to_string(), picture)?;
        }
        Ok(())
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        let n = from.count("len")?;
        self.held = (0..n)
            .map(|i| from.tensor(&i.to_string()))
            .collect::<Result<_>>()?;
        Ok(())
    }
}

pub struct Cycle {
    config: CycleConfig,
    length: Length,
    g: Net<Generator>,
    f: Net<Generator>,
    d_x: Net<Discriminator>,
    d_y: Net<Discriminator>,
    opt_g: Optimizer,
    opt_d_x: Optimizer,
    opt_d_y: Optimizer,
    pool_x: Pool,
    pool_y: Pool,
}

paper!(Cycle, CycleConfig, "toy-cycle" on "textured", |batch| {
    Learns::pictures(View::square(8), batch).apart().scheduled(true)
});

impl Cycle {
    fn new(config: &CycleConfig, cx: &Context) -> Result<Self> {
        let pixels = cx.data.pixels();
        let generator = |name| {
            Net::new(cx, name, init::as_layers, |vb| {
                Generator::new(pixels, pixels, vb)
            })
        };
        let critic = |name| {
            Net::new(cx, name, init::as_layers, |vb| {
                Discriminator::new(pixels, vb)
            })
        };
        let (g, f, d_x, d_y) = (
            generator("g")?,
            generator("f")?,
            critic("d_x")?,
            critic("d_y")?,
        );
        let adam = |nets: &[_]| Optimizer::new(Rule::adam(0.5, 0.999), config.lr, nets);
        let pool = || Pool {
            capacity: 3,
            held: Vec::new(),
        };
        Ok(Self {
            opt_g: adam(&[&g.params, &f.params])?,
            opt_d_x: adam(&[&d_x.params])?,
            opt_d_y: adam(&[&d_y.params])?,
            config: config.clone(),
            length: cx.length,
            g,
            f,
            d_x,
            d_y,
            pool_x: pool(),
            pool_y: pool(),
        })
    }
}

fn squared(scores: &Tensor, target: f64) -> Result<Tensor> {
    (scores - target)?.sqr()?.mean_all()
}

/// The least-squares loss of a discriminator, halved.
fn d_loss(d: &Discriminator, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
    (squared(&d.forward(real)?, 1.)? + squared(&d.forward(fake)?, 0.)?)? / 2.
}

impl Algorithm for Cycle {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let lr = schedule::linear(self.config.lr, 0.5, &self.length, it.t);
        for opt in [&mut self.opt_g, &mut self.opt_d_x, &mut self.opt_d_y] {
            opt.lr = lr;
        }
        let (g, f) = (&self.g.live, &self.f.live);
        let (b, view) = (it.share(self.config.batch)?, self.config.learns().view);
        let [x] = it.batch(b, view, [pictures("x").of(Side::A)])?;
        let [y] = it.batch(b, view, [pictures("y").of(Side::B)])?;
        let (x, y) = (x.flatten_from(1)?, y.flatten_from(1)?);
        let fake_y = g.forward(&x, Mode::Train, it)?;
        let fake_x = f.forward(&y, Mode::Train, it)?;
        let back_x = f.forward(&fake_y, Mode::Train, it)?;
        let back_y = g.forward(&fake_x, Mode::Train, it)?;
        let gan_g = squared(&self.d_y.frozen.forward(&fake_y)?, 1.)?;
        let gan_f = squared(&self.d_x.frozen.forward(&fake_x)?, 1.)?;
        let cycle = ((back_x - &x)?.abs()?.mean_all()? + (back_y - &y)?.abs()?.mean_all()?)?;
        let g_loss = ((&gan_g + &gan_f)? + (&cycle * 10.)?)?;
        it.minimise(
            &mut self.opt_g,
            "g",
            &[
                ("g", &g_loss),
                ("gan_g", &gan_g),
                ("gan_f", &gan_f),
                ("cycle", &cycle),
            ],
        )?;
        let old_x = self.pool_x.query(&fake_x, "pool_x", it)?;
        let loss = d_loss(&self.d_x.live, &x, &old_x)?;
        it.minimise(&mut self.opt_d_x, "d_x", &[("d_x", &loss)])?;
        let old_y = self.pool_y.query(&fake_y, "pool_y", it)?;
        let loss = d_loss(&self.d_y.live, &y, &old_y)?;
        it.minimise(&mut self.opt_d_y, "d_y", &[("d_y", &loss)])
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translators(&self.g.frozen, &self.f.frozen))
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("g", &mut self.g),
            ("f", &mut self.f),
            ("d_x", &mut self.d_x),
            ("d_y", &mut self.d_y),
            ("opt_g", &mut self.opt_g),
            ("opt_d_x", &mut self.opt_d_x),
            ("opt_d_y", &mut self.opt_d_y),
            ("pool_x", &mut self.pool_x),
            ("pool_y", &mut self.pool_y),
        ]
    }
}

struct Translators<'a>(&'a Generator, &'a Generator);

impl Sampler for Translators<'_> {
    fn takes(&self) -> Takes {
        Takes::pictures(Port::new(self.0.inputs / 64, 8).of(&[Side::A, Side::B]))
    }

    /// Each 8x8 square is a picture of its own.
    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        let (mut columns, mut names) = (Columns::default(), ["real", "fake", "cycled"]);
        for (given, there, back) in [(&input.x, self.0, self.1), (&input.y, self.1, self.0)] {
            let Some(given) = given else { continue };
            let (n, c, h, w) = given.dims4()?;
            let squares = given.reshape((n, c, h / 8, 8, w / 8, 8))?;
            let squares = squares.permute((0, 2, 4, 1, 3, 5))?.reshape(((), c * 64))?;
            let whole = |x: &Tensor| {
                let x = x.reshape((n, h / 8, w / 8, c, 8, 8))?;
                x.permute((0, 3, 1, 4, 2, 5))?.reshape((n, c, h, w))
            };
            let fake = there.forward(&squares, Mode::Eval, draws)?;
            let cycled = back.forward(&fake, Mode::Eval, draws)?;
            columns = columns
                .with(names[0], given.clone())
                .with(names[1], whole(&fake)?)
                .with(names[2], whole(&cycled)?);
            names = ["real_y", "fake_x", "cycled_y"];
        }
        Ok(columns)
    }
}

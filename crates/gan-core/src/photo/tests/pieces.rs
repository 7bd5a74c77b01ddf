//! Tiles and bands: what they cover, that they equal the whole, what memory they take.

use super::*;
use crate::data::bicubic::resized;
use std::cell::{Cell, RefCell};

#[test]
fn lines_cover_a_side_once_and_are_what_the_generator_takes() {
    for length in [1, 2, 7, 16, 31, 33, 100] {
        for (multiple, least) in [(1, 1), (2, 2), (4, 4), (4, 24), (1, 40)] {
            for (side, overlap) in [(1, 0), (8, 3), (16, 16), (50, 5), (1000, 1000)] {
                let port = Port::new(3, multiple).least(least).reach(9).restoring();
                let lines = Tiles { side, overlap }.lines(length, &port);
                let full = crate::translate::target(length, &port);
                let mut next = 0;
                for line in &lines {
                    assert_eq!(line.at, next, "{lines:?}");
                    next += line.kept();
                    assert!(line.kept() > 0 && line.to <= line.given() && line.last <= full);
                    assert!(line.given() >= least && line.given().is_multiple_of(multiple));
                    assert!(line.first.is_multiple_of(multiple));
                    let top = (full - length) / 2;
                    assert_eq!(line.first + line.from, line.at + top);
                    assert!(line.first == 0 || line.from >= overlap);
                    assert!(line.last == full || line.given() - line.to >= overlap);
                }
                assert_eq!(next, length);
            }
        }
    }
}

#[test]
fn tiles_with_enough_overlap_equal_the_whole() {
    for (multiple, scale) in [
        (1, 1),
        (1, 2),
        (1, 4),
        (2, 1),
        (2, 2),
        (2, 4),
        (4, 1),
        (4, 2),
        (4, 4),
    ] {
        let generator = Convolved::new(3, multiple, scale).expect("a generator");
        let port = generator.takes().port.expect("a port");
        let overlap = port.reach.expect("a reach");
        for size in [(1, 1), (7, 5), (33, 21), (41, 64)] {
            let photo = busy(kind(3, false, true), size);
            let whole = enlarged(&generator, &photo, Some(Tiles::whole(&port, &photo.form)));
            for side in [6, 16] {
                let tiled = enlarged(&generator, &photo, Some(Tiles { side, overlap }));
                // 3 of 65535 is below 1e-4 of [−1, 1].
                let far = furthest(&whole, &tiled);
                assert!(
                    far <= 3,
                    "{size:?} x{scale} by {multiple}, tiles of {side}: {far}"
                );
            }
        }
    }
    // Opacity goes the same way.
    let generator = Convolved::new(3, 2, 2).expect("a generator");
    let clear = photo(kind(3, true, true), (37, 50), |y, x, i| match i {
        3 => [0, 65_535, (y * 1700) as u16][x / 17],
        _ => (y * 1000 + x * 700 + i) as u16,
    });
    let whole = enlarged(&generator, &clear, None);
    let tiled = enlarged(
        &generator,
        &clear,
        Some(Tiles {
            side: 10,
            overlap: 6,
        }),
    );
    let mut seen = 0;
    for y in 0..74 {
        for x in 0..100 {
            let (a, b) = (pixel(&whole, y, x), pixel(&tiled, y, x));
            assert!(a[3].abs_diff(b[3]) <= 3);
            seen += usize::from(a[3] > 0 && a[3] < 65_535);
            let on_black = |p: &[u16], i: usize| f64::from(p[i]) * f64::from(p[3]) / 65_535.;
            assert!((0..3).all(|i| (on_black(&a, i) - on_black(&b, i)).abs() <= 7.));
        }
    }
    assert!(seen > 1000, "{seen}");
    // Too little overlap is seen: the test can tell.
    let photo = busy(kind(3, false, true), (33, 21));
    let whole = enlarged(&generator, &photo, None);
    let tiled = enlarged(
        &generator,
        &photo,
        Some(Tiles {
            side: 8,
            overlap: 0,
        }),
    );
    assert!(furthest(&whole, &tiled) > 100);
}

/// Counts what it is given.
struct Counting {
    port: Port,
    calls: Cell<usize>,
    largest: Cell<usize>,
}

impl Sampler for Counting {
    fn takes(&self) -> Takes {
        Takes::pictures(self.port.clone())
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Made<Columns> {
        let x = input.one()?;
        self.calls.set(self.calls.get() + 1);
        self.largest.set(self.largest.get().max(x.elem_count()));
        Nearest(self.port.clone()).sample(input, draws)
    }
}

#[test]
fn a_budget_bounds_what_is_held_and_the_same_tiles_come_of_it() {
    let port = || restoring(3, 4).bytes(1000);
    let photo = busy(kind(3, true, true), (300, 400));
    let mut sides = Vec::new();
    for memory in [4 << 20, 16 << 20, 1 << 30] {
        let generator = Counting {
            port: port(),
            calls: Cell::new(0),
            largest: Cell::new(0),
        };
        let enlarger = Enlarger::new(&generator)
            .expect("it restores")
            .memory(memory);
        let tiles = enlarger.tiles_of(&photo.form).expect("tiles");
        assert_eq!(enlarger.tiles_of(&photo.form).expect("tiles"), tiles);
        assert!(tiles.needs(&port(), &photo.form) <= memory);
        let told = RefCell::new(Vec::new());
        let watch = |done: usize, all: usize| {
            told.borrow_mut().push((done, all));
            Ok(())
        };
        let mut largest = 0;
        let mut made = 0;
        for band in enlarger.bands(&photo, &watch).expect("bands") {
            let band = band.expect("a band");
            largest = largest.max(band.len());
            made += band.len();
        }
        assert_eq!(made, 1200 * 1600 * 8);
        // What the generator takes of its largest tile, and the largest band, are within the budget.
        let held = generator.largest.get() / 3 * 1000 + largest;
        assert!(held as u64 <= memory, "{held} of {memory}");
        let told = told.into_inner();
        let all = told.len();
        assert_eq!(told, (1..=all).map(|i| (i, all)).collect::<Vec<_>>());
        assert_eq!(generator.calls.get(), 2 * all); // colours, and opacity
        sides.push((tiles.side, all));
    }
    assert!(
        sides[0].0 < sides[1].0 && sides[0].1 > sides[1].1,
        "{sides:?}"
    );
    assert_eq!(sides[2].1, 1);
    let said = Tiles::within(1 << 10, 16, &port(), &photo.form).map(drop);
    let said = said.expect_err("a KiB").to_string();
    assert!(
        said.contains("tiles of 32 pixels") && said.contains("MiB"),
        "{said}"
    );
    // What has to be seen whole is, whatever it takes.
    let whole = Port {
        reach: None,
        ..port()
    };
    let tiles = Tiles::within(1, 16, &whole, &photo.form).expect("one");
    assert_eq!(tiles.side, 400);
}

#[test]
fn a_watch_ends_the_work_and_faults_of_the_generator_are_told() {
    let photo = busy(kind(3, false, false), (40, 40));
    let generator = Nearest(restoring(3, 2));
    let enlarger = Enlarger::new(&generator).expect("it restores");
    let enlarger = enlarger
        .tiles(Tiles {
            side: 8,
            overlap: 2,
        })
        .expect("tiles");
    let watch = |done: usize, _: usize| match done {
        7 => candle_core::bail!("enough"),
        _ => Ok(()),
    };
    let bands: Vec<_> = enlarger.bands(&photo, &watch).expect("bands").collect();
    assert_eq!(bands.len(), 2);
    assert!(
        bands[1]
            .as_ref()
            .is_err_and(|e| e.to_string().contains("enough"))
    );

    struct Wrong(f32);
    impl Sampler for Wrong {
        fn takes(&self) -> Takes {
            Takes::pictures(restoring(3, 2))
        }
        fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Made<Columns> {
            let x = input.one()?;
            let (n, c, h, w) = x.dims4()?;
            let side = if self.0.is_nan() { 2 } else { 1 };
            let made = Tensor::full(self.0, (n, c, side * h, side * w), x.device())?;
            Ok(Columns::new("fake", made))
        }
    }
    for (value, words) in [(f32::NAN, "not finite"), (0., "expected [1, 3, 80, 80]")] {
        let wrong = Wrong(value);
        let enlarger = Enlarger::new(&wrong).expect("it restores");
        let made = enlarger
            .bands(&photo, &|_, _| Ok(()))
            .expect("bands")
            .next();
        let said = made.expect("a band").expect_err("a fault").to_string();
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn the_bicubic_way_is_matlabs_and_comes_in_any_pieces() {
    let grey = busy(kind(1, false, false), (9, 14));
    let plane: Vec<f64> = grey.bytes.iter().map(|x| f64::from(*x)).collect();
    for scale in [1, 2, 3, 4] {
        let smooth = Smooth::new(&grey, scale);
        let (wanted, size) = resized(&plane, (9, 14), scale as f64);
        assert_eq!(size, (smooth.form().height, smooth.form().width));
        let wanted = wanted
            .iter()
            .map(|x| (x + 0.5).floor().clamp(0., 255.) as u8);
        let whole = smooth.rows(0, usize::MAX);
        assert_eq!(whole, wanted.collect::<Vec<_>>());
        let pieces = [smooth.rows(0, 5), smooth.rows(5, 6), smooth.rows(6, 100)];
        assert_eq!(pieces.concat(), whole);
    }
    // Opaque as plain; what is beneath clear pixels is not seen.
    let plain = busy(kind(3, false, true), (6, 6));
    let clear = |beneath: u16| {
        photo(kind(3, true, true), (6, 6), |y, x, i| match (x < 3, i) {
            (true, 3) => 65_535,
            (true, _) => 40_000,
            (false, 3) => 0,
            _ => beneath + y as u16,
        })
    };
    let opaque = photo(kind(3, true, true), (6, 6), |y, x, i| match i {
        3 => 65_535,
        _ => pixel(&plain, y, x)[i],
    });
    let made = Smooth::new(&opaque, 2).rows(0, 12);
    let colours: Vec<u8> = made.chunks(8).flat_map(|p| p[..6].to_vec()).collect();
    assert_eq!(colours, Smooth::new(&plain, 2).rows(0, 12));
    assert_eq!(
        Smooth::new(&clear(60_000), 2).rows(0, 12),
        Smooth::new(&clear(0), 2).rows(0, 12)
    );
}

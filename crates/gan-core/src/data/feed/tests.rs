//! The order of pictures, what is done to them at random, and tensors of them.

use super::super::{DataInfo, Held, labels as asked_labels, pictures as asked};
use super::*;
use std::sync::Arc;

/// Ten pictures of 2x4 whose values rise to the right, labelled by their numbers; a second side 100 higher.
fn data() -> Data {
    let set = |tint: usize| -> Arc<dyn Pictures> {
        let info = DataInfo::picture(1, 2, 4).labelled(10).of(10);
        let bytes = (0..80).map(|i| (i / 8 * 8 + i % 8 + tint) as u8).collect();
        Arc::new(Held::new(info, bytes, Some((0..10).collect())).expect("a set"))
    };
    Data::paired(set(0), set(100)).expect("pairs")
}

fn request(b: usize, view: View, asks: Vec<What>) -> Request {
    Request {
        role: "order",
        seed: 1,
        b,
        worker: Worker::ALONE,
        view,
        asks,
    }
}

fn labels(running: &mut Running) -> Vec<u32> {
    match &running.batch().expect("a batch")[..] {
        [Block::Labels(labels)] => labels.clone(),
        other => panic!("{other:?}"),
    }
}

fn values(blocks: &[Block], i: usize) -> Vec<f32> {
    match &blocks[i] {
        Block::Pictures { values, .. } => values.clone(),
        other => panic!("{other:?}"),
    }
}

fn start(b: usize, seed: u64, from: u64) -> Running {
    let mut request = request(b, View::whole(), vec![asked_labels("y").what]);
    request.seed = seed;
    Running::start(&data(), request, from).expect("a thread")
}

#[test]
fn an_epoch_holds_each_picture_once_and_the_next_has_another_order() {
    let mut running = start(4, 1, 0);
    let all: Vec<u32> = (0..5).flat_map(|_| labels(&mut running)).collect();
    let (mut first, mut second) = (all[..10].to_vec(), all[10..].to_vec());
    assert_ne!(first, second);
    first.sort_unstable();
    second.sort_unstable();
    assert_eq!(first, (0..10).collect::<Vec<_>>());
    assert_eq!(second, first);
}

#[test]
fn the_order_depends_on_the_seed_alone_and_not_on_batches_or_restarts() {
    let want = labels(&mut start(12, 1, 0));
    let mut got = labels(&mut start(3, 1, 0));
    got.extend(labels(&mut start(4, 1, 3)));
    got.extend(labels(&mut start(5, 1, 7)));
    assert_eq!(got, want);
    assert_ne!(labels(&mut start(12, 2, 0)), want);
    // Two workers' parts are one worker's batch.
    let part = |index| {
        let mut request = request(6, View::whole(), vec![asked_labels("y").what]);
        request.worker = Worker::new(index, 2).expect("a worker");
        let mut running = Running::start(&data(), request, 0).expect("a thread");
        (labels(&mut running), labels(&mut running))
    };
    let ((a, next_a), (b, next_b)) = (part(0), part(1));
    assert_eq!([a, b].concat(), want);
    assert_eq!([next_a, next_b].concat(), labels(&mut start(12, 1, 12)));
}

#[test]
fn turns_are_to_the_right() {
    assert_eq!(turned(&[1, 2, 3, 4], 2, 1), [3, 1, 4, 2]);
    assert_eq!(turned(&[1, 2, 3, 4], 2, 2), [4, 3, 2, 1]);
    assert_eq!(turned(&[1, 2, 3, 4], 2, 3), [2, 4, 1, 3]);
    // A low picture is shrunk from the square as it is turned.
    let info = DataInfo::unlabelled(1, 4).of(3);
    let bytes = (0..48).map(|i| (i * i * 7 % 251) as u8).collect();
    let data = Data::one(Arc::new(Held::new(info, bytes, None).expect("a set")));
    let asks = [
        asked("high").unit().what,
        asked("low").unit().shrunk(2).what,
    ];
    let request = request(20, View::square(4).turned(true), asks.to_vec());
    let blocks = Running::start(&data, request, 0).and_then(|mut run| run.batch());
    let blocks = blocks.expect("a batch");
    let (high, low) = (values(&blocks, 0), values(&blocks, 1));
    for (square, low) in high.chunks_exact(16).zip(low.chunks_exact(4)) {
        let bytes: Vec<u8> = square.iter().map(|x| (x * 255.).round() as u8).collect();
        let want = bicubic::shrunk(&bytes, (4, 4), 2);
        let got: Vec<f32> = low.iter().map(|low| (low * 255.).round()).collect();
        assert_eq!(got, want);
    }
}

#[test]
fn ranges_and_averages() {
    let asks = [
        asked("u").unit().what,
        asked("s").what,
        asked("half").unit().averaged(2).what,
        asked("low").unit().shrunk(2).what,
    ];
    let blocks = batch(&data(), [3].into_iter(), &View::whole(), &asks).expect("a batch");
    let [unit, signed, half] = [0, 1, 2].map(|i| values(&blocks, i));
    for (u, s) in unit.iter().zip(&signed) {
        assert!((u * 2. - 1. - s).abs() < 1e-6);
    }
    let mean = |i: usize| (unit[i] + unit[i + 1] + unit[i + 4] + unit[i + 5]) / 4.;
    assert!((half[0] - mean(0)).abs() < 1e-6 && (half[1] - mean(2)).abs() < 1e-6);
    for block in &blocks[2..] {
        assert!(matches!(
            block,
            Block::Pictures {
                dims: [1, 1, 1, 2],
                ..
            }
        ));
    }
    for factor in [0, 3] {
        let ask = [asked("x").averaged(factor).what];
        assert!(batch(&data(), [3].into_iter(), &View::whole(), &ask).is_err());
    }
}

/// Squares: from the middle without a run, at random in one, the same in all tensors of a batch, and
/// the same whatever the batches and wherever the run went on.
#[test]
fn crops_and_flips_depend_on_the_position_alone() {
    let crop = View::crop(2).flipped(true);
    let x = asked("x").unit().what;
    let middle = batch(&data(), [3].into_iter(), &crop, &[x]).expect("a picture");
    assert_eq!(
        values(&middle, 0),
        [25, 26, 29, 30].map(|x| x as f32 / 255.)
    );

    let y = asked("y").of(Side::B).unit().what;
    let low = asked("low").unit().averaged(2).what;
    let run = |b, from, view| {
        let request = request(b, view, vec![x, y, low]);
        let blocks = Running::start(&data(), request, from).and_then(|mut r| r.batch());
        [0, 1, 2].map(|i| values(blocks.as_ref().expect("a batch"), i))
    };
    let all = run(25, 0, crop);
    let (parts, rest) = (run(7, 0, crop), run(18, 7, crop));
    for i in 0..3 {
        assert_eq!([&parts[i][..], &rest[i][..]].concat(), all[i]);
    }
    for (x, y) in all[0].iter().zip(&all[1]) {
        assert!((y - x - 100. / 255.).abs() < 1e-6, "{x} and {y}");
    }
    for (square, low) in all[0].chunks_exact(4).zip(&all[2]) {
        assert!((square.iter().sum::<f32>() / 4. - low).abs() < 1e-6);
    }
    // Values rise to the right in every picture of the set; in a mirrored one they fall.
    let mirrored = all[0].chunks_exact(4).filter(|p| p[1] < p[0]).count();
    assert!((5..20).contains(&mirrored), "{mirrored} of 25 are mirrored");
    let plain = run(25, 0, View::crop(2));
    assert!(plain[0].chunks_exact(4).all(|p| p[1] > p[0]));
    // Turned, its 25 squares are in all eight positions, the averages are those of the squares as they then are,
    // and what is cut and mirrored is as without turns.
    let turned = run(25, 0, crop.turned(true));
    for (y, x) in turned[1].iter().zip(&turned[0]) {
        assert!((y - x - 100. / 255.).abs() < 1e-6, "{x} and {y}");
    }
    let mut positions = std::collections::BTreeSet::new();
    for (i, square) in turned[0].chunks_exact(4).enumerate() {
        assert!((square.iter().sum::<f32>() / 4. - turned[2][i]).abs() < 1e-6);
        let mut sorted = square.to_vec();
        sorted.sort_by(f32::total_cmp);
        let ranks = square.iter().map(|x| sorted.iter().position(|y| x == y));
        positions.insert(ranks.collect::<Vec<_>>());
        let mut before = all[0][4 * i..4 * i + 4].to_vec();
        before.sort_by(f32::total_cmp);
        assert_eq!(sorted, before);
    }
    assert_eq!(positions.len(), 8, "{positions:?}");
    let error = batch(&data(), [3].into_iter(), &View::crop(3), &[x]).expect_err("too large");
    assert!(error.to_string().contains("a square of 3"), "{error}");
}

/// Low pictures that no filter would make: each value 100 more than the square of four pixels beside it.
fn with_low() -> Data {
    let set = |side: usize, tint: u8| -> Arc<dyn Pictures> {
        let info = DataInfo::unlabelled(1, side).of(4);
        let value = |i: usize| {
            (i / side / side * 16 + i / side % side * 4 / side * 4 + i % side * 4 / side) as u8
        };
        let bytes = (0..4 * side * side).map(|i| value(i) + tint).collect();
        Arc::new(Held::new(info, bytes, None).expect("a set"))
    };
    Data::one(set(8, 0))
        .with_low(set(4, 100), 2)
        .expect("low pictures")
}

#[test]
fn given_low_pictures_are_cut_mirrored_and_turned_as_their_partners() {
    let data = with_low();
    let [high, low] = [
        asked("high").unit().what,
        asked("low").unit().shrunk(2).what,
    ];
    for view in [
        View::crop(4).flipped(true).turned(true),
        View::crop(4),
        View::whole(),
        View::multiples(2),
        View::square(8).turned(true),
    ] {
        let run = |asks: Vec<What>, from| {
            let request = request(30, view, asks);
            let blocks = Running::start(&data, request, from).and_then(|mut run| run.batch());
            blocks.expect("a batch")
        };
        let blocks = run(vec![low, high], 0);
        let Block::Pictures { dims, .. } = blocks[1] else {
            panic!("no pictures")
        };
        let (low, high, side) = (values(&blocks, 0), values(&blocks, 1), dims[3]);
        assert_eq!(low.len() * 4, high.len());
        let mut seen = std::collections::BTreeSet::new();
        for (high, low) in high
            .chunks_exact(side * side)
            .zip(low.chunks_exact(side * side / 4))
        {
            for (i, low) in low.iter().enumerate() {
                let at = i / (side / 2) * 2 * side + i % (side / 2) * 2;
                for pixel in [at, at + 1, at + side, at + side + 1] {
                    assert!((low - high[pixel] - 100. / 255.).abs() < 1e-6, "{view:?}");
                }
            }
            seen.insert((high[0] * 255.).round() as u8 % 16);
        }
        assert_eq!(seen.len() > 1, view.is_random(), "{view:?}: {seen:?}");
        // Those asked for at another factor, or averaged, are made of the high ones.
        let others = [
            asked("mean").unit().averaged(2).what,
            asked("high").unit().what,
        ];
        let mean = values(&run(others.to_vec(), 0), 0);
        assert!((mean[0] - high[0]).abs() < 1e-6);
    }
    let odd = Request {
        view: View::crop(3),
        ..request(1, View::crop(3), vec![low])
    };
    let error = Running::start(&data, odd, 0).and_then(|mut run| run.batch());
    let error = error.map(drop).expect_err("no whole pixels").to_string();
    assert!(error.contains("squares of 3"), "{error}");
    let set = data.low.expect("low pictures").pictures;
    assert!(Data::one(set.clone()).with_low(set, 2).is_err());
}

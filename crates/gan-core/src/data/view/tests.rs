//! What is kept of pictures, and what is cut from them.

use super::*;

#[test]
fn what_is_kept_and_cut() {
    let part = |top, left, height, width| Part {
        top,
        left,
        height,
        width,
    };
    // A portrait: the middle, once.
    let kept = View::square(64).kept((218, 178)).expect("a size");
    assert_eq!(kept.part, part(20, 0, 178, 178));
    assert_eq!(kept.size, (64, 64));
    // With jitter the longer side stays, and a square is cut in each batch.
    let view = View::jittered(64, 8);
    let kept = view.kept((218, 178)).expect("a size");
    assert_eq!((kept.part, kept.size), (part(0, 0, 218, 178), (88, 72)));
    let last = Choice {
        y: 0.999,
        x: 0.,
        ..Choice::MIDDLE
    };
    assert_eq!(view.cut((88, 72), last), Ok(part(24, 0, 64, 64)));
    assert_eq!(view.cut((88, 72), Choice::MIDDLE), Ok(part(12, 4, 64, 64)));
    assert!(view.cut((63, 72), last).is_err());
    // Full size, unless it is too small.
    let crop = View::crop(96);
    assert_eq!(crop.kept((300, 200)).expect("a size").size, (300, 200));
    assert_eq!(crop.kept((90, 48)).expect("a size").size, (180, 96));
    assert!(View::jittered(64, 8).kept((10, 6000)).is_err());
    assert_eq!((view.needs(), View::whole().needs()), (64, 0));
}

#[test]
fn pictures_in_their_own_size_lose_what_is_left_of_a_multiple() {
    let view = View::multiples(4);
    let kept = view.kept((10, 15)).expect("a size");
    assert_eq!((kept.part, kept.size), (Part::whole((8, 12)), (8, 12)));
    let kept = view.kept((3, 10)).expect("a size");
    assert_eq!((kept.part, kept.size), (Part::whole((3, 10)), (4, 12)));
    assert_eq!(view.cut((8, 12), Choice::MIDDLE), Ok(Part::whole((8, 12))));
    assert_eq!(
        (view.needs(), view.still(), view.is_random()),
        (4, view, false)
    );
    // The square at multiples of 4 is that of the smaller picture.
    let (crop, choice) = (
        View::crop(8),
        Choice {
            y: 0.9,
            x: 0.4,
            ..Choice::MIDDLE
        },
    );
    let low = crop
        .smaller(4)
        .expect("a view")
        .cut((5, 7), choice)
        .expect("a square");
    let high = crop.cut_at((20, 28), choice, 4).expect("a square");
    assert_eq!((low.top, low.left, low.height), (3, 2, 2));
    assert_eq!((high.top, high.left, high.height), (12, 8, 8));
    assert!(View::crop(10).smaller(4).is_err());
}

#[test]
fn turns_are_of_squares_and_are_chance() {
    let turned = View::square(8).turned(true);
    assert!(turned.is_random() && !View::square(8).is_random());
    assert_eq!(turned.still(), View::square(8));
    assert!(!View::whole().turned(true).is_random());
}

//! What becomes of grey, of 16 bits and of transparency.

use super::*;

const RGB: Kind = kind(3, false, false);
const RGBA: Kind = kind(3, true, false);

/// The same colours with an opacity that a function says.
fn with_opacity(colours: &Photo, opacity: impl Fn(usize, usize) -> u16) -> Photo {
    let kind = Kind {
        alpha: true,
        ..colours.form.kind
    };
    let size = (colours.form.height, colours.form.width);
    photo(kind, size, |y, x, i| match i == kind.channels {
        true => opacity(y, x),
        false => pixel(colours, y, x)[i],
    })
}

/// The colours alone, and whether all of it is opaque.
fn colours(photo: &Photo) -> (Photo, bool) {
    let kind = Kind {
        alpha: false,
        ..photo.form.kind
    };
    (photo.clone().with_kind(kind), photo.is_opaque())
}

#[test]
fn opaque_pictures_become_what_plain_ones_become() {
    for channels in [1, 3] {
        for deep in [false, true] {
            let plain = busy(kind(3, false, deep), (9, 13));
            let most = plain.form.kind.most();
            let generator = Convolved::new(channels, 2, 2).expect("a generator");
            let made = enlarged(&generator, &with_opacity(&plain, |_, _| most), None);
            let wanted = enlarged(&generator, &plain, None);
            assert_eq!(colours(&made), (wanted, true));
        }
    }
}

#[test]
fn what_is_opaque_stays_so_beside_what_is_not() {
    let plain = busy(RGB, (12, 20));
    let generator = Convolved::new(3, 1, 2).expect("a generator");
    let made = enlarged(
        &generator,
        &with_opacity(&plain, |_, x| if x < 10 { 255 } else { 0 }),
        None,
    );
    let wanted = enlarged(&generator, &plain, None);
    for y in 0..24 {
        // Two pixels from the border, where the network does not see it.
        for x in 0..2 * 7 {
            assert_eq!(pixel(&made, y, x)[..3], pixel(&wanted, y, x)[..], "{y} {x}");
            assert_eq!(pixel(&made, y, x)[3], 255);
        }
        for x in 2 * 12..40 {
            assert_eq!(pixel(&made, y, x), [0; 4], "{y} {x}");
        }
    }
}

#[test]
fn gradients_of_opacity_keep_the_colour() {
    for deep in [false, true] {
        let most = kind(3, true, deep).most();
        let steps = u32::from(most);
        let plain = photo(kind(3, false, deep), (3, 40), |_, _, i| {
            [most, most / 3, 0][i]
        });
        let clear = with_opacity(&plain, |_, x| (steps * x as u32 / 39) as u16);
        // A generator that changes nothing changes nothing, up to what rounding loses of nearly clear pixels.
        let made = enlarged(&Nearest(restoring(3, 2)), &clear, None);
        for x in 0..80 {
            let now = pixel(&made, 2, x);
            let opaque = now[3];
            assert_eq!(opaque, pixel(&clear, 1, x / 2)[3]);
            let wanted = if opaque == 0 {
                [0; 3]
            } else {
                [most, most / 3, 0]
            };
            for (now, wanted) in now.iter().zip(wanted) {
                assert!(now.abs_diff(wanted) <= 1, "{x}: {now} {wanted}");
            }
        }
        // One that blurs blurs the opacity; the colour is the same wherever it can be told.
        let made = enlarged(&Blurred(restoring(3, 1)), &clear, None);
        for x in 1..39 {
            let now = pixel(&made, 1, x);
            let mean: u32 = (x - 1..=x + 1)
                .map(|x| u32::from(pixel(&clear, 1, x)[3]))
                .sum();
            assert!(u32::from(now[3]).abs_diff(mean / 3) <= 1, "{x}: {now:?}");
            let off = (steps / u32::from(now[3].max(1)) + 1) as u16;
            for (now, wanted) in now.iter().zip([most, most / 3, 0]) {
                assert!(now.abs_diff(wanted) <= off, "{x}: {now} {wanted}");
            }
        }
    }
}

#[test]
fn colours_beneath_what_is_clear_are_not_seen() {
    // A white square; what is clear around it is red in one picture, black in the other.
    let inside = |y: usize, x: usize| (4..8).contains(&y) && (5..11).contains(&x);
    let of = |beneath: [u16; 3]| {
        photo(RGBA, (12, 16), move |y, x, i| match inside(y, x) {
            true => 255,
            false => [beneath[0], beneath[1], beneath[2], 0][i],
        })
    };
    for generator in [
        &Blurred(restoring(3, 2)) as &dyn Sampler,
        &Convolved::new(3, 1, 2).expect("a generator"),
        &Blurred(restoring(1, 2)),
    ] {
        let red = enlarged(generator, &of([255, 0, 0]), None);
        assert_eq!(red, enlarged(generator, &of([0, 0, 0]), None));
    }
    // Half of what is seen at the border is white, and none of it dark or red.
    let made = enlarged(&Blurred(restoring(3, 2)), &of([255, 0, 0]), None);
    let mut through = 0;
    for y in 0..24 {
        for x in 0..32 {
            let [r, g, b, opaque] = pixel(&made, y, x)[..] else {
                panic!("four values")
            };
            through += usize::from(opaque > 0 && opaque < 255);
            assert!(
                opaque == 0 || [r, g, b] == [255; 3],
                "{y} {x}: {r} {g} {b} {opaque}"
            );
        }
    }
    assert!(through > 50, "{through}");
}

#[test]
fn grey_stays_grey_and_equals_the_colour_way() {
    for deep in [false, true] {
        let grey = busy(kind(1, false, deep), (7, 11));
        let colour = photo(kind(3, false, deep), (7, 11), |y, x, _| {
            pixel(&grey, y, x)[0]
        });
        for (multiple, scale) in [(1, 1), (2, 2), (1, 4)] {
            let generator = Convolved::new(3, multiple, scale).expect("a generator");
            let made = enlarged(&generator, &grey, None);
            assert_eq!(made.form, grey.form.times(scale));
            let wanted = enlarged(&generator, &colour, None);
            for y in 0..7 * scale {
                for x in 0..11 * scale {
                    let [r, g, b] = pixel(&wanted, y, x)[..] else {
                        panic!("three values")
                    };
                    let luma = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
                    let off = (f64::from(pixel(&made, y, x)[0]) - luma).abs();
                    assert!(off <= 1.1, "{y} {x}: {off}");
                }
            }
            // A network of one channel is given each by itself.
            let one = Convolved::new(1, multiple, scale).expect("a generator");
            let made = enlarged(&one, &grey, None);
            let wanted = enlarged(&one, &colour, None);
            for y in 0..7 * scale {
                let row = (0..11 * scale).map(|x| pixel(&made, y, x)[0]);
                let each = (0..11 * scale).map(|x| pixel(&wanted, y, x));
                assert!(row.zip(each).all(|(grey, colour)| colour == [grey; 3]));
            }
        }
    }
}

#[test]
fn grey_with_opacity_is_both() {
    let grey = busy(kind(1, false, false), (8, 8));
    let clear = with_opacity(&grey, |y, _| (y * 36) as u16);
    let made = enlarged(&Nearest(restoring(3, 2)), &clear, None);
    assert_eq!(made.form.kind, kind(1, true, false));
    for y in 0..16 {
        for x in 0..16 {
            let (now, was) = (pixel(&made, y, x), pixel(&clear, y / 2, x / 2));
            assert_eq!(now[1], was[1]);
            assert!(
                was[1] == 0 || now[0].abs_diff(was[0]) <= 1,
                "{now:?} {was:?}"
            );
        }
    }
}

#[test]
fn sixteen_bits_stay_sixteen() {
    for (channels, alpha) in [(1, false), (3, false), (1, true), (3, true)] {
        let deep = busy(kind(channels, alpha, true), (6, 10));
        let most = deep.form.kind.most();
        for network in [1, 3] {
            let made = enlarged(&Nearest(restoring(network, 2)), &deep, None);
            assert_eq!(made.form, deep.form.times(2));
            for y in 0..12 {
                for x in 0..20 {
                    let (now, was) = (pixel(&made, y, x), pixel(&deep, y / 2, x / 2));
                    assert_eq!(now.last(), was.last());
                    let opaque = if alpha { was[channels] } else { most };
                    // What a value of nearly clear pixels loses by passing through 24 bits.
                    let off = most.checked_div(opaque).unwrap_or(most) / 64;
                    for (now, was) in now.iter().zip(&was) {
                        assert!(now.abs_diff(*was) <= off, "{now} {was} {opaque}");
                    }
                }
            }
            let back = Photo::decode(&png_of(&made)).expect("a PNG");
            assert_eq!(back, made);
        }
    }
}

#[test]
fn tiny_pictures_are_enlarged() {
    for size in [(1, 1), (7, 5), (1, 9)] {
        for (alpha, deep) in [(false, false), (true, false), (true, true)] {
            let tiny = busy(kind(3, alpha, deep), size);
            for (multiple, scale) in [(1, 2), (4, 1), (4, 4)] {
                let port = restoring(3, scale).least(16);
                let port = Port { multiple, ..port };
                let made = enlarged(&Nearest(port), &tiny, None);
                assert_eq!(made.form, tiny.form.times(scale));
                let (now, was) = (pixel(&made, scale - 1, scale - 1), pixel(&tiny, 0, 0));
                assert!(
                    now.iter()
                        .zip(&was)
                        .all(|(now, was)| now.abs_diff(*was) <= 1),
                    "{now:?} {was:?}"
                );
            }
        }
    }
}

#[test]
fn other_generators_are_refused() {
    let refused = |port: Port, words: &str| {
        let said = Enlarger::new(&Nearest(port))
            .map(drop)
            .map_err(|e| e.to_string());
        assert!(said.is_err_and(|said| said.contains(words)));
    };
    refused(Port::new(3, 1).scale(2).reach(1), "makes other pictures");
    refused(Port::new(4, 1).restoring(), "expected 1 or 3 channels");
    let global = Nearest(Port::new(3, 1).restoring());
    let enlarger = Enlarger::new(&global).expect("it restores");
    let tiles = Tiles {
        side: 8,
        overlap: 1,
    };
    let said = enlarger.tiles(tiles).map(drop).map_err(|e| e.to_string());
    assert!(said.is_err_and(|said| said.contains("it has no tiles")));
}

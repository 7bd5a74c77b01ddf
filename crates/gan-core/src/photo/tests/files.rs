//! Photographs read from files of all kinds, and written.

use super::*;
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, ImageFormat};
use png::{BitDepth, ColorType, Encoder};
use std::borrow::Cow;
use std::io::Cursor;

/// A CMYK photograph of 16x8: left cyan, right yellow with a third of black. Made with Pillow:
/// `im = Image.new("CMYK", (16, 8), (255, 0, 0, 0)); im.paste((0, 0, 255, 85), (8, 0, 16, 8));
/// im.save("cmyk.jpg", quality=95)`.
const CMYK: &[u8] = include_bytes!("cmyk.jpg");

fn read(file: &[u8]) -> Photo {
    Photo::decode(file).expect("a picture")
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).expect("a file");
    file.into_inner()
}

/// A photograph as `image` has it.
fn dynamic(photo: &Photo) -> DynamicImage {
    let Form { height, width, .. } = photo.form;
    let (w, h, bytes) = (width as u32, height as u32, photo.bytes.clone());
    let made = match photo.form.kind.values() {
        1 => image::GrayImage::from_raw(w, h, bytes).map(DynamicImage::from),
        2 => image::GrayAlphaImage::from_raw(w, h, bytes).map(DynamicImage::from),
        3 => image::RgbImage::from_raw(w, h, bytes).map(DynamicImage::from),
        _ => image::RgbaImage::from_raw(w, h, bytes).map(DynamicImage::from),
    };
    made.expect("a picture")
}

#[test]
fn every_kind_is_read_as_its_file_has_it() {
    for (channels, alpha) in [(1, false), (1, true), (3, false), (3, true)] {
        let photo = busy(kind(channels, alpha, false), (5, 7));
        let picture = dynamic(&photo);
        for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::WebP] {
            if format == ImageFormat::Tiff && (channels, alpha) == (1, true) {
                continue; // not written
            }
            // WebP knows colours alone: a grey picture is told by its pixels.
            let found = read(&encoded(&picture, format));
            assert_eq!(found, photo, "{format:?}");
        }
    }
    let plain = busy(kind(3, false, false), (8, 8));
    assert_eq!(read(&encoded(&dynamic(&plain), ImageFormat::Bmp)), plain);
    let grey = busy(kind(1, false, false), (8, 8));
    assert_eq!(read(&encoded(&dynamic(&grey), ImageFormat::Bmp)), grey);
    let found = read(&encoded(&dynamic(&plain), ImageFormat::Jpeg));
    assert_eq!(found.form, plain.form);
    let found = read(&encoded(&dynamic(&grey), ImageFormat::Jpeg));
    assert_eq!(found.form, grey.form);
}

#[test]
fn a_palette_is_one_of_colours() {
    let colours = [200u8, 10, 20, 0, 90, 250];
    for opacities in [None, Some([255u8, 60])] {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 4, 2);
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Two);
        encoder.set_palette(&colours[..]);
        if let Some(opacities) = &opacities {
            encoder.set_trns(opacities.to_vec());
        }
        let mut writer = encoder.write_header().expect("a header");
        // 0 1 1 0, and 1 0 1 0
        let rows = [0b00_01_01_00, 0b01_00_01_00];
        writer.write_image_data(&rows).expect("rows");
        writer.finish().expect("a PNG");
        let places = [[0, 1, 1, 0], [1, 0, 1, 0]];
        let wanted = photo(kind(3, opacities.is_some(), false), (2, 4), |y, x, i| {
            let place: usize = places[y][x];
            match (i, opacities) {
                (3, Some(opacities)) => opacities[place].into(),
                _ => colours[3 * place + i].into(),
            }
        });
        assert_eq!(read(&file), wanted);
    }
}

#[test]
fn turned_pictures_stand_upright() {
    let stored = busy(kind(3, true, true), (3, 5));
    for orientation in 1..=8u8 {
        let mut tag = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0".to_vec();
        tag[19] = orientation;
        let mut info = png::Info::with_size(5, 3);
        info.color_type = ColorType::Rgba;
        info.bit_depth = BitDepth::Sixteen;
        info.exif_metadata = Some(Cow::Owned(tag));
        let mut file = Vec::new();
        let mut writer = Encoder::with_info(&mut file, info)
            .and_then(Encoder::write_header)
            .expect("a header");
        writer.write_image_data(&stored.bytes).expect("rows");
        writer.finish().expect("a PNG");
        let found = read(&file);
        let size = if orientation < 5 { (3, 5) } else { (5, 3) };
        assert_eq!((found.form.height, found.form.width), size);
        for y in 0..size.0 {
            for x in 0..size.1 {
                let (from_y, from_x) = match orientation {
                    1 => (y, x),
                    2 => (y, 4 - x),
                    3 => (2 - y, 4 - x),
                    4 => (2 - y, x),
                    5 => (x, y),
                    6 => (2 - x, y),
                    7 => (2 - x, 4 - y),
                    _ => (x, 4 - y),
                };
                let wanted = pixel(&stored, from_y, from_x);
                assert_eq!(pixel(&found, y, x), wanted, "{orientation}");
            }
        }
    }
}

#[test]
fn cmyk_is_read_as_colours() {
    let found = read(CMYK);
    assert_eq!(found.form.kind, kind(3, false, false));
    assert_eq!((found.form.height, found.form.width), (8, 16));
    for (x, wanted) in [(2, [0, 255, 255]), (13, [170, 170, 0])] {
        for (now, wanted) in pixel(&found, 4, x).iter().zip(wanted) {
            assert!(now.abs_diff(wanted) <= 6, "{x}: {now} {wanted}");
        }
    }
}

#[test]
fn what_is_not_as_the_file_has_it_is_noted() {
    let plain = busy(kind(3, false, false), (4, 4));
    let opaque = dynamic(&plain).to_rgba8();
    let mut film = Vec::new();
    let mut encoder = GifEncoder::new(&mut film);
    for _ in 0..2 {
        let frame = image::Frame::new(opaque.clone());
        encoder.encode_frame(frame).expect("a frame");
    }
    drop(encoder);
    let found = read(&film);
    assert_eq!(found.form.kind, kind(3, false, false)); // its opacity was not used
    assert!(found.notes[0].contains("the first of several"));
    let floats = image::Rgb32FImage::from_fn(2, 1, |x, _| image::Rgb([x as f32, 0.5, 7.]));
    let found = read(&encoded(&floats.into(), ImageFormat::Tiff));
    assert!(
        found.notes[0].contains("floating-point"),
        "{:?}",
        found.notes
    );
    assert_eq!(pixel(&found, 0, 1), [65_535, 32_768, 65_535]);
    assert!(read(&png_of(&plain)).notes.is_empty());
}

#[test]
fn colour_profiles_are_kept_where_they_still_say_what_the_values_are() {
    let mut profile = vec![7u8; 200];
    profile[16..20].copy_from_slice(b"RGB ");
    let photo = Photo {
        profile: Some(profile.clone()),
        ..busy(kind(3, false, false), (4, 4))
    };
    assert_eq!(read(&png_of(&photo)).profile, Some(profile.clone()));
    let mut file = Vec::new();
    let mut bands = std::iter::once(Ok(photo.bytes.clone()));
    write(
        &mut file,
        Format::Jpeg,
        &photo.form,
        Some(&profile),
        &mut bands,
    )
    .expect("a JPEG");
    assert_eq!(read(&file).profile, Some(profile.clone()));
    profile[16..20].copy_from_slice(b"CMYK");
    let photo = Photo {
        profile: Some(profile),
        ..photo
    };
    assert_eq!(read(&png_of(&photo)).profile, None);
}

/// A PNG's header and an empty part of its data.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    writer
        .write_chunk(png::chunk::IDAT, &[])
        .expect("an empty part");
    drop(writer);
    file
}

#[test]
fn what_a_header_claims_is_not_believed() {
    let (problem, remedy) = Photo::decode(&claims(50_000, 50_000)).expect_err("too large");
    assert!(
        problem.contains("takes 7153 MiB decoded, more than the 640"),
        "{problem}"
    );
    assert_eq!(remedy, "make it smaller");
    let (problem, _) = Photo::decode(&claims(70_000, 1)).expect_err("too wide");
    assert!(problem.contains("more than the 65535 a side"), "{problem}");
    for cut in [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        CMYK[..CMYK.len() / 2].to_vec(),
        Vec::new(),
    ] {
        assert!(Photo::decode(&cut).is_err());
    }
}

#[test]
fn a_jpeg_is_flat_and_has_limits() {
    let clear = photo(kind(3, true, true), (16, 16), |_, x, i| match (x < 8, i) {
        (true, 0 | 3) => 65_535,
        _ => 0,
    });
    let mut file = Vec::new();
    let mut bands = std::iter::once(Ok(clear.bytes.clone()));
    write(&mut file, Format::Jpeg, &clear.form, None, &mut bands).expect("a JPEG");
    let found = read(&file);
    assert_eq!(found.form.kind, kind(3, false, false));
    for (x, wanted) in [(2, [255, 0, 0]), (13, [255, 255, 255])] {
        for (now, wanted) in pixel(&found, 8, x).iter().zip(wanted) {
            assert!(now.abs_diff(wanted) <= 6, "{x}: {now} {wanted}");
        }
    }
    let lost = Format::Jpeg.loses(clear.form.kind, clear.is_opaque());
    assert_eq!(lost.len(), 2);
    assert!(Format::Png.loses(clear.form.kind, false).is_empty());
    let large = |height, width| Form {
        height,
        width,
        kind: clear.form.kind,
    };
    for (height, width, words) in [(65_536, 1, "65535"), (40_000, 40_000, "made of at once")] {
        let said = Format::Jpeg.check(&large(height, width));
        let said = said.expect_err("too large").to_string();
        assert!(
            said.contains(words) && said.contains("write a PNG"),
            "{said}"
        );
        assert!(Format::Png.check(&large(height, width)).is_ok());
    }
    for rows in [1, 17] {
        for format in [Format::Png, Format::Jpeg] {
            let bytes = vec![0; rows * clear.form.row()];
            let mut bands = std::iter::once(Ok(bytes));
            let said = write(&mut Vec::new(), format, &clear.form, None, &mut bands);
            assert!(said.is_err_and(|e| e.to_string().contains("other rows")));
        }
    }
}

#[test]
fn files_become_files_or_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let names = || {
        let entries = std::fs::read_dir(dir.path()).expect("a folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let from = busy(kind(3, true, true), (5, 6));
    std::fs::write(at("a.png"), png_of(&from)).expect("a file");
    let generator = Nearest(restoring(3, 2));
    upscale(&generator, &at("a.png"), &at("b.PNG")).expect("a PNG");
    assert_eq!(
        Photo::read(&at("b.PNG")).expect("a PNG"),
        enlarged(&generator, &from, None)
    );
    upscale(&generator, &at("a.png"), &at("b.jpg")).expect("a JPEG");
    let made = Photo::read(&at("b.jpg")).expect("a JPEG");
    assert_eq!(
        (made.form.height, made.form.kind),
        (10, kind(3, false, false))
    );
    // A translator's pictures are as they have been: 8 bits, on white.
    upscale(&Nearest(Port::new(1, 4)), &at("a.png"), &at("c.png")).expect("a PNG");
    let made = Photo::read(&at("c.png")).expect("a PNG");
    assert_eq!(
        (made.form.height, made.form.kind),
        (5, kind(1, false, false))
    );
    let refused = |from: &str, to: &str, words: &str| {
        let said = upscale(&generator, &at(from), &at(to))
            .expect_err("refused")
            .to_string();
        assert!(said.contains(words), "{said}");
    };
    refused("a.png", "a.png", "is the photograph itself");
    refused("a.png", "d.webp", "let it end with .png");
    refused("no.png", "d.png", "no.png");
    refused("a.png", "none/d.png", "cannot be written");
    std::fs::write(at("text.png"), "text").expect("a file");
    refused("text.png", "d.png", "is no picture that can be read");

    struct Fails;
    impl Sampler for Fails {
        fn takes(&self) -> Takes {
            Takes::pictures(restoring(3, 2))
        }
        fn sample(&self, _: &Probe, _: &mut dyn Draws) -> Made<Columns> {
            candle_core::bail!("it fails")
        }
    }
    let said = upscale(&Fails, &at("a.png"), &at("d.png"))
        .expect_err("fails")
        .to_string();
    assert!(said.contains("it fails"), "{said}");
    assert_eq!(names(), ["a.png", "b.PNG", "b.jpg", "c.png", "text.png"]);
}

/// The real size, for the memory that it takes: run it alone, `cargo test -p gan-core --lib -- --ignored large`.
#[test]
#[ignore = "takes minutes"]
fn a_large_photograph_takes_two_gib_at_most() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .expect("a line")
            .to_string();
        line.split_whitespace()
            .nth(1)
            .expect("KiB")
            .parse::<usize>()
            .expect("a number")
            >> 10
    };
    let dir = tempfile::tempdir().expect("a folder");
    for (alpha, deep, name) in [
        (false, false, "a.jpg"),
        (false, false, "a.png"),
        (true, true, "b.png"),
    ] {
        let from = dir.path().join(format!("from-{name}"));
        {
            let photo = photo(kind(3, alpha, deep), (3000, 4000), |y, x, i| {
                let value = y * 17 + x * 13 + i * 9000 + (y / 40 * x / 40) % 997;
                if deep {
                    value as u16
                } else {
                    (value >> 8) as u16 % 256
                }
            });
            std::fs::write(&from, png_of(&photo)).expect("a file");
        }
        let generator = Convolved::new(3, 1, 4).expect("a generator");
        let start = std::time::Instant::now();
        upscale(&generator, &from, &dir.path().join(name)).expect("enlarged");
        let bytes = std::fs::metadata(dir.path().join(name))
            .expect("a file")
            .len()
            >> 20;
        println!(
            "{name}: peak {} MiB, {bytes} MiB written, {:?}",
            peak(),
            start.elapsed()
        );
        assert!(peak() < 2048);
    }
}

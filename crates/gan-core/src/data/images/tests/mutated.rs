//! Mutated pictures, zip files and IDX files: whatever the bytes, there is a set or an error that names the file in a
//! line; no panic, no wait without end. A failure says its number, by which the same bytes are made again.

use super::{Labels, png, sides, zip};
use crate::FileError;
use crate::data::idx;
use crate::data::images::{self, Album};
use crate::data::{Reading, Small, Split, View};
use crate::rng::{Key, choices};
use flate2::Crc;
use image::codecs::{bmp::BmpEncoder, gif::GifEncoder, jpeg::JpegEncoder, tiff::TiffEncoder};
use image::codecs::{png::PngEncoder, webp::WebPEncoder};
use image::{DynamicImage, ExtendedColorType, Frame};
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

const SEED: u64 = 17;

/// A lossy WebP of 8x6.
const LOSSY: &[u8] =
    b"RIFF\x2c\0\0\0WEBPVP8 \x20\0\0\0\x90\x01\0\x9d\x01\x2a\x08\0\x06\0\x05\x40\x7c\x25\xa4\0\
    \x02\xe6\x86\xf0\0\0\xfe\xe9\x58\x97\x44\x8c\xf0\0\0\0";

/// What sizes and counts in headers are made to say.
const LIES: [u32; 16] = [
    0,
    1,
    2,
    7,
    255,
    256,
    8191,
    8192,
    8193,
    65535,
    65536,
    1 << 24,
    i32::MAX as u32,
    1 << 31,
    u32::MAX - 1,
    u32::MAX,
];

/// Numbers that depend on the mutation's number alone.
struct Dice(Vec<usize>);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0.pop().expect("enough numbers") % n.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// Changes one to three places, most of them in headers, which are at the start or, of zip files, at the end.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(3) {
        let n = bytes.len();
        let at = match dice.below(4) {
            0 => dice.below(n),
            1 => n.saturating_sub(1 + dice.below(90)),
            _ => dice.below(n.min(64)),
        };
        let end = (at + 1 + dice.below(16)).min(n);
        match dice.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let twice = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, twice));
            }
            3 => bytes.insert(at, dice.byte()),
            4 if at < n => bytes[at] = dice.byte(),
            5 if at < n => bytes[at] ^= 1 << dice.below(8),
            _ => {
                let lie = LIES[dice.below(LIES.len())];
                let lie = match dice.below(4) {
                    0 => lie.to_le_bytes().to_vec(),
                    1 => lie.to_be_bytes().to_vec(),
                    2 => (lie as u16).to_le_bytes().to_vec(),
                    _ => (lie as u16).to_be_bytes().to_vec(),
                };
                let room = bytes.iter_mut().skip(at);
                room.zip(lie).for_each(|(byte, lie)| *byte = lie);
            }
        }
    }
}

/// Makes a PNG's checksums right, so that what they protect is looked at.
fn reckon(file: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = file.get(at..at + 4) {
        let length = length.iter().fold(0, |n, &byte| n << 8 | usize::from(byte));
        let end = at + 8 + length;
        let Some(covered) = file.get(at + 4..end) else {
            return;
        };
        let mut crc = Crc::new();
        crc.update(covered);
        if let Some(sum) = file.get_mut(end..end + 4) {
            sum.copy_from_slice(&crc.sum().to_be_bytes());
        }
        at = end + 4;
    }
}

/// Pictures of 9x7 of every kind and depth, and their names.
fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let rgb = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([20 * x as u8, 30 * y as u8, 99]));
    let rgb = DynamicImage::from(rgb);
    let [grey, deep, clear] = [
        rgb.to_luma8().into(),
        DynamicImage::from(rgb.to_luma16()),
        DynamicImage::from(rgb.to_rgba16()),
    ];
    let mut made: Vec<(&str, Vec<u8>)> = vec![("v.webp", LOSSY.to_vec())];
    for picture in [&rgb, &grey, &deep, &clear] {
        let mut file = Vec::new();
        picture
            .write_with_encoder(PngEncoder::new(&mut file))
            .expect("a PNG");
        made.push(("p.png", file));
        let mut file = std::io::Cursor::new(Vec::new());
        picture
            .write_with_encoder(TiffEncoder::new(&mut file))
            .expect("a TIFF");
        made.push(("t.tif", file.into_inner()));
    }
    for picture in [&rgb, &grey] {
        let mut file = Vec::new();
        picture
            .write_with_encoder(JpegEncoder::new(&mut file))
            .expect("a JPEG");
        made.push(("j.jfif", file));
        let mut file = Vec::new();
        picture
            .write_with_encoder(BmpEncoder::new(&mut file))
            .expect("a BMP");
        made.push(("b.bmp", file));
    }
    let mut file = Vec::new();
    rgb.write_with_encoder(WebPEncoder::new_lossless(&mut file))
        .expect("a WebP");
    made.push(("w.webp", file));
    let mut file = Vec::new();
    let frames = [
        Frame::new(rgb.to_rgba8()),
        Frame::new(rgb.fliph().to_rgba8()),
    ];
    GifEncoder::new(&mut file)
        .encode_frames(frames)
        .expect("a GIF");
    made.push(("g.gif", file));
    made
}

fn zips() -> Vec<Vec<u8>> {
    let one = |value| png(&[value; 12], (4, 3), ExtendedColorType::L8);
    let (a, b) = (one(1), one(2));
    let pairs = [
        ("trainA/1.png", &a[..], true),
        ("trainB/1.png", &b[..], false),
    ];
    let classes = [
        ("set/train/2/x.png", &a[..], false),
        ("set/train/10/y.png", &b[..], true),
        ("set/test/2/z.png", &a[..], true),
        ("notes.txt", b"x", true),
    ];
    vec![zip(&pairs), zip(&classes)]
}

/// Pictures and labels of a folder in MNIST's format.
fn digits() -> Vec<(&'static str, Vec<u8>)> {
    let images = [
        &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4][..],
        &[7; 24],
    ]
    .concat();
    let labels = vec![0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
    vec![
        ("train-images-idx3-ubyte", images),
        ("train-labels-idx1-ubyte", labels),
    ]
}

/// Files by their names below a folder, each picture beside a good one.
struct Bench {
    dir: tempfile::TempDir,
    targets: Vec<(String, Vec<u8>)>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut targets: Vec<(String, Vec<u8>)> = Vec::new();
        let good = png(&[5; 12], (4, 3), ExtendedColorType::L8);
        for (i, (name, file)) in pictures().into_iter().enumerate() {
            fs::create_dir(dir.path().join(i.to_string())).expect("a folder");
            fs::write(dir.path().join(format!("{i}/0.png")), &good).expect("a file");
            targets.push((format!("{i}/{name}"), file));
        }
        targets.extend(zips().into_iter().map(|file| ("set.zip".to_string(), file)));
        let digits = digits().into_iter();
        targets.extend(digits.map(|(name, file)| (name.to_string(), file)));
        for (name, file) in &targets {
            fs::write(dir.path().join(name), file).expect("a file");
        }
        Self { dir, targets }
    }

    /// Reads the `i`-th mutation in every way that there is for it; each is a set or an error.
    fn run(&self, i: usize) {
        let (name, whole) = &self.targets[i % self.targets.len()];
        let mut dice = Dice(choices(Key::new(SEED, "mutate", i as u64, 0), 64, 1 << 24));
        let mut file = whole.clone();
        mutate(&mut file, &mut dice);
        if name.ends_with(".png") && dice.below(4) > 0 {
            reckon(&mut file);
        }
        let path = self.dir.path().join(name);
        fs::write(&path, &file).expect("a file");
        let started = Instant::now();
        for error in read(&path).into_iter().filter_map(Result::err) {
            let error = error.to_string();
            let named = error.contains(path.file_name().and_then(|n| n.to_str()).expect("a name"));
            assert!(
                named && error.chars().count() <= 300,
                "mutation {i}: {error}"
            );
        }
        let took = started.elapsed();
        assert!(took < Duration::from_secs(10), "mutation {i} took {took:?}");
        fs::write(&path, whole).expect("a file");
    }

    /// Says which mutation was under way where one panics.
    fn run_all(&self, n: usize) {
        for i in 0..n {
            let ran = std::panic::catch_unwind(AssertUnwindSafe(|| self.run(i)));
            if let Err(panic) = ran {
                eprintln!("mutation {i} of {}", self.targets[i % self.targets.len()].0);
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// What each reader makes of a file.
fn read(path: &Path) -> Vec<Result<(), FileError>> {
    let quiet = |_: &str, _: usize, _: usize| {};
    let square = || {
        let mut how = Reading::new(View::square(8));
        how.small = Small::Enlarge;
        how
    };
    let folder = path.parent().expect("a folder");
    match path.extension().and_then(|e| e.to_str()) {
        None => vec![
            idx::folder(folder, Split::Train).map(drop),
            idx::read(path).map(drop),
        ],
        Some("zip") => {
            let all = |album: Album| {
                let names = album.names();
                names.iter().try_for_each(|name| album.read(name).map(drop))
            };
            let looked = [
                images::open(path, Split::Train, Labels::Needed, &quiet),
                images::open(path, Split::Test, Labels::Ignored, &quiet),
                sides::paired(path, Split::Train, &quiet),
                sides::apart(path, Split::Test, &quiet),
            ];
            let read = looked.into_iter().map(|s| s?.read(&square()).map(drop));
            let mut all: Vec<_> =
                vec![Album::open(path).and_then(all), sides::kind(path).map(drop)];
            all.extend(read);
            all
        }
        Some(_) => {
            let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
            let album = Album::open(path).and_then(|album| album.read(name));
            let survey = images::open(folder, Split::Train, Labels::Ignored, &quiet);
            let set = survey.and_then(|survey| survey.read(&square()));
            vec![album.map(drop), set.map(drop)]
        }
    }
}

#[test]
fn whatever_the_bytes_there_is_a_set_or_an_error() {
    let bench = Bench::new();
    // Without mutations there are sets, so that mutations reach what is behind the first check.
    for (name, _) in bench
        .targets
        .iter()
        .filter(|(name, _)| !name.ends_with(".zip"))
    {
        let read = read(&bench.dir.path().join(name));
        assert!(read.iter().all(Result::is_ok), "{name}: {read:?}");
    }
    bench.run_all(600);
}

/// The long form: as many mutations as `MUTATIONS` says, and a bound on memory.
#[test]
#[ignore = "minutes: cargo test -p gan-core --lib mutated -- --ignored"]
fn whatever_the_bytes_at_length() {
    let n = std::env::var("MUTATIONS").ok().and_then(|n| n.parse().ok());
    Bench::new().run_all(n.unwrap_or(20_000));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<u64>().ok());
    assert!(peak.unwrap_or(0) < 1 << 20, "{peak:?} KiB");
}

//! Files that claim what they do not hold, made from those of PyTorch's or from nothing.

use super::super::{self as pth, Fault};
use super::{bytes, formula, numbers, path};
use crate::containers::Contents;
use crate::weights::Weights;
use flate2::Crc;
use flate2::write::DeflateEncoder;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What a zip file of this pickle and these storages is.
pub(super) fn zipped(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = ZipWriter::new(Cursor::new(Vec::new()));
    let plain = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut put = |name: &str, bytes: &[u8]| {
        file.start_file(name, plain).unwrap();
        file.write_all(bytes).unwrap();
    };
    put("a/data.pkl", pickle);
    for (key, bytes) in storages {
        put(&format!("a/data/{key}"), bytes);
    }
    file.finish().unwrap().into_inner()
}

/// A pickle that is written as it is thought.
#[derive(Clone, Default)]
pub(super) struct Pickle(pub(super) Vec<u8>);

impl Pickle {
    pub(super) fn dict() -> Self {
        Self(b"\x80\x02}(".to_vec())
    }

    pub(super) fn op(mut self, ops: &[u8]) -> Self {
        self.0.extend(ops);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.op(b"X").op(&length).op(text.as_bytes())
    }

    pub(super) fn int(self, n: i64) -> Self {
        self.op(b"\x8a\x08").op(&n.to_le_bytes())
    }

    fn ints(self, numbers: &[i64]) -> Self {
        let tuple = numbers
            .iter()
            .fold(self.op(b"("), |pickle, n| pickle.int(*n));
        tuple.op(b"t")
    }

    /// An entry of the dict: a tensor of 32-bit numbers in the storage `key`.
    pub(super) fn tensor(
        self,
        name: &str,
        (key, size): (&str, i64),
        offset: i64,
        shape: &[i64],
        strides: &[i64],
    ) -> Self {
        let tensor = self.text(name).op(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        let storage = tensor.text("storage").op(b"ctorch\nFloatStorage\n");
        let storage = storage.text(key).text("cpu").int(size).op(b"tQ");
        storage.int(offset).ints(shape).ints(strides).op(b"\x89NtR")
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.op(b"u.").0
    }
}

fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<usize>)>, Fault> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file.pth");
    std::fs::write(&file, bytes).unwrap();
    let weights = Weights::read(&file);
    let shapes = |weights: Weights| {
        let shapes = weights.iter();
        shapes
            .map(|(key, t)| (key.to_string(), t.dims().to_vec()))
            .collect()
    };
    weights
        .map(shapes)
        .map_err(|error| Fault::new(error.problem, error.remedy))
}

fn says(bytes: &[u8], words: &[&str]) {
    let said = read(bytes).expect_err("it is read");
    let said = format!("{}; {}", said.problem, said.remedy);
    assert!(said.chars().count() <= 280, "{said}");
    assert!(
        words.iter().all(|word| said.contains(word)),
        "{words:?} in {said}"
    );
}

#[test]
fn a_tensor_that_leaves_its_storage_is_refused_by_name() {
    let storage = [0; 4 * 24];
    let file = |size: i64, offset: i64, shape: &[i64], strides: &[i64]| {
        let pickle = Pickle::dict().tensor("a.b", ("0", size), offset, shape, strides);
        zipped(&pickle.end(), &[("0", &storage)])
    };
    assert!(read(&file(24, 0, &[6, 4], &[4, 1])).is_ok());
    assert!(read(&file(24, 23, &[1, 1], &[1 << 62, 1 << 62])).is_ok());
    for (offset, shape, strides) in [
        (1, &[6, 4][..], &[4, 1][..]),
        (0, &[6, 4], &[5, 1]),
        (24, &[1], &[1]),
        (0, &[2], &[1 << 62]),
        (i64::MAX, &[1], &[1]),
        (0, &[2, 2], &[i64::MAX, i64::MAX]),
    ] {
        says(
            &file(24, offset, shape, strides),
            &["a.b leaves its storage", "24 numbers"],
        );
    }
    says(
        &file(25, 0, &[2], &[1]),
        &["a/data/0 of 25 numbers", "96 bytes"],
    );
    says(&file(i64::MAX, 0, &[2], &[1]), &["a/data/0", "96 bytes"]);
    for (shape, strides) in [(&[-1][..], &[1][..]), (&[2], &[-1]), (&[2, 2], &[1])] {
        says(&file(24, 0, shape, strides), &["makes no sense"]);
    }
}

#[test]
fn tensors_that_repeat_few_numbers_take_a_small_multiple_of_the_file() {
    let file = |shape: &[i64], strides: &[i64]| {
        let pickle = Pickle::dict().tensor("a", ("0", 1), 0, shape, strides);
        zipped(&pickle.end(), &[("0", &[0; 4])])
    };
    assert!(read(&file(&[1 << 10, 16], &[0, 0])).is_ok());
    for shape in [
        &[1 << 20][..],
        &[1 << 40],
        &[1 << 40, 1 << 40],
        &[0, 1 << 62, 1 << 62],
    ] {
        let strides = vec![0; shape.len()];
        says(&file(shape, &strides), &["a would be", "far more than"]);
    }
    // Many small ones are counted together.
    let mut pickle = Pickle::dict();
    for i in 0..40 {
        pickle = pickle.tensor(&i.to_string(), ("0", 1), 0, &[1 << 14], &[0]);
    }
    says(
        &zipped(&pickle.end(), &[("0", &[0; 4])]),
        &["far more than"],
    );
}

/// Ten gigabytes of zeros, as a zip file holds them in ten megabytes; and claims of them in a few bytes.
#[test]
fn a_zip_file_of_zeros_is_not_unpacked() {
    let size = 10i64 << 30;
    let pickle = Pickle::dict().tensor("a", ("0", size / 4), 0, &[size / 4], &[1]);
    let mut packed = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 1 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    let name = b"a/data/0";
    // By hand: a writer would have to be given them all.
    let file = |claimed: u32, pickle: &[u8]| {
        let mut crc = Crc::new();
        crc.update(pickle);
        let (mut file, mut directory, mut count) = (Vec::new(), Vec::new(), 0u16);
        let entries = [
            (
                &b"a/data.pkl"[..],
                pickle,
                0,
                pickle.len() as u32,
                crc.sum(),
            ),
            (&name[..], &packed[..], 8, claimed, 0),
        ];
        for (name, bytes, method, size, sum) in entries {
            let mut about = [20u16, 0, method, 0, 0x21].map(u16::to_le_bytes).concat();
            about.extend(sum.to_le_bytes());
            about.extend((bytes.len() as u32).to_le_bytes());
            about.extend(size.to_le_bytes());
            about.extend((name.len() as u16).to_le_bytes());
            about.extend([0, 0]);
            directory.extend(b"PK\x01\x02\x14\0");
            directory.extend(&about);
            directory.extend([0; 10]);
            directory.extend((file.len() as u32).to_le_bytes());
            directory.extend(name);
            file.extend(b"PK\x03\x04");
            file.extend(&about);
            file.extend(name);
            file.extend(bytes);
            count += 1;
        }
        let at = file.len() as u32;
        file.extend(&directory);
        file.extend(b"PK\x05\x06\0\0\0\0");
        file.extend(count.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend((directory.len() as u32).to_le_bytes());
        file.extend(at.to_le_bytes());
        file.extend([0, 0]);
        file
    };
    let small = Pickle::dict()
        .tensor("a", ("0", 256), 0, &[256], &[1])
        .end();
    says(
        &file(1 << 20, &small),
        &["would unpack a/data/0 to 1048576 bytes"],
    );
    // What claims little is read up to its claim.
    says(&file(1024, &small), &["does not unpack to the 1024 bytes"]);
    says(
        &file(u32::MAX - 1, &pickle.end()),
        &["far more than a file of"],
    );
    let bomb = vec![0; 1 << 20];
    let bomb = zipped(b"\x80\x02}.", &[("0", &bomb)]);
    let mut archive = ZipArchive::new(Cursor::new(&bomb[..])).unwrap();
    assert_eq!(
        archive.by_index_raw(0).unwrap().name().unwrap(),
        "a/data.pkl"
    );
}

#[test]
fn pickles_that_grow_without_end_are_stopped() {
    // Each of these is one byte that makes an object, a mark or a place of the memo.
    for op in [b']', b'(', b'}', b')', b'N', 0x94, b'2', 0x8f] {
        let mut ops = b"\x80\x02]".to_vec();
        ops.resize(1 << 22, op);
        says(&zipped(&ops, &[]), &["more than 2097152 objects"]);
    }
    // A list of a list of a list …, each of them twice the one before.
    let mut twice = b"\x80\x02]q\x00".to_vec();
    for _ in 0..60 {
        twice.extend(b"0](h\x00h\x00eq\x00");
    }
    twice.extend(b".");
    says(&zipped(&twice, &[]), &["no network"]);
    // Dicts that lead to each other a thousand times each.
    let mut wide = Pickle::default().op(b"\x80\x02}q\x00");
    for _ in 0..6 {
        wide = wide.op(b"0}(");
        for i in 0..1000 {
            wide = wide.text(&i.to_string()).op(b"h\x00");
        }
        wide = wide.op(b"uq\x00");
    }
    says(&zipped(&wide.op(b".").0, &[]), &["more names"]);
    // One that holds itself.
    says(
        &zipped(b"\x80\x02}q\x00X\x01\0\0\0ah\x00s.", &[]),
        &["no network"],
    );
    // A list that is copied into a dict again and again.
    let mut copied = b"\x80\x02](".to_vec();
    for _ in 0..1000 {
        copied.extend(b"]K\x00aK\x00a");
    }
    copied.extend(b"eq\x00");
    for _ in 0..4000 {
        copied.extend(b"0ccollections\nOrderedDict\nh\x00\x85R");
    }
    copied.extend(b".");
    says(&zipped(&copied, &[]), &["more than 2097152 objects"]);
}

#[test]
fn names_beyond_those_of_tensors_are_refused_by_name() {
    for (module, name) in [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.hub", "load"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("argparse", "Namespace"),
        ("torch", "XStorage"),
        ("torch._utils", "_rebuild_device_tensor_from_numpy"),
    ] {
        let full = format!("asks for {module}.{name}, which is code");
        let old = format!("\x02}}X\x01\0\0\0ac{module}\n{name}\n)Rs.");
        let old = [b"\x80", old.as_bytes()].concat();
        says(&zipped(&old, &[]), &[&full]);
        let new = Pickle::dict().text("a").text(module).text(name);
        says(&zipped(&new.op(b"\x93)R").end(), &[]), &[&full]);
        let instance = format!("\x02}}X\x01\0\0\0a(i{module}\n{name}\ns.");
        let instance = [b"\x80", instance.as_bytes()].concat();
        says(&zipped(&instance, &[]), &[&full]);
    }
    let long = "x".repeat(5000);
    let asked = format!("\x02c{long}\n{long}\n.");
    says(
        &zipped(&[b"\x80", asked.as_bytes()].concat(), &[]),
        &["asks for xxx"],
    );
    // Instructions that nothing of tensors needs, among them extensions and buffers.
    for op in [0x82, 0x83, 0x84, 0x97, 0x98, b'P', b'o', b'S', b'V', 0xff] {
        let said = format!("instruction 0x{op:02x} at byte 2");
        says(&zipped(&[0x80, 2, op, b'.'], &[]), &[&said]);
    }
}

#[test]
fn files_that_are_cut_short_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cut.pth");
    for name in [
        "plain.pth",
        "plain-legacy.pth",
        "protocol4.pth",
        "protocol4-legacy.pth",
    ] {
        let whole = bytes(name);
        for end in 0..whole.len() {
            std::fs::write(&file, &whole[..end]).unwrap();
            let said = Weights::read(&file).expect_err(name).to_string();
            assert!(
                said.contains("cut.pth: ") && said.contains("fetch"),
                "{name} {end}: {said}"
            );
        }
    }
}

#[test]
fn many_tensors_and_long_names() {
    let mut pickle = Pickle::dict();
    let name = |i: usize| format!("{i:05}.{}", "name.".repeat(i % 20 * 10));
    for i in 0..10_000 {
        pickle = pickle.tensor(&name(i), ("0", 24), (i % 12) as i64, &[2, 3], &[3, 1]);
    }
    let storage: Vec<u8> = formula(24, 0)
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let file = zipped(&pickle.end(), &[("0", &storage)]);
    let read = pth::read(&file).map_err(|fault| fault.problem).unwrap();
    assert_eq!(read.networks[0].1.len(), 10_000);
    let dir = tempfile::tempdir().unwrap();
    let file_path = dir.path().join("many.pth");
    std::fs::write(&file_path, file).unwrap();
    let weights = Weights::read(&file_path).unwrap();
    assert_eq!(weights.keys().count(), 10_000);
    assert_eq!(numbers(&weights, &name(9_999)), formula(24, 0)[3..9]);
}

#[test]
fn what_is_not_finite_is_refused_only_where_it_is_taken() {
    let storage: Vec<u8> = [0.5, f32::NAN]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let dict = Pickle::dict()
        .text("g")
        .op(b"}(")
        .tensor("a", ("0", 2), 0, &[1], &[1])
        .op(b"u");
    let both = dict
        .text("d")
        .op(b"}(")
        .tensor("b", ("0", 2), 1, &[1], &[1])
        .op(b"u");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("two.pth");
    std::fs::write(&file, zipped(&both.end(), &[("0", &storage)])).unwrap();
    let contents = Contents::open(&file).unwrap();
    assert_eq!(numbers(&contents.take(None).unwrap(), "a"), [0.5]);
    let said = contents.take(Some("d")).unwrap_err().to_string();
    assert!(said.contains("not finite: NaN in b"), "{said}");
}

#[test]
fn what_is_no_weights_file_at_all_is_called_what_it_is() {
    for (bytes, word) in [
        (&b"<!DOCTYPE html><html>"[..], "web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "Git LFS",
        ),
        (
            b"\x80\x04\x95\x05\0\0\0\0\0\0\0}\x94.",
            "torch.save did not write",
        ),
        (b"\x89HDF\r\n", "neither"),
        (b"", "neither"),
    ] {
        says(bytes, &[word]);
    }
    let mut tar = vec![0; 600];
    tar[257..262].copy_from_slice(b"ustar");
    says(&tar, &["tar archive"]);
    let mut other = ZipWriter::new(Cursor::new(Vec::new()));
    other
        .start_file(
            "x.png",
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored),
        )
        .unwrap();
    says(&other.finish().unwrap().into_inner(), &["data.pkl"]);
    let changed = |name: &str, from: &[u8], to: &[u8]| {
        let mut bytes = bytes(name);
        let at = bytes
            .windows(from.len())
            .position(|part| part == from)
            .unwrap();
        bytes[at..at + from.len()].copy_from_slice(to);
        bytes
    };
    says(
        &changed("plain-legacy.pth", b"M\xe9\x03", b"M\xea\x03"),
        &["version 1002"],
    );
    says(
        &changed("plain.pth", b"conv.weight", b"conv.weighs"),
        &["checksum"],
    );
    assert!(path("plain.pth").exists());
}

//! What is fetched from elsewhere: the real program against a stand-in for the hub on the loopback address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod failures;
mod server;
mod tables;
mod user;

use gan_core::data::Split;
use gan_core::data::images::{self, Labels};
use server::{COMMIT, Fault};
use std::path::Path;
use user::{User, noise, place, published, put, put_cifar, read, said};

#[test]
fn data_sets_come_out_as_they_were_published() {
    let user = User::new();
    put(&user.server, "mnist", "ylecun/mnist", "mnist");
    put(
        &user.server,
        "fashion_mnist",
        "zalando-datasets/fashion_mnist",
        "fashion_mnist",
    );
    put_cifar(&user.server);
    let sets = [
        ("mnist-full", 1, 28, ["0", "9"]),
        ("fashion-mnist", 1, 28, ["T - shirt / top", "Ankle boot"]),
        ("cifar-10", 3, 32, ["airplane", "truck"]),
    ];
    for (name, channels, side, ends) in sets {
        let (text, errors) = user.ok(&["data", "get", name]);
        assert!(errors.contains("fetching hf:"), "{errors}");
        assert!(text.starts_with("hf:") && text.contains(COMMIT), "{text}");
        for (split, from, n) in [(Split::Train, 0, 12), (Split::Test, 12, 4)] {
            let (set, notes) = read(&place(&text), split);
            let info = set.info();
            assert_eq!(
                (info.len, info.channels, info.height, info.width),
                (n, channels, side, side),
                "{notes:?}"
            );
            assert_eq!((info.names.len(), info.classes), (10, Some(10)));
            assert_eq!([info.names[0].as_str(), info.names[9].as_str()], ends);
            assert_eq!(notes, Vec::<String>::new());
            let mut seen: Vec<usize> = Vec::new();
            for i in 0..n {
                let mut bytes = Vec::new();
                set.whole(i, &mut bytes).unwrap();
                // Its first pixel says which picture it is.
                let which = (from..from + n)
                    .find(|which| (37 * which) % 256 == usize::from(bytes[0]))
                    .unwrap();
                assert_eq!(set.label(i), Some(which as u32 % 10), "{name}");
                let pixel =
                    |c: usize, y: usize, x: usize| (37 * which + 11 * y + 5 * x + 90 * c) % 256;
                for (at, &value) in bytes.iter().enumerate() {
                    let (c, y, x) = (at / (side * side), at / side % side, at % side);
                    assert_eq!(
                        usize::from(value),
                        pixel(c, y, x),
                        "{name} {which} {c} {y} {x}"
                    );
                }
                seen.push(which);
            }
            seen.sort_unstable();
            assert_eq!(seen, (from..from + n).collect::<Vec<_>>());
        }
        // What is here is not asked for again, by any command.
        user.server.asked();
        let (text, _) = user.ok(&["data", "inspect", name, "--offline"]);
        assert!(
            text.contains("12 pictures") && text.contains(&format!("{}: 2", ends[0])),
            "{text}"
        );
        user.ok(&["data", "get", name]);
        assert_eq!(user.server.asked(), Vec::<String>::new());
    }
    let (text, _) = user.ok(&["data", "ls"]);
    assert!(
        text.contains("here of these:") && text.contains("hf:ylecun/mnist@"),
        "{text}"
    );
    assert_eq!(user.parts(), Vec::<String>::new());
}

#[test]
fn a_run_learns_from_what_was_fetched_and_goes_on_with_the_same() {
    let user = User::new();
    put_cifar(&user.server);
    let train = [
        "train", "wgan-gp", "--data", "cifar-10", "--preset", "smoke", "--quiet", "--out", "r",
    ];
    user.ok(&[&train[..], &["--steps", "2"]].concat());
    let config = std::fs::read_to_string(user.home.path().join("r/config.toml")).unwrap();
    assert!(
        config.contains(&format!("data = \"cifar-10@{COMMIT}\"")),
        "{config}"
    );
    // As of the sets that come with the project, pictures are brought to the size that a run needs.
    let larger = [
        "train",
        "dcgan",
        "--data",
        "cifar-10",
        "--preset",
        "smoke",
        "--set",
        "size=64",
        "--dry-run",
    ];
    let (text, _) = user.ok(&larger);
    assert!(
        text.contains("pictures of 32x32 are brought to 64x64"),
        "{text}"
    );
    // The branch gets on; the run does not.
    user.server.moves_to(&COMMIT.replace('1', "e"));
    user.server.put(
        "datasets/uoft-cs/cifar10/plain_text/train-00000-of-00001.parquet",
        &published("cifar10/test-00000-of-00001.parquet"),
    );
    user.server.asked();
    user.ok(&[
        "train", "wgan-gp", "--quiet", "--out", "r", "--resume", "--steps", "4",
    ]);
    assert_eq!(user.server.asked(), Vec::<String>::new());
    let (text, _) = user.ok(&["data", "get", "cifar-10"]);
    assert!(text.contains(COMMIT), "{text}");
    let (text, _) = user.ok(&["data", "get", "cifar-10", "--refresh"]);
    assert!(!text.contains(COMMIT), "{text}");
    assert_eq!(read(&place(&text), Split::Train).0.info().len, 4);
    // Of a run whose data are neither here nor there one line says so.
    std::fs::remove_dir_all(user.path("")).unwrap();
    user.server.fails(Fault::Status(404));
    let line = user.fails(&[
        "train", "wgan-gp", "--quiet", "--out", "r", "--resume", "--steps", "5",
    ]);
    assert!(line.contains("no such thing on the server"), "{line}");
}

#[test]
fn a_repository_may_hold_a_zip_file_pictures_or_what_the_hub_converted() {
    let user = User::new();
    let smoke = [
        "train", "vanilla", "--preset", "smoke", "--steps", "1", "--quiet", "--data",
    ];
    let zip =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/emoji.zip")).unwrap();
    user.server.put("datasets/a/zipped/pictures.zip", &zip);
    user.server.put("datasets/a/zipped/notes.txt", b"x");
    let (text, _) = user.ok(&["data", "get", "hf:a/zipped"]);
    assert!(place(&text).ends_with("pictures.zip"), "{text}");
    let (text, _) = user.ok(&["data", "inspect", "hf:a/zipped"]);
    assert!(text.contains("64 x 64"), "{text}");
    // Single pictures, in a folder of the repository.
    for part in ["mnist", "cifar10"] {
        put(&user.server, part, "a/forms", part);
    }
    let (text, _) = user.ok(&["data", "get", "hf:a/forms/mnist"]);
    let (set, _) = read(&place(&text), Split::Test);
    let mut picture = Vec::new();
    set.whole(0, &mut picture).unwrap();
    let line = user.fails(&["data", "get", "hf:a/forms"]);
    assert!(
        line.contains("several forms; name one of them: …/FOLDER (cifar10, mnist)"),
        "{line}"
    );
    let grey = image(&picture, 28);
    for name in [
        "some digits/train/1.png",
        "some digits/train/2.png",
        "some digits/x.txt",
        "else/3.png",
    ] {
        user.server.put(&format!("datasets/a/single/{name}"), &grey);
    }
    let (text, _) = user.ok(&["data", "get", "hf:a/single/some digits"]);
    let survey = images::open(&place(&text), Split::Train, Labels::Ignored, &|_, _, _| {}).unwrap();
    assert_eq!(survey.info().len, 2);
    user.ok(&[&smoke[..], &["hf:a/single/some digits"]].concat());
    // What the hub made of tables and archives that are not read.
    user.server.put("datasets/a/other/data.tar", b"x");
    user.server.put(
        "datasets/a/other@converted/default/train/0000.parquet",
        &published("sides-train.parquet"),
    );
    let (text, _) = user.ok(&["data", "get", "hf:a/other"]);
    assert!(
        text.contains("note: side A is the column imageA, side B the column imageB"),
        "{text}"
    );
    user.ok(&[
        "train",
        "cyclegan",
        "--preset",
        "smoke",
        "--steps",
        "1",
        "--quiet",
        "--data",
        "hf:a/other",
    ]);
    // And where there is nothing that is read.
    user.server.put("datasets/a/none/data.tar", b"x");
    let line = user.fails(&["data", "get", "hf:a/none"]);
    assert!(
        line.contains("holds no parquet, zip or picture file"),
        "{line}"
    );
}

/// A grey PNG file of these pixels.
fn image(pixels: &[u8], side: u32) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    let grey = image::GrayImage::from_raw(side, side, pixels.to_vec()).unwrap();
    grey.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

#[test]
fn who_asks_is_told_to_the_hub_alone() {
    let user = User::new();
    user.server.put("a/b/g.bin", &noise(20_000, 1));
    let get = ["weights", "get", "hf:a/b/g.bin"];
    let output = user
        .command(&get)
        .env("HF_TOKEN", "hf_secret")
        .output()
        .unwrap();
    let (text, errors) = said(&output, 0, &get);
    assert!(!text.contains("secret") && !errors.contains("secret"));
    for line in user.server.asked() {
        assert_eq!(
            line.ends_with(" who"),
            !line.contains("/elsewhere/"),
            "{line}"
        );
    }
}

#[test]
fn two_processes_fetch_a_file_once() {
    let user = User::new();
    put_cifar(&user.server);
    user.server.put("a/b/g.bin", &noise(2_000_000, 1));
    for args in [
        ["weights", "get", "hf:a/b/g.bin"],
        ["data", "get", "cifar-10"],
    ] {
        let children: Vec<_> = (0..4)
            .map(|_| {
                let mut command = user.command(&args);
                command
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for child in children {
            said(&child.wait_with_output().unwrap(), 0, &args);
        }
        let asked = user.server.asked();
        let mut files: Vec<&String> = asked
            .iter()
            .filter(|line| line.starts_with("GET /elsewhere"))
            .collect();
        let n = files.len();
        files.dedup();
        assert_eq!(files.len(), n, "{asked:?}");
    }
}

#[test]
fn without_a_server_one_line_says_what_to_put_where() {
    let user = User::new();
    let line = user.fails(&["train", "dcgan", "--data", "hf:org/name", "--offline"]);
    let folder = user.path("gan-zoo/by-hand/datasets/org/name");
    for part in [
        "hf:org/name: is not here",
        &format!("/datasets/org/name, and put them at {}", folder.display()),
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(user.server.asked(), Vec::<String>::new());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("train.parquet"),
        published("cifar10/train-00000-of-00001.parquet"),
    )
    .unwrap();
    let (text, _) = user.ok(&["data", "get", "hf:org/name", "--offline"]);
    assert!(
        text.contains("was put there by hand and is not checked"),
        "{text}"
    );
    assert_eq!(read(&place(&text), Split::Train).0.info().len, 12);
    user.ok(&[
        "train",
        "dcgan",
        "--preset",
        "smoke",
        "--steps",
        "1",
        "--quiet",
        "--data",
        "hf:org/name",
        "--offline",
    ]);
    // Weights of a repository, and those that have a name.
    let line = user.fails(&["sample", "dcgan", "--weights", "hf:a/b/g.pth", "--offline"]);
    assert!(
        line.contains("put it at ") && line.contains("by-hand/models/a/b/g.pth"),
        "{line}"
    );
    let line = user.fails(&["weights", "get", "vgg19", "--offline"]);
    assert!(line.contains("weights/vgg19-dcbb9e9d.pth"), "{line}");
    let file = user.path("gan-zoo/weights/vgg19-dcbb9e9d.pth");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, b"by hand").unwrap();
    let (text, _) = user.ok(&["weights", "get", "vgg19", "--offline"]);
    assert!(text.contains("put there by hand, not checked"), "{text}");
    // The hub's own word for it.
    let output = user
        .command(&["data", "get", "cifar-10"])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    assert!(
        said(&output, 1, &[]).1.contains("no server is asked"),
        "{output:?}"
    );
    assert_eq!(user.server.asked(), Vec::<String>::new());
}

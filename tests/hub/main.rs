//! What is fetched from elsewhere: the real program against a stand-in for the hub on the loopback address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod server;
mod tables;
mod user;

use gan_core::data::Split;
use gan_core::data::images::{self, Labels};
use server::{COMMIT, Fault, hex};
use sha2::{Digest, Sha256};
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
        assert!(
            text.starts_with(&format!("hf:")) && text.contains(COMMIT),
            "{text}"
        );
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
fn a_download_that_was_cut_is_gone_on_with() {
    let user = User::new();
    let file = noise(300_000, 1);
    user.server.put("a/b/g.bin", &file);
    let get = ["weights", "get", "hf:a/b/g.bin"];
    // Within a command, after two cuts.
    user.server.fails(Fault::Cut(100_000, 2));
    let (text, _) = user.ok(&get);
    assert_eq!(std::fs::read(text.trim()).unwrap(), file);
    let gets: Vec<String> = user
        .server
        .asked()
        .into_iter()
        .filter(|line| line.starts_with("GET /elsewhere"))
        .collect();
    let from = |n: &str| format!("GET /elsewhere/a/b/g.bin{n}");
    assert_eq!(gets, [from(""), from(" from 100000"), from(" from 200000")]);
    // From one command to the next.
    user.server.put("a/b/h.bin", &noise(300_000, 2));
    let get = ["weights", "get", "hf:a/b/h.bin"];
    user.server.fails(Fault::Cut(50_000, 99));
    let line = user.fails(&get);
    assert!(
        line.contains("ended after 200000 of 300000 bytes (")
            && line.contains("goes on from there"),
        "{line}"
    );
    assert_eq!(user.parts().len(), 1);
    user.server.fails(None);
    user.server.asked();
    let (text, errors) = user.ok(&get);
    assert!(errors.contains("195.31 KiB of it are here"), "{errors}");
    assert_eq!(std::fs::read(text.trim()).unwrap(), noise(300_000, 2));
    assert_eq!(user.parts(), Vec::<String>::new());
    let asked = user.server.asked();
    assert!(
        asked.iter().any(|line| line.ends_with("h.bin from 200000")),
        "{asked:?}"
    );
    // From a server that gives no parts, from the beginning.
    user.server.put("a/b/j.bin", &noise(300_000, 5));
    user.server.fails(Fault::Cut(50_000, 99));
    user.fails(&["weights", "get", "hf:a/b/j.bin"]);
    user.server.fails(Fault::NoRanges);
    let (text, _) = user.ok(&["weights", "get", "hf:a/b/j.bin"]);
    assert_eq!(std::fs::read(text.trim()).unwrap(), noise(300_000, 5));
    // Parts of two contents are never joined.
    user.server.put("a/b/i.bin", &noise(300_000, 3));
    user.server.fails(Fault::Cut(50_000, 99));
    user.fails(&["weights", "get", "hf:a/b/i.bin"]);
    user.server.put("a/b/i.bin", &noise(300_000, 4));
    user.server.fails(None);
    let (text, _) = user.ok(&["weights", "get", "hf:a/b/i.bin"]);
    assert_eq!(std::fs::read(text.trim()).unwrap(), noise(300_000, 4));
}

#[test]
fn what_is_not_what_it_is_to_be_is_refused_and_removed() {
    let user = User::new();
    user.server.put("a/b/g.bin", &noise(20_000, 1));
    user.server.fails(Fault::Wrong);
    let line = user.fails(&["weights", "get", "hf:a/b/g.bin"]);
    assert!(
        line.contains("is not what it is to be: SHA-256") && line.contains("was removed"),
        "{line}"
    );
    assert_eq!(user.parts(), Vec::<String>::new());
    user.server.fails(None);
    user.ok(&["weights", "get", "hf:a/b/g.bin"]);
    // Weights by name: the first digits of the sum are in the name of the file, where they are anywhere.
    user.server.put(
        "ESRGAN_SRx4_DF2KOST_official-ff704c30.pth",
        &noise(20_000, 2),
    );
    let line = user.fails(&["weights", "get", "esrgan"]);
    assert!(line.contains("expected ff704c30"), "{line}");
    let file = noise(20_000, 3);
    user.server.put("horse2zebra.pth", &file);
    let (text, _) = user.ok(&["weights", "get", "horse2zebra"]);
    let sum = hex(&Sha256::digest(&file));
    assert!(
        text.contains(&format!("SHA-256 {sum}, unverified")) && text.contains("licence: BSD"),
        "{text}"
    );
    user.server.asked();
    assert_eq!(user.ok(&["weights", "get", "horse2zebra"]).0, text);
    assert_eq!(user.server.asked(), Vec::<String>::new());
    // A name or an address stands wherever a file of weights does.
    let line = user.fails(&["weights", "inspect", "horse2zebra"]);
    assert!(line.contains("horse2zebra.pth: "), "{line}");
    // A damaged table is an error, and nothing is kept of it.
    for (n, lost) in [300, 3_000].into_iter().enumerate() {
        let mut cut = published("cifar10/train-00000-of-00001.parquet");
        cut.drain(200..200 + lost);
        user.server
            .put(&format!("datasets/a/bad{n}/train.parquet"), &cut);
        let line = user.fails(&["data", "get", &format!("hf:a/bad{n}")]);
        assert!(line.contains("is a damaged parquet file ("), "{line}");
    }
    assert_eq!(user.parts(), Vec::<String>::new());
}

#[test]
fn every_failure_of_a_server_is_one_line_and_harms_nothing() {
    let user = User::new();
    let file = noise(20_000, 1);
    user.server.put("a/b/here.bin", &file);
    let (here, _) = user.ok(&["weights", "get", "hf:a/b/here.bin"]);
    user.server.put("a/b/g.bin", &noise(20_000, 2));
    put_cifar(&user.server);
    let faults = [
        (
            Fault::Status(401),
            "set HF_TOKEN to a token of your account",
            true,
        ),
        (Fault::Status(403), "ask for access on its page", true),
        (
            Fault::Status(404),
            "check organisation, name, revision and file",
            true,
        ),
        (Fault::Status(429), "try again in 7 s", true),
        (Fault::Status(500), "the server failed (status 500)", true),
        (Fault::Silent, "127.0.0.1 said nothing for 1 s", false),
        (
            Fault::Nowhere,
            "127.0.0.1 cannot be reached (Connection refused",
            false,
        ),
        (
            Fault::Around,
            "is sent from place to place more than 10 times",
            false,
        ),
        (
            Fault::Stalls,
            "ended after 10000 of 20000 bytes (silence for 1 s)",
            false,
        ),
    ];
    for (fault, expected, both) in faults {
        user.server.fails(fault);
        let line = user.fails(&["weights", "get", "hf:a/b/g.bin"]);
        assert!(line.contains(expected), "{fault:?}: {line}");
        if both {
            let line = user.fails(&["data", "get", "cifar-10"]);
            assert!(line.contains(expected), "{fault:?}: {line}");
        }
        // What was here is here.
        assert_eq!(user.ok(&["weights", "get", "hf:a/b/here.bin"]).0, here);
    }
    let line = user.fails(&["data", "get", "cifar-10"]);
    assert!(
        line.contains("silence")
            || line.contains("cannot be used")
            || line.contains("said nothing"),
        "{line}"
    );
    assert_eq!(std::fs::read(here.trim()).unwrap(), file);
    // A cache that cannot be written, and one that nobody names.
    user.server.fails(None);
    let get = ["weights", "get", "hf:a/b/g.bin"];
    let output = user
        .command(&get)
        .env("HF_HUB_CACHE", "/dev/null/cache")
        .output()
        .unwrap();
    let (_, errors) = said(&output, 1, &get);
    assert!(
        errors.contains("HF_HUB_CACHE and XDG_CACHE_HOME name other folders"),
        "{errors}"
    );
    let output = user.command(&get).env_remove("HOME").output().unwrap();
    assert!(said(&output, 1, &get).1.contains("set HOME"), "{output:?}");
    user.ok(&get);
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
    let folder = user.path("gan-zoo/by-hand/org/name");
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
        line.contains("put it at ") && line.contains("by-hand/a/b/g.pth"),
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

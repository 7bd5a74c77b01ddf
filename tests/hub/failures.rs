//! Downloads that are cut, contents that are wrong, servers that fail.

use crate::server::{Fault, hex};
use crate::user::{User, noise, published, put_cifar, said};
use sha2::{Digest, Sha256};

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
    // Where no sum is known, the length is.
    user.server.fails(Fault::Longer);
    let line = user.fails(&["weights", "get", "horse2zebra"]);
    assert!(
        line.contains("has more than the 20000 bytes that it is to have"),
        "{line}"
    );
    assert_eq!(user.parts(), Vec::<String>::new());
    user.server.fails(None);
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

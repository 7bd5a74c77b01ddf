//! PyTorch's zip files: the pickle `ARCHIVE/data.pkl` and an entry `ARCHIVE/data/KEY` for each storage.

use super::storages::{Place, Storages, Unpacker};
use super::{Fault, Read, SAVE};
use crate::error::brief;
use std::borrow::Cow;
use std::io::Cursor;
use zip::{CompressionMethod, ZipArchive};

const PICKLE: &str = "data.pkl";

/// Whether these bytes begin as a zip file does.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// The pickle of a file, and where its storages are.
pub(super) fn open(bytes: &[u8]) -> Read<(Cow<'_, [u8]>, Storages)> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
        let error = brief(&error.to_string());
        Fault::short(format!(
            "it begins as a zip file, whose directory at the end cannot be read ({error})"
        ))
    })?;
    let folder = folder(&archive)?;
    let mut storages = Storages {
        folder: format!("{folder}data/"),
        ..Storages::default()
    };
    let (mut pickle, mut order) = (None, None);
    for index in 0..archive.len() {
        // A name that is no text is none of PyTorch's.
        let Some(Ok(name)) = archive.name_for_index(index) else {
            continue;
        };
        let name = name.into_owned();
        let Some(inside) = name.strip_prefix(&folder) else {
            continue;
        };
        if inside == "constants.pkl" || inside.starts_with("code/") {
            return Err(Fault::new(
                "is a TorchScript archive, a program with its numbers",
                "save its numbers alone: torch.save(torch.jit.load(FILE).state_dict(), OUT)",
            ));
        }
        let key = inside.strip_prefix("data/");
        if key.is_none() && ![PICKLE, "byteorder"].contains(&inside) {
            continue;
        }
        let place = place(&mut archive, index, &name)?;
        match (key, inside) {
            (Some(key), _) => drop(storages.places.insert(key.to_string(), place)),
            (None, PICKLE) => pickle = Some(place),
            (None, _) => order = Some(place),
        }
    }
    let mut unpacker = Unpacker::new(bytes);
    if let Some(place) = order {
        let order = unpacker.read(place, "byteorder")?;
        if *order != *b"little" {
            return Err(big_endian());
        }
    }
    let pickle = pickle.ok_or_else(|| Fault::damaged("its data.pkl cannot be found"))?;
    Ok((unpacker.read(pickle, PICKLE)?, storages))
}

/// What is said of numbers whose highest byte comes first.
pub(super) fn big_endian() -> Fault {
    Fault::new(
        "holds big-endian numbers, as some large machines write them",
        "load it with PyTorch on a usual machine and save it again",
    )
}

/// What the names of its entries begin with.
fn folder(archive: &ZipArchive<Cursor<&[u8]>>) -> Read<String> {
    let folders = archive.file_names().filter_map(|name| {
        let folder = name.ok()?.strip_suffix(PICKLE)?.to_string();
        (folder.is_empty() || folder.ends_with('/')).then_some(folder)
    });
    let folder = folders.min_by_key(|folder| (folder.len(), folder.clone()));
    folder.ok_or_else(|| {
        Fault::new(
            "is a zip file and not one of PyTorch's, which hold an entry data.pkl",
            "if weights lie in it, unpack it and name the file; else save them with torch.save",
        )
    })
}

/// Where an entry is.
fn place(archive: &mut ZipArchive<Cursor<&[u8]>>, index: usize, name: &str) -> Read<Place> {
    let name = brief(name);
    let entry = archive
        .by_index_raw(index)
        .map_err(|error| Fault::damaged(format!("{name}: {}", brief(&error.to_string()))))?;
    if entry.encrypted() {
        let problem = format!("is encrypted ({name})");
        return Err(Fault::new(
            problem,
            "unpack it and pack it again without a password",
        ));
    }
    let huge = || Fault::damaged(format!("{name} claims to be larger than any memory"));
    let size = |n: u64| usize::try_from(n).map_err(|_| huge());
    let (length, unpacked) = (size(entry.compressed_size())?, size(entry.size())?);
    let unpacked = match entry.compression() {
        CompressionMethod::Stored => None,
        CompressionMethod::DEFLATE => Some(unpacked),
        other => {
            return Err(Fault::new(
                format!("is compressed as {other} ({name}), expected stored or deflated"),
                SAVE,
            ));
        }
    };
    let start = entry.data_start().map(size).transpose()?;
    Ok(Place {
        start: start.ok_or_else(|| Fault::damaged(format!("{name} has no beginning")))?,
        length,
        unpacked,
        // PyTorch may be told to write no checksums.
        sum: Some(entry.crc32()).filter(|&sum| sum != 0),
    })
}

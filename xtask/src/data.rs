//! `data`: what data sets there are and what is in them.

use crate::cli::{DataArgs, DataCommand};
use crate::dataset;
use anyhow::{Result, bail};
use gan_core::FileError;
use gan_core::data::{Data, Pictures, idx};
use gan_core::image::grid;
use std::path::Path;

/// Pictures on a contact sheet.
const SHEET: usize = 100;

/// Runs `data`.
pub fn data(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Ls => {
            for set in dataset::EMBEDDED {
                say!("{:8} {}", set.name, set.about);
                say!("{:8} {}", "", dataset::locate(set.name)?.display());
            }
            Ok(())
        }
        DataCommand::Inspect { data, out } => inspect(data, out.as_deref()),
    }
}

fn inspect(name: &str, out: Option<&Path>) -> Result<()> {
    say!("{}", dataset::locate(name)?.display());
    for (part, split) in [("train", idx::Split::Train), ("test", idx::Split::Test)] {
        let set = match dataset::open(name, split) {
            Ok(Data::Images(set)) => set,
            Ok(Data::Unpaired { .. } | Data::Paired { .. }) => continue,
            Err(error) if part == "test" => {
                say!("  test   not usable: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        let info = set.info();
        say!(
            "  {part:6} {} pictures, {} x {}, {} channel{}",
            info.len,
            info.height,
            info.width,
            info.channels,
            if info.channels == 1 { "" } else { "s" }
        );
        if let Some(classes) = info.classes {
            let mut counts = vec![0u64; classes];
            for label in (0..info.len).filter_map(|i| set.label(i)) {
                if let Some(count) = counts.get_mut(label as usize) {
                    *count += 1;
                }
            }
            let counts: Vec<_> = counts
                .iter()
                .enumerate()
                .map(|(class, n)| format!("{class}: {n}"))
                .collect();
            say!("         {classes} classes ({})", counts.join(", "));
        }
        if let (Some(path), "train") = (out, part) {
            sheet(&*set, path)?;
            say!("         contact sheet: {}", path.display());
        }
    }
    Ok(())
}

/// The first pictures of a set as one grid.
fn sheet(set: &dyn Pictures, path: &Path) -> Result<()> {
    let n = set.info().len.min(SHEET);
    let (pictures, _) = dataset::pictures(set, 0..n, None)?;
    let png = grid(&pictures, 10)?.png()?;
    match std::fs::write(path, png) {
        Ok(()) => Ok(()),
        Err(e) => bail!(FileError::writing(path, &e)),
    }
}

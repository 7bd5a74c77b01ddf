//! `data`: what data sets there are and what is in them.

use crate::cli::{DataArgs, DataCommand};
use crate::output::{self, Format, Target, counted};
use crate::{Usage, dataset, hub};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::FileError;
use gan_core::data::images::sides;
use gan_core::data::{Data, Pictures, Split};
use gan_core::image::grid;
use std::path::Path;
use std::sync::Arc;

/// Pictures on a contact sheet.
const SHEET: usize = 100;
/// The longest side of a picture on it.
const SIDE: usize = 256;
/// Pictures in a row of it.
const ROW: usize = 10;

/// Runs `data`.
pub fn data(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Ls => {
            for set in dataset::EMBEDDED {
                say!("{:8} {}", set.name, set.about);
                say!("{:8} {}", "", dataset::locate(set.name)?.display());
            }
            say!("fetched by cargo xtask-hub data get NAME, as hf:ORG/NAME is:");
            for set in hub::data::DATA {
                say!("{:13} {} ({})", set.name, set.about, set.address);
            }
            let kept = hub::kept()?;
            if !kept.is_empty() {
                say!("here of these:");
            }
            kept.iter()
                .for_each(|(address, place)| say!("{address}\n         {}", place.display()));
            Ok(())
        }
        DataCommand::Get { data, refresh } => hub::get_data(data, *refresh),
        DataCommand::Inspect { data, out } => inspect(data, out.as_deref()),
    }
}

fn inspect(name: &str, out: Option<&Path>) -> Result<()> {
    let out = match out {
        None => None,
        Some(out) => match output::target(out) {
            Ok(Some(Target::File(path, format))) if format != Format::Gif => Some((path, format)),
            _ => bail!(Usage(format!(
                "--out {}: one picture is written; name a file that ends with .png, .jpg or .jpeg",
                out.display()
            ))),
        },
    };
    say!("{}", dataset::locate(name)?.display());
    for (part, split) in [("train", Split::Train), ("test", Split::Test)] {
        let (data, notes) = match dataset::open(name, split) {
            Ok(opened) => opened,
            Err(error) if part == "test" => {
                say!("  test   not usable: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        match &data.b {
            None => {
                counts(part, &*data.a);
                let info = data.a.info();
                if let Some((h, w)) = sides::halves((info.height, info.width)) {
                    say!("         two halves of {h} x {w}: A|B for papers that learn from pairs");
                }
            }
            Some(b) => {
                let kind = match data.paired {
                    true => "pairs",
                    false => "two sides without a correspondence",
                };
                say!("  {part:6} {kind}");
                counts("  A", &*data.a);
                counts("  B", &**b);
            }
        }
        for note in notes {
            say!("         note: {note}");
        }
        if let (Some((path, format)), "train") = (&out, part) {
            sheet(&data, path, *format)?;
            say!("         contact sheet: {}", path.display());
        }
    }
    Ok(())
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Says how many pictures there are, and of what kind.
fn counts(part: &str, set: &dyn Pictures) {
    let info = set.info();
    say!(
        "  {part:6} {}, {} x {}, {} channel{}",
        counted(info.len),
        info.height,
        info.width,
        info.channels,
        plural(info.channels)
    );
    let Some(classes) = info.classes else {
        return;
    };
    let mut counts = vec![0u64; classes];
    for label in (0..info.len).filter_map(|i| set.label(i)) {
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    let name = |class: usize| info.names.get(class).cloned().unwrap_or(class.to_string());
    let counts: Vec<_> = counts
        .iter()
        .enumerate()
        .map(|(class, n)| format!("{}: {n}", name(class)))
        .collect();
    say!("         {classes} classes ({})", counts.join(", "));
}

/// The first `n` pictures of a set, `[n, c, h, w]` in [−1, 1]; of large ones each pixel is the mean of a square, so that
/// a sheet of them takes little memory and can be looked at.
fn small(set: &dyn Pictures, n: usize) -> Result<Tensor> {
    let info = set.info();
    let (c, width) = (info.channels, info.width);
    let factor = info.height.max(width).div_ceil(SIDE);
    let (h, w) = ((info.height / factor).max(1), (width / factor).max(1));
    let (mut values, mut bytes) = (Vec::with_capacity(n * c * h * w), Vec::new());
    for i in 0..n {
        bytes.clear();
        set.whole(i, &mut bytes)?;
        for plane in bytes.chunks_exact((info.height * width).max(1)) {
            for rows in plane.chunks(factor * width).take(h) {
                let high = rows.len() / width;
                let mut means = vec![0f32; w];
                for row in rows.chunks(width) {
                    for (mean, pixels) in means.iter_mut().zip(row.chunks(factor)) {
                        let sum: u32 = pixels.iter().map(|&x| u32::from(x)).sum();
                        *mean += sum as f32 / (pixels.len() * high) as f32;
                    }
                }
                values.extend(means.iter().map(|mean| mean / 127.5 - 1.));
            }
        }
    }
    Ok(Tensor::from_vec(values, (n, c, h, w), &Device::Cpu)?)
}

/// The first pictures of a set as one grid; of two sides, a row of A above each row of B.
fn sheet(data: &Data, path: &Path, format: Format) -> Result<()> {
    let first = |set: &Arc<dyn Pictures>, n: usize| small(&**set, set.info().len.min(n));
    let pictures = match &data.b {
        None => first(&data.a, SHEET)?,
        Some(b) => {
            let n = data.a.info().len.min(b.info().len).min(SHEET / 2);
            let (a, b) = (first(&data.a, n)?, first(b, n)?);
            let mut rows = Vec::new();
            for from in (0..n).step_by(ROW) {
                let length = ROW.min(n - from);
                rows.push(a.narrow(0, from, length)?);
                rows.push(b.narrow(0, from, length)?);
            }
            Tensor::cat(&rows, 0)?
        }
    };
    let columns = match pictures.dim(0)? / 2 {
        few if few < ROW && data.b.is_some() => few,
        _ => ROW,
    };
    let file = format.encode(&grid(&pictures, columns)?)?;
    match std::fs::write(path, file) {
        Ok(()) => Ok(()),
        Err(e) => bail!(FileError::writing(path, &e)),
    }
}

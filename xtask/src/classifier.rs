//! `classifier`: trains the network that reads digits, on the embedded ones.

use crate::cli::ClassifierArgs;
use crate::{dataset, process};
use anyhow::{Result, bail};
use gan_core::FileError;
use gan_core::data::{Pictures, Split};
use gan_eval::lenet::{self, Training};
use std::sync::Arc;

/// Runs `classifier`.
pub fn classifier(args: &ClassifierArgs) -> Result<()> {
    let device = process::device(&args.device)?;
    let usual = Training::default();
    let how = Training {
        seed: args.seed,
        epochs: args.epochs.unwrap_or(usual.epochs),
        ..usual
    };
    // Before the training, so that a name that cannot be written costs nothing.
    let folder = args.out.parent().filter(|dir| !dir.as_os_str().is_empty());
    if args.out.is_dir() || folder.is_some_and(|dir| !dir.is_dir()) {
        bail!(FileError::new(
            &args.out,
            "cannot be written (no such folder, or a folder itself)",
            "name a file with --out"
        ))
    }
    let train = digits(Split::Train)?;
    say!(
        "{} digits, {} epochs, batches of {}, Adam from {}, moved by up to {} pixels, seed {}",
        train.info().len,
        how.epochs,
        how.batch,
        how.lr,
        how.shift,
        how.seed
    );
    let classifier = lenet::train(train, &how, &device, &mut |epoch, loss| {
        say!("  epoch {epoch:3}  loss {loss:.4}");
    })?;
    let test = digits(Split::Test)?;
    let (pictures, labels) = dataset::held(&test, 0..test.info().len)?;
    let labels = labels.unwrap_or_default();
    let accuracy = classifier.accuracy(&pictures.to_device(&device)?, &labels)?;
    classifier.params().write_weights(&args.out)?;
    say!(
        "{} numbers: {}",
        classifier.params().count(),
        args.out.display()
    );
    say!(
        "test accuracy {:.1} % of {} held-out digits",
        100. * accuracy,
        labels.len()
    );
    Ok(())
}

fn digits(split: Split) -> Result<Arc<dyn Pictures>> {
    Ok(dataset::open("mnist", split)?.0.a)
}

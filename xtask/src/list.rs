//! `list` and `info`: the papers, their settings and what they mean.

use crate::cli::InfoArgs;
use crate::dataset;
use crate::settings;
use anyhow::Result;
use gan_core::data::Split;
use gan_core::{Preset, Recipe};

/// Runs `list`.
pub fn list(papers: &[&dyn Recipe]) -> Result<()> {
    for recipe in papers {
        let info = recipe.info();
        say!("{:12} {}", info.name, info.cited());
    }
    Ok(())
}

/// Runs `info`.
pub fn info(papers: &[&dyn Recipe], args: &InfoArgs) -> Result<()> {
    let recipe = settings::paper(papers, &args.paper)?;
    let info = recipe.info();
    let data = dataset::look(info.data, Split::Train, None, &|_, _, _| {})?.info();
    let [demo, paper] = [Preset::Demo, Preset::Paper].map(|preset| recipe.preset(preset, &data));
    let (demo, paper) = (demo?, paper?);
    say!("{}: {}", info.name, info.title);
    if !info.authors.is_empty() {
        say!("{}, {}", info.authors, info.year);
    }
    if !info.arxiv.is_empty() {
        say!("https://arxiv.org/abs/{}", info.arxiv);
    }
    say!(
        "\nsettings (--set KEY=VALUE)   {:15} paper",
        format!("demo on {}", info.data)
    );
    for (key, about) in settings::keys(recipe) {
        let value = |config: &serde_json::Value| match config.get(&key) {
            None | Some(serde_json::Value::Null) => "—".into(),
            Some(value) => value.to_string(),
        };
        say!("  {key:26} {:15} {:8} {about}", value(&demo), value(&paper));
    }
    let steps = recipe.steps(&demo, Preset::Demo, &data)?;
    say!(
        "\nThe demo has {} iterations:\n  cargo xtask train {}",
        steps,
        info.name
    );
    Ok(())
}

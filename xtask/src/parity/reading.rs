//! How the configuration of a recording reads as a paper's settings and data: by the table in its crate.

use anyhow::{Result, anyhow, bail};
use gan_core::{DataInfo, Means, Preset, Recipe, Recording, brief, cut};
use serde_json::{Map, Value};

/// The longest side of a recorded picture.
const SIDE: u64 = 1 << 14;
/// How often it is 4x4 doubled at most.
const DOUBLINGS: u64 = 8;
/// Its channels at most.
const CHANNELS: u64 = 1 << 10;
/// Its classes at most.
const CLASSES: u64 = 1 << 14;

/// The settings and the data that a recording was made with.
///
/// # Errors
/// A key that the table does not know or that is missing; a value that this implementation does not have or that the
/// paper's own check refuses.
pub fn settings(
    recipe: &dyn Recipe,
    recording: &Recording,
    config: &Map<String, Value>,
) -> Result<(Value, DataInfo)> {
    if let Some(key) = config
        .keys()
        .find(|key| !recording.keys.iter().any(|(known, _)| known == key))
    {
        bail!(
            "{}: the recording has {}, which has no meaning here",
            recording.name,
            brief(key)
        )
    }
    let mut data = DataInfo::picture(1, 1, 1);
    let mut changes: Vec<(&str, Value)> = Vec::new();
    for (key, means) in recording.keys {
        let Some(value) = config.get(*key) else {
            match means {
                Means::Nothing => continue,
                _ => bail!("{}: the recording lacks {key}", recording.name),
            }
        };
        let said = || brief(&value.to_string());
        // No picture is larger: the numbers are multiplied, and so must be small enough for that.
        let count = |most: u64| match value.as_u64() {
            Some(n) if (1..=most).contains(&n) => Ok(n as usize),
            _ => bail!(
                "{}: {key} is {}, expected a number from 1 to {most}",
                recording.name,
                said()
            ),
        };
        match means {
            Means::Setting(name) => changes.push((name, value.clone())),
            Means::Always(wanted) => {
                let wanted: Value = serde_json::from_str(wanted)?;
                if *value != wanted {
                    bail!(
                        "{}: recorded with {key} {}, this paper has {wanted}",
                        recording.name,
                        said()
                    )
                }
            }
            Means::Nothing => {}
            Means::Channels => data.channels = count(CHANNELS)?,
            Means::Colour => data.channels = 3,
            Means::Height => data.height = count(SIDE)?,
            Means::Width => data.width = count(SIDE)?,
            Means::LowHeight(scale) => data.height = scale * count(SIDE)?,
            Means::LowWidth(scale) => data.width = scale * count(SIDE)?,
            Means::Side => (data.height, data.width) = (count(SIDE)?, count(SIDE)?),
            Means::Doublings(name) => match value.as_u64().filter(|&n| n <= DOUBLINGS) {
                Some(n) => {
                    let side = 4usize << n;
                    (data.height, data.width) = (side, side);
                    changes.push((name, side.into()));
                }
                None => bail!(
                    "{}: {key} is {}, expected a number from 0 to {DOUBLINGS}",
                    recording.name,
                    said()
                ),
            },
            Means::Pixels => data.width = count(SIDE * SIDE)?,
            Means::Classes => data.classes = Some(count(CLASSES)?),
        }
    }
    let mut settings = recipe.preset(Preset::Paper, &data)?;
    for (key, value) in recording.set {
        changes.push((key, serde_json::from_str(value)?));
    }
    for (key, value) in changes {
        match settings.get_mut(key) {
            Some(slot) => *slot = value,
            None => bail!("{}: there is no setting {key}", recording.name),
        }
    }
    let settings = recipe.check(&settings);
    let settings = settings.map_err(|e| {
        anyhow!(
            "{}: {}",
            recording.name,
            cut(crate::first_line(&e.to_string()), 160)
        )
    })?;
    Ok((settings, data))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_missing_and_other_values_are_named() {
        let recipe = &gan_dcgan::RECIPE;
        let recording = recipe.info().recordings.first().unwrap();
        let good = json!({"opt": "adam", "lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "batch": 2, "c": 3,
            "size": 32, "z": 5, "f_d": 4, "f_g": 6});
        let with = |change: &dyn Fn(&mut Map<String, Value>)| {
            let mut config = good.as_object().unwrap().clone();
            change(&mut config);
            settings(recipe, recording, &config).map_err(|e| e.to_string())
        };
        let (config, data) = with(&|_| {}).unwrap();
        assert_eq!(
            (config["width_g"].clone(), config["lr"].clone()),
            (json!(6), json!(1e-3))
        );
        assert_eq!((data.channels, data.height, data.width), (3, 32, 32));
        let said = |change: &dyn Fn(&mut Map<String, Value>)| with(change).unwrap_err();
        assert!(said(&|c| drop(c.insert("x".into(), json!(1)))).contains("has x"));
        assert!(said(&|c| drop(c.remove("z"))).contains("lacks z"));
        assert!(
            said(&|c| drop(c.insert("opt".into(), json!("sgd")))).contains("recorded with opt")
        );
    }
}

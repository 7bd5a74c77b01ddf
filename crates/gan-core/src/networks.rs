//! Which network of a file is meant: wrappers that people and programs put around one, and files that hold several.
//!
//! Everything here is decided by names, so that files of every container are treated alike.

use crate::pth::{Fault, listed};

/// What PyTorch puts before every key of a network that was trained on several devices, or compiled.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];
/// First parts of keys, in lower case, that say which network of a file a tensor belongs to. `model` is none of
/// them: the keys of many a network begin with it.
const PARTS: [&str; 12] = [
    "generator",
    "discriminator",
    "netg",
    "netd",
    "net_g",
    "net_d",
    "g",
    "d",
    "g_ema",
    "params",
    "params_ema",
    "state_dict",
];
/// How the names of networks begin that judge and make nothing, in lower case; alone or before `_` and `.`.
const JUDGES: [&str; 6] = ["d", "netd", "net_d", "discriminator", "disc", "critic"];

/// A network of a file: its name there, empty where it has none, and its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Network<T> {
    pub(crate) name: String,
    pub(crate) tensors: Vec<(String, T)>,
    /// What was before every key and is left out.
    pub(crate) bare: bool,
}

impl<T> Network<T> {
    pub(crate) fn new(name: impl Into<String>, tensors: Vec<(String, T)>) -> Self {
        Self {
            name: name.into(),
            tensors,
            bare: false,
        }
    }

    /// The last part of its name, in lower case.
    fn last(&self) -> String {
        let last = self.name.rsplit('.').next();
        last.unwrap_or_default().to_lowercase()
    }

    fn is_judge(&self) -> bool {
        let last = self.last();
        JUDGES.iter().any(|judge| {
            let rest = last.strip_prefix(judge);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
    }
}

/// The networks without what is before every key, and those that lie in one list, told apart by the first parts of
/// their keys.
pub(crate) fn apart<T>(networks: Vec<Network<T>>) -> Vec<Network<T>> {
    let bare = networks.into_iter().map(bare);
    bare.flat_map(|network| {
        let is_part = |key: &str| PARTS.contains(&first(key).to_lowercase().as_str());
        let all = network
            .tensors
            .iter()
            .all(|(key, _)| key.contains('.') && is_part(key));
        match all {
            true => parts(network).into_iter().map(bare_again).collect(),
            false => vec![network],
        }
    })
    .collect()
}

fn first(key: &str) -> &str {
    key.split('.').next().unwrap_or_default()
}

fn bare_again<T>(network: Network<T>) -> Network<T> {
    let was = network.bare;
    let mut network = bare(network);
    network.bare |= was;
    network
}

/// A network without what is before all of its keys.
pub(crate) fn bare<T>(mut network: Network<T>) -> Network<T> {
    while let Some(prefix) = PREFIXES.iter().find(|prefix| {
        let mut keys = network.tensors.iter();
        !network.tensors.is_empty() && keys.all(|(key, _)| key.starts_with(**prefix))
    }) {
        network.bare = true;
        let cut = |(key, tensor): (String, T)| {
            let key = key.strip_prefix(prefix).unwrap_or(&key).to_string();
            (key, tensor)
        };
        network.tensors = network.tensors.into_iter().map(cut).collect();
    }
    network
}

/// The networks that the first parts of keys tell apart, in their order.
pub(crate) fn parts<T>(network: Network<T>) -> Vec<Network<T>> {
    let mut parts: Vec<Network<T>> = Vec::new();
    for (key, tensor) in network.tensors {
        let (part, key) = key.split_once('.').unwrap_or(("", &key));
        let name = match &*network.name {
            "" => part.to_string(),
            name => format!("{name}.{part}"),
        };
        match parts.iter_mut().find(|other| other.name == name) {
            Some(other) => other.tensors.push((key.to_string(), tensor)),
            None => {
                let mut new = Network::new(name, vec![(key.to_string(), tensor)]);
                new.bare = network.bare;
                parts.push(new);
            }
        }
    }
    parts
}

/// What lies in the networks under keys that begin with `key`, where only one of them has such keys.
pub(crate) fn within<T: Clone>(networks: &[Network<T>], key: &str) -> Option<Network<T>> {
    let inside = |network: &Network<T>| {
        let tensors = network.tensors.iter();
        let tensors = tensors.filter_map(|(whole, tensor)| {
            let rest = whole.strip_prefix(key)?.strip_prefix('.')?;
            Some((rest.to_string(), tensor.clone()))
        });
        let inside = Network::new(key, tensors.collect());
        (!inside.tensors.is_empty()).then_some(inside)
    };
    let mut found = networks.iter().filter_map(inside);
    let first = found.next();
    first.filter(|_| found.next().is_none()).map(bare)
}

/// The names of networks.
pub(crate) fn names<T>(networks: &[Network<T>]) -> Vec<String> {
    let name = |network: &Network<T>| match &*network.name {
        "" => "one without a name".to_string(),
        name => name.to_string(),
    };
    networks.iter().map(name).collect()
}

/// The place among `networks` of the one that is meant: of the name `key`, or the one that a generator is in.
///
/// # Errors
/// A name that none has or several have; several networks of which any could be meant. All are named.
pub(crate) fn choose<T>(networks: &[Network<T>], key: Option<&str>) -> Result<usize, Fault> {
    let all = || listed(&names(networks));
    if let Some(key) = key {
        let exact = networks.iter().position(|network| network.name == key);
        let lower = key.to_lowercase();
        let mut ends = networks.iter().enumerate();
        let mut ends = ends.by_ref().filter(|(_, network)| network.last() == lower);
        return match (exact, ends.next(), ends.next()) {
            (Some(i), ..) | (None, Some((i, _)), None) => Ok(i),
            (None, None, _) => Err(Fault::new(
                format!(
                    "holds no network {}, but {}",
                    crate::error::brief(key),
                    all()
                ),
                "choose one with --key NAME",
            )),
            (None, ..) => Err(Fault::new(
                format!(
                    "holds several networks {}: {}",
                    crate::error::brief(key),
                    all()
                ),
                "choose one with --key and its whole name",
            )),
        };
    }
    let makers = networks.iter().enumerate();
    let makers: Vec<_> = makers.filter(|(_, network)| !network.is_judge()).collect();
    match makers[..] {
        [(i, _)] => Ok(i),
        [] if networks.len() == 1 => Ok(0),
        // An average over the training is what its authors publish.
        [(i, a), (_, b)] if is_average(a, b) => Ok(i),
        [(_, a), (i, b)] if is_average(b, a) => Ok(i),
        _ => Err(Fault::new(
            format!("holds {} networks: {}", networks.len(), all()),
            "choose one with --key NAME",
        )),
    }
}

/// Whether a network is by its name the average of another.
fn is_average<T>(a: &Network<T>, b: &Network<T>) -> bool {
    let (a, b) = (a.last(), b.last());
    a == "ema" || a == format!("{b}_ema") || a == format!("ema_{b}") || a == format!("{b}ema")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(networks: &[&str]) -> Vec<Network<()>> {
        let network = |name: &&str| Network::new(*name, vec![("a.weight".to_string(), ())]);
        networks.iter().map(network).collect()
    }

    #[test]
    fn the_generator_is_meant_where_only_one_can_be() {
        for (names, meant) in [
            (&["params"][..], "params"),
            (&["params", "params_ema"], "params_ema"),
            (&["ema", "model"], "ema"),
            (&["g", "d", "g_ema"], "g_ema"),
            (&["netD_A", "discriminator", "netG"], "netG"),
            (&["state_dict.d"], "state_dict.d"),
        ] {
            let networks = file(names);
            let at = choose(&networks, None).map_err(|fault| fault.problem);
            assert_eq!(at.map(|i| networks[i].name.as_str()), Ok(meant));
        }
        for names in [
            &["netG_A", "netG_B", "netD_A"][..],
            &["a", "b"],
            &["d", "netD"],
        ] {
            let said = choose(&file(names), None).expect_err("several").problem;
            assert!(names.iter().all(|name| said.contains(name)), "{said}");
        }
    }

    #[test]
    fn a_key_is_a_whole_name_or_its_end() {
        let networks = file(&["model.netG", "model.netD", "old.netD"]);
        let place = |key| choose(&networks, Some(key)).map_err(|fault| fault.problem);
        assert_eq!(place("netG"), Ok(0));
        assert_eq!(place("old.netD"), Ok(2));
        assert!(place("netD").is_err_and(|said| said.contains("several")));
        assert!(place("x").is_err_and(|said| said.contains("model.netG")));
    }

    #[test]
    fn keys_lose_what_all_of_them_begin_with_and_tell_networks_apart() {
        let tensors = |keys: &[&str]| keys.iter().map(|key| (key.to_string(), ())).collect();
        let of = |keys: &[&str]| {
            let apart = apart(vec![Network::new("", tensors(keys))]);
            let keys = |network: Network<()>| {
                let keys: Vec<String> = network.tensors.into_iter().map(|(key, ())| key).collect();
                (network.name, keys.join(" "))
            };
            apart.into_iter().map(keys).collect::<Vec<_>>()
        };
        let none = String::new();
        assert_eq!(
            of(&["module.module.a", "module.module.b"]),
            [(none.clone(), "a b".into())]
        );
        assert_eq!(
            of(&["module.a", "b"]),
            [(none.clone(), "module.a b".into())]
        );
        assert_eq!(
            of(&["model.0.a", "model.1.a"]),
            [(none, "model.0.a model.1.a".into())]
        );
        let two = of(&[
            "module.netG.module.a.w",
            "module.netD.a.w",
            "module.netG.module.b.w",
        ]);
        assert_eq!(
            two,
            [
                ("netG".into(), "a.w b.w".into()),
                ("netD".into(), "a.w".into())
            ]
        );
    }
}

//! Data sets that are fetched by name.

/// A data set on the hub.
#[derive(Debug)]
pub struct Elsewhere {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Where it is.
    pub address: &'static str,
}

/// The data sets that have a name.
pub const DATA: &[Elsewhere] = &[
    Elsewhere {
        name: "mnist-full",
        about: "MNIST: 70,000 handwritten digits, 28x28 grey (60,000 train, 10,000 test)",
        address: "hf:ylecun/mnist",
    },
    Elsewhere {
        name: "fashion-mnist",
        about: "Fashion-MNIST: 70,000 pieces of clothing of ten kinds, 28x28 grey (60,000 train, 10,000 test)",
        address: "hf:zalando-datasets/fashion_mnist",
    },
    Elsewhere {
        name: "cifar-10",
        about: "CIFAR-10: 60,000 photographs of ten kinds of things, 32x32 colour (50,000 train, 10,000 test)",
        address: "hf:uoft-cs/cifar10",
    },
];

/// The data set of this name, which may have `@REVISION` behind it.
pub fn known(name: &str) -> Option<&'static Elsewhere> {
    let (name, _) = name.split_once('@').unwrap_or((name, ""));
    DATA.iter().find(|set| set.name == name)
}

/// The address of a data set: the name's, at the revision that stands behind it, or the text itself.
#[cfg(feature = "hub")]
pub fn address(name: &str) -> String {
    match (known(name), name.split_once('@')) {
        (None, _) => name.to_string(),
        (Some(set), None) => set.address.to_string(),
        (Some(set), Some((_, revision))) => format!("{}@{revision}", set.address),
    }
}

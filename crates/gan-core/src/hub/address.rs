//! How something on the hub is named: `hf:ORG/NAME[@REVISION][/PATH]`.

use std::fmt;

/// What an address on the hub begins with.
pub const PREFIX: &str = "hf:";

/// Which kind of repository: the hub keeps each under names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pictures.
    Dataset,
    /// Weights.
    Model,
}

impl Kind {
    /// The hub's word in addresses of its interface and in names of folders.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Kind::Dataset => "datasets",
            Kind::Model => "models",
        }
    }

    /// What stands before the name of a repository of this kind in the address of a file.
    pub(super) fn before(self) -> &'static str {
        match self {
            Kind::Dataset => "datasets/",
            Kind::Model => "",
        }
    }
}

/// A repository on the hub at a revision, or something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What kind of repository it is.
    pub kind: Kind,
    /// Organisation or person.
    pub owner: String,
    /// The repository's name.
    pub name: String,
    /// A branch, a tag or a commit; the branch `main` where none is named.
    pub revision: Option<String>,
    /// A file or a folder in it, `/` between folders.
    pub path: Option<String>,
}

/// Branches that the hub makes itself have names of three parts: `refs/convert/parquet`, `refs/pr/7`.
const REFS: &str = "refs/";

impl Address {
    /// Reads `hf:ORG/NAME[@REVISION][/PATH]`.
    ///
    /// # Errors
    /// Another form; the sentence says what was expected.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        let expected = || {
            let form = match kind {
                Kind::Dataset => "hf:ORG/NAME, hf:ORG/NAME@REVISION or hf:ORG/NAME/FILE_OR_FOLDER",
                Kind::Model => "hf:ORG/NAME/FILE or hf:ORG/NAME@REVISION/FILE",
            };
            format!("{text} is no address on the hub, expected {form}")
        };
        let rest = text.strip_prefix(PREFIX).ok_or_else(expected)?;
        let (owner, rest) = rest.split_once('/').ok_or_else(expected)?;
        // The name ends where a revision or a path begins.
        let end = rest.find(['@', '/']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let (revision, path) = match rest.strip_prefix('@') {
            None => (None, rest),
            Some(rest) => {
                let parts = if rest.starts_with(REFS) { 3 } else { 1 };
                let end = rest.match_indices('/').nth(parts - 1);
                let (revision, path) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
                (Some(revision.to_string()), path)
            }
        };
        let path = path.trim_matches('/');
        let address = Self {
            kind,
            owner: owner.into(),
            name: name.into(),
            revision,
            path: (!path.is_empty()).then(|| path.to_string()),
        };
        match address.is_well_formed() && (kind == Kind::Dataset || address.path.is_some()) {
            true => Ok(address),
            false => Err(expected()),
        }
    }

    /// Names become folders of the cache, so that none may lead out of it.
    fn is_well_formed(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name =
            |part: &str| !part.is_empty() && part.chars().all(plain) && !part.starts_with('.');
        let is_part = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0'])
        };
        let are_parts = |text: &Option<String>| {
            let mut parts = text.iter().flat_map(|text| text.split('/'));
            parts.all(is_part)
        };
        is_name(&self.owner)
            && is_name(&self.name)
            && are_parts(&self.revision)
            && are_parts(&self.path)
    }

    /// `ORG/NAME`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The branch, the tag or the commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The same at a commit, which never changes.
    pub fn at(&self, commit: &str) -> Self {
        Self {
            revision: Some(commit.into()),
            ..self.clone()
        }
    }

    /// A file of the same repository at the same revision.
    pub fn file(&self, path: &str) -> Self {
        Self {
            path: Some(path.into()),
            ..self.clone()
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.owner, self.name)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.path {
            Some(path) => write!(f, "/{path}"),
            None => Ok(()),
        }
    }
}

/// Whether a revision is a commit's whole hash.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let of = |text: &str| Address::parse(Kind::Dataset, text);
        for text in [
            "hf:ylecun/mnist",
            "hf:ylecun/mnist@main",
            "hf:ylecun/mnist@refs/convert/parquet",
            "hf:ylecun/mnist@refs/convert/parquet/mnist/train",
            "hf:a/b.c-d_e@v1.0/some folder/x.zip",
            "hf:a/b/x.zip",
        ] {
            assert_eq!(of(text).map(|a| a.to_string()), Ok(text.to_string()));
        }
        let address = of("hf:a/b@refs/pr/7/c/d").expect("an address");
        assert_eq!(address.revision(), "refs/pr/7");
        assert_eq!(address.path.as_deref(), Some("c/d"));
        assert_eq!(of("hf:a/b").expect("an address").revision(), "main");
    }

    #[test]
    fn what_is_none_or_leads_out_of_the_cache_is_refused() {
        for text in [
            "hf:",
            "hf:a",
            "hf:/b",
            "hf:a/",
            "a/b",
            "hf:../b",
            "hf:a/..",
            "hf:a/b@",
            "hf:a/b@..",
            "hf:a/b/../c",
            "hf:a/b@x\\y",
            "hf:a b/c",
        ] {
            let said = Address::parse(Kind::Dataset, text).expect_err("none");
            assert!(said.contains("expected hf:ORG/NAME"), "{said}");
        }
        // Of weights one file is meant.
        assert!(Address::parse(Kind::Model, "hf:a/b").is_err());
        assert!(Address::parse(Kind::Model, "hf:a/b/g.pth").is_ok());
    }
}

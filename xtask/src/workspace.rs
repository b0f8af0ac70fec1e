//! The checkout as plain data: its packages with their edges, and its text files.

use std::path::{Path, PathBuf};

use crate::error::Error;

mod files;
mod metadata;

/// Everything that the checks look at; tests build one by hand.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    /// What they build on, directly or not, on any platform.
    pub(crate) externals: Vec<External>,
    pub(crate) files: Vec<TextFile>,
    pub(crate) target_dir: PathBuf,
}

/// A member of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root, with forward slashes: `crates/towpath-core`.
    pub(crate) dir: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// Names of the integration tests.
    pub(crate) tests: Vec<String>,
    pub(crate) features: Vec<String>,
}

/// A package from elsewhere.
#[derive(Debug)]
pub(crate) struct External {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The expression in its manifest.
    pub(crate) licence: Option<String>,
}

/// A dependency that a manifest declares, optional or not.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// `cfg(shuttle)`, when declared for such a target only.
    pub(crate) target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

/// A text file of the checkout.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the checkout, which holds the directory of this package.
pub(crate) fn root() -> PathBuf {
    // The value at run time is right even when the checkout was moved after it was compiled.
    let own_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own_dir
        .parent()
        .map_or_else(|| own_dir.clone(), Path::to_path_buf)
}

impl Workspace {
    /// Reads the checkout below `root`.
    pub(crate) fn load(root: &Path) -> Result<Self, Error> {
        let mut workspace = metadata::read(root)?;
        workspace.externals = metadata::read_externals(root)?;
        workspace.files = files::read(root)?;
        Ok(workspace)
    }

    /// Reads only what our own manifests say; `externals` and `files` stay empty.
    pub(crate) fn load_packages(root: &Path) -> Result<Self, Error> {
        metadata::read(root)
    }

    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The features that are tested, as cargo wants them named for a workspace: those of what is
    /// published, and of the examples. The benches have theirs for other people's programs.
    pub(crate) fn tested_features(&self) -> Vec<String> {
        let is_tested = |package: &&Package| package.is_published() || package.dir == "examples";
        let tested = self.packages.iter().filter(is_tested);
        let features = tested.flat_map(|package| {
            let features = package.features.iter();
            features.map(|feature| format!("{}/{feature}", package.name))
        });
        features.collect()
    }

    /// The Rust sources.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| file.has_extension("rs"))
    }
}

impl Package {
    /// The path of its manifest, relative to the root.
    pub(crate) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.dir)
    }

    /// Whether users get to see it: only what is below `crates` is published.
    pub(crate) fn is_published(&self) -> bool {
        self.dir.starts_with("crates/")
    }
}

impl TextFile {
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }

    /// The lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// The last component of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

#[cfg(test)]
impl Workspace {
    /// A workspace of these files and no package.
    pub(crate) fn of_files(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| TextFile {
            path: path.into(),
            text: text.into(),
        };
        Self {
            files: files.iter().map(file).collect(),
            ..Self::default()
        }
    }

    /// The same with a member in this directory.
    pub(crate) fn with_package(
        mut self,
        name: &str,
        dir: &str,
        dependencies: Vec<Dependency>,
    ) -> Self {
        let package = Package {
            name: name.into(),
            dir: dir.into(),
            dependencies,
            ..Package::default()
        };
        self.packages.push(package);
        self
    }
}

#[cfg(test)]
impl Dependency {
    pub(crate) fn normal(name: &str) -> Self {
        Self {
            name: name.into(),
            kind: Kind::Normal,
            target: None,
        }
    }
}

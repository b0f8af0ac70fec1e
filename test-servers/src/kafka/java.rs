//! How Java is told to run Kafka.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use super::{KIND, config};
use crate::not_here::NotHere;
use crate::places;
use crate::template::{self, run};

/// Any will do.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// It need not become fast, but be there soon.
const OPTIONS: [&str; 5] = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// The classes as Java has laid them out once: with them it starts in half the time.
const ARCHIVE: &str = "classes.jsa";

#[derive(Debug)]
pub(super) struct Java {
    program: PathBuf,
    jar: PathBuf,
    jars: String,
}

impl Java {
    pub(super) fn find() -> Result<Self, NotHere> {
        let jar = KIND.find(|| places::KAFKA.find())?;
        Ok(Self {
            program: KIND.find(|| places::JAVA.find())?,
            jars: jars_beside(&jar).map_err(|source| KIND.not_started(source))?,
            jar,
        })
    }

    /// The command that runs the server in its folder.
    pub(super) fn server(&self) -> Vec<String> {
        let archive = self.archive();
        let archive = archive.is_file().then_some(archive);
        self.server_with(archive.map(|place| format!("-XX:SharedArchiveFile={}", place.display())))
    }

    /// The same; when it is stopped, it leaves the archive at this place.
    pub(super) fn archiving_server(&self, place: &Path) -> Vec<String> {
        self.server_with(Some(format!(
            "-XX:ArchiveClassesAtExit={}",
            place.display()
        )))
    }

    fn server_with(&self, option: Option<String>) -> Vec<String> {
        let main = ["kafka.Kafka", config::FILE].map(str::to_owned);
        self.start().into_iter().chain(option).chain(main).collect()
    }

    /// Where the archive is looked for; its content is bound to these jars at their place.
    pub(super) fn archive(&self) -> PathBuf {
        self.jar.with_file_name(ARCHIVE)
    }

    /// Makes the data folder of the server in this folder, which has its configuration already.
    pub(super) fn format(&self, folder: &Path) -> io::Result<()> {
        let name = self.jar.file_stem().unwrap_or_default().to_string_lossy();
        let make = || {
            let mut command = Command::new(&self.program);
            command
                .args(&self.start()[1..])
                .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER])
                .args(["-c", config::FILE]);
            run(command.current_dir(folder))
        };
        template::copied(&format!("{name}-data"), &folder.join(config::DATA), make)
    }

    fn start(&self) -> Vec<String> {
        let program = self.program.display().to_string();
        let jars = ["-cp".to_owned(), self.jars.clone()];
        let options = OPTIONS.map(str::to_owned);
        [vec![program], jars.into(), options.into()].concat()
    }
}

/// Always in the same order.
fn jars_beside(jar: &Path) -> io::Result<String> {
    let folder = jar.parent().unwrap_or(jar);
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut jars = entries.collect::<io::Result<Vec<_>>>()?;
    jars.retain(|path| path.extension() == Some(OsStr::new("jar")));
    jars.sort();
    let joined = env::join_paths(jars).map_err(io::Error::other)?;
    Ok(joined.to_string_lossy().into_owned())
}

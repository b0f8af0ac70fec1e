//! Certificates for a server of this machine, of an authority of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::not_here::{NotHere, wanted};
use crate::places;
use crate::template::run;

/// No server; but tests can do without it, too.
const NAME: &str = "openssl";
const HELP: &str = "`cargo xtask services` or `apt-get install openssl` gets it, OPENSSL says \
                    where it is";

/// Below the folder of the server.
const FOLDER: &str = "tls";
pub(crate) const AUTHORITY: &str = "tls/ca.pem";
pub(crate) const CERTIFICATE: &str = "tls/server.pem";
pub(crate) const KEY: &str = "tls/server.key";
/// The key, and then the certificate.
pub(crate) const BOTH: &str = "tls/both.pem";

const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
x509_extensions = authority
[name]
CN = Towpath tests
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1, DNS:localhost
extendedKeyUsage = serverAuth, clientAuth
";

const MAKE: &str = r#"
set -e
openssl=$1
for name in ca server; do
    "$openssl" genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $name.key
done
"$openssl" req -x509 -new -config config -key ca.key -days 36500 -out ca.pem
"$openssl" req -new -config config -key server.key -out server.csr
"$openssl" x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 36500 \
    -extfile config -extensions server -out server.pem
cat server.key server.pem >both.pem
"#;

/// What makes them.
pub(crate) fn find() -> Result<PathBuf, NotHere> {
    wanted(NAME, HELP, || places::OPENSSL.find())
}

/// Makes them for a server with this folder.
pub(crate) fn make(openssl: &Path, folder: &Path) -> io::Result<()> {
    let folder = folder.join(FOLDER);
    fs::create_dir(&folder)?;
    fs::write(folder.join("config"), CONFIG)?;
    let mut command = Command::new("sh");
    command.args(["-c", MAKE, "sh"]).arg(openssl);
    run(command.current_dir(folder))
}

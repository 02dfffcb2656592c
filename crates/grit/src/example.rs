//! The files of `examples/shop`, carried in the binary so that it needs nothing beside itself.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Path, content, and whether it is a program.
type File = (&'static str, &'static [u8], bool);

macro_rules! files {
    ($($path:literal $(($program:ident))?),+ $(,)?) => {
        &[$((
            $path,
            include_bytes!(concat!("../../../examples/shop/", $path)),
            files!(@program $($program)?),
        )),+]
    };
    (@program program) => { true };
    (@program) => { false };
}

const FILES: &[File] = files![
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "grit.yaml",
    "scripts/build.sh"(program),
    "scripts/lint.sh"(program),
    "scripts/smoke-test.sh"(program),
    "services/api/VERSION",
    "services/api/shop.conf",
    "services/api/src/cart.rs",
    "services/api/src/catalogue.rs",
    "services/api/src/main.rs",
    "services/api/src/routes.rs",
    "services/common/connection.rs",
    "services/common/fault.rs",
    "services/common/http.rs",
    "services/common/json.rs",
    "services/common/mod.rs",
    "services/common/server.rs",
    "services/common/service.rs",
    "services/common/signal.rs",
    "services/web/VERSION",
    "services/web/shop.conf",
    "services/web/src/api.rs",
    "services/web/src/client.rs",
    "services/web/src/main.rs",
    "services/web/src/page.rs",
    "services/web/src/routes.rs",
];

/// Writes the example into a folder, which is made where it is missing.
pub fn write(into: &Path) -> io::Result<()> {
    for (path, bytes, is_program) in FILES {
        let path = into.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, bytes)?;
        if *is_program {
            let mode = std::fs::metadata(&path)?.permissions().mode();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode | 0o111))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What the pipeline builds, when somebody tried the scripts in place.
    const BUILT: &str = "out";

    fn walk(root: &Path, folder: &str, found: &mut BTreeMap<String, (Vec<u8>, bool)>) {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.file_type().unwrap().is_dir() {
                if path != BUILT {
                    walk(root, &path, found);
                }
            } else {
                let is_program = entry.metadata().unwrap().permissions().mode() & 0o111 != 0;
                found.insert(path, (std::fs::read(entry.path()).unwrap(), is_program));
            }
        }
    }

    #[test]
    fn what_is_written_is_what_the_folder_holds() {
        let written = tempfile::tempdir().unwrap();
        write(written.path()).unwrap();
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        walk(written.path(), "", &mut ours);
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop");
        walk(&shop, "", &mut theirs);
        assert!(ours.keys().eq(theirs.keys()), "{:?}\n{:?}", ours.keys(), theirs.keys());
        for (path, file) in &ours {
            assert!(theirs[path] == *file, "{path} differs");
        }
    }
}

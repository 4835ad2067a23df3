//! Where lists are kept until they are pushed: `manifests/LIST/IMAGE` beside `config.json`, shared with the docker CLI.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use hako_model::reference::Reference;

use super::document::{Entry, json};
use crate::failure::{Failure, path_failure};
use crate::session::Session;

/// The most bytes one entry may have: a manifest's limit, in base64 and as JSON.
const LIMIT: u64 = 16 << 20;

/// The person's lists.
pub(super) struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// The lists of whoever runs this.
    pub(super) fn of(session: &Session) -> Self {
        Self { directory: session.directory().join("manifests") }
    }

    fn place(&self, list: &Reference) -> PathBuf {
        self.directory.join(file_name(list))
    }

    /// Whether there is such a list.
    pub(super) fn has(&self, list: &Reference) -> bool {
        self.place(list).is_dir()
    }

    /// An image of a list, if the list has it.
    pub(super) fn entry(&self, list: &Reference, image: &Reference) -> Result<Option<Entry>, Failure> {
        self.read(&self.place(list).join(file_name(image)))
    }

    fn read(&self, path: &std::path::Path) -> Result<Option<Entry>, Failure> {
        let failed = |error| path_failure("read", &path.display().to_string(), &error);
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > LIMIT => return Err(failed(ErrorKind::FileTooLarge.into())),
            Ok(_) => {}
        }
        let bytes = fs::read(path).map_err(failed)?;
        let entry = serde_json::from_slice(&bytes);
        entry.map(Some).map_err(|error| Failure::local(format!("{}: {error}", path.display())))
    }

    /// All images of a list, by their file names; none if there is no such list.
    pub(super) fn list(&self, list: &Reference) -> Result<Vec<Entry>, Failure> {
        let place = self.place(list);
        let failed = |error| path_failure("read", &place.display().to_string(), &error);
        let names = match fs::read_dir(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.map_err(failed)?,
        };
        let mut paths =
            names.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>().map_err(failed)?;
        paths.sort();
        let entries = paths.iter().map(|path| self.read(path)).collect::<Result<Vec<_>, Failure>>()?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// Keeps an image in a list.
    pub(super) fn keep(&self, list: &Reference, image: &Reference, entry: &Entry) -> Result<(), Failure> {
        let place = self.place(list);
        let path = place.join(file_name(image));
        let failed = |error| path_failure("write", &path.display().to_string(), &error);
        fs::create_dir_all(&place).map_err(failed)?;
        fs::write(&path, json(entry)?).map_err(failed)
    }

    /// Forgets a list.
    pub(super) fn remove(&self, list: &Reference) -> Result<(), Failure> {
        let place = self.place(list);
        fs::remove_dir_all(&place).map_err(|error| path_failure("remove", &place.display().to_string(), &error))
    }
}

/// The docker CLI's name of the file: neither colons nor slashes.
fn file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_dockers() {
        let name = |text: &str| file_name(&Reference::parse_tagged(text).unwrap());
        assert_eq!(name("127.0.0.1:5000/x:m"), "127.0.0.1-5000_x-m");
        assert_eq!(name("busybox"), "docker.io_library_busybox-latest");
    }
}

//! Requests that move files in and out of containers, or make images of them.

use hako_api::container::IdReply;
use hako_api::query;
use hako_api::version::PATH_STAT;
use hako_engine::containers::{ArchivePut, CommitRequest};
use hako_model::container::Config;
use hako_model::reference::Reference;
use http::{HeaderValue, StatusCode};

use crate::failure::Failure;
use crate::reply::{self, Outcome, Reply};
use crate::request::Asked;
use crate::wire;

const TAR: &str = "application/x-tar";

pub(super) async fn export(asked: Asked) -> Outcome {
    let tar = asked.engine.containers().export(&asked.name).await?;
    Ok(reply::stream("application/octet-stream", tar))
}

pub(super) async fn stat(asked: Asked) -> Outcome {
    let path = archive_path(&asked)?;
    let found = asked.engine.containers().archive_stat(&asked.name, &path).await?;
    with_stat(reply::empty(StatusCode::OK), wire::container::path_stat(found))
}

pub(super) async fn get(asked: Asked) -> Outcome {
    let path = archive_path(&asked)?;
    let (found, tar) = asked.engine.containers().archive_get(&asked.name, &path).await?;
    with_stat(reply::stream(TAR, tar), wire::container::path_stat(found))
}

fn archive_path(asked: &Asked) -> Result<String, Failure> {
    let path = query::Archive::read(&asked.query)?.path;
    if path.is_empty() { Err(Failure::invalid("bad parameter: 'path' cannot be empty")) } else { Ok(path) }
}

fn with_stat(mut reply: Reply, stat: String) -> Outcome {
    let value = HeaderValue::try_from(stat)
        .map_err(|cause| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("encode path: {cause}")))?;
    reply.headers_mut().insert(PATH_STAT, value);
    Ok(reply)
}

pub(super) async fn put(asked: Asked) -> Outcome {
    let query = query::PutArchive::read(&asked.query)?;
    let path = archive_path(&asked)?;
    let options = ArchivePut { no_overwrite_dir_non_dir: query.no_overwrite, copy_uid_gid: query.copy_ownership };
    let (containers, name) = (asked.engine.containers(), asked.name.clone());
    containers.archive_put(&name, &path, options, asked.into_source()).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub(super) async fn commit(mut asked: Asked) -> Outcome {
    let query = query::Commit::read(&asked.query)?;
    some_changes(&query.changes)?;
    let config: Option<Config> = asked.optional_json().await?;
    if !query.repo.is_empty() && Reference::parse(&query.repo).is_err() {
        return Err(Failure::invalid("invalid reference format"));
    }
    let request = CommitRequest {
        container: query.container,
        reference: reference(query.repo, &query.tag),
        author: query.author,
        comment: query.comment,
        pause: query.pause.unwrap_or(true),
        changes: changes(query.changes),
        config: config.filter(|config| *config != Config::default()),
    };
    let id = asked.engine.containers().commit(request).await?;
    reply::json_with(StatusCode::CREATED, &IdReply { id })
}

fn reference(repository: String, tag: &str) -> Option<String> {
    match (repository.is_empty(), tag.is_empty()) {
        (true, _) => None,
        (false, true) => Some(repository),
        (false, false) => Some(format!("{repository}:{tag}")),
    }
}

/// Whoever sends changes means some.
pub(super) fn some_changes(given: &[String]) -> Result<(), Failure> {
    match given.iter().any(|text| text.trim().is_empty()) {
        true => Err(Failure::invalid("file with no instructions")),
        false => Ok(()),
    }
}

/// Instructions come one per parameter, and several to a parameter, one per line.
pub(super) fn changes(given: Vec<String>) -> Vec<String> {
    given
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_a_tag_only_with_a_name() {
        assert_eq!(reference("a/b".to_owned(), "1").as_deref(), Some("a/b:1"));
        assert_eq!(reference("a/b".to_owned(), "").as_deref(), Some("a/b"));
        assert_eq!(reference(String::new(), "1"), None);
    }

    #[test]
    fn changes_are_lines() {
        let given = vec!["CMD [\"a\"]\n\nENV B=c".to_owned(), " USER u ".to_owned()];
        assert_eq!(changes(given), ["CMD [\"a\"]", "ENV B=c", "USER u"]);
    }
}

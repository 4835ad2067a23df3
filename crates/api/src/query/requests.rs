//! One struct per request with query parameters. A field's name in the URL stands beside it.

use hako_model::filter::Filters;

use super::{InvalidParameter, Parameter, Query};

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $wire:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl $name {
            /// The query that says this.
            #[must_use]
            pub fn write(&self) -> Query {
                let mut query = Query::default();
                $(self.$field.write($wire, &mut query);)*
                query
            }

            /// Reads a query.
            ///
            /// # Errors
            /// [`InvalidParameter`] for the first value that does not fit.
            pub fn read(query: &Query) -> Result<Self, InvalidParameter> {
                Ok(Self { $($field: <$kind as Parameter>::read($wire, query)?,)* })
            }
        }
    )*};
}

requests! {
    /// `POST /build`
    Build {
        /// The Dockerfile's path in the context.
        dockerfile: String = "dockerfile",
        /// Names for the image.
        tags: Vec<String> = "t",
        /// Lines for /etc/hosts.
        hosts: Vec<String> = "extrahosts",
        /// Where the context is, if it is not the body.
        remote: String = "remote",
        /// Tell only the image's id.
        quiet: bool = "q",
        /// Use nothing of earlier builds.
        no_cache: bool = "nocache",
        /// Images whose layers may be used, as JSON.
        cache_from: String = "cachefrom",
        /// Ask the registry even for images that are here.
        pull: bool = "pull",
        /// Memory of steps.
        memory: Option<i64> = "memory",
        /// Memory and swap of steps.
        memory_swap: Option<i64> = "memswap",
        /// CPU shares of steps.
        cpu_shares: Option<i64> = "cpushares",
        /// CPUs of steps.
        cpuset_cpus: String = "cpusetcpus",
        /// Memory nodes of steps.
        cpuset_mems: String = "cpusetmems",
        /// CPU period of steps.
        cpu_period: Option<i64> = "cpuperiod",
        /// CPU quota of steps.
        cpu_quota: Option<i64> = "cpuquota",
        /// Build arguments, as JSON.
        arguments: String = "buildargs",
        /// Bytes of /dev/shm.
        shm_size: Option<i64> = "shmsize",
        /// Make one layer of all.
        squash: bool = "squash",
        /// Labels, as JSON.
        labels: String = "labels",
        /// The network of steps.
        network: String = "networkmode",
        /// The parent of steps' control groups.
        cgroup_parent: String = "cgroupparent",
        /// Limits of steps, as JSON.
        ulimits: String = "ulimits",
        /// The platform.
        platform: String = "platform",
        /// The stage.
        target: String = "target",
        /// Where the result goes, as JSON.
        outputs: String = "outputs",
        /// `1` for the classic builder, `2` for BuildKit.
        version: String = "version",
    }
    /// `POST /build/prune`
    PruneBuilds {
        /// Cache mounts, too.
        all: bool = "all",
        /// Bytes that stay whatever else is said, as it was called until 1.48.
        keep_storage: Option<i64> = "keep-storage",
        /// Bytes that stay whatever else is said.
        reserved_space: Option<i64> = "reserved-space",
        /// Bytes that may stay.
        max_used_space: Option<i64> = "max-used-space",
        /// Bytes of the disk that are to be free.
        min_free_space: Option<i64> = "min-free-space",
        /// Which.
        filters: Filters = "filters",
    }
    /// `GET /hako/build/files`
    BuildFiles {
        /// The topmost layer; nothing when empty.
        layer: String = "layer",
        /// Folders and their topmost layers instead, as `FOLDER=LAYER`.
        folders: Vec<String> = "folder",
    }
    /// `GET /containers/json`
    ListContainers {
        /// Also those that do not run.
        all: bool = "all",
        /// At most so many, the newest first.
        limit: Option<i64> = "limit",
        /// With sizes.
        size: bool = "size",
        /// Which.
        filters: Filters = "filters",
    }
    /// `POST /containers/create`
    CreateContainer {
        /// The container's name.
        name: String = "name",
        /// The image's platform.
        platform: String = "platform",
    }
    /// `GET /hako/trace`
    Trace {
        /// The name asked for.
        name: String = "name",
        /// The container that asks; empty for one of every kind.
        from: String = "from",
    }
    /// `GET /containers/{id}/json`
    InspectContainer {
        /// With sizes.
        size: bool = "size",
    }
    /// `GET /containers/{id}/top`
    Top {
        /// Arguments to `ps`.
        ps_args: Option<String> = "ps_args",
    }
    /// `GET /containers/{id}/logs`
    Logs {
        /// Go on with what comes.
        follow: bool = "follow",
        /// Standard output.
        stdout: bool = "stdout",
        /// Standard error.
        stderr: bool = "stderr",
        /// Not before this time.
        since: String = "since",
        /// Not after this time.
        until: String = "until",
        /// Each line with its time.
        timestamps: bool = "timestamps",
        /// So many lines from the end, or `all`.
        tail: String = "tail",
        /// With the driver's extra attributes.
        details: bool = "details",
        /// With marks to go on from, as frames of stream 0. (hako's own.)
        marks: bool = "marks",
        /// Go on behind this mark. (hako's own.)
        resume: String = "resume",
    }
    /// `GET /containers/{id}/stats`
    Stats {
        /// Again and again (the default).
        stream: Option<bool> = "stream",
        /// Without waiting for a second sample.
        one_shot: bool = "one-shot",
    }
    /// `POST /containers/{id}/resize` and `POST /exec/{id}/resize`
    Resize {
        /// Rows.
        height: String = "h",
        /// Columns.
        width: String = "w",
    }
    /// `POST /containers/{id}/start`
    Start {
        /// The keys that detach.
        detach_keys: String = "detachKeys",
        /// A checkpoint to start from.
        checkpoint: String = "checkpoint",
        /// The directory it is in, if that is not the container's.
        checkpoint_dir: String = "checkpoint-dir",
        /// hako's own: beside the container it is to replace, without published ports and names.
        aside: bool = "aside",
    }
    /// `GET /containers/{id}/checkpoints` and `DELETE …/{checkpoint}`
    Checkpoints {
        /// The directory they are in, if that is not the container's.
        dir: String = "dir",
    }
    /// `POST /hako/succeed/{id}`: take another container's place
    Succeed {
        /// The other container.
        old: String = "old",
        /// Seconds it gets to listen where the other one listens.
        timeout: Option<i64> = "t",
    }
    /// `POST /containers/{id}/stop` and `…/restart`
    Stop {
        /// The signal sent first.
        signal: String = "signal",
        /// Seconds until it is killed; -1 waits for ever.
        timeout: Option<i64> = "t",
        /// hako's own: seconds its clients' connections get to end before it is stopped.
        drain: Option<i64> = "drain",
    }
    /// `POST /containers/{id}/kill`
    Kill {
        /// The signal.
        signal: String = "signal",
    }
    /// `POST /containers/{id}/rename`
    Rename {
        /// The new name.
        name: String = "name",
    }
    /// `POST /containers/{id}/attach`
    Attach {
        /// The keys that detach.
        detach_keys: Option<String> = "detachKeys",
        /// What was written before.
        logs: bool = "logs",
        /// What is written from now on.
        stream: bool = "stream",
        /// Standard input.
        stdin: bool = "stdin",
        /// Standard output.
        stdout: bool = "stdout",
        /// Standard error.
        stderr: bool = "stderr",
    }
    /// `POST /containers/{id}/wait`
    Wait {
        /// `not-running`, `next-exit` or `removed`.
        condition: String = "condition",
    }
    /// `DELETE /containers/{id}`
    RemoveContainer {
        /// With its anonymous volumes.
        volumes: bool = "v",
        /// Kill it first.
        force: bool = "force",
        /// A legacy link instead of the container.
        link: bool = "link",
    }
    /// `GET` and `HEAD /containers/{id}/archive`
    Archive {
        /// The path in the container.
        path: String = "path",
    }
    /// `PUT /containers/{id}/archive`
    PutArchive {
        /// The directory in the container.
        path: String = "path",
        /// Refuse to replace a directory by a file or the other way round.
        no_overwrite: bool = "noOverwriteDirNonDir",
        /// Keep user and group of the archive.
        copy_ownership: bool = "copyUIDGID",
    }
    /// All prune requests, and lists that only have filters.
    Filtered {
        /// Which.
        filters: Filters = "filters",
    }
    /// `POST /commit`
    Commit {
        /// The container.
        container: String = "container",
        /// The new image's repository.
        repo: String = "repo",
        /// The new image's tag.
        tag: String = "tag",
        /// A message.
        comment: String = "comment",
        /// Who made it.
        author: String = "author",
        /// Pause the container meanwhile (the default).
        pause: Option<bool> = "pause",
        /// Dockerfile instructions applied to the image.
        changes: Vec<String> = "changes",
    }
    /// `GET /images/json`
    ListImages {
        /// Also intermediate ones.
        all: bool = "all",
        /// Which.
        filters: Filters = "filters",
        /// With the size shared with other images.
        shared_size: bool = "shared-size",
        /// A reference, as clients before 1.41 said it.
        filter: String = "filter",
        /// Kept for old clients.
        digests: bool = "digests",
        /// With the manifests of an index.
        manifests: bool = "manifests",
    }
    /// `POST /build/cancel`
    CancelBuild {
        /// The client's name for it.
        id: String = "id",
    }
    /// `POST /images/create`: a pull or an import
    CreateImage {
        /// The image to pull.
        from_image: String = "fromImage",
        /// Import from here; `-` means the body.
        from_src: String = "fromSrc",
        /// The repository of an import.
        repo: String = "repo",
        /// The tag or digest.
        tag: String = "tag",
        /// The message of an import.
        message: String = "message",
        /// Dockerfile instructions applied to an import.
        changes: Vec<String> = "changes",
        /// The platform.
        platform: String = "platform",
    }
    /// `GET /images/{name}/json`, `…/history`
    InspectImage {
        /// The platform, as JSON.
        platform: String = "platform",
        /// With the manifests of an index.
        manifests: bool = "manifests",
    }
    /// `POST /images/{name}/push`
    Push {
        /// The tag; empty means all.
        tag: String = "tag",
        /// The platform, as JSON.
        platform: String = "platform",
    }
    /// `POST /images/{name}/tag`
    Tag {
        /// The repository.
        repo: String = "repo",
        /// The tag.
        tag: String = "tag",
    }
    /// `DELETE /images/{name}`
    RemoveImage {
        /// Even if stopped containers use it or it has several tags.
        force: bool = "force",
        /// Keep parents without tags.
        noprune: bool = "noprune",
        /// Only these platforms, as JSON each.
        platforms: Vec<String> = "platforms",
    }
    /// `GET /images/get`
    Save {
        /// The images.
        names: Vec<String> = "names",
        /// Only these platforms, as JSON each.
        platform: Vec<String> = "platform",
    }
    /// `POST /images/load`
    Load {
        /// No progress.
        quiet: bool = "quiet",
        /// Only these platforms, as JSON each.
        platform: Vec<String> = "platform",
    }
    /// `POST /hako/save`
    SaveTo {
        /// The number of the client's descriptor of the file that is to be written.
        fd: Option<i64> = "fd",
        /// The images.
        names: Vec<String> = "names",
        /// Only these platforms, as JSON each.
        platform: Vec<String> = "platform",
    }
    /// `POST /hako/load`
    LoadFrom {
        /// The number of the client's descriptor of the archive.
        fd: Option<i64> = "fd",
        /// No progress.
        quiet: bool = "quiet",
        /// Only these platforms, as JSON each.
        platform: Vec<String> = "platform",
    }
    /// `GET /images/search`
    Search {
        /// What to search.
        term: String = "term",
        /// At most so many.
        limit: Option<i64> = "limit",
        /// Which.
        filters: Filters = "filters",
    }
    /// `DELETE /volumes/{name}`
    RemoveVolume {
        /// Even if the driver no longer knows it.
        force: bool = "force",
    }
    /// `GET /networks/{id}`
    InspectNetwork {
        /// With the tasks of a swarm.
        verbose: bool = "verbose",
        /// `local`, `global` or `swarm`.
        scope: String = "scope",
    }
    /// `GET /events`
    Events {
        /// From this time on.
        since: String = "since",
        /// Until this time.
        until: String = "until",
        /// Which.
        filters: Filters = "filters",
        /// With their numbers. (hako's own.)
        numbers: bool = "numbers",
        /// Only those behind this number. (hako's own.)
        after: String = "after",
    }
    /// `GET /system/df`
    DiskUsage {
        /// Only these kinds of objects.
        kinds: Vec<String> = "type",
    }
}

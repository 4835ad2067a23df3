//! How long unpacking takes: `cargo run --release -p hako-store --example unpack [DIR [ROUNDS]]`.
//!
//! Makes six layers, 400 MB in 9,600 files, of the kind images are made of (shared libraries, text, small files), and
//! times the store against the host's tar. DIR is where the data goes (default: a temporary directory).

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hako_model::digest::Digest;
use hako_model::image::media::Compression;
use hako_store::archive::{Load, Saved};
use hako_store::tar::{Entry, Kind, Writer};
use hako_store::{Begun, Hasher, NewImage, Staged, Store, Unpack};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const LAYERS: usize = 6;
const FILES: usize = 1600;
const TOTAL: usize = 400_000_000;

fn main() -> Outcome<()> {
    let temporary;
    let place = match std::env::args().nth(1) {
        Some(place) => PathBuf::from(place),
        None => {
            temporary = tempfile::tempdir()?;
            temporary.path().to_owned()
        }
    };
    let rounds: u32 = std::env::args().nth(2).map_or(Ok(3), |text| text.parse())?;
    let tars = make(&place)?;
    let packed: Vec<PathBuf> = tars.iter().map(|tar| tar.with_extension("tar.gz")).collect();
    let zst: Vec<PathBuf> = tars.iter().map(|tar| tar.with_extension("tar.zst")).collect();
    archive(&place, &tars)?;
    let (packed_digests, zst_digests) = (digests(&packed)?, digests(&zst)?);
    let mut table = Table::default();
    for _ in 0..rounds {
        table.row("host untar", || host(&place, &tars, "-xf"))?;
        table.row("host gunzip and untar", || host(&place, &packed, "-xzf"))?;
        table.row("plain, skeleton", || unpack(&place, &tars, true, 1))?;
        table.row("plain, no skeleton", || unpack(&place, &tars, false, 1))?;
        table.row("gzip", || unpack(&place, &packed, false, 1))?;
        table.row("gzip, 3 at a time", || unpack(&place, &packed, false, 3))?;
        table.row("gzip with ingest, 3 at a time", || ingest(&place, &packed, &packed_digests, 3))?;
        table.row("zstd with ingest, 3 at a time", || ingest(&place, &zst, &zst_digests, 3))?;
        table.row("load of the same, plain", || load(&place))?;
        table.row("save of that", || save(&place))?;
        compress(&place, &tars, &mut table)?;
    }
    table.print();
    Ok(())
}

/// The best of all rounds, row by row: on a busy machine only the least disturbed round says something.
#[derive(Default)]
struct Table(Vec<(&'static str, Duration, Duration, Duration)>);

impl Table {
    /// Wall time, the time writing back takes afterwards, and processor time with children.
    fn row(&mut self, what: &'static str, run: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
        rustix::fs::sync();
        let (begun, before) = (Instant::now(), processor());
        run()?;
        let (wall, used) = (begun.elapsed(), processor() - before);
        let begun = Instant::now();
        rustix::fs::sync();
        let sync = begun.elapsed();
        match self.0.iter_mut().find(|row| row.0 == what) {
            Some(row) => (row.1, row.2, row.3) = (row.1.min(wall), row.2.min(sync), row.3.min(used)),
            None => self.0.push((what, wall, sync, used)),
        }
        Ok(())
    }

    fn print(&self) {
        for (what, wall, sync, used) in &self.0 {
            let (wall, sync, used) = (millis(*wall), millis(*sync), millis(*used));
            println!("{what:32} wall {wall:6.0} ms  sync afterwards {sync:6.0} ms  cpu {used:6.0} ms");
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // utime, stime, cutime, cstime in ticks of 10 ms.
    let ticks: u64 = fields.split(' ').skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn make(place: &Path) -> Outcome<Vec<PathBuf>> {
    std::fs::create_dir_all(place)?;
    let mut seed = 42u64;
    let mut tars = Vec::new();
    for layer in 0..LAYERS {
        let path = place.join(format!("layer{layer}.tar"));
        if !path.exists() {
            write_layer(&path, layer, &mut seed)?;
            let status = Command::new("gzip").arg("-6").arg("-k").arg(&path).status()?;
            assert!(status.success());
            let packed = zstd::encode_all(File::open(&path)?, 3)?;
            std::fs::write(path.with_extension("tar.zst"), packed)?;
        }
        tars.push(path);
    }
    Ok(tars)
}

fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn write_layer(path: &Path, layer: usize, seed: &mut u64) -> Outcome<()> {
    let mut writer = Writer::new(io::BufWriter::new(File::create(path)?));
    let average = TOTAL / LAYERS / FILES;
    for n in 0..FILES {
        if n % 16 == 0 {
            let entry =
                Entry { mode: 0o755, ..Entry::new(format!("usr/lib/layer{layer}/dir{}/", n / 16), Kind::Directory) };
            writer.header(&entry)?;
        }
        // Many small files, a few large ones.
        let size = if n % 20 == 0 { average * 16 } else { next(seed) as usize % (average / 2) };
        let name = format!("usr/lib/layer{layer}/dir{}/file{n}", n / 16);
        let entry = Entry { mode: 0o644, ..Entry::new(name, Kind::Regular) };
        writer.bytes(&entry, &content(size, seed))?;
    }
    writer.finish()?.flush()?;
    Ok(())
}

/// Bytes that compress about as programs and text do: words from a small set between random ones.
fn content(size: usize, seed: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        let random = next(seed);
        match random % 5 {
            0 | 1 => bytes.extend_from_slice(&random.to_le_bytes()),
            kind => bytes.extend_from_slice(&(random % 97 * kind).to_le_bytes()),
        }
    }
    bytes.truncate(size);
    bytes
}

fn host(place: &Path, files: &[PathBuf], flags: &str) -> Outcome<()> {
    let to = place.join("host");
    for file in files {
        std::fs::create_dir_all(&to)?;
        assert!(Command::new("tar").arg(flags).arg(file).arg("-C").arg(&to).status()?.success());
    }
    std::fs::rename(&to, place.join(format!("old-{}", files.len())))?;
    std::fs::remove_dir_all(place.join(format!("old-{}", files.len())))?;
    Ok(())
}

fn fresh(place: &Path) -> Outcome<Store> {
    let root = place.join("store");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    Ok(Store::open(&root)?)
}

fn parallel(
    files: &[PathBuf],
    threads: usize,
    work: impl Fn(&Path) -> hako_store::Result<Staged> + Sync,
) -> Outcome<()> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let staged = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    if let (Ok(made), Ok(mut list)) = (work(file), staged.lock()) {
                        list.push(made);
                    }
                }
            });
        }
    });
    let mut parent = None;
    for layer in staged.into_inner()? {
        parent = Some(layer.place(parent.as_ref(), None)?.chain_id);
    }
    Ok(())
}

fn unpack(place: &Path, files: &[PathBuf], skeleton: bool, threads: usize) -> Outcome<()> {
    let store = fresh(place)?;
    let options = Unpack { skeleton, ..Unpack::default() };
    parallel(files, threads, |file| store.layers().unpack(open(file)?, &options))?;
    Ok(())
}

fn open(file: &Path) -> hako_store::Result<File> {
    File::open(file).map_err(|cause| hako_store::Error::Io { verb: "open", object: file.display().to_string(), cause })
}

fn digests(files: &[PathBuf]) -> Outcome<Vec<Digest>> {
    let digest = |file: &PathBuf| Ok(Hasher::digest(&std::fs::read(file)?));
    files.iter().map(digest).collect()
}

/// As a pull does it: the blob is written and hashed by one thread and unpacked by others as it comes in.
fn ingest(place: &Path, files: &[PathBuf], digests: &[Digest], threads: usize) -> Outcome<()> {
    let store = fresh(place)?;
    parallel(files, threads, |file| {
        let at = files.iter().position(|known| known == file).unwrap_or(0);
        let Begun::Ingest(mut ingest) = store.blobs().ingest(&digests[at], None)? else { unreachable!() };
        let follower = ingest.follow()?;
        std::thread::scope(|scope| {
            let unpacking = scope.spawn(|| store.layers().unpack(follower, &Unpack::default()));
            let mut source = open(file)?;
            let mut buffer = vec![0; 256 << 10];
            while let Ok(count @ 1..) = io::Read::read(&mut source, &mut buffer) {
                ingest.write(&buffer[..count])?;
            }
            ingest.commit()?;
            unpacking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(())
}

/// A docker-archive of all layers, made once.
fn archive(place: &Path, tars: &[PathBuf]) -> Outcome<()> {
    let store = fresh(place)?;
    let mut parent = None;
    let mut ids = Vec::new();
    for tar in tars {
        let staged = store.layers().unpack(open(tar)?, &Unpack { skeleton: true, ..Unpack::default() })?;
        ids.push(format!("{:?}", staged.diff_id().as_str()));
        parent = Some(staged.place(parent.as_ref(), None)?.chain_id);
    }
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let image = store.images().add(NewImage { config: config.into_bytes(), ..NewImage::default() })?;
    let saved = Saved { id: image.id, references: vec!["bench:latest".to_owned()], bundle: None };
    Ok(hako_store::archive::save(&store, &[saved], File::create(place.join("image.tar"))?)?)
}

fn load(place: &Path) -> Outcome<()> {
    let store = fresh(place)?;
    hako_store::archive::load(&store, open(&place.join("image.tar"))?, &Load::default(), &mut ())?;
    Ok(())
}

fn save(place: &Path) -> Outcome<()> {
    let store = Store::open(&place.join("store"))?;
    let images = store.images().list();
    let saved: Vec<Saved> =
        images.into_iter().map(|image| Saved { id: image.id, references: Vec::new(), bundle: None }).collect();
    Ok(hako_store::archive::save(&store, &saved, File::create(place.join("again.tar"))?)?)
}

fn compress(place: &Path, tars: &[PathBuf], table: &mut Table) -> Outcome<()> {
    let store = fresh(place)?;
    let staged = store.layers().unpack(open(&tars[0])?, &Unpack { skeleton: true, ..Unpack::default() })?;
    let layer = staged.place(None, None)?;
    table.row("tar of one layer again", || {
        io::copy(&mut store.layers().tar(&layer.chain_id)?, &mut io::sink())?;
        Ok(())
    })?;
    table.row("gzip one layer for pushing", || {
        store.layers().compressed(&layer.chain_id, Compression::Gzip)?;
        Ok(())
    })
}

//! TensorBoard event files, written and resumed without TensorFlow.
//!
//! An event file is a row of TFRecords: length (u64), masked CRC-32C of the length, an `Event` message,
//! masked CRC-32C of the message, all little-endian. The first record names the format's version. The
//! messages below hold only the fields that scalars and pictures need; readers skip what is absent.
//!
//! Over 500 lines because every byte of a file is cut and every bit flipped in its tests.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use gan_core::whole::set_aside;
use prost::Message;

const VERSION: &str = "brain.Event:2";
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".gan";

/// No record is larger than this, so a damaged length cannot make a reader ask for more memory.
const MAX_RECORD: u64 = 64 << 20;

/// One folder's event file, open for appending; TensorBoard shows the folder as a run.
///
/// Records wait in a buffer: call [`flush`](Self::flush) before the checkpoint that they belong to is
/// saved, so that a killed run finds every record up to its checkpoint in the file.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    out: BufWriter<File>,
    aside: Vec<PathBuf>,
}

impl EventFile {
    /// Starts a new event file in `dir`, which is made when it is missing.
    pub fn create(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let path = dir.join(format!("{PREFIX}{}{SUFFIX}", now().as_secs()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(at(&path))?;
        Self::start(path, file)
    }

    /// Goes on with the event file in `dir`, or starts one when there is none.
    ///
    /// The file is cut at the first record that is past `keep_through_step`, damaged or incomplete. What is cut is
    /// kept aside where it is more than a run that was killed leaves (records past the step, one that is not whole), and
    /// where `later` checkpoints are left behind: see [`Self::aside`].
    /// Where earlier runs have left several files, each is cut and the newest is appended to.
    pub fn resume(dir: &Path, keep_through_step: u64, later: bool) -> io::Result<Self> {
        let (mut newest, mut aside) = (None, Vec::new());
        for path in event_files(dir)? {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .map_err(at(&path))?;
            let (keep, usual) = intact_through(&mut file, keep_through_step).map_err(at(&path))?;
            if (later || !usual) && file.metadata().map_err(at(&path))?.len() > keep {
                let mut cut = Vec::new();
                file.seek(SeekFrom::Start(keep)).map_err(at(&path))?;
                file.read_to_end(&mut cut).map_err(at(&path))?;
                // A name with `tfevents` would be read by TensorBoard.
                aside.push(set_aside(&dir.join("events"), &cut).map_err(io::Error::other)?);
            }
            file.set_len(keep).map_err(at(&path))?;
            file.seek(SeekFrom::Start(keep)).map_err(at(&path))?;
            newest = Some((path, file, keep));
        }
        let mut this = match newest {
            None => Self::create(dir)?,
            Some((path, file, 0)) => Self::start(path, file)?,
            Some((path, file, _)) => Self {
                path,
                out: BufWriter::new(file),
                aside: Vec::new(),
            },
        };
        this.aside = aside;
        Ok(this)
    }

    /// Where what was cut is kept, as far as it is.
    pub fn aside(&self) -> &[PathBuf] {
        &self.aside
    }

    /// Writes one number.
    pub fn scalar(&mut self, step: u64, tag: &str, value: f32) -> io::Result<()> {
        self.scalars(step, &[(tag, value)])
    }

    /// Writes the numbers of one step as one record.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f32)]) -> io::Result<()> {
        let value = |&(tag, value): &(&str, f32)| Value {
            tag: tag.to_owned(),
            is: Some(ValueIs::Simple(value)),
        };
        self.summary(step, values.iter().map(value).collect())
    }

    /// Writes a picture that is a PNG already; `channels` is 1 for grey, 3 for RGB, 4 with alpha.
    pub fn image_png(
        &mut self,
        step: u64,
        tag: &str,
        height: u32,
        width: u32,
        channels: u32,
        png: &[u8],
    ) -> io::Result<()> {
        let side = |n: u32| i32::try_from(n).map_err(|_| invalid(format!("a side of {n} pixels")));
        let picture = Image {
            height: side(height)?,
            width: side(width)?,
            colorspace: side(channels)?,
            encoded_image_string: png.to_vec(),
        };
        let value = Value {
            tag: tag.to_owned(),
            is: Some(ValueIs::Image(picture)),
        };
        self.summary(step, vec![value])
    }

    /// Writes every record so far to the disk.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(at(&self.path))?;
        self.out.get_ref().sync_data().map_err(at(&self.path))
    }

    fn start(path: PathBuf, file: File) -> io::Result<Self> {
        let mut this = Self {
            path,
            out: BufWriter::new(file),
            aside: Vec::new(),
        };
        this.event(0, EventIs::FileVersion(VERSION.to_owned()))?;
        this.flush()?;
        Ok(this)
    }

    fn summary(&mut self, step: u64, value: Vec<Value>) -> io::Result<()> {
        let step =
            i64::try_from(step).map_err(|_| invalid(format!("step {step} is above 2^63 - 1")))?;
        self.event(step, EventIs::Summary(Summary { value }))
    }

    fn event(&mut self, step: i64, is: EventIs) -> io::Result<()> {
        let event = Event {
            wall_time: now().as_secs_f64(),
            step,
            is: Some(is),
        };
        let data = event.encode_to_vec();
        if data.len() as u64 > MAX_RECORD {
            let got = data.len();
            return Err(at(&self.path)(invalid(format!(
                "a record of {got} bytes, expected at most {MAX_RECORD}"
            ))));
        }
        let length = (data.len() as u64).to_le_bytes();
        // One write for the head keeps a torn record as likely to end in its data as anywhere else;
        // the reader accepts neither.
        let mut head = [0; 12];
        head[..8].copy_from_slice(&length);
        head[8..].copy_from_slice(&masked_crc(&length));
        let mut write = || {
            self.out.write_all(&head)?;
            self.out.write_all(&data)?;
            self.out.write_all(&masked_crc(&data))
        };
        write().map_err(at(&self.path))
    }
}

/// The event files that this module wrote in `dir`, oldest first.
fn event_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at(dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(dir))?;
        let name = entry.file_name();
        let second = name.to_str().and_then(|n| {
            n.strip_prefix(PREFIX)?
                .strip_suffix(SUFFIX)?
                .parse::<u64>()
                .ok()
        });
        if let Some(second) = second {
            found.push((second, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The length of the file's beginning in which every record is whole and of step `last` or before; and whether what
/// follows is what a run that was killed leaves: whole records past the step, then at most one that is not.
fn intact_through(file: &mut File, last: u64) -> io::Result<(u64, bool)> {
    let mut records = BufReader::new(file);
    let (mut data, mut end, mut past) = (Vec::new(), 0, false);
    loop {
        let step = match read_record(&mut records, &mut data)? {
            Record::None | Record::Torn => return Ok((end, true)),
            Record::Damaged => return Ok((end, is_zero(&data) && is_zero_to_end(&mut records)?)),
            Record::Whole => Event::decode(data.as_slice()).map(|event| event.step),
        };
        match step.map(u64::try_from) {
            Ok(Ok(step)) if step > last => past = true,
            Ok(Ok(_)) if !past => end += 16 + data.len() as u64,
            // One that is not past the step after one that is, or one that cannot be understood.
            _ => return Ok((end, false)),
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Whether nothing but zeros follows, as a power cut leaves them.
fn is_zero_to_end(from: &mut impl Read) -> io::Result<bool> {
    let mut rest = Vec::new();
    from.read_to_end(&mut rest)?;
    Ok(is_zero(&rest))
}

/// What is found where a record should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// The end of the file.
    None,
    /// One that is whole.
    Whole,
    /// One that the file ends in.
    Torn,
    /// Something else.
    Damaged,
}

/// Reads the next record into `data`; of one that is damaged, what was read of it.
fn read_record(from: &mut impl Read, data: &mut Vec<u8>) -> io::Result<Record> {
    data.clear();
    from.by_ref().take(12).read_to_end(data)?;
    let (length, crc) = match data.split_first_chunk::<8>() {
        _ if data.is_empty() => return Ok(Record::None),
        Some((length, crc)) if data.len() == 12 => (*length, crc),
        _ => return Ok(Record::Torn),
    };
    let size = u64::from_le_bytes(length);
    if crc != masked_crc(&length) || size > MAX_RECORD {
        return Ok(Record::Damaged);
    }
    // The buffer grows with what the file holds, not with what the record claims.
    data.clear();
    from.by_ref().take(size + 4).read_to_end(data)?;
    if data.len() as u64 != size + 4 {
        return Ok(Record::Torn);
    }
    let crc = data.split_off(data.len() - 4);
    Ok(match crc == masked_crc(data) {
        true => Record::Whole,
        false => Record::Damaged,
    })
}

/// TFRecord's checksum: CRC-32C, rotated and shifted, so that a CRC of data that holds CRCs stays useful.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
        .to_le_bytes()
}

fn now() -> std::time::Duration {
    // A clock before 1970 only makes the time axis wrong, which is no reason to stop a run.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Names the file in an error, which the operating system does not.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |e| io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

/// `tensorboard/compat/proto/event.proto`, the fields used here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "EventIs", tags = "3, 5")]
    is: Option<EventIs>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum EventIs {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

/// `tensorboard/compat/proto/summary.proto`, the fields used here.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "ValueIs", tags = "2, 4")]
    is: Option<ValueIs>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ValueIs {
    #[prost(float, tag = "2")]
    Simple(f32),
    #[prost(message, tag = "4")]
    Image(Image),
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unreachable)]
mod tests {
    use super::*;

    /// Every event of the folder's only file, which must be intact to its last byte.
    fn events(dir: &Path) -> Vec<Event> {
        let mut records = File::open(only_file(dir)).unwrap();
        let (mut data, mut events) = (Vec::new(), Vec::new());
        while read_record(&mut records, &mut data).unwrap() == Record::Whole {
            events.push(Event::decode(data.as_slice()).unwrap());
        }
        let read: usize = events.iter().map(|e| 16 + e.encoded_len()).sum();
        assert_eq!(read as u64, fs::metadata(only_file(dir)).unwrap().len());
        events
    }

    fn only_file(dir: &Path) -> PathBuf {
        let files = event_files(dir).unwrap();
        assert_eq!(files.len(), 1);
        files[0].clone()
    }

    fn steps(dir: &Path) -> Vec<i64> {
        events(dir).iter().map(|e| e.step).collect()
    }

    /// A folder with the version record and the steps 1 to `last`, and the file's length after each.
    fn written(last: u64) -> (tempfile::TempDir, Vec<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(dir.path()).unwrap();
        let mut ends = vec![fs::metadata(only_file(dir.path())).unwrap().len()];
        for step in 1..=last {
            file.scalar(step, "loss/d/d", step as f32).unwrap();
            file.flush().unwrap();
            ends.push(fs::metadata(only_file(dir.path())).unwrap().len());
        }
        (dir, ends)
    }

    /// What a run does after a resume: it must give every step once.
    fn goes_on(dir: &Path, keep: u64, expect: &[i64]) {
        let mut file = EventFile::resume(dir, keep, false).unwrap();
        file.scalar(100, "loss/d/d", 0.5).unwrap();
        file.flush().unwrap();
        assert_eq!(steps(dir), [expect, &[100]].concat());
        assert_eq!(
            events(dir)[0].is,
            Some(EventIs::FileVersion(VERSION.to_owned()))
        );
    }

    #[test]
    fn known_checksum() {
        // From tensorboard 2.21's `masked_crc32c` of 32 zero bytes.
        let masked = 0x0fd7_fffa_u32.to_le_bytes();
        assert_eq!(masked_crc(&[0; 32]), masked);
    }

    #[test]
    fn round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made/on/the/way");
        let mut file = EventFile::create(&dir).unwrap();
        file.scalars(1, &[("loss/d/d", 0.25), ("loss/g/g", f32::NAN)])
            .unwrap();
        file.image_png(2, "fake", 4, 5, 3, b"png").unwrap();
        file.flush().unwrap();
        let events = events(&dir);
        assert_eq!(events.len(), 3);
        assert!(events.iter().all(|e| e.wall_time > 1.6e9));
        let Some(EventIs::Summary(Summary { value })) = &events[1].is else {
            unreachable!()
        };
        assert_eq!(
            (value[0].tag.as_str(), value[1].tag.as_str()),
            ("loss/d/d", "loss/g/g")
        );
        assert_eq!(value[0].is, Some(ValueIs::Simple(0.25)));
        assert!(matches!(value[1].is, Some(ValueIs::Simple(x)) if x.is_nan()));
        let Some(EventIs::Summary(Summary { value })) = &events[2].is else {
            unreachable!()
        };
        let image = Image {
            height: 4,
            width: 5,
            colorspace: 3,
            encoded_image_string: b"png".to_vec(),
        };
        assert_eq!(value[0].is, Some(ValueIs::Image(image)));
    }

    #[test]
    fn resume_creates_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        goes_on(&dir.path().join("run"), 5, &[0]);
    }

    #[test]
    fn resume_cuts_after_the_step() {
        for keep in 0..=6 {
            let (dir, _) = written(5);
            goes_on(
                dir.path(),
                keep,
                &(0..=keep.min(5) as i64).collect::<Vec<_>>(),
            );
        }
    }

    #[test]
    fn resume_cuts_a_torn_tail_at_any_byte() {
        let (dir, ends) = written(3);
        let whole = fs::read(only_file(dir.path())).unwrap();
        for length in 0..whole.len() {
            fs::write(only_file(dir.path()), &whole[..length]).unwrap();
            let intact = ends.iter().filter(|&&end| end <= length as u64).count();
            goes_on(
                dir.path(),
                9,
                &(0..intact.max(1) as i64).collect::<Vec<_>>(),
            );
        }
    }

    #[test]
    fn resume_cuts_at_a_flipped_bit_anywhere() {
        let (dir, ends) = written(3);
        let whole = fs::read(only_file(dir.path())).unwrap();
        let aside = dir.path().join("events.cut-0001");
        // Each byte once, each of its bits in turn.
        for bit in (0..whole.len()).map(|byte| byte * 8 + byte % 8) {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(only_file(dir.path()), damaged).unwrap();
            let intact = ends.iter().filter(|&&end| end <= bit as u64 / 8).count();
            goes_on(
                dir.path(),
                9,
                &(0..intact.max(1) as i64).collect::<Vec<_>>(),
            );
            // Nothing is lost: what was kept and what was cut are the file.
            let cut = fs::read(&aside).unwrap();
            assert!(whole.len() - cut.len() <= bit / 8 && cut.len() <= whole.len());
            fs::remove_file(&aside).unwrap();
        }
    }

    #[test]
    fn what_a_killed_run_leaves_is_not_kept_aside() {
        let (dir, ends) = written(3);
        let whole = fs::read(only_file(dir.path())).unwrap();
        for end in [&b""[..], b"x", &[0; 40], &whole[..20]] {
            fs::write(only_file(dir.path()), [&whole, end].concat()).unwrap();
            let file = EventFile::resume(dir.path(), 1, false).unwrap();
            assert!(file.aside().is_empty(), "{end:?}");
            assert_eq!(fs::metadata(only_file(dir.path())).unwrap().len(), ends[1]);
        }
        // Of a run that leaves later checkpoints behind it is.
        fs::write(only_file(dir.path()), &whole).unwrap();
        let file = EventFile::resume(dir.path(), 1, true).unwrap();
        let cut = fs::read(&file.aside()[0]).unwrap();
        assert_eq!(cut, whole[ends[1] as usize..]);
    }

    #[test]
    fn a_huge_record_is_damage() {
        let (dir, _) = written(1);
        let length = u64::MAX.to_le_bytes();
        let mut file = OpenOptions::new()
            .append(true)
            .open(only_file(dir.path()))
            .unwrap();
        file.write_all(&[&length[..], &masked_crc(&length), &[0; 99]].concat())
            .unwrap();
        goes_on(dir.path(), 9, &[0, 1]);
    }

    #[test]
    fn several_files_are_cut_and_the_newest_goes_on() {
        let (dir, _) = written(5);
        let newest = dir.path().join(format!("{PREFIX}99999999999{SUFFIX}"));
        fs::copy(only_file(dir.path()), &newest).unwrap();
        let mut file = EventFile::resume(dir.path(), 2, false).unwrap();
        file.scalar(3, "loss/d/d", 0.5).unwrap();
        file.flush().unwrap();
        let mut lengths = Vec::new();
        for path in event_files(dir.path()).unwrap() {
            lengths.push(fs::metadata(path).unwrap().len());
        }
        assert!(lengths[0] < lengths[1], "{lengths:?}");
        fs::remove_file(&event_files(dir.path()).unwrap()[0]).unwrap();
        assert_eq!(steps(dir.path()), [0, 1, 2, 3]);
    }

    #[test]
    fn errors_name_the_file_and_lose_nothing() {
        let (dir, _) = written(2);
        let mut file = EventFile::resume(dir.path(), 2, false).unwrap();
        let error = file
            .image_png(3, "fake", 1, 1, 1, &vec![0; 65 << 20])
            .unwrap_err();
        assert!(
            error.to_string().contains("events.out.tfevents."),
            "{error}"
        );
        assert!(file.scalar(u64::MAX, "loss/d/d", 0.).is_err());
        file.flush().unwrap();
        assert_eq!(steps(dir.path()), [0, 1, 2]);
        let error = EventFile::create(&only_file(dir.path())).unwrap_err();
        assert!(
            error.to_string().contains("events.out.tfevents."),
            "{error}"
        );
    }
}

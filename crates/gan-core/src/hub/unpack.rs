//! Parquet files of pictures, unpacked into a zip file of them: what the hub keeps in columns becomes what every reader
//! of this project reads, and what anyone can look into.
//!
//! The layout is that of the hub's data sets: a column of pictures is a group whose `bytes` are a picture's file, a
//! column of classes holds their numbers, and the footer says their names. Of two columns of pictures the first is side
//! A and the second side B.

use crate::FileError;
use crate::data::{CLASS_NAMES, picture_ending};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A part of a data set, as the hub names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// What a run learns from.
    Train,
    /// What it is judged by.
    Test,
    /// What it is judged by, where there is no other.
    Validation,
}

/// Told how many of how many rows are done.
type Rows<'a> = dyn Fn(usize, usize) + Sync + 'a;

const MEND: &str = "fetch it again, or name another data set";

/// Unpacks parquet files into a zip file, whole or not at all; gives what is to be said of them, a sentence each.
///
/// # Errors
/// A damaged file, or one of another layout; one that cannot be written.
pub fn unpack(
    files: &[(Split, PathBuf)],
    to: &Path,
    rows: &Rows<'_>,
) -> Result<Vec<String>, FileError> {
    let mut own = None;
    let written = crate::whole::write_whole(to, |file| {
        let zip = ZipWriter::new(BufWriter::new(File::options().write(true).open(file)?));
        match apart(to, || unpacked(files, zip, rows)) {
            Ok(notes) => {
                own = Some(Ok(notes));
                Ok(())
            }
            Err(Failed::Reading(error)) => {
                own = Some(Err(error));
                Err(std::io::Error::other("it was not made"))
            }
            Err(Failed::Writing(error)) => Err(error),
        }
    });
    match own {
        Some(Err(error)) => Err(error),
        Some(Ok(notes)) => written.map(|()| notes),
        None => written.map(|()| Vec::new()),
    }
}

/// The name of the thread that reads tables: the library that does gives up on some damaged ones by a panic, which is an
/// error here and nothing to be reported.
pub const READER: &str = "table reader";

/// Reads tables in a thread of their own.
fn apart<T: Send>(to: &Path, read: impl FnOnce() -> Result<T, Failed> + Send) -> Result<T, Failed> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name(READER.into());
        match reader.spawn_scoped(scope, read)?.join() {
            Ok(made) => made,
            Err(_) => {
                let problem =
                    "cannot be made: a parquet file is damaged (the library that reads it gave up)";
                Err(FileError::new(to, problem, MEND).into())
            }
        }
    })
}

enum Failed {
    Reading(FileError),
    Writing(std::io::Error),
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Self {
        Failed::Reading(error)
    }
}

impl From<zip::result::ZipError> for Failed {
    fn from(error: zip::result::ZipError) -> Self {
        Failed::Writing(error.into())
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Failed::Writing(error)
    }
}

fn unpacked<W: Write + std::io::Seek>(
    files: &[(Split, PathBuf)],
    mut zip: ZipWriter<W>,
    rows: &Rows<'_>,
) -> Result<Vec<String>, Failed> {
    let mut notes = Vec::new();
    let has = |split| files.iter().any(|(of, _)| *of == split);
    let held_out = match (has(Split::Test), has(Split::Validation)) {
        (true, true) => {
            notes.push(
                "its validation part is left out: the test part is what runs are judged by"
                    .to_string(),
            );
            Split::Test
        }
        (false, true) => Split::Validation,
        _ => Split::Test,
    };
    // A set of one part is learned from, whatever its name.
    let alone = !has(Split::Train);
    let mut opened = Vec::new();
    for (split, path) in files {
        let part = match *split {
            Split::Train => "train",
            split if split == held_out && alone => "train",
            split if split == held_out => "test",
            _ => continue,
        };
        opened.push((part, Table::open(path)?));
    }
    let Some((_, first)) = opened.first() else {
        return Ok(notes);
    };
    let (columns, all) = (
        first.columns.clone(),
        opened.iter().map(|(_, table)| table.rows()).sum(),
    );
    notes.extend(columns.notes.clone());
    if let Some((_, other)) = opened.iter().find(|(_, table)| table.columns != columns) {
        let problem = format!("has other columns than {}", first.path.display());
        return Err(FileError::new(&other.path, problem, MEND).into());
    }
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut done = 0;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (part, table) in &opened {
        let count = counts.entry(part).or_default();
        for row in table.iter()? {
            let row = row.map_err(|e| table.damaged(&e))?;
            for (file, picture) in table.pictures(&row, part, *count)? {
                zip.start_file(file, stored)?;
                zip.write_all(picture)?;
            }
            (*count, done) = (*count + 1, done + 1);
            rows(done, all);
        }
    }
    if done == 0 {
        return Err(FileError::new(&first.path, "holds no rows", "name another data set").into());
    }
    if done != all {
        return Err(first
            .damaged(&format!("{done} rows of {all} could be read"))
            .into());
    }
    if let Some(label) = columns.label.filter(|label| !label.names.is_empty()) {
        zip.start_file(CLASS_NAMES, stored)?;
        zip.write_all((label.names.join("\n") + "\n").as_bytes())?;
    }
    zip.finish()?.flush()?;
    Ok(notes)
}

/// The classes of a table.
#[derive(Clone, Debug, PartialEq)]
struct Label {
    column: String,
    /// Their names in their order, where the footer says them.
    names: Vec<String>,
}

/// What of a table is used.
#[derive(Clone, Debug, PartialEq)]
struct Columns {
    pictures: Vec<String>,
    label: Option<Label>,
    notes: Vec<String>,
}

/// An open parquet file.
struct Table {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    columns: Columns,
}

impl Table {
    fn open(path: &Path) -> Result<Self, FileError> {
        let file = crate::whole::open_regular(path)?;
        let reader = SerializedFileReader::new(file).map_err(|e| damaged(path, &e))?;
        let columns = Columns::of(&reader).map_err(|problem| {
            FileError::new(
                path,
                problem,
                "pictures in a column, or in two, and classes in another are read",
            )
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            reader,
            columns,
        })
    }

    fn rows(&self) -> usize {
        usize::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> FileError {
        damaged(&self.path, error)
    }

    /// The rows, of the columns that are used alone.
    fn iter(&self) -> Result<impl Iterator<Item = parquet::errors::Result<Row>> + '_, FileError> {
        let schema = self.reader.metadata().file_metadata().schema();
        let label = self.columns.label.iter().map(|label| &label.column);
        let used: Vec<&String> = self.columns.pictures.iter().chain(label).collect();
        let fields = schema
            .get_fields()
            .iter()
            .filter(|field| used.iter().any(|used| *used == field.name()));
        let fields: Vec<Arc<Type>> = fields.cloned().collect();
        let wanted = Type::group_type_builder(schema.name())
            .with_fields(fields)
            .build();
        let wanted = wanted.map_err(|e| self.damaged(&e))?;
        self.reader
            .get_row_iter(Some(wanted))
            .map_err(|e| self.damaged(&e))
    }

    /// The pictures of row `i` of a part, each with the name that it gets.
    fn pictures<'a>(
        &self,
        row: &'a Row,
        part: &str,
        i: usize,
    ) -> Result<Vec<(String, &'a [u8])>, FileError> {
        let wrong =
            |problem: String| FileError::new(&self.path, format!("row {i}: {problem}"), MEND);
        let field = |column: &String| {
            let mut fields = row.get_column_iter();
            fields
                .find(|(name, _)| *name == column)
                .map(|(_, field)| field)
        };
        let class = match &self.columns.label {
            None => None,
            Some(label) => {
                let class = field(&label.column).and_then(number);
                let class = class
                    .ok_or_else(|| wrong(format!("{} is no number of a class", label.column)))?;
                if !label.names.is_empty() && class >= label.names.len() {
                    let problem = format!(
                        "{} is {class}, there are {} classes",
                        label.column,
                        label.names.len()
                    );
                    return Err(wrong(problem));
                }
                Some(class)
            }
        };
        let mut made = Vec::new();
        for (side, column) in self.columns.pictures.iter().enumerate() {
            let bytes = field(column).and_then(file_of);
            let bytes = bytes.ok_or_else(|| wrong(format!("{column} holds no picture's file")))?;
            let ending = picture_ending(bytes).ok_or_else(|| {
                wrong(format!("{column} holds no picture of a kind that is read"))
            })?;
            let folder = match (self.columns.pictures.len(), side, class) {
                (1, _, None) => part.to_string(),
                (1, _, Some(class)) => format!("{part}/{class}"),
                (_, 0, _) => format!("{part}A"),
                _ => format!("{part}B"),
            };
            made.push((format!("{folder}/{i:06}.{ending}"), bytes));
        }
        Ok(made)
    }
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> FileError {
    let said = error.to_string();
    let said = crate::cut(said.lines().next().unwrap_or_default(), 100);
    FileError::new(path, format!("is a damaged parquet file ({said})"), MEND)
}

/// The bytes of a picture's file.
fn file_of(field: &Field) -> Option<&[u8]> {
    match field {
        Field::Bytes(bytes) => Some(bytes.data()),
        Field::Group(row) => {
            let (_, bytes) = row.get_column_iter().find(|(name, _)| *name == "bytes")?;
            file_of(bytes)
        }
        _ => None,
    }
}

/// The number of a class.
fn number(field: &Field) -> Option<usize> {
    let number = match *field {
        Field::Byte(n) => i64::from(n),
        Field::Short(n) => i64::from(n),
        Field::Int(n) => i64::from(n),
        Field::Long(n) => n,
        Field::UByte(n) => i64::from(n),
        Field::UShort(n) => i64::from(n),
        Field::UInt(n) => i64::from(n),
        Field::ULong(n) => i64::try_from(n).ok()?,
        _ => return None,
    };
    usize::try_from(number).ok()
}

impl Columns {
    fn of(reader: &SerializedFileReader<File>) -> Result<Self, String> {
        let about = reader.metadata().file_metadata();
        let fields = about.schema().get_fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let said = about.key_value_metadata().into_iter().flatten();
        let mut said = said
            .filter(|pair| pair.key == "huggingface")
            .filter_map(|pair| pair.value.as_deref());
        let said: Value = said
            .next()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let features = said.pointer("/info/features");
        let is = |column: &str, kind: &str| {
            let feature =
                features.and_then(|features| features.get(column)?.get("_type")?.as_str());
            feature == Some(kind)
        };
        let holds_files = |field: &Type| {
            field.is_group()
                && field
                    .get_fields()
                    .iter()
                    .any(|inner| inner.name() == "bytes")
        };
        let pictures = fields
            .iter()
            .filter(|field| is(field.name(), "Image") || holds_files(field));
        let pictures: Vec<String> = pictures.map(|field| field.name().to_string()).collect();
        if pictures.is_empty() || pictures.len() > 2 {
            let n = pictures.len();
            return Err(format!(
                "has {n} columns of pictures ({}), expected one or two",
                names.join(", ")
            ));
        }
        let usual = ["label", "labels", "class", "fine_label"];
        let is_class = |column: &&str| match features {
            Some(_) => is(column, "ClassLabel"),
            None => usual.contains(column),
        };
        let classes: Vec<&str> = names.iter().copied().filter(is_class).collect();
        let first = classes
            .iter()
            .find(|column| usual.contains(column))
            .or(classes.first());
        let mut notes = Vec::new();
        // Sides are no classes.
        let label = match first.filter(|_| pictures.len() == 1) {
            None => None,
            Some(column) => {
                let names =
                    features.and_then(|features| features.get(*column)?.get("names")?.as_array());
                let names = names
                    .into_iter()
                    .flatten()
                    .map(|name| name.as_str().unwrap_or_default());
                let names: Vec<String> = names.map(|name| crate::plain(name.trim())).collect();
                Some(Label {
                    column: column.to_string(),
                    names,
                })
            }
        };
        if let (Some(label), true) = (&label, classes.len() > 1) {
            notes.push(format!(
                "its classes are those of the column {}, of {}",
                label.column,
                classes.join(", ")
            ));
        }
        if let [a, b] = &pictures[..] {
            notes.push(format!("side A is the column {a}, side B the column {b}"));
        }
        Ok(Self {
            pictures,
            label,
            notes,
        })
    }
}

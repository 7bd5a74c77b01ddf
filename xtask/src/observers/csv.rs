//! `scalars.csv`: one line a number, `iteration,name,value`.

use super::writing;
use candle_core::Result;
use gan_core::{Event, FileError, Observer};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

const HEAD: &str = "iteration,name,value\n";

/// Writes the scalars of a run.
#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Csv {
    /// Goes on with the file, cut at the first line past `from` or not whole; starts one where there is none.
    pub fn open(path: &Path, from: u64) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(FileError::reading(path, &e).into()),
        };
        if !text.is_empty() && !text.starts_with(HEAD) && !HEAD.starts_with(&text) {
            let problem = format!("does not begin with the line {:?}", HEAD.trim_end());
            return Err(FileError::new(path, problem, "move it out of the run's folder").into());
        }
        let keep = kept(&text, from);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(writing(path))?;
        file.set_len(keep as u64).map_err(writing(path))?;
        drop(file);
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(writing(path))?;
        let mut out = BufWriter::new(file);
        if keep == 0 {
            out.write_all(HEAD.as_bytes()).map_err(writing(path))?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            out,
        })
    }
}

/// Bytes of `text` up to the first line that is past `from` or not whole.
fn kept(text: &str, from: u64) -> usize {
    if !text.starts_with(HEAD) {
        return 0;
    }
    let mut keep = HEAD.len();
    for line in text.get(keep..).unwrap_or("").split_inclusive('\n') {
        let t = line.split(',').next().and_then(|t| t.parse::<u64>().ok());
        if !line.ends_with('\n') || t.is_none_or(|t| t > from) {
            break;
        }
        keep += line.len();
    }
    keep
}

impl Observer for Csv {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Logged { t, scalars } => {
                for (name, value) in *scalars {
                    writeln!(self.out, "{t},{name},{value}").map_err(writing(&self.path))?;
                }
                Ok(())
            }
            Event::Saving { .. } | Event::Ended { .. } => {
                self.out.flush().map_err(writing(&self.path))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_at_the_first_line_past_the_checkpoint_or_torn() {
        let text = "iteration,name,value\n10,a,1\n10,b,2\n20,a,3\n20,b,4\n30,a,5";
        let lines = |from| text[..kept(text, from)].lines().count();
        assert_eq!(lines(0), 1);
        assert_eq!(lines(10), 3);
        assert_eq!(lines(25), 5);
        assert_eq!(lines(99), 5); // the last line is torn
        assert_eq!(kept("something else", 99), 0);
    }
}

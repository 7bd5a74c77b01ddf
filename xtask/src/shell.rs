//! Commands that are printed: they can be pasted into a shell as they stand.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A word of a command line for a POSIX shell. What a terminal would obey, and what is not UTF-8, is written as bash,
/// zsh and ksh read it: `$'a\nb'`.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let text = match word.to_str() {
        Some(text) if !text.chars().any(char::is_control) => text,
        _ => return escaped(word.as_bytes()),
    };
    // A name that begins like an option is none with its folder before it.
    let text = match text.starts_with('-') {
        true => format!("./{text}"),
        false => text.to_string(),
    };
    match shlex::try_quote(&text) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => escaped(text.as_bytes()), // a byte 0, which is a control character
    }
}

fn escaped(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\\' | b'\'' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    let begin = if bytes.starts_with(b"-") { "./" } else { "" };
    let text: String = bytes.iter().map(one).collect();
    format!("$'{begin}{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        assert_eq!(quoted("runs/gan/0001"), "runs/gan/0001");
        let mut words: Vec<&OsStr> = [
            "",
            "a b",
            "it's",
            "\"x\"",
            "$HOME",
            "~",
            "*",
            "a\nb",
            "\u{1b}[2J",
            "ä 木",
            "-n",
            "-\t",
            "a\\b",
            "x!y",
            "#1",
            "a;b",
            "\u{9b}c",
        ]
        .iter()
        .map(OsStr::new)
        .collect();
        words.push(OsStr::from_bytes(b"\xff'\\-"));
        for word in words {
            let line = quoted(word);
            assert!(!line.chars().any(char::is_control), "{line:?}");
            let shell = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {line}")])
                .output()
                .expect("bash");
            let read = shell.stdout.strip_prefix(b"./").unwrap_or(&shell.stdout);
            assert_eq!(read, word.as_bytes(), "{line}");
        }
    }
}

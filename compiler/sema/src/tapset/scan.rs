//! Which names a library file declares, found without parsing it: at build time for the embedded files, at start for
//! those of `-I`. It knows comments, strings and brackets, and what stands at bracket depth 0.

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `function NAME`
    Function,
    /// `global NAME`
    Global,
    /// `probe NAME = …`, all components, without arguments.
    Alias,
}

/// The public declarations of a text. What is `private` belongs to its file and is not listed.
pub fn declarations(text: &str) -> Vec<(Kind, String)> {
    let words = top_level(text);
    let mut found = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let private = i > 0 && words[i - 1] == "private";
        match words[i] {
            "function" if i + 1 < words.len() => {
                if !private {
                    found.push((Kind::Function, words[i + 1].to_owned()));
                }
                i += 1;
            }
            "global" => {
                let (names, end) = globals(&words, i + 1);
                if !private {
                    found.extend(names.into_iter().map(|name| (Kind::Global, name)));
                }
                i = end;
                continue;
            }
            "probe" => found.extend(alias(&words, i + 1).map(|name| (Kind::Alias, name))),
            _ => {}
        }
        i += 1;
    }
    found
}

/// The names of `a, b = 3, c`, and the index after them.
fn globals(words: &[&str], mut i: usize) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    let mut expects_name = true;
    while let Some(&word) = words.get(i) {
        match word {
            "function" | "probe" | "global" | "private" => break,
            "," => expects_name = true,
            name if expects_name => {
                names.push(name.to_owned());
                expects_name = false;
            }
            _ => {}
        }
        i += 1;
    }
    (names, i)
}

/// `a.b` of `a.b = …` or `a.b += …`; nothing for a probe.
fn alias(words: &[&str], mut i: usize) -> Option<String> {
    let mut name = String::new();
    loop {
        match *words.get(i)? {
            "=" | "+=" if !name.is_empty() => return Some(name),
            "." => name.push('.'),
            word if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => name.push_str(word),
            _ => return None,
        }
        i += 1;
    }
}

/// Words, and single punctuation characters (`+=` as one), outside of all brackets.
fn top_level(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut depth = 0usize;
    let mut i = 0;
    while i < bytes.len() {
        let start = i;
        match bytes[i] {
            b'#' => i = line_end(bytes, i),
            b'/' if bytes.get(i + 1) == Some(&b'/') => i = line_end(bytes, i),
            b'/' if bytes.get(i + 1) == Some(&b'*') => {
                i = text[i + 2..].find("*/").map_or(bytes.len(), |n| i + n + 4)
            }
            b'"' => i = string_end(bytes, i),
            b'%' if bytes.get(i + 1) == Some(&b'{') => {
                i = text[i..].find("%}").map_or(bytes.len(), |n| i + n + 2)
            }
            b'(' | b'[' | b'{' => {
                depth += 1;
                i += 1;
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                i += 1;
            }
            b if b.is_ascii_alphanumeric() || b == b'_' => {
                while i < bytes.len() && (bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_') {
                    i += 1;
                }
                if depth == 0 {
                    words.push(&text[start..i]);
                }
            }
            b'+' if bytes.get(i + 1) == Some(&b'=') => {
                i += 2;
                if depth == 0 {
                    words.push("+=");
                }
            }
            b'.' | b',' | b'=' => {
                i += 1;
                if depth == 0 {
                    words.push(&text[start..i]);
                }
            }
            _ => i += 1,
        }
    }
    words
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| from + n)
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut i = from + 1;
    while i < bytes.len() && bytes[i] != b'"' {
        i += if bytes[i] == b'\\' { 2 } else { 1 };
    }
    i + 1
}

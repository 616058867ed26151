//! The difference between two texts, line by line, for the message of a failed test.

/// The lines of both texts in order: `  ` in both, `- ` only expected, `+ ` only actual.
pub fn lines(expected: &str, actual: &str) -> String {
    let old: Vec<&str> = expected.lines().collect();
    let new: Vec<&str> = actual.lines().collect();
    let common = common_suffix_lengths(&old, &new);
    let (mut i, mut j) = (0, 0);
    let mut out = String::new();
    let mut put = |mark: &str, line: &str| out.extend([mark, line, "\n"]);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            put("  ", old[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            put("- ", old[i]);
            i += 1;
        } else {
            put("+ ", new[j]);
            j += 1;
        }
    }
    out
}

/// `[i][j]`: how many lines `old[i..]` and `new[j..]` have in common, in order.
fn common_suffix_lengths(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            table[i][j] =
                if old[i] == new[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}

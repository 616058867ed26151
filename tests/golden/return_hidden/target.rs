// build: rustc -g -Copt-level=3 target.rs
#[inline(never)]
fn step(n: u32, text: &str) -> Result<u32, String> {
    if n > 1 { Err(format!("{text} {n}")) } else { Ok(n + text.len() as u32) }
}

fn main() {
    for n in 0..std::env::args().len() as u32 + 2 {
        eprintln!("{}", step(n, "too much").is_ok());
    }
}

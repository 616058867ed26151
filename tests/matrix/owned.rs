//! The Rust program of the matrix: enums, slices, owned values. Output goes to standard error.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Shape {
    Circle { radius: f64 },
    Square(u32),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    x: i32,
    y: i16,
    flag: bool,
}

#[derive(Clone, Debug)]
struct Owner {
    name: String,
    shapes: Vec<Shape>,
    next: Option<Box<Owner>>,
    at: Point,
}

trait Area {
    fn area(&self) -> f64;
}

impl Area for Shape {
    #[inline(never)]
    fn area(&self) -> f64 {
        let area = match self {
            Shape::Circle { radius } => radius * radius * 3.0,
            Shape::Square(side) => f64::from(*side) * f64::from(*side),
            Shape::Nothing => 0.0,
        };
        black_box(area)
    }
}

#[inline(never)]
fn integers(a: i8, b: u16, c: i32, d: u64, e: i128, f: usize, g: bool, h: char) -> i64 {
    let sum = i64::from(a) + i64::from(b) + i64::from(c);
    let more = black_box(sum) + d as i64 + e as i64;
    let last = black_box(more) + f as i64 + i64::from(g) + h as i64;
    black_box(last)
}

#[inline(never)]
fn floats(a: f32, b: f64) -> f64 {
    let half = a / 2.0;
    let product = black_box(half) as f64 * b;
    black_box(product)
}

#[inline(never)]
fn slices(numbers: &[i32], text: &str, pair: (u8, i64)) -> i64 {
    let mut total = pair.1;
    for (index, number) in numbers.iter().enumerate() {
        total += i64::from(*number) * index as i64;
        black_box(total);
    }
    let length = text.len() as i64 + i64::from(pair.0);
    black_box(total + length)
}

#[inline(never)]
fn options(some: Option<i32>, reference: Option<&Point>, result: Result<u8, i64>) -> i64 {
    let first = some.unwrap_or(-1);
    let second = reference.map_or(0, |point| point.x + i32::from(point.y));
    black_box(second);
    let third = match result {
        Ok(value) => i64::from(value),
        Err(error) => error,
    };
    black_box(i64::from(first) + i64::from(second) + third)
}

#[inline(never)]
fn owners(owner: &mut Owner, factor: i32) -> i32 {
    owner.at.x *= factor;
    let mut depth = 0;
    let mut next = &owner.next;
    while let Some(inner) = next {
        depth += inner.at.x;
        black_box(depth);
        next = &inner.next;
    }
    black_box(depth + owner.shapes.len() as i32 + i32::from(owner.at.flag))
}

#[inline(never)]
fn shared(counted: Rc<Point>, atomic: Arc<i64>, boxed: Box<Point>) -> i64 {
    let sum = i64::from(counted.x) + *atomic;
    black_box(sum);
    black_box(sum + i64::from(boxed.y))
}

#[inline(never)]
fn maps(n: i32) -> i64 {
    // Not the usual one, whose keys are random.
    let mut hashed: HashMap<i32, i64, BuildHasherDefault<DefaultHasher>> = HashMap::default();
    let mut ordered = BTreeMap::new();
    for i in 0..n {
        hashed.insert(i, i64::from(i) * 2);
        ordered.insert(i, Point { x: i, y: 1, flag: i > 1 });
    }
    let total: i64 = black_box(hashed.values().sum());
    black_box(total + i64::from(ordered[&1].x))
}

fn main() {
    let mut total = integers(-5, 60000, -70000, 1 << 40, -9, 77, true, 'é');
    total += floats(1.5, 2.25) as i64;
    total += slices(&[3, -4, 5], "some text", (200, -6));
    let point = Point { x: 11, y: -12, flag: true };
    total += options(Some(4), Some(&point), Ok(9)) + options(None, None, Err(-8));
    let inner = Owner { name: "inner".to_owned(), shapes: vec![], next: None, at: point };
    let shapes = vec![Shape::Circle { radius: 1.5 }, Shape::Square(7), Shape::Nothing];
    let mut owner = Owner { name: "outer".to_owned(), shapes, next: Some(Box::new(inner)), at: point };
    total += i64::from(owners(&mut owner, 3));
    for shape in &owner.shapes {
        total += shape.area() as i64;
    }
    total += shared(Rc::new(point), Arc::new(21), Box::new(point));
    total += maps(3) + owner.name.len() as i64;
    eprintln!("{total}");
}

// build: rustc -g -C opt-level=0 target.rs -o target
use std::rc::Rc;
use std::sync::Arc;

pub enum Shape {
    Circle { radius: f64 },
    Square(u32),
    Nothing,
}

pub enum Level {
    Low = 1,
    High = 200,
}

pub struct Owner {
    name: String,
    shapes: Vec<Shape>,
    next: Option<Box<Owner>>,
    level: Level,
}

#[inline(never)]
fn texts(text: &str, owned: &String, slice: &[i32], none: &[u8]) -> usize {
    text.len() + owned.len() + slice.len() + none.len()
}

#[inline(never)]
fn options(some: Option<i32>, nothing: Option<i32>, reference: Option<&u8>, fine: Result<u8, String>, bad: Result<u8, String>) -> bool {
    some.is_some() && nothing.is_none() && reference.is_some() && fine.is_ok() && bad.is_err()
}

#[inline(never)]
fn shapes(circle: &Shape, square: &Shape, nothing: Shape) -> bool {
    matches!((circle, square, nothing), (Shape::Circle { .. }, Shape::Square(_), Shape::Nothing))
}

#[inline(never)]
fn owners(owner: &Owner, counted: Rc<i64>, atomic: Arc<Vec<u16>>) -> usize {
    owner.name.len() + owner.shapes.len() + usize::from(owner.next.is_some()) + *counted as usize + atomic.len()
}

fn main() {
    let mut sum = texts("some text", &"owned".to_owned(), &[1, -2, 3], &[]);
    sum += usize::from(options(Some(4), None, Some(&7), Ok(8), Err("bad".to_owned())));
    sum += usize::from(shapes(&Shape::Circle { radius: 2.5 }, &Shape::Square(3), Shape::Nothing));
    let inner = Owner { name: "inner".to_owned(), shapes: vec![], next: None, level: Level::Low };
    let shapes = vec![Shape::Square(5), Shape::Nothing];
    let outer = Owner { name: "outer".to_owned(), shapes, next: Some(Box::new(inner)), level: Level::High };
    sum += owners(&outer, Rc::new(41), Arc::new(vec![1, 2]));
    assert!(sum > 0 && matches!(outer.level, Level::High));
}

// build: rustc --edition 2021 -g -C opt-level=0 target.rs -o target
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

trait Shape {
    fn area(&self) -> f64;
}

struct Circle {
    radius: f64,
}

#[repr(align(64))]
struct Square(i32);

struct Nothing;

/// Has one of its kind inside.
struct Twice(Box<dyn Shape>);

enum Angle {
    Right,
    Of(f64),
}

impl Shape for Circle {
    fn area(&self) -> f64 {
        self.radius
    }
}

impl Shape for Square {
    fn area(&self) -> f64 {
        self.0.into()
    }
}

impl Shape for Nothing {
    fn area(&self) -> f64 {
        0.0
    }
}

impl Shape for Twice {
    fn area(&self) -> f64 {
        2.0 * self.0.area()
    }
}

impl Shape for Angle {
    fn area(&self) -> f64 {
        if let Angle::Of(angle) = self { *angle } else { 90.0 }
    }
}

#[inline(never)]
fn shapes(boxed: Box<dyn Shape>, lent: &dyn Shape, sent: &(dyn Shape + Send), angle: &dyn Shape) -> f64 {
    boxed.area() + lent.area() + sent.area() + angle.area()
}

#[inline(never)]
fn counted(circle: Rc<dyn Shape>, square: Arc<dyn Shape>) -> f64 {
    circle.area() + square.area()
}

#[inline(never)]
fn others(number: &dyn Debug, text: &dyn Debug, all: &[Box<dyn Shape>], call: &dyn Fn(i32) -> i32) -> usize {
    format!("{number:?}{text:?}").len() + all.len() + call(1) as usize
}

fn main() {
    let mut sum = shapes(Box::new(Circle { radius: 2.5 }), &Twice(Box::new(Square(3))), &Nothing, &Angle::Of(30.0));
    sum += counted(Rc::new(Circle { radius: 4.5 }), Arc::new(Square(5))) + Angle::Right.area();
    let more = 7;
    let all: [Box<dyn Shape>; 2] = [Box::new(Square(6)), Box::new(Nothing)];
    let len = others(&-8i16, &"nine".to_owned(), &all, &|n| n + more);
    std::process::exit((sum == 0.0 || len == 0).into());
}

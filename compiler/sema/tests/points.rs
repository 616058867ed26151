//! `process…` points and target variables against programs compiled here. A case is `points/NAME.stp`: its points are
//! resolved, each expression of a body is resolved at each derived point, and all of it is compared with
//! `points/NAME.txt`. `UPDATE_EXPECT=1` writes that file. A first line `//@ list` or `//@ variables` asks for the lines
//! of -l or -L, `//@ target: PATH` and `//@ pid: N` give the target.

mod world;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rstap_program::Point;
use rstap_sema::ir;
use rstap_sema::list::List;
use rstap_sema::points::DerivedPoint;
use rstap_sema::points::process::{ProcessPoints, Purpose, Target};
use rstap_sema::target_var::{Request, Use};
use rstap_syntax::ast::{self, AccessKind, ExprKind, Item, StmtKind};
use rstap_syntax::diagnostic::render;
use rstap_syntax::source::SourceMap;
use world::World;

#[test]
fn points_resolve_as_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/points");
    let world = World::build("points", &directory.join("targets"));
    let mut scripts: Vec<PathBuf> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "stp"));
    scripts.sort();
    assert!(scripts.len() > 10, "the cases are in {}", directory.display());
    let mut wrong = Vec::new();
    for script in scripts {
        let found = run(&world, &std::fs::read_to_string(&script).unwrap());
        let expected = script.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("--- {} yields\n{found}", script.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// 10,000 functions with one text each resolve fast enough that nobody waits; the limit is loose, for a busy machine.
#[test]
fn many_points_take_a_short_time() {
    let world =
        World::build("many_points", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/points/targets"));
    let source: String = (0..10_000).fold("int main() { return 0; }\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "int work_{n}(int a) {{ return a + {n}; }}");
        text
    });
    world.compile("many", &source, &["-g", "-O0"]);
    let mut sources = SourceMap::default();
    let probe = parse_probe(&mut sources, "probe process(\"./many\").function(\"work_*\") { $a }");
    let family = ProcessPoints::new(Rc::new(world), Target::None);
    let start = std::time::Instant::now();
    let points = family.resolve(&probe.points[0], &mut Vec::new()).unwrap();
    assert_eq!(points.len(), 10_000);
    assert!(start.elapsed().as_secs() < 10, "took {:?}", start.elapsed());
}

fn parse_probe(sources: &mut SourceMap, text: &str) -> ast::Probe {
    let id = sources.add("case.stp", text);
    let parsed = rstap_syntax::parse(sources, id, &rstap_syntax::ParseConfig::default());
    match parsed.file.items.into_iter().next() {
        Some(Item::Probe(probe)) => probe,
        _ => panic!("no probe in {text}"),
    }
}

fn run(world: &World, text: &str) -> String {
    let mut sources = SourceMap::default();
    let id = sources.add("case.stp", text);
    let parsed = rstap_syntax::parse(&sources, id, &rstap_syntax::ParseConfig::default());
    let mut out = render(&sources, &parsed.diagnostics, false);
    let directive = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix("//@ ")?.strip_prefix(name))
            .map(|value| value.trim_start_matches(": "))
    };
    let target = match (directive("target"), directive("pid")) {
        (Some(path), _) => Target::Command(path.into()),
        (_, Some(pid)) => Target::Pid(pid.parse().unwrap()),
        _ => Target::None,
    };
    let purpose = match (directive("list"), directive("variables")) {
        (Some(_), _) => Purpose::List,
        (_, Some(_)) => Purpose::ListVariables,
        _ => Purpose::Run,
    };
    let family = ProcessPoints::new(Rc::new(world.clone()), target).with_purpose(purpose);
    let mut list = List::default();
    for item in &parsed.file.items {
        let Item::Probe(probe) = item else { continue };
        for point in &probe.points {
            let _ = writeln!(out, "> {}", sources.text(point.span));
            let mut warnings = Vec::new();
            match family.resolve(point, &mut warnings) {
                Ok(points) if purpose == Purpose::Run => {
                    points.iter().for_each(|derived| show(&sources, &family, derived, probe, &mut out));
                }
                Ok(points) => list.add(points, purpose == Purpose::ListVariables),
                Err(error) => warnings.push(*error),
            }
            out += &render(&sources, &warnings, false);
        }
    }
    for line in list.finish() {
        let _ = writeln!(out, "{line}");
    }
    world::hide_toolchain(&out)
}

fn show(
    sources: &SourceMap,
    family: &ProcessPoints<'static>,
    derived: &DerivedPoint<'static>,
    probe: &ast::Probe,
    out: &mut String,
) {
    let _ = write!(out, "{}", derived.pp);
    if derived.pn != derived.pp {
        let _ = write!(out, " # {}", derived.pn);
    }
    if !derived.function.is_empty() {
        let _ = write!(out, " [{}]", derived.function);
    }
    let modules = family.modules();
    let name = |id: rstap_program::ModuleId| modules[id.0 as usize].path.display().to_string();
    let process = match &derived.point {
        Point::Code { process, module, kind, .. } => {
            let _ = write!(out, " {kind:?} in {}", name(*module));
            process
        }
        Point::Address { process, at } => {
            let _ = write!(out, " at {at:#x}");
            process
        }
        Point::Data { process, place, length, reads } => {
            let _ = write!(out, " {length} bytes of {place:?} reads={reads}");
            process
        }
        Point::Process { process, event } => {
            let _ = write!(out, " {event:?}");
            process
        }
        other => panic!("not a point of this family: {other:?}"),
    };
    let executable = process.executable.map(name).unwrap_or_default();
    let _ = writeln!(
        out,
        " of executable={executable} pid={:?} uid={:?} target={}",
        process.pid, process.uid, process.target_only
    );
    for statement in &probe.body.statements {
        if let StmtKind::Expr(expr) = &statement.kind {
            show_expr(sources, derived, expr, out);
        }
    }
}

/// Resolves an expression: `$x`, `&$x`, `$x = 7` or `@defined($x)`.
fn show_expr(sources: &SourceMap, derived: &DerivedPoint<'_>, expr: &ast::Expr, out: &mut String) {
    let number = |value| ir::Expr { ty: ir::Type::Long, kind: ir::ExprKind::Long(value) };
    let (inner, usage) = match &expr.kind {
        ExprKind::AddressOf(inner) => (&**inner, Use::Address),
        ExprKind::Assign(_, place, _) => (&**place, Use::Write(number(7))),
        ExprKind::Defined(inner) => (&**inner, Use::Read),
        _ => (expr, Use::Read),
    };
    let ExprKind::Target(target) = &inner.kind else { panic!("not a target variable") };
    let scope = derived.scope.as_ref().expect("the point has a scope");
    if matches!(expr.kind, ExprKind::Defined(_)) {
        let _ = writeln!(out, "  {} = {}", sources.text(expr.span), scope.is_defined(target));
        return;
    }
    let indexes = target.access.iter().filter(|step| matches!(step.kind, AccessKind::Index(_)));
    let request = Request {
        target,
        base: Some(number(0x1000)),
        origin: None,
        indexes: indexes.map(|_| number(1)).collect(),
        usage,
        kept: scope.kept(target).map(|_| number(0)),
        site: ir::SiteId(0),
        span: inner.span,
    };
    let saved = if scope.at_entry(target) { " (at entry)" } else { "" };
    match scope.resolve(request) {
        Ok(value) => {
            let value = ir::print::print_expr(&ir::Script::default(), &value);
            let _ = writeln!(out, "  {}{saved} = {}", sources.text(expr.span), world::hide_addresses(&value));
        }
        Err(error) => {
            *out += &world::hide_addresses(&world::hide_toolchain(&render(sources, &[*error], false)))
        }
    }
}

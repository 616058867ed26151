//! Pass 2 from end to end: the stages in their order. A stage with errors is the last one.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use rstap_abi::context::flags;
use rstap_abi::limits::Limits;
use rstap_program::{Initial, Point};
use rstap_syntax::ParseConfig;
use rstap_syntax::ast;
use rstap_syntax::diagnostic::Diagnostic;
use rstap_syntax::source::{SourceMap, Span};

use crate::expand::{Expander, Leaf, Part};
use crate::files::Files;
use crate::hir::Tree;
use crate::ir::{
    DerivedProbe, Function, Global, GlobalId, GlobalKind, Handler, HandlerId, Script, SiteId, Type,
};
use crate::lower::{Lowered, Lowerer, Used};
use crate::points::DerivedPoint;
use crate::points::process::{ProcessPoints, Purpose, Target};
use crate::resolve::{Resolver, all_defined, is_defined, part_block};
use crate::symbols::Symbols;
use crate::tapset::Tapset;
use crate::target_var::Scope;
use crate::types::{Types, infer};
use crate::usage::{Usage, reachable};
use crate::{ast_walk, autoprint, check, conditions, ir, keys, locks, nesting, optimize, shards};

/// What pass 2 is told besides the script.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How library files are parsed; `args` are the script's arguments.
    pub config: ParseConfig,
    /// `-g`
    pub guru: bool,
    /// `-u`
    pub unoptimized: bool,
    /// `--skip-badvars`: target variables that cannot be had read as 0.
    pub skip_badvars: bool,
    /// `-D`
    pub limits: Limits,
    /// `-G NAME=VALUE`
    pub globals: Vec<(String, String)>,
    /// What a bare `process` stands for.
    pub target: Target,
}

/// What the stages yield: a result, or nothing because there are errors.
type Stage<T> = Option<T>;

/// Elaborates scripts, the main one first. Warnings come with the result; without a result there is an error.
pub fn analyze<'d>(
    files: Rc<dyn Files<'d> + 'd>,
    sources: &mut SourceMap,
    scripts: Vec<ast::File>,
    tapset: &Tapset,
    options: &Options,
) -> (Option<Script>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let script = stages(files, sources, scripts, tapset, options, &mut diagnostics);
    let mut seen = HashSet::new();
    diagnostics.retain(|d| seen.insert((d.message.clone(), d.labels.first().map(|l| l.span))));
    (script, diagnostics)
}

fn stages<'d>(
    files: Rc<dyn Files<'d> + 'd>,
    sources: &mut SourceMap,
    scripts: Vec<ast::File>,
    tapset: &Tapset,
    options: &Options,
    diagnostics: &mut Vec<Diagnostic>,
) -> Stage<Script> {
    let process = ProcessPoints::new(files, options.target.clone());
    let mut symbols = Symbols::new(sources, tapset, &options.config, scripts);
    let (mut tree, mut leaves, conditions) = resolve(&mut symbols, &process, options);
    diagnostics.append(&mut symbols.diagnostics);
    diagnostics.extend(process.incomplete());
    drop(symbols);
    check_samples(&leaves, &options.target, diagnostics);
    stop_on_errors(diagnostics)?;

    check::calls_in_walks(&tree, diagnostics);
    stop_on_errors(diagnostics)?;

    if !options.unoptimized {
        optimize::drop_useless(&mut tree, diagnostics);
        drop_empty_probes(&tree, &mut leaves, diagnostics);
    }
    if leaves.is_empty() {
        diagnostics.push(Diagnostic::error("no probes found"));
    }
    stop_on_errors(diagnostics)?;

    let live = Live::of(&tree, &leaves, &conditions);
    let preset = |name: &str| options.globals.iter().any(|(n, _)| n == name);
    optimize::warn_never_assigned(&tree, &live.bodies, &live.functions, &preset, diagnostics);
    let types = infer(&tree, &live.bodies, &live.functions, diagnostics);
    stop_on_errors(diagnostics)?;

    let script = lower(&tree, &types, sources, &process, &live, &leaves, &conditions, options, diagnostics);
    stop_on_errors(diagnostics)?;
    Some(script)
}

fn stop_on_errors(diagnostics: &[Diagnostic]) -> Stage<()> {
    (!diagnostics.iter().any(Diagnostic::is_error)).then_some(())
}

/// The derived points of one written point, each with its handler's index in the tree.
struct Planted<'d> {
    /// The written point.
    span: Span,
    /// Its condition, if globals alone decide about it.
    condition: Option<usize>,
    points: Vec<(usize, DerivedPoint<'d>)>,
}

/// A condition of probe points: the body that evaluates it, the global for its outcome, and its text.
struct Condition {
    body: usize,
    outcome: usize,
    text: String,
}

/// `timer.profile` samples the processes that are probed: without one it would never fire.
fn check_samples(leaves: &[Planted<'_>], target: &Target, diagnostics: &mut Vec<Diagnostic>) {
    let points =
        leaves.iter().flat_map(|leaf| leaf.points.iter().map(|(_, derived)| (leaf.span, &derived.point)));
    let sample = points.clone().find(|(_, point)| matches!(point, Point::Profile { .. }));
    let of_process = |point: &Point| {
        matches!(
            point,
            Point::Code { .. }
                | Point::Mark { .. }
                | Point::Address { .. }
                | Point::Process { .. }
                | Point::Data { .. }
        )
    };
    if let Some((span, _)) = sample
        && *target == Target::None
        && !points.clone().any(|(_, point)| of_process(point))
    {
        diagnostics.push(
            Diagnostic::error("timer.profile has nothing to sample")
                .at(span, "samples the threads of the target")
                .note("name a target with -c COMMAND or -x PID, or add a probe of a process"),
        );
    }
}

/// Expands the probe points and resolves the handlers and functions.
fn resolve<'d>(
    symbols: &mut Symbols<'_>,
    process: &ProcessPoints<'d>,
    options: &Options,
) -> (Tree, Vec<Planted<'d>>, Vec<Condition>) {
    let mut resolver = Resolver::new(symbols, options.unoptimized, options.guru);
    resolver.global_scope = process.global_scope();
    let mut planted = Vec::new();
    let mut bodies = HashMap::new();
    let (mut conditions, mut by_guards) = (Vec::new(), HashMap::new());
    // Resolving a handler may load library files with probes of their own.
    let mut index = 0;
    while index < resolver.symbols.probes.len() {
        let leaves = Expander { symbols: resolver.symbols, process }.probe(index);
        if leaves.is_empty() {
            resolver.body(String::new(), &[], &[Part::Probe(index)], None);
        }
        for leaf in leaves {
            let guards: Vec<Span> = leaf.guards.iter().map(|(guard, _)| guard.span).collect();
            let condition = match leaf.guards.is_empty() {
                true => None,
                false => *by_guards.entry(guards).or_insert_with(|| {
                    let (body, outcome) = resolver.condition(&leaf.guards)?;
                    let texts = leaf.guards.iter().map(|(guard, _)| rstap_syntax::print::expr(guard));
                    conditions.push(Condition {
                        body,
                        outcome,
                        text: texts.collect::<Vec<_>>().join(" && "),
                    });
                    Some(conditions.len() - 1)
                }),
            };
            plant(&mut resolver, leaf, condition, &mut bodies, &mut planted);
        }
        resolver.called_functions();
        index += 1;
    }
    resolver.check_unused();
    (resolver.tree, planted, conditions)
}

/// What makes two handlers one: bodies, conditions, and the answers to `@defined`. A number of its own for a handler
/// that asks about values of the script: their types are not known yet, and may differ from place to place.
type BodyKey = (Vec<Part>, Vec<Span>, Vec<bool>, Option<usize>);

fn plant<'d>(
    resolver: &mut Resolver<'_, '_, 'd>,
    leaf: Leaf<'d>,
    condition: Option<usize>,
    bodies: &mut HashMap<BodyKey, usize>,
    planted: &mut Vec<Planted<'d>>,
) {
    let blocks: Vec<_> = leaf.parts.iter().map(|&part| part_block(resolver.symbols, part).1).collect();
    let mut questions = Vec::new();
    for block in &blocks {
        ast_walk::each_expr_in(block.block(), &mut |expr| {
            if let ast::ExprKind::Defined(operand) = &expr.kind {
                questions.push(&**operand);
            }
        });
    }
    let mut of_values = false;
    for question in &questions {
        all_defined(question, |target, _| {
            of_values |= matches!(target.base, ast::TargetBase::Value(_));
            true
        });
    }
    let guards: Vec<Span> = leaf.guards.iter().map(|(guard, _)| guard.span).collect();
    let mut points = Vec::new();
    for point in leaf.derived {
        let scope = point.scope.clone().or_else(|| resolver.global_scope.clone());
        let answer = |question: &&ast::Expr| {
            all_defined(question, |target, by_address| is_defined(target, by_address, scope.as_deref()))
        };
        let answers = questions.iter().map(answer).collect();
        let own = of_values.then_some(bodies.len());
        let body = *bodies
            .entry((leaf.parts.clone(), guards.clone(), answers, own))
            .or_insert_with(|| resolver.body(leaf.written.clone(), &leaf.guards, &leaf.parts, scope));
        points.push((body, point));
    }
    planted.push(Planted { span: leaf.span, condition, points });
}

/// Leaves out probes whose handler has nothing left, with a warning for each declaration.
fn drop_empty_probes(tree: &Tree, planted: &mut Vec<Planted<'_>>, diagnostics: &mut Vec<Diagnostic>) {
    for leaf in planted.iter_mut() {
        let Some(&(first, _)) = leaf.points.first() else { continue };
        leaf.points.retain(|(body, _)| !tree.bodies[*body].code.is_empty());
        let body = &tree.bodies[first];
        if leaf.points.is_empty() && body.own.is_some() {
            let warning = Diagnostic::warning(format!("Probe '{}' has been elided", body.name));
            diagnostics.push(warning.at(body.span, "its handler has no effect"));
        }
    }
    planted.retain(|leaf| !leaf.points.is_empty());
}

/// What takes part in the run.
struct Live {
    bodies: Vec<usize>,
    functions: Vec<usize>,
    /// By place of declaration.
    globals: Vec<usize>,
    read: Vec<bool>,
    written: Vec<bool>,
    probe_writes: Vec<bool>,
}

impl Live {
    fn of(tree: &Tree, planted: &[Planted<'_>], conditions: &[Condition]) -> Live {
        let mut bodies: Vec<usize> =
            planted.iter().flat_map(|leaf| &leaf.points).map(|(body, _)| *body).collect();
        bodies.extend(conditions.iter().map(|condition| condition.body));
        bodies.sort_unstable();
        bodies.dedup();
        let functions = reachable(tree, &bodies);
        let count = tree.globals.len();
        let (mut read, mut written) = (vec![false; count], vec![false; count]);
        let function_code = functions.iter().filter_map(|&f| match &tree.functions[f].code {
            crate::hir::Code::Script(code) => Some(code),
            crate::hir::Code::Builtin(_) => None,
        });
        for code in bodies.iter().map(|&b| &tree.bodies[b].code).chain(function_code) {
            let usage = Usage::of(code);
            usage.globals_read().for_each(|g| read[g] = true);
            usage.globals_written().for_each(|g| written[g] = true);
        }
        let mut globals: Vec<usize> = (0..count).filter(|&g| read[g] || written[g]).collect();
        globals.sort_by_key(|&g| (tree.globals[g].library, tree.globals[g].span));
        let probe_writes = written.clone();
        Live { bodies, functions, globals, read, written, probe_writes }
    }
}

#[allow(clippy::too_many_arguments, reason = "the last stage needs what all others found")]
fn lower<'d>(
    tree: &Tree,
    types: &Types,
    sources: &SourceMap,
    process: &ProcessPoints<'d>,
    live: &Live,
    planted: &[Planted<'d>],
    conditions: &[Condition],
    options: &Options,
    diagnostics: &mut Vec<Diagnostic>,
) -> Script {
    let used = Used {
        globals: live.globals.clone(),
        functions: live.functions.clone(),
        probe_writes: live.probe_writes.clone(),
    };
    let global_scope = process.global_scope();
    let mut lowerer = Lowerer::new(tree, types, sources, options.limits, used, global_scope.clone());
    lowerer.skip_badvars = options.skip_badvars;
    let mut output = Output { global_scope, ..Output::default() };
    for condition in conditions {
        output.condition(&mut lowerer, condition, diagnostics);
    }
    for leaf in planted {
        output.place = sources.place(leaf.span);
        output.current = leaf.condition;
        output.leaf(&mut lowerer, tree, leaf, diagnostics);
    }
    let globals = globals(&lowerer, &live.globals, options, diagnostics);
    output.autoprint(tree, live, &globals, lowerer.no_site());
    let functions = lowerer.functions(diagnostics);
    output.finish(globals, functions, lowerer, process, options.limits, options.unoptimized)
}

fn globals(
    lowerer: &Lowerer<'_, '_>,
    used: &[usize],
    options: &Options,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Global> {
    let mut globals: Vec<Global> = used.iter().map(|&g| lowerer.global(g)).collect();
    for (name, value) in &options.globals {
        let Some(global) = globals.iter_mut().find(|g| g.name == *name) else {
            diagnostics.push(Diagnostic::warning(format!(
                "-G {name}={value}: the script uses no global variable '{name}'"
            )));
            continue;
        };
        match preset(&global.kind, value) {
            Some(initial) => global.initial = initial,
            None => diagnostics
                .push(Diagnostic::error(format!("-G {name}={value}: '{name}' takes no such value"))),
        }
    }
    globals
}

fn preset(kind: &GlobalKind, value: &str) -> Option<Initial> {
    match kind {
        GlobalKind::Scalar(Type::Str) => Some(Initial::String(value.as_bytes().to_vec())),
        GlobalKind::Scalar(Type::Long) => {
            let (sign, digits) = value.strip_prefix('-').map_or((1, value), |digits| (-1, digits));
            let number = match digits.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok()?,
                None => digits.parse::<i64>().ok()?,
            };
            Some(Initial::Long(sign * number))
        }
        GlobalKind::Stat(_) | GlobalKind::Map(_) => None,
    }
}

/// Handlers and probes in the making.
#[derive(Default)]
struct Output<'d> {
    handlers: Vec<Handler>,
    probes: Vec<DerivedProbe>,
    /// Probes that save values for the return probe with this index.
    entries: Vec<(usize, DerivedProbe)>,
    conditions: Vec<ir::Condition>,
    by_hash: HashMap<u64, Vec<HandlerId>>,
    shared: HashMap<usize, HandlerId>,
    /// The written point at work, for reports, and its condition.
    place: String,
    current: Option<usize>,
    global_scope: Option<Rc<dyn Scope + 'd>>,
}

impl<'d> Output<'d> {
    fn condition(
        &mut self,
        lowerer: &mut Lowerer<'_, 'd>,
        condition: &Condition,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let outcome = lowerer.global_id(condition.outcome).expect("its body writes it");
        match lowerer.handler(condition.body, None, false) {
            Ok(lowered) => {
                let handler = self.handler(lowered.handler);
                let text = condition.text.clone();
                self.conditions.push(ir::Condition { handler, outcome, text });
            }
            Err(errors) => diagnostics.extend(errors),
        }
    }

    fn leaf(
        &mut self,
        lowerer: &mut Lowerer<'_, 'd>,
        tree: &Tree,
        leaf: &Planted<'d>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let mut failed: Vec<Vec<Diagnostic>> = Vec::new();
        for (body, point) in &leaf.points {
            let guarded = point.scope.as_ref().is_some_and(|scope| scope.guard(SiteId(0)).is_some());
            let per_point = guarded || tree.bodies[*body].per_point;
            if let (false, Some(&handler)) = (per_point, self.shared.get(body)) {
                self.probe(point, handler);
                continue;
            }
            let scope = point.scope.clone().or_else(|| self.global_scope.clone());
            match lowerer.handler(*body, scope, point.flags & flags::IS_RETURN != 0) {
                Ok(lowered) => self.lowered(point, *body, lowered, diagnostics),
                Err(errors) => failed.push(errors),
            }
        }
        let Some(first) = failed.first() else { return };
        if failed.len() == leaf.points.len() {
            diagnostics.extend(failed.into_iter().next().unwrap_or_default());
            return;
        }
        let what = first.first().map_or_else(String::new, |d| d.message.clone());
        diagnostics.push(
            Diagnostic::warning(format!(
                "{} of {} matching places are not probed: a target variable of the handler does not exist there",
                failed.len(),
                leaf.points.len()
            ))
            .at(leaf.span, "")
            .note(format!("the first: {what}"))
            .note("@defined($x) or @choose_defined($x, 0) lets one handler serve all of them"),
        );
    }

    fn lowered(
        &mut self,
        point: &DerivedPoint<'d>,
        body: usize,
        lowered: Lowered,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        diagnostics.extend(lowered.warnings);
        let (name, locals) = (lowered.handler.name.clone(), lowered.handler.locals.clone());
        let handler = self.handler(lowered.handler);
        if point.scope.as_ref().is_none_or(|scope| scope.guard(SiteId(0)).is_none()) {
            self.shared.entry(body).or_insert(handler);
        }
        let index = self.probes.len();
        self.probe(point, handler);
        if lowered.saves.is_empty() {
            return;
        }
        let saver = self.handler(Handler {
            name,
            locals,
            body: lowered.saves,
            locks: Vec::new(),
            conditions: Vec::new(),
        });
        self.probes[index].entry_bytes = lowered.entry_bytes;
        let mut entry = self.probes[index].clone();
        entry.point = Point::Never;
        entry.handler = saver;
        entry.flags &= !flags::IS_RETURN;
        self.entries.push((index, entry));
    }

    fn probe(&mut self, point: &DerivedPoint<'d>, handler: HandlerId) {
        self.probes.push(DerivedProbe {
            point: point.point.clone(),
            pp: point.pp.clone(),
            pn: point.pn.clone(),
            function: point.function.clone(),
            place: self.place.clone(),
            handler,
            flags: point.flags,
            condition: self.current,
            entry: None,
            entry_bytes: 0,
        });
    }

    /// The id of a handler; equal ones share it.
    fn handler(&mut self, handler: Handler) -> HandlerId {
        let mut hash = HashText(DefaultHasher::new());
        let _ = write!(hash, "{:?}{:?}", handler.locals, handler.body);
        let same_hash = self.by_hash.entry(hash.0.finish()).or_default();
        let same = |id: &&HandlerId| {
            let known = &self.handlers[id.0 as usize];
            known.locals == handler.locals && known.body == handler.body
        };
        if let Some(&id) = same_hash.iter().find(same) {
            return id;
        }
        let id = HandlerId(self.handlers.len() as u32);
        same_hash.push(id);
        self.handlers.push(handler);
        id
    }

    /// Adds the probe that prints what is written and never read.
    fn autoprint(&mut self, tree: &Tree, live: &Live, globals: &[Global], site: SiteId) {
        let unread: Vec<(GlobalId, &Global)> = live
            .globals
            .iter()
            .enumerate()
            .filter(|&(_, &g)| live.written[g] && !live.read[g] && !tree.globals[g].library)
            .map(|(id, _)| (GlobalId(id as u32), &globals[id]))
            .collect();
        if unread.is_empty() {
            return;
        }
        let handler = self.handler(autoprint::handler(&unread, site));
        self.probes.push(DerivedProbe {
            point: Point::End(0),
            pp: "end".to_owned(),
            pn: "end".to_owned(),
            function: String::new(),
            place: String::new(),
            handler,
            flags: flags::INTERRUPTIBLE,
            condition: None,
            entry: None,
            entry_bytes: 0,
        });
    }

    fn finish(
        mut self,
        globals: Vec<Global>,
        functions: Vec<Function>,
        lowerer: Lowerer<'_, 'd>,
        process: &ProcessPoints<'d>,
        limits: Limits,
        unoptimized: bool,
    ) -> Script {
        for (index, entry) in std::mem::take(&mut self.entries) {
            self.probes[index].entry = Some(self.probes.len() as u32);
            self.probes.push(entry);
        }
        let max_nesting = nesting::limit(&self.handlers, &functions, limits.max_nesting);
        let mut script = Script {
            globals,
            functions,
            handlers: self.handlers,
            probes: self.probes,
            conditions: self.conditions,
            modules: process.modules(),
            sites: lowerer.sites,
            limits: Limits { max_nesting, ..limits },
        };
        if !unoptimized {
            shards::assign(&mut script);
            keys::assign(&mut script);
        }
        locks::assign(&mut script);
        conditions::assign(&mut script.handlers, &script.conditions);
        conditions::initialise(&mut script);
        script
    }
}

/// Hashes what is written to it.
struct HashText(DefaultHasher);

impl std::fmt::Write for HashText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        text.hash(&mut self.0);
        Ok(())
    }
}

/// The derived points of the probes in a script, for `-l` and `-L`, as sorted lines. What does not exist is left out.
pub fn list<'d>(
    files: Rc<dyn Files<'d> + 'd>,
    sources: &mut SourceMap,
    script: ast::File,
    tapset: &Tapset,
    options: &Options,
    with_variables: bool,
) -> (Vec<String>, Vec<Diagnostic>) {
    let purpose = if with_variables { Purpose::ListVariables } else { Purpose::List };
    let process = ProcessPoints::new(files, options.target.clone()).with_purpose(purpose);
    let mut symbols = Symbols::new(sources, tapset, &options.config, vec![script]);
    let mut list = crate::list::List::default();
    for index in 0..symbols.probes.len() {
        for leaf in (Expander { symbols: &mut symbols, process: &process }).probe(index) {
            list.add(leaf.derived, with_variables);
        }
    }
    let diagnostics = std::mem::take(&mut symbols.diagnostics);
    (list.finish(), diagnostics)
}

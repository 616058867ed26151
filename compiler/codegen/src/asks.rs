//! Which handlers ask what only rstap can answer: symbols and stacks need the target's debug information, command
//! line, environment and time zone need files. A backend that runs handlers elsewhere leaves these to one that does
//! not.

use rstap_abi::builtins::Builtin;
use rstap_program::ProbeId;
use rstap_sema::ir::visit::each_expr_in;
use rstap_sema::ir::{ExprKind, Script, Stmt};

/// Whether a row of the list of builtins needs rstap itself.
fn is_for_the_host(builtin: Builtin) -> bool {
    matches!(
        builtin,
        Builtin::symbol
            | Builtin::load_bias
            | Builtin::backtrace
            | Builtin::frame
            | Builtin::cmdline
            | Builtin::env_var
            | Builtin::task_number
            | Builtin::task_text
            | Builtin::send_signal
            | Builtin::delay_us
            | Builtin::fp_text
            | Builtin::tz_offset
            | Builtin::tz_name
    )
}

/// The probes whose handlers ask such a thing, themselves or by a function.
pub fn host_only(script: &Script) -> Vec<ProbeId> {
    let direct = |body: &[Stmt]| {
        let (mut asks, mut calls) = (false, Vec::new());
        each_expr_in(body, &mut |expr| match &expr.kind {
            ExprKind::Builtin(builtin, ..) => asks |= is_for_the_host(*builtin),
            ExprKind::Call(functions, ..) => {
                calls.extend(functions.iter().map(|function| function.0 as usize))
            }
            _ => {}
        });
        (asks, calls)
    };
    let functions: Vec<(bool, Vec<usize>)> = script.functions.iter().map(|f| direct(&f.body)).collect();
    let mut asks: Vec<bool> = functions.iter().map(|(asks, _)| *asks).collect();
    loop {
        let reaches = |calls: &[usize]| calls.iter().any(|callee| asks.get(*callee) == Some(&true));
        let next: Vec<bool> =
            functions.iter().zip(&asks).map(|((_, calls), asks)| *asks || reaches(calls)).collect();
        if next == asks {
            break;
        }
        asks = next;
    }
    let handlers: Vec<bool> = script
        .handlers
        .iter()
        .map(|handler| {
            let (direct, calls) = direct(&handler.body);
            direct || calls.iter().any(|callee| asks.get(*callee) == Some(&true))
        })
        .collect();
    let probes = script.probes.iter().zip(0..);
    probes.filter(|(probe, _)| handlers[probe.handler.0 as usize]).map(|(_, id)| ProbeId(id)).collect()
}

//! Handler images made by hand: each handler is a list of calls of builtins, in machine code.

use rstap_abi::builtins::Builtin;
use rstap_abi::image::{HandlerEntry, MAGIC, ProbeEntry, needs};

/// One call of a builtin.
#[derive(Clone, Debug)]
pub enum Op {
    /// `print("…")`
    Print(&'static str),
    /// `error("…")`
    Raise(&'static str),
    /// `warn("…")`
    Warn(&'static str),
    /// `exit()`
    Exit,
    /// `abort()`
    Abort,
    /// `ud2`
    Crash,
}

/// An image whose probe `i` runs the calls `handlers[i]`.
pub fn image(handlers: &[Vec<Op>]) -> Vec<u8> {
    const HEADER: usize = 32;
    let table = HEADER;
    let probes = table + handlers.len() * size_of::<HandlerEntry>();
    let mut code = probes + handlers.len() * size_of::<ProbeEntry>();
    let (mut entries, mut probe_entries, mut body) = (Vec::new(), Vec::new(), Vec::new());
    for (index, ops) in handlers.iter().enumerate() {
        let bytes = assemble(ops);
        entries.extend(entry(code as u32));
        let words = [index as u32, 0, 0, 0, 0, 0, 0, 0, 0];
        probe_entries.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        code += bytes.len();
        body.extend(bytes);
    }
    let mut image = MAGIC.to_le_bytes().to_vec();
    let words = [
        rstap_abi::ABI_VERSION,
        code as u32,
        table as u32,
        handlers.len() as u32,
        probes as u32,
        handlers.len() as u32,
    ];
    image.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    image.extend(entries);
    image.extend(probe_entries);
    image.extend(body);
    image
}

fn entry(code: u32) -> Vec<u8> {
    let entry = HandlerEntry {
        code,
        locks: 0,
        lock_count: 0,
        stack_bytes: 4096,
        conditions: 0,
        condition_count: 0,
        needs: needs::STATE,
        quick: 0,
    };
    // Taken apart by name, so that a field that is added is missed here.
    let HandlerEntry { code, locks, lock_count, stack_bytes, conditions, condition_count, needs, quick } =
        entry;
    let words = [code, locks, lock_count, stack_bytes, conditions, condition_count, needs, quick];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn assemble(ops: &[Op]) -> Vec<u8> {
    // push rbx; mov rbx, rdi
    let mut code = vec![0x53, 0x48, 0x89, 0xfb];
    let mut ends = Vec::new();
    for op in ops {
        match op {
            Op::Print(text) => call(&mut code, Builtin::print_string, Some(text)),
            Op::Warn(text) => call(&mut code, Builtin::warn, Some(text)),
            Op::Raise(text) => call(&mut code, Builtin::raise, Some(text)),
            Op::Exit => call(&mut code, Builtin::exit, None),
            Op::Abort => call(&mut code, Builtin::abort, None),
            Op::Crash => code.extend([0x0f, 0x0b]),
        }
        if matches!(op, Op::Raise(_) | Op::Abort) {
            // jmp to the end
            code.push(0xe9);
            ends.push(code.len());
            code.extend([0; 4]);
        }
    }
    let end = code.len();
    for at in ends {
        code[at..at + 4].copy_from_slice(&((end - at - 4) as u32).to_le_bytes());
    }
    // pop rbx; ret
    code.extend([0x5b, 0xc3]);
    code
}

fn call(code: &mut Vec<u8>, builtin: Builtin, text: Option<&str>) {
    if let Some(text) = text {
        // call behind the text; pop rsi; mov edx, length
        code.push(0xe8);
        code.extend((text.len() as u32).to_le_bytes());
        code.extend(text.bytes());
        code.extend([0x5e, 0xba]);
        code.extend((text.len() as u32).to_le_bytes());
    }
    // mov rdi, rbx; mov rax, [rbx + builtins]; call [rax + 8 * index]
    assert_eq!(std::mem::offset_of!(rstap_abi::context::Context, builtins), 0);
    code.extend([0x48, 0x89, 0xdf, 0x48, 0x8b, 0x03, 0xff, 0x90]);
    code.extend((builtin as u32 * 8).to_le_bytes());
}

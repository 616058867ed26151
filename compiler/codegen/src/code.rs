//! Machine code: the target, compiling one function, and placing all of them in one piece.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{Function, Signature};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, ModuleRelocTarget};

use crate::CodegenError;
use crate::memory::CodeBuffer;

/// Alignment of functions.
const ALIGN: u64 = 16;

/// Bytes of a frame beyond its slots and saved registers: return address, frame pointer, arguments of calls.
const FRAME_EXTRA: u32 = 96;

/// A compiled function whose calls are not resolved yet.
pub(crate) struct Code {
    signature: Signature,
    bytes: Vec<u8>,
    relocations: Vec<ModuleReloc>,
    /// Stack that one activation takes.
    pub(crate) frame_bytes: u32,
}

/// What compiling a function is to be good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Fast code.
    Run,
    /// To be done soon: takes a third of the time.
    Compile,
}

/// x86-64 without extensions: the code runs in any target on any machine of the architecture.
pub(crate) fn target(aim: Aim) -> Result<OwnedTargetIsa, CodegenError> {
    let mut flags = settings::builder();
    let level = match aim {
        Aim::Run => "speed",
        Aim::Compile => "none",
    };
    let settings = [
        ("opt_level", level),
        ("is_pic", "false"),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
        ("preserve_frame_pointers", "true"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ];
    for (name, value) in settings {
        flags.set(name, value).map_err(CodegenError::compiler)?;
    }
    let builder = isa::lookup_by_name("x86_64-unknown-linux-gnu").map_err(CodegenError::compiler)?;
    builder.finish(settings::Flags::new(flags)).map_err(CodegenError::compiler)
}

/// Compiles CLIF. `number` is the function's place in the order of [`place`].
pub(crate) fn compile(
    context: &mut cranelift_codegen::Context,
    function: Function,
    number: usize,
    isa: &dyn isa::TargetIsa,
) -> Result<Code, CodegenError> {
    context.clear();
    context.func = function;
    context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|error| CodegenError::compiler(error.inner))?;
    let compiled = context.compiled_code().expect("it was just compiled");
    let id = FuncId::from_u32(number as u32);
    let relocations: Vec<ModuleReloc> =
        compiled.buffer.relocs().iter().map(|r| ModuleReloc::from_mach_reloc(r, &context.func, id)).collect();
    if let Some(foreign) = relocations.iter().find(|relocation| !stays_inside(relocation)) {
        return Err(CodegenError::Compiler(format!(
            "a {:?} relocation points out of the image",
            foreign.kind
        )));
    }
    let frame = compiled.buffer.frame_layout().map_or(0, |layout| layout.frame_to_fp_offset);
    Ok(Code {
        signature: context.func.signature.clone(),
        bytes: compiled.code_buffer().to_vec(),
        relocations,
        frame_bytes: frame + FRAME_EXTRA,
    })
}

/// Whether a relocation is a relative call of another function of the script.
fn stays_inside(relocation: &ModuleReloc) -> bool {
    relocation.kind == Reloc::X86CallPCRel4 && matches!(relocation.name, ModuleRelocTarget::User { .. })
}

/// Places the functions one after the other and resolves their calls: the bytes, and the offset of each function.
pub(crate) fn place(codes: &[Code], isa: OwnedTargetIsa) -> Result<(Vec<u8>, Vec<usize>), CodegenError> {
    let size = codes.iter().map(|code| code.bytes.len().next_multiple_of(ALIGN as usize)).sum();
    let buffer = CodeBuffer::new(size);
    let mut builder = JITBuilder::with_isa(isa, cranelift_module::default_libcall_names());
    builder.memory_provider(Box::new(buffer.clone()));
    let mut module = JITModule::new(builder);
    let mut ids = Vec::with_capacity(codes.len());
    for (index, code) in codes.iter().enumerate() {
        let id = module
            .declare_function(&format!("f{index}"), Linkage::Local, &code.signature)
            .map_err(CodegenError::compiler)?;
        assert_eq!(id.as_u32() as usize, index, "functions are numbered in the order of declaration");
        ids.push(id);
    }
    for (id, code) in ids.iter().zip(codes) {
        module
            .define_function_bytes(*id, ALIGN, &code.bytes, &code.relocations)
            .map_err(CodegenError::compiler)?;
    }
    module.finalize_definitions().map_err(CodegenError::compiler)?;
    let offsets = ids.iter().map(|id| buffer.offset_of(module.get_finalized_function(*id))).collect();
    Ok((buffer.contents(), offsets))
}

//! What the code that the inject backend writes into the target calls. It saves the registers; the rest is here.

use rstap_abi::context::Registers;
use rstap_core::handler::{Hit, Outcome, Runner};

use crate::env::InTarget;

/// What [`rstap_payload_abi_version`] must give for the blob to be used with an image and an arena.
#[unsafe(no_mangle)]
pub extern "C" fn rstap_payload_abi_version() -> u32 {
    rstap_abi::ABI_VERSION
}

/// Codes of [`rstap_payload_run`].
#[allow(missing_docs, reason = "the names are those of `Outcome`")]
pub mod code {
    pub const RAN: u32 = 0;
    pub const FAILED: u32 = 1;
    pub const SKIPPED: u32 = 2;
    pub const NOT_RUNNING: u32 = 3;
}

/// Runs the handler of a probe for the running thread.
///
/// # Safety
/// `runner` is one that nobody else uses until this returns; `registers` are readable until then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rstap_payload_run(
    runner: *mut Runner<'static>,
    probe: u32,
    pid: u32,
    target: u32,
    registers: *const Registers,
) -> u32 {
    // SAFETY: by the contract.
    let (runner, registers) = unsafe { (&mut *runner, &*registers) };
    let env = InTarget::new(target);
    let tid = rstap_core::env::Env::owner(&env);
    let mut hit = Hit::default();
    hit.pid = pid;
    hit.tid = tid;
    hit.registers = Some(registers);
    match runner.run(&env, probe, hit) {
        Outcome::Ran => code::RAN,
        Outcome::Failed(_) => code::FAILED,
        Outcome::Skipped(_) => code::SKIPPED,
        Outcome::NotRunning => code::NOT_RUNNING,
    }
}

//! Jumps over hand-made code, and the same code run with and without one.

use std::collections::HashMap;

use super::flow::{Flow, Memory};
use super::{Jump, Refused};

/// Tables by address; code is 0x1000 to 0x2000.
#[derive(Default)]
struct Tables(HashMap<u64, u8>);

impl Tables {
    fn distances(at: u64, targets: &[u64]) -> Tables {
        let bytes = targets.iter().flat_map(|to| (to.wrapping_sub(at) as i32).to_le_bytes());
        Tables((at..).zip(bytes).collect())
    }

    fn addresses(at: u64, targets: &[u64]) -> Tables {
        Tables((at..).zip(targets.iter().flat_map(|to| to.to_le_bytes())).collect())
    }
}

impl Memory for Tables {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        (address..).zip(into).all(|(at, byte)| self.0.get(&at).map(|b| *byte = *b).is_some())
    }

    fn is_code(&self, address: u64) -> bool {
        (0x1000..0x2000).contains(&address)
    }
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect()
}

fn jump_in(code: &str, site: u64, tables: &Tables) -> Result<Jump, Refused> {
    let code = hex(code);
    Jump::new(&Flow::new(0x1000, code, tables)?, site)
}

fn jump(code: &str, site: u64) -> Result<Jump, Refused> {
    jump_in(code, site, &Tables::default())
}

#[test]
fn an_entry_is_displaced_by_whole_instructions() {
    // push rbp; mov rbp,rsp; sub rsp,16; ret
    let jump = jump("55 48 89 e5 48 83 ec 10 c3", 0x1000).expect("it fits");
    assert_eq!((jump.site(), jump.end(), jump.inside()), (0x1000, 0x1008, 0x1001..0x1005));
    assert_eq!(jump.original(), [0x55, 0x48, 0x89, 0xe5, 0x48]);
    assert_eq!(jump.bytes(0x9000).expect("near"), [0xe9, 0xfb, 0x7f, 0, 0]);
    assert_eq!(jump.bytes(0x1_0000_0000), Err(Refused::TooFar));
    let copy = jump.copy(0x5000, &|_, _| Vec::new()).expect("movable");
    // The same, then jmp 0x1008.
    assert_eq!(copy.code, hex("55 48 89 e5 48 83 ec 10 e9 fb bf ff ff"));
    assert_eq!(copy.copy_of(0x1001), Some(0x5001));
    assert_eq!(copy.copy_of(0x1004), Some(0x5004));
    assert_eq!(copy.copy_of(0x1002), None);
    let moved = copy.locate(0x5004).expect("a boundary");
    assert_eq!((moved.rip, moved.done), (0x1004, true));
    assert!(!copy.locate(0x5000).expect("the front").done);
}

#[test]
fn one_long_instruction_has_no_inside() {
    // lea rax,[rip+0x10]; jmp rax (nobody knows where)
    let jump = jump("48 8d 05 10 00 00 00 48 01 c8 ff e0", 0x1000).expect("nothing is inside");
    assert!(jump.inside().is_empty());
    // The copy is 0x4000 further, the operand stays.
    assert_eq!(
        jump.copy(0x5000, &|_, _| Vec::new()).expect("movable").code[..7],
        hex("48 8d 05 10 c0 ff ff")
    );
}

#[test]
fn what_is_entered_from_elsewhere_is_refused() {
    let cases = [
        // ret; then another block
        ("c3 55 48 89 e5 c3", Refused::Leaves { at: 0x1000 }),
        // push rax; call rel32 is the last one displaced: fine; call rax; pop rcx; ret: the call returns inside
        ("ff d0 59 90 90 c3", Refused::Leaves { at: 0x1000 }),
        // syscall returns to the address behind it
        ("0f 05 48 89 c3 c3", Refused::Leaves { at: 0x1000 }),
        // dec ecx; jnz -2; a loop whose head is inside: xor eax,eax; L: dec ecx; jnz L; ret
        ("31 c0 ff c9 75 fc c3", Refused::Target { from: 0x1004, to: 0x1002 }),
        // int3 of the program's own
        ("cc 90 90 90 90 c3", Refused::Immovable { at: 0x1000, why: crate::breakpoint::Immovable::Peculiar }),
        ("31 c0 c3", Refused::TooShort { bytes: 3 }),
    ];
    for (code, refused) in cases {
        assert_eq!(jump(code, 0x1000), Err(refused), "{code}");
    }
    assert!(jump("50 e8 00 01 00 00 59 c3", 0x1000).is_ok(), "a call at the end returns behind the jump");
    assert_eq!(jump("55 48 89 e5 48 83 ec 10 c3", 0x1002), Err(Refused::NotABoundary));
    assert!(matches!(jump("06 90 90 90 90 90", 0x1000), Err(Refused::Undecodable(_))));
}

#[test]
fn a_branch_back_to_the_site_meets_the_probe_again() {
    // L: dec ecx; jnz L; xor eax,eax; ret
    let jump = jump("ff c9 75 fc 31 c0 c3", 0x1000).expect("only the site itself is a target");
    let copy = jump.copy(0x1800, &|_, _| Vec::new()).expect("movable");
    // dec ecx; jnz 0x1000; xor eax,eax; jmp 0x1006
    assert_eq!(copy.code, hex("ff c9 0f 85 f8 f7 ff ff 31 c0 e9 f7 f7 ff ff"));
}

#[test]
fn far_branches_and_loops_keep_their_targets() {
    // L: loop L; nop; nop; nop; ret, copied 4 GB away
    let jump = jump("e2 fe 90 90 90 c3", 0x1000).expect("only the site itself is a target");
    let copy = jump.copy(0x1_0000_5000, &|_, _| Vec::new()).expect("movable");
    let expected = "e2 02 eb 0e ff 25 00 00 00 00 00 10 00 00 00 00 00 00 90 90 90 \
                    ff 25 00 00 00 00 05 10 00 00 00 00 00 00";
    assert_eq!(copy.code, hex(expected));
    assert_eq!(copy.locate(0x1_0000_5002).map(|w| (w.rip, w.done)), Some((0x1002, true)));
    assert_eq!(copy.locate(0x1_0000_5004).map(|w| (w.rip, w.done)), Some((0x1000, true)));
}

#[test]
fn jump_tables_are_read() {
    // nop; nop; nop; nop; nop; lea rdx,[rip+0x1000] (0x200c); movsxd rax,[rdx+rdi*4]; add rax,rdx; jmp rax
    let code = "90 90 90 90 90 48 8d 15 00 10 00 00 48 63 04 ba 48 01 d0 ff e0";
    assert_eq!(jump(code, 0x1000), Err(Refused::Unknown { from: 0x1013 }));
    let elsewhere = Tables::distances(0x200c, &[0x1005, 0x1800, 0x100c]);
    assert!(jump_in(code, 0x1000, &elsewhere).is_ok());
    // Behind an entry that goes to the cold part.
    let inside = Tables::distances(0x200c, &[0x1005, 0x1800, 0x1003]);
    assert_eq!(jump_in(code, 0x1000, &inside), Err(Refused::Target { from: 0x1005, to: 0x1003 }));
    // nop x5; jmp [rdi*8 + 0x3000]
    let code = "90 90 90 90 90 ff 24 fd 00 30 00 00 c3";
    assert_eq!(jump(code, 0x1000), Err(Refused::Unknown { from: 0x1005 }));
    assert!(jump_in(code, 0x1000, &Tables::addresses(0x3000, &[0x100c])).is_ok());
    let inside = Tables::addresses(0x3000, &[0x100c, 0x1004]);
    assert_eq!(jump_in(code, 0x1000, &inside), Err(Refused::Target { from: 0x1005, to: 0x1004 }));
}

#[test]
fn tail_calls_through_pointers_leave_the_function() {
    // push rbx; mov rax,[rdi]; pop rbx; mov rax,[rax+8]; jmp rax
    assert!(jump("53 48 8b 07 5b 48 8b 40 08 ff e0", 0x1000).is_ok());
    // push rbx; pop rbx; mov rax,[rdi]; jmp [rax+16]
    assert!(jump("53 5b 48 8b 07 ff 60 10", 0x1000).is_ok());
}

#[test]
fn a_return_is_reached_by_a_jump_before_it() {
    let flow = |code: &'static [u8]| Flow::new(0x1000, code.to_vec(), &Nothing).expect("it decodes");
    // push rbx; mov eax,edi; xor ecx,ecx; pop rbx; ret: the shortest run of five bytes
    let code = flow(&[0x53, 0x89, 0xf8, 0x31, 0xc9, 0x5b, 0xc3]);
    assert_eq!(code.exits().returns, [0x1006]);
    let jump = Jump::at_return(&code, 0x1006).expect("it fits");
    assert_eq!((jump.site(), jump.end(), jump.inside()), (0x1001, 0x1007, 0x1002..0x1007));
    // The hit, here two nops, comes just before the copy of the return.
    let copy = jump.copy(0x5000, &|at, _| vec![0x90; usize::from(at == 0x1006) * 2]).expect("movable");
    assert_eq!(copy.code, [0x89, 0xf8, 0x31, 0xc9, 0x5b, 0x90, 0x90, 0xc3]);
    assert_eq!(copy.copy_of(0x1006), Some(0x5005));

    // xor eax,eax; inc eax; jrcxz to the ret; clc; ret: somebody comes to it
    let code = flow(&[0x31, 0xc0, 0xff, 0xc0, 0xe3, 0x01, 0xf8, 0xc3]);
    assert!(matches!(Jump::at_return(&code, 0x1007), Err(Refused::Target { to: 0x1007, .. })));

    // lea eax,[rdi+1]; ret and padding: entry and return by one jump
    let short = flow(&[0x8d, 0x47, 0x01, 0xc3]);
    assert_eq!(Jump::at_return(&short, 0x1003), Err(Refused::TooShort { bytes: 4 }));
    assert_eq!(Jump::new(&short, 0x1000), Err(Refused::TooShort { bytes: 4 }));
    let padded = short.with_padding(vec![0x66, 0x90]);
    let jump = Jump::through(&padded, 0x1000, 0x1003).expect("it fits");
    assert_eq!((jump.hits(), jump.end(), jump.inside()), (&[0x1000, 0x1003][..], 0x1005, 0x1001..0x1005));
    assert_eq!(jump.original(), [0x8d, 0x47, 0x01, 0xc3, 0x66]);
    assert_eq!(Jump::at_return(&padded, 0x1003).map(|jump| jump.site()), Ok(0x1000));

    // ret; nop dword [rax+0]; L: xor eax,eax; jmp L: the padding between blocks is free, the block is not
    let code = flow(&[0xc3, 0x0f, 0x1f, 0x40, 0x00, 0x31, 0xc0, 0xeb, 0xfc]);
    assert_eq!(Jump::at_return(&code, 0x1000).map(|jump| jump.end()), Ok(0x1005));
    let code = flow(&[0xc3, 0x0f, 0x1f, 0x00, 0x31, 0xc0, 0xeb, 0xfc]);
    assert_eq!(Jump::at_return(&code, 0x1000), Err(Refused::Leaves { at: 0x1000 }));
}

#[test]
fn ways_out_are_told_apart() {
    let exits = |code: &str, tables: &Tables| {
        let code = hex(code);
        Flow::new(0x1000, code, tables).expect("it decodes").exits().clone()
    };
    let none = Tables::default();
    // test; jne elsewhere; ret 8; call out; ud2
    let found = exits("85 ff 0f 85 f8 0f 00 00 c2 08 00 e8 00 10 00 00 0f 0b", &none);
    assert_eq!((found.returns.as_slice(), found.elsewhere), (&[0x1008][..], None));
    assert_eq!(found.branches.iter().map(|branch| branch.to).collect::<Vec<_>>(), [0x2000]);
    // mov rax,[rdi]; jmp rax: a call at the end
    assert_eq!(exits("48 8b 07 ff e0", &none).elsewhere, Some(0x1003));
    // It runs on into what is behind it.
    assert_eq!(exits("31 c0 66 90", &none).elsewhere, Some(0x1000));
    // retf
    assert_eq!(exits("cb", &none).elsewhere, Some(0x1000));
    // jmp [rdi*8+0x3000], as a switch and as an array of functions
    let code = "ff 24 fd 00 30 00 00 c3";
    assert_eq!(exits(code, &Tables::addresses(0x3000, &[0x1007, 0x1007])).addresses, []);
    assert_eq!(exits(code, &Tables::addresses(0x3000, &[0x1800])).addresses.len(), 1);
}

struct Nothing;

impl Memory for Nothing {
    fn read(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }

    fn is_code(&self, _: u64) -> bool {
        false
    }
}

/// Code that runs: every function of a table, unpatched and with a jump at its entry.
mod running {
    use super::*;
    use crate::breakpoint::Slot;

    struct Page(*mut u8);

    impl Page {
        fn new() -> Page {
            // SAFETY: an anonymous mapping of our own.
            let page = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    8192,
                    libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            assert_ne!(page, libc::MAP_FAILED);
            Page(page.cast())
        }

        fn put(&self, at: usize, bytes: &[u8]) -> u64 {
            assert!(at + bytes.len() <= 8192);
            // SAFETY: inside the page, which nothing else refers to.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.add(at), bytes.len()) };
            self.0 as u64 + at as u64
        }

        fn call(&self, argument: u64) -> u64 {
            // SAFETY: each piece of code of the table is a function of one argument.
            let function: extern "C" fn(u64) -> u64 = unsafe { std::mem::transmute(self.0) };
            function(argument)
        }
    }

    impl Drop for Page {
        fn drop(&mut self) {
            // SAFETY: mapped above, no longer run.
            unsafe { libc::munmap(self.0.cast(), 8192) };
        }
    }

    #[test]
    fn displaced_code_does_what_the_original_does() {
        let table = [
            ("a frame", "f3 0f 1e fa 55 48 89 e5 48 8d 47 05 5d c3"),
            ("a forward branch", "48 85 ff 74 05 48 89 f8 c3 90 b8 07 00 00 00 c3"),
            ("a far condition", "48 83 ff 03 0f 86 04 00 00 00 48 89 f8 c3 b8 09 00 00 00 c3"),
            ("a loop to the site", "48 ff cf 48 83 ff 00 7f f7 48 89 f8 c3"),
            ("jrcxz", "48 89 f9 e3 06 b8 01 00 00 00 c3 b8 02 00 00 00 c3"),
            ("loop", "48 8d 4f 01 31 c0 ff c0 e2 fc c3"),
            ("a call at the end", "50 e8 07 00 00 00 48 83 c0 01 59 c3 90 48 8d 47 20 c3"),
            ("data behind it", "48 8b 05 03 00 00 00 48 01 f8 c3 11 22 33 44 55 66 77 08"),
            ("flags over the copy", "48 83 ff 04 9f 0f b6 c4 c3"),
        ];
        for (name, code) in table {
            let code = hex(code);
            let (plain, patched) = (Page::new(), Page::new());
            plain.put(0, &code);
            let start = patched.put(0, &code);
            // Data and callees behind the last ret belong to the page only.
            let flow = match name {
                "data behind it" => Flow::new(start, code[..11].to_vec(), &Nothing),
                _ => Flow::new(start, code.clone(), &Nothing),
            };
            let jump = Jump::new(&flow.expect("it decodes"), start).expect(name);
            let copy: Slot = jump.copy(start + 4096, &|_, _| Vec::new()).expect(name);
            patched.put(4096, &copy.code);
            patched.put(0, &jump.bytes(start + 4096).expect("near"));
            for argument in [0, 1, 2, 3, 4, 5, 100] {
                assert_eq!(patched.call(argument), plain.call(argument), "{name}({argument})");
            }
        }
    }
}

//! Variables in scope, their types and where they are.

mod support;

use rstap_debuginfo::{
    BinaryOp, Encoding, Expr, Function, LinkAddr, Module, Pattern, Place, RecordKind, Type, TypeId, Variable,
    VariableKind,
};
use support::Scratch;

fn function<'d>(module: &Module<'d>, name: &str) -> Function<'d> {
    module.functions(&Pattern::parse(name).unwrap()).unwrap().into_iter().next().expect("the function exists")
}

fn variables<'d>(module: &Module<'d>, name: &str) -> (LinkAddr, Vec<Variable<'d>>) {
    let function = function(module, name);
    let pc = module.probe_address(&function).unwrap();
    (pc, module.scope(function.die.unwrap(), pc).unwrap())
}

fn described(module: &Module<'_>, variables: &[Variable<'_>]) -> Vec<String> {
    variables.iter().map(|v| format!("{}:{}", v.name, module.type_name(v.ty))).collect()
}

const VISIT: [&str; 11] = [
    "text:char const*",
    "p:struct point*",
    "n:struct nest",
    "mode:enum mode",
    "f:binary",
    "flags:struct flags",
    "other:struct opaque*",
    "grid:int**",
    "total:long int",
    "calls:int",
    "i:int",
];

#[test]
fn variables_are_those_of_the_blocks_round_the_pc() {
    let scratch = Scratch::new();
    for options in [["-gdwarf-4", "-O0"], ["-gdwarf-5", "-O0"]] {
        let bytes = scratch.compile("basic.c", &options);
        let module = Module::parse(&bytes).unwrap();
        let (_, found) = variables(&module, "visit");
        assert_eq!(described(&module, &found), VISIT[..10]);
        assert!(found[..8].iter().all(|v| v.kind == VariableKind::Parameter));
        assert_eq!((found[8].kind, found[8].decl_line), (VariableKind::Local, 52));

        let in_loop =
            module.statements(&Pattern::parse("visit@basic.c:56").unwrap()).unwrap().found.remove(0);
        let found = module.scope(in_loop.die, in_loop.address).unwrap();
        let names: Vec<_> = found.iter().map(|v| v.name).collect();
        assert_eq!(names[..3], ["weight", "i", "text"]);
        assert_eq!((found[0].depth, found[1].depth, found[2].depth), (2, 1, 0));
    }
}

#[test]
fn unoptimised_variables_are_in_the_frame() {
    let scratch = Scratch::new();
    for options in [&["-g", "-O0"][..], &["-g", "-O0", "-no-pie", "-fomit-frame-pointer"]] {
        let bytes = scratch.compile("basic.c", options);
        let module = Module::parse(&bytes).unwrap();
        let (pc, found) = variables(&module, "add");
        for variable in &found {
            let place = module.place(variable, pc).unwrap();
            let Place::Memory(Expr::Binary(BinaryOp::Add, base, offset)) = &place else {
                panic!("{} is at {place:?}", variable.name)
            };
            assert!(matches!(**base, Expr::Register(6 | 7)), "{base}");
            assert!(matches!(**offset, Expr::Constant(_)), "{offset}");
        }
        assert_eq!(found.len(), 3);
    }
}

#[test]
fn optimised_parameters_are_in_the_registers_of_the_calling_convention() {
    let scratch = Scratch::new();
    for compiler in ["gcc", "clang"] {
        let path = scratch.compile_with(compiler, "basic.c", &["-g", "-O2", "-fno-inline"]);
        let bytes = std::fs::read(path).unwrap();
        let module = Module::parse(&bytes).unwrap();
        let (pc, found) = variables(&module, "add");
        assert_eq!(module.place(&found[0], pc).unwrap(), Place::Register(5), "{compiler}");
        assert_eq!(module.place(&found[1], pc).unwrap(), Place::Register(4), "{compiler}");
        assert!(!module.available(&found[0]).unwrap().is_empty());
    }
}

#[test]
fn globals_are_at_addresses_of_the_module() {
    let scratch = Scratch::new();
    let bytes = scratch.compile("basic.c", &["-g", "-O0"]);
    let module = Module::parse(&bytes).unwrap();
    let (pc, _) = variables(&module, "main");
    let global = |name: &str| module.globals(name, None).unwrap().remove(0);
    let counter = global("counter");
    assert!(counter.external && counter.kind == VariableKind::Global);
    let Place::Memory(Expr::Address(address)) = module.place(&counter, pc).unwrap() else { panic!() };
    assert_eq!(module.bytes_at(address, 4).unwrap(), 7i32.to_le_bytes());
    assert!(!global("hidden").external);
    assert_eq!(module.globals("hidden", Some("basic.c")).unwrap().len(), 1);
    assert_eq!(module.globals("hidden", Some("other.c")).unwrap().len(), 0);
    let per_thread = module.place(&global("per_thread"), pc).unwrap();
    assert!(matches!(per_thread, Place::Memory(Expr::ThreadLocal(_))), "{per_thread:?}");
    assert!(module.tls().unwrap().size >= 4);
    let main = function(&module, "main");
    let names: Vec<_> = module.unit_globals(main.die.unwrap()).unwrap().iter().map(|v| v.name).collect();
    assert_eq!(names, ["counter", "hidden", "per_thread"]);
    assert_eq!(module.type_name(module.return_type(&function(&module, "visit"))), "long int");
}

#[test]
fn types_are_read_layer_by_layer() {
    let scratch = Scratch::new();
    for options in [["-gdwarf-3", "-O0"], ["-gdwarf-5", "-O0"]] {
        let bytes = scratch.compile("basic.c", &options);
        let module = Module::parse(&bytes).unwrap();
        let find = |name: &str| module.find_type(name).unwrap().expect(name);
        let nest = find("struct nest");
        let Type::Record { kind: RecordKind::Struct, name, size, members, .. } =
            module.type_of(nest).unwrap()
        else {
            panic!()
        };
        assert_eq!((name, size, members.len()), (Some("nest"), 32, 4));
        assert_eq!(module.size_of(nest), Some(32));
        let path = |name: &str| {
            let path = module.find_member(nest, name).unwrap();
            path.map(|p| p.iter().map(|m| (m.name, m.offset)).collect::<Vec<_>>())
        };
        assert_eq!(path("next"), Some(vec![(Some("next"), 16)]));
        assert_eq!(path("text"), Some(vec![(None, 8), (Some("text"), 0)]));
        assert_eq!(path("nothing"), None);

        let Type::Record { members, .. } = module.type_of(find("flags")).unwrap() else { panic!() };
        let bits = |index: usize| {
            let field = members[index].bits.unwrap();
            (members[index].offset * 8 + u64::from(field.start), field.len)
        };
        assert_eq!([bits(0), bits(1), bits(2)], [(0, 3), (3, 7), (10, 40)]);

        let Type::Enum { signed, enumerators, size, .. } = module.type_of(find("enum mode")).unwrap() else {
            panic!()
        };
        assert!(signed || options[0] == "-gdwarf-3");
        assert_eq!((size, enumerators.len()), (4, 3));
        assert_eq!(module.find_enumerator("LOST").unwrap(), Some(-3));
        assert_eq!(module.find_enumerator("FOUND").unwrap(), None);

        let Type::Base { size: 4, encoding: Encoding::Signed, name: "int" } =
            module.type_of(find("int")).unwrap()
        else {
            panic!()
        };
        let hidden = module.globals("hidden", None).unwrap().remove(0);
        let Type::Array { counts, .. } = module.type_of(hidden.ty).unwrap() else { panic!() };
        assert_eq!(counts, [Some(4)]);
        assert_eq!(module.size_of(hidden.ty), Some(16));
        assert_eq!(module.type_name(hidden.ty), "int[4]");
        assert_eq!(module.type_of(TypeId::Void).unwrap(), Type::Void);
        let Type::Typedef { name: "binary", to } = module.type_of(find("binary")).unwrap() else { panic!() };
        assert_eq!(module.type_name(to), "int (*)(int, long int)");
        assert_eq!(module.find_type("struct nowhere").unwrap(), None);
    }
}

#[test]
fn variables_of_inlined_instances_are_their_own() {
    let scratch = Scratch::new();
    for compiler in ["gcc", "clang"] {
        let bytes = std::fs::read(scratch.compile_with(compiler, "inline.c", &["-g", "-O2"])).unwrap();
        let module = Module::parse(&bytes).unwrap();
        for inline in &function(&module, "square").inlines {
            let found = module.scope(inline.die, inline.entry).unwrap();
            // gcc puts the local into a block of its own, which comes first.
            let mut names = described(&module, &found);
            names.sort();
            assert_eq!(names, ["result:int", "v:int"], "{compiler}");
            for variable in &found {
                module.place(variable, inline.entry).unwrap();
            }
        }
    }
}

#[test]
fn cxx_objects_have_base_classes_and_references() {
    let scratch = Scratch::new();
    let bytes = scratch.compile("class.cc", &["-g", "-O0"]);
    let module = Module::parse(&bytes).unwrap();
    let (_, found) = variables(&module, "tally");
    let expected = ["item:class Item const&", "other:class Item*", "extra:int&&"];
    assert_eq!(described(&module, &found), expected);
    let (_, found) = variables(&module, "Item::price");
    assert_eq!(described(&module, &found), ["this:class Item* const", "quantity:int"]);
    assert!(found[0].artificial);
    let item = module.find_type("Item").unwrap().unwrap();
    let path = module.find_member(item, "id").unwrap().unwrap();
    assert!(path[0].base_class && path[1].name == Some("id"));
    assert_eq!(path[0].offset + path[1].offset, 8);
    assert!(
        module.find_member(item, "count").unwrap().is_none(),
        "a static member is no member of the object"
    );
    let count = module.globals("count", None).unwrap().remove(0);
    assert!(matches!(module.place(&count, LinkAddr(0)).unwrap(), Place::Memory(Expr::Address(_))));
}

/// Every variable of every function of this test's own program, a Rust one, has a place or a reason.
#[test]
fn a_rust_program_can_be_asked_for_everything() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let module = Module::parse(&own).unwrap();
    let (mut placed, mut failed) = (0, Vec::new());
    for function in module.functions(&Pattern::parse("a*").unwrap()).unwrap() {
        let (Some(die), Some(pc)) = (function.die, module.probe_address(&function)) else { continue };
        for variable in module.scope(die, pc).unwrap() {
            assert!(!module.type_name(variable.ty).contains('?'), "{}", variable.name);
            match module.place(&variable, pc) {
                Ok(_) => placed += 1,
                Err(error) => failed.push(format!("{}: {error}", variable.name)),
            }
        }
    }
    assert!(placed > 100 && failed.len() * 100 < placed, "{placed} placed, {failed:?}");
    let option = module.find_type("Option<usize>").unwrap().unwrap();
    let Type::Record { variants: Some(variants), .. } = module.type_of(option).unwrap() else { panic!() };
    assert_eq!(variants.variants.len(), 2);
    assert!(variants.discriminant.is_some());
}

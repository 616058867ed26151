"""Runs inside gdb: what gdb says about every parameter and local at many instructions of a program.

Environment: JUDGE_OUT, the file to write; JUDGE_SOURCE, the file name of the source whose functions count; JUDGE_STOPS,
about how many instructions to stop at; JUDGE_HITS, how often at each; JUDGE_ENVIRONMENT, the program's own. Output, one line each, fields between tabs:

    H    address in the file of the instruction, in hexadecimal
    S    the stack pointer there
    V    expression, value: an integer as 64 bits, a number as the bits of a double, in hexadecimal
    Z    expression, 0: the same of a value in pieces, of which gdb may have nothing
    G    expression: gdb says that it is optimised out or cannot be computed
"""

import os
import re
import struct

import gdb

MAX_LEAVES = 40
MAX_DEPTH = 4

CODES = {
    name: getattr(gdb, "TYPE_CODE_" + name)
    for name in "INT CHAR BOOL ENUM PTR REF FLT STRUCT UNION ARRAY FUNC COMPLEX TYPEDEF RANGE".split()
}
REFERENCES = {CODES["REF"], gdb.TYPE_CODE_RVALUE_REF}
NUMBERS = {CODES[name] for name in ("INT", "CHAR", "BOOL", "ENUM", "RANGE")}


def in_memory(value):
    try:
        return value.address is not None
    except gdb.error:
        return False


class Unavailable(Exception):
    pass


def words(value):
    return value & 0xFFFFFFFFFFFFFFFF


def number(value, kind):
    """The value as the script language has it."""
    try:
        if kind.code == CODES["FLT"]:
            if kind.sizeof not in (4, 8):
                raise Unavailable()
            return words(struct.unpack("<q", struct.pack("<d", float(value)))[0])
        if kind.sizeof > 8:
            value = value.cast(gdb.lookup_type("unsigned long"))
        return words(int(value))
    except (gdb.error, ValueError, OverflowError) as error:
        raise Unavailable(str(error))


def leaves(path, value, depth, out):
    """The numbers that a value consists of and points to, each with the script's expression for it."""
    if len(out) >= MAX_LEAVES:
        return
    try:
        kind = value.type.strip_typedefs()
        if kind.sizeof == 0:
            # Rust's `()`: there is nothing to print.
            return
        if kind.code in REFERENCES:
            leaves(path, value.referenced_value(), depth, out)
        elif kind.code in NUMBERS or kind.code == CODES["FLT"]:
            out.append(("V", path, number(value, kind)))
        elif kind.code == CODES["PTR"]:
            pointer(path, value, kind, depth, out)
        elif kind.code in (CODES["STRUCT"], CODES["UNION"]):
            if depth < MAX_DEPTH:
                record(path, value, kind, depth, out)
        elif kind.code == CODES["ARRAY"]:
            if depth < MAX_DEPTH:
                array(path, value, kind, depth, out)
    except (gdb.error, Unavailable, RuntimeError):
        out.append(("G", path, None))


def pointer(path, value, kind, depth, out):
    target = kind.target().strip_typedefs()
    try:
        # Only a whole pointer: gdb 13 ends itself on one that is in a piece.
        whole = "->" not in path and int(value) == 0
        synthetic = whole and "synthetic" in value.format_string(symbols=False, raw=True, address=False)
    except gdb.error:
        synthetic = False
    if synthetic:
        out.append(("G", path, None))
    else:
        out.append(("V", path, number(value, kind)))
        if int(value) == 0:
            return
        # Not `value` itself: gdb 13 ends itself when it follows a pointer that is in pieces.
        value = gdb.Value(int(value)).cast(kind)
    if depth >= 2 or target.code in (CODES["FUNC"], gdb.TYPE_CODE_VOID):
        return
    if target.code in NUMBERS or target.code in (CODES["FLT"], CODES["PTR"]):
        if target.sizeof:
            leaves(path + "[0]", value.dereference(), depth + 2, out)
    elif target.code in (CODES["STRUCT"], CODES["UNION"]):
        record(path, value.dereference(), target, depth + 1, out)


def record(path, value, kind, depth, out, seen=None):
    """Own members hide those of base classes and anonymous members."""
    seen = set() if seen is None else seen
    fields = [field for field in kind.fields() if hasattr(field, "bitpos") and not field.artificial]
    for field in fields:
        name = field.name
        if not field.is_base_class and name and name.replace("_", "a").isalnum() and name not in seen:
            seen.add(name)
            if field.type.strip_typedefs().code in REFERENCES and not in_memory(value):
                continue
            leaves(path + "->" + name, value[field], depth + 1, out)
    for field in fields:
        if field.is_base_class or not field.name:
            inner = value[field]
            record(path, inner, inner.type.strip_typedefs(), depth, out, seen)


def array(path, value, kind, depth, out):
    low, high = kind.range()
    # The bounds may be anything before the program has set them.
    for index in sorted(index for index in {low, low + 1, high} if low <= index <= high):
        leaves("%s[%d]" % (path, index), value[index], depth + 1, out)


def variables(frame, pc):
    """Innermost first, up to the function or inlined function."""
    block = gdb.block_for_pc(pc)
    seen = set()
    while block is not None and not block.is_static and not block.is_global:
        for symbol in block:
            if (symbol.is_variable or symbol.is_argument) and symbol.name not in seen:
                seen.add(symbol.name)
                yield symbol, block
        if block.function is not None:
            return
        block = block.superblock


def scope_at(pc):
    """What gdb says about the places of variables. Asked for before the program goes on: an error while it is stopped would
    end the `continue` too."""
    try:
        return gdb.execute("info scope *%#x" % pc, to_string=True)
    except gdb.error:
        # gdb 13 cannot word some places, and then says nothing of any.
        return ""


def in_pieces(symbol, value, scope):
    """Whether a value is put together from registers and numbers; `scope` is what gdb says about the places of all."""
    if in_memory(value):
        return False
    own = re.search(r"Symbol %s is (.*?)\n(?=Symbol|$)" % re.escape(symbol.name), scope, re.DOTALL)
    return own is None or "piece" in own.group(1)


class Stop(gdb.Breakpoint):
    def __init__(self, pc, file_pc, wanted, out):
        super().__init__("*%#x" % pc, internal=True)
        self.silent = True
        self.pc, self.file_pc, self.wanted, self.out = pc, file_pc, wanted, out
        self.scope = scope_at(pc)

    def stop(self):
        if self.wanted == 0:
            return False
        self.wanted -= 1
        frame = gdb.newest_frame()
        sp = int(frame.read_register("rsp"))
        lines = ["H\t%x\nS\t%x\n" % (self.file_pc, sp)]
        for symbol, block in variables(frame, self.pc):
            if not symbol.name.replace("_", "a").isalnum():
                continue
            found = []
            try:
                value = frame.read_var(symbol, block)
                pieces = in_pieces(symbol, value, self.scope)
                reference = symbol.type.strip_typedefs().code in REFERENCES
                # gdb 13 ends itself when it follows a reference that is in pieces.
                if value.is_optimized_out or pieces and reference:
                    found.append(("G", "$" + symbol.name, None))
                else:
                    leaves("$" + symbol.name, value, 0, found)
                if pieces:
                    # gdb has zeros for a part that no piece describes, and for a pointer to what is not in memory.
                    found = [("Z" if entry[2] == 0 else entry[0], *entry[1:]) for entry in found]
            except (gdb.error, ValueError, RuntimeError):
                found.append(("G", "$" + symbol.name, None))
            for tag, path, number in found:
                lines.append("%s\t%s\n" % (tag, path) if number is None else "%s\t%s\t%x\n" % (tag, path, number))
        self.out.write("".join(lines))
        return False


def instructions(source):
    """Addresses of the instructions of the functions of a source file."""
    architecture = gdb.selected_frame().architecture()
    symtab = gdb.decode_line("%s:1" % source)[1][0].symtab
    functions = {}
    for row in symtab.linetable():
        block = gdb.block_for_pc(row.pc)
        while block is not None and (block.function is None or block.superblock.function is not None or
                                     not (block.superblock.is_static or block.superblock.is_global)):
            if block.is_static or block.is_global:
                block = None
                break
            block = block.superblock
        if block is not None:
            functions[block.start] = block.end
    found = []
    for start, end in sorted(functions.items()):
        # gdb steps through the rounds of an instruction that repeats itself, and stops at each.
        code = architecture.disassemble(start, end - 1)
        found += [i["addr"] for i in code if not i["asm"].startswith("rep")]
    return sorted(set(found))


def entry_point():
    """As the file says before the program runs, and where it is when it runs."""
    files = gdb.execute("info files", to_string=True)
    return int(re.search("Entry point: (0x[0-9a-f]+)", files).group(1), 16)


def main():
    gdb.execute("set pagination off")
    gdb.execute("set confirm off")
    gdb.execute("set print inferior-events off")
    gdb.execute("set breakpoint pending off")
    # To have an address for a value that is not in memory, gdb would have the program call malloc.
    gdb.execute("set may-call-functions off")
    gdb.execute("set exec-wrapper env -i " + os.environ.get("JUDGE_ENVIRONMENT", ""))
    in_file = entry_point()
    source = os.environ["JUDGE_SOURCE"]
    gdb.execute("tbreak " + ("main.main" if source.endswith(".go") else "main"))
    gdb.execute("run")
    bias = entry_point() - in_file
    addresses = instructions(source)
    budget = int(os.environ.get("JUDGE_STOPS", "400"))
    step = max(1, len(addresses) // budget)
    here = gdb.selected_frame().pc()
    chosen = [a for i, a in enumerate(addresses) if i % step == 0]
    with open(os.environ["JUDGE_OUT"], "w") as out:
        for address in chosen:
            # The start of the program up to here has run already.
            if address != here:
                Stop(address, address - bias, int(os.environ.get("JUDGE_HITS", "2")), out)
        gdb.execute("continue")
        # What gdb says is worth something only if it was asked until the program ended.
        if gdb.selected_inferior().pid == 0:
            out.write("END\n")


main()

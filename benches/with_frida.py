"""Runs a program with a C handler of Frida's (CModule) at a function of it. Usage: with_frida.py HANDLER FUNCTION PROGRAM [ARGUMENTS]

HANDLER is count or element: a counter, or one for each of 64 keys. The program's standard error is ours."""

import sys
import threading

import frida

HANDLERS = {
    "count": "counts[0]++;",
    "element": "counts[(long)gum_invocation_context_get_nth_argument(context, 0) % 64]++;",
}
# What a module of C writes to is not in the module.
AGENT = """
const counts = Memory.alloc(64 * 8);
const code = new CModule(`#include <gum/guminterceptor.h>
extern long counts[];
void onEnter(GumInvocationContext *context) { %s }`, { counts });
Interceptor.attach(Process.mainModule.getSymbolByName('%s'), { onEnter: code.onEnter });
"""

handler, function, *command = sys.argv[1:]
device = frida.get_local_device()
device.on("output", lambda pid, descriptor, text: sys.stderr.buffer.write(text))
pid = device.spawn(command, stdio="pipe")
session = device.attach(pid)
ended = threading.Event()
session.on("detached", lambda *_: ended.set())
script = session.create_script(AGENT % (HANDLERS[handler], function))
script.load()
device.resume(pid)
ended.wait()
sys.stderr.flush()

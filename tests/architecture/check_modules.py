#!/usr/bin/env python3
"""The module graph, checked: who may include whom, what is linked, and what may stand in a public header.

    check_modules.py ROOT        fails (exit code 1) and lists every violation found in the tree
    check_modules.py --self-test builds tiny trees, good and bad, and checks that every kind of violation is noticed

Rules (docs/theory.md, "Modules"):
  1. A file of module A includes headers of A and of the modules A may use, nothing else; circuit and tilemodel never meet.
  2. Project headers are included as "module/file.hpp", and the file exists (or is made by CMake from file.hpp.in).
  3. The modules linked in A's CMakeLists.txt are exactly those A may use.
  4. Headers (.hpp) of library modules include only the standard library, Eigen and project headers. Headers named *_detail.hpp are private:
     they may include libraries, and only .cpp files and other *_detail.hpp of the same module include them.
"""
import os
import re
import sys
import tempfile

MAY_USE = {
    "core": set(),
    "data": {"core"},
    "device": {"core", "data"},
    "circuit": {"core", "data", "device"},
    "tilemodel": {"core", "data", "device"},
    "nn": {"core", "data", "device", "tilemodel"},
    "validation": {"core", "data", "device", "circuit", "tilemodel", "nn"},
    "cli": {"core", "data", "device", "circuit", "tilemodel", "nn", "validation"},
}
PROGRAMS = {"cli"}  # no public headers

STANDARD_HEADERS = set("""
algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes climits clocale cmath codecvt
compare complex concepts condition_variable coroutine csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar
cwctype deque exception execution filesystem format forward_list fstream functional future initializer_list iomanip ios iosfwd iostream
istream iterator latch limits list locale map memory memory_resource mutex new numbers numeric optional ostream queue random ranges ratio
regex scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf string string_view
strstream syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector
version
""".split())

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def without_comments(text):
    """C++ text without comments; line numbers are kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
    return pattern.sub(lambda m: m.group(0) if m.group(0).startswith('"') else "\n" * m.group(0).count("\n"), text)


def source_files(root, module):
    for folder, _, names in sorted(os.walk(os.path.join(root, module))):
        for name in sorted(names):
            if name.endswith((".cpp", ".hpp", ".h", ".cc", ".inl", ".ipp")):
                yield os.path.join(folder, name)


def project_include_faults(root, module, path, target):
    parts = target.split("/")
    if len(parts) < 2 or parts[0] not in MAY_USE:
        return ['includes "%s"; write project headers as "module/file.hpp"' % target]
    faults = []
    if parts[0] != module and parts[0] not in MAY_USE[module]:
        allowed = ", ".join(sorted(MAY_USE[module])) or "no module"
        faults.append('includes "%s"; %s may use %s' % (target, module, allowed))
    if target.endswith("_detail.hpp") and (parts[0] != module or header_is_public(module, path)):
        faults.append('includes "%s", which is private to the .cpp files of %s' % (target, parts[0]))
    header = os.path.join(root, target)
    if not os.path.exists(header) and not os.path.exists(header + ".in"):
        faults.append('includes "%s", which does not exist' % target)
    return faults


def header_is_public(module, path):
    return path.endswith(".hpp") and not path.endswith("_detail.hpp") and module not in PROGRAMS


def include_faults(root, module):
    faults = []
    for path in source_files(root, module):
        with open(path, encoding="utf-8", errors="replace") as source:
            text = without_comments(source.read())
        for match in INCLUDE.finditer(text):
            kind, target = match.groups()
            where = "%s:%d" % (os.path.relpath(path, root), text.count("\n", 0, match.start()) + 1)
            if kind == '"':
                found = project_include_faults(root, module, path, target)
            elif target.split("/")[0] in MAY_USE and "/" in target:
                found = ["includes <%s>; project headers stand in quotes" % target]
            elif header_is_public(module, path) and target not in STANDARD_HEADERS and target.split("/")[0] != "Eigen":
                found = ["includes <%s>; a header may include the standard library, Eigen and project headers only" % target]
            else:
                found = []
            faults += ["%s %s" % (where, fault) for fault in found]
    return faults


def cmake_commands(text):
    """(name, arguments) of the commands in a CMakeLists.txt."""
    text = re.sub(r"#[^\n]*", "", text)
    return [(name.lower(), re.split(r"[\s;]+", arguments.replace('"', " ").strip()))
            for name, arguments in re.findall(r"(\w+)\s*\(([^()]*)\)", text)]


def linked_modules(root, module):
    """Modules named in the link commands of one module's CMakeLists.txt."""
    linked = set()
    with open(os.path.join(root, module, "CMakeLists.txt"), encoding="utf-8") as source:
        commands = cmake_commands(source.read())
    for name, arguments in commands:
        if name == "crosstile_module" and arguments and arguments[0] == module:
            group = None
            for word in arguments[1:]:
                if word in ("PUBLIC", "PRIVATE"):
                    group = word
                elif group == "PUBLIC" and word in MAY_USE:
                    linked.add(word)
        if name in ("crosstile_module", "target_link_libraries"):
            for word in arguments[1:]:
                match = re.fullmatch(r"crosstile(?:::|_)(\w+)", word)
                if match and match.group(1) in MAY_USE:
                    linked.add(match.group(1))
    return linked


def link_faults(root, module):
    if not os.path.exists(os.path.join(root, module, "CMakeLists.txt")):
        return ["%s has no CMakeLists.txt" % module]
    linked = linked_modules(root, module)
    faults = ["%s/CMakeLists.txt links %s, which %s may not use" % (module, m, module) for m in sorted(linked - MAY_USE[module])]
    faults += ["%s/CMakeLists.txt does not link %s, which the module graph declares" % (module, m) for m in sorted(MAY_USE[module] - linked)]
    return faults


def check(root):
    """All violations of a tree, one sentence each."""
    faults = []
    for module in MAY_USE:
        if not os.path.isdir(os.path.join(root, module)):
            faults.append("the module %s is missing" % module)
            continue
        faults += include_faults(root, module) + link_faults(root, module)
    return faults


# ---- self-test ---------------------------------------------------------------------------------------------------------------

def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as out:
        out.write(text)


def make_good_tree(root):
    for module, uses in MAY_USE.items():
        includes = "".join('#include "%s/%s.hpp"\n' % (used, used) for used in sorted(uses))
        write(root, "%s/%s.hpp" % (module, module), "#pragma once\n#include <vector>\n#include <Eigen/Core>\n" + includes)
        write(root, "%s/work.cpp" % module, '#include "%s/%s.hpp"\n#include <hdf5.h>\n// #include "cli/cli.hpp"\n' % (module, module))
        if module in PROGRAMS:
            text = "add_executable(crosstile work.cpp)\ntarget_link_libraries(crosstile PRIVATE %s fmt::fmt)\n" % " ".join(
                "crosstile::" + used for used in sorted(uses))
        else:
            text = "# crosstile_module(%s PUBLIC cli)\ncrosstile_module(%s\n  PUBLIC %s\n  PRIVATE hdf5::hdf5)\n" % (
                module, module, " ".join(sorted(uses)))
        write(root, "%s/CMakeLists.txt" % module, text)
    write(root, "core/version.hpp.in", "#pragma once\n")
    write(root, "data/file_detail.hpp", "#include <hdf5.h>\n")
    write(root, "data/file.cpp", '#include "data/file_detail.hpp"\n')
    write(root, "core/version.cpp", '#include "core/version.hpp"\n')


# (what is wrong, file, its text, a part of the complaint)
BAD_TREES = [
    ("an include upwards", "data/bad.cpp", '#include "circuit/circuit.hpp"\n', 'data/bad.cpp:1 includes "circuit/circuit.hpp"'),
    ("circuit meets tilemodel", "circuit/bad.cpp", '#include <vector>\n#include "tilemodel/tilemodel.hpp"\n', "circuit/bad.cpp:2"),
    ("tilemodel meets circuit", "tilemodel/bad.hpp", '#include "circuit/circuit.hpp"\n', "tilemodel/bad.hpp:1"),
    ("an include in a folder below", "nn/detail/bad.cpp", '/* a\n b */ \n  #  include "validation/validation.hpp"\n', "nn/detail/bad.cpp:3"),
    ("a library in a public header", "data/bad.hpp", "#pragma once\n#include <hdf5.h>\n", "data/bad.hpp:2 includes <hdf5.h>"),
    ("another library in a public header", "circuit/bad.hpp", "#include <sundials/sundials_types.h>\n", "circuit/bad.hpp:1"),
    ("a private header in a public one", "data/bad.hpp", '#include "data/file_detail.hpp"\n', "data/bad.hpp:1"),
    ("a private header of another module", "nn/bad.cpp", '#include "data/file_detail.hpp"\n', "private to the .cpp files of data"),
    ("a header without its module", "core/bad.cpp", '#include "core.hpp"\n', 'write project headers as "module/file.hpp"'),
    ("angle brackets around a project header", "data/bad.cpp", "#include <core/core.hpp>\n", "project headers stand in quotes"),
    ("a header that does not exist", "data/bad.cpp", '#include "core/absent.hpp"\n', "does not exist"),
    ("a link upwards", "core/CMakeLists.txt", "crosstile_module(core PUBLIC nn)\n", "core/CMakeLists.txt links nn"),
    ("a link by target name", "tilemodel/CMakeLists.txt", "crosstile_module(tilemodel PUBLIC core data device)\n"
     "target_link_libraries(crosstile_tilemodel PRIVATE crosstile_circuit)\n", "tilemodel/CMakeLists.txt links circuit"),
    ("a link left out", "nn/CMakeLists.txt", "crosstile_module(nn PUBLIC core data tilemodel)\n", "does not link device"),
]


def self_test():
    problems = []
    with tempfile.TemporaryDirectory(prefix="crosstile-architecture-") as root:
        make_good_tree(root)
        problems += ["the good tree: " + fault for fault in check(root)]
    for what, path, text, expected in BAD_TREES:
        with tempfile.TemporaryDirectory(prefix="crosstile-architecture-") as root:
            make_good_tree(root)
            write(root, path, text)
            faults = check(root)
            if len(faults) != 1 or expected not in faults[0]:
                problems.append("%s: expected one complaint with '%s', found %s" % (what, expected, faults))
    with tempfile.TemporaryDirectory(prefix="crosstile-architecture-") as root:
        if len(check(root)) != len(MAY_USE):
            problems.append("an empty tree: every module should be missing")
    return problems


def main(arguments):
    if arguments == ["--self-test"]:
        faults, done = self_test(), "%d bad trees noticed" % len(BAD_TREES)
    elif len(arguments) == 1 and os.path.isdir(arguments[0]):
        faults, done = check(arguments[0]), "module graph holds"
    else:
        sys.stderr.write(__doc__)
        return 2
    for fault in faults:
        print(fault)
    print(done if not faults else "%d violations" % len(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Makes a linker script that puts functions together: script.py MAP TRACE... >SCRIPT

MAP is what lld's -Map tells of a build, each TRACE the addresses that `steps` saw that build execute. Names are
written without the hashes of a build and its compiler, so that the script serves later builds as well.
"""
import bisect
import re
import sys

HEAD = """/* Puts the functions that the OCI runtime's commands execute next to each other. The kernel maps a program's file in
   pieces of 64 KiB: spread over 26 MiB of code, 0.9 MiB of functions took 3.1 MiB of memory and as many more page faults.
   Made by bench/order/run; what is not found here is linked as ever. */
SECTIONS {
  .text.runtime : {
"""
TAIL = "  }\n}\nINSERT BEFORE .text;\n"


def pattern(path, section):
    """The file and the section as later builds will name them."""
    archive = re.search(r"([^/]*\.a)\(([^)]*)\)$", path)
    if archive:
        return f"*{archive[1]}:{archive[2]}", section
    crate = re.match(r".*/[a-z_0-9]+-[0-9a-f]{16}\.([a-z_0-9]+)-[0-9a-f]{16}\.", path)
    if not crate:
        return None
    plain = re.sub(r"\.llvm\.\d+$", "*", re.sub(r"17h[0-9a-f]{16}E.*", "17h*", section))
    return f"*.{crate[1]}-*", re.sub(r"(?<=C)s[0-9A-Za-z]+_(?=\d)", "s*_", plain)


def sections(path):
    for line in open(path):
        fields = line.split(None, 4)
        found = re.match(r"(.*):\((\.text[^)]*)\)\s*$", fields[4]) if len(fields) == 5 else None
        if found and re.fullmatch(r"[0-9a-f]+", fields[0]):
            yield int(fields[0], 16), int(fields[2], 16), found[1], found[2]


known = sorted(sections(sys.argv[1]))
starts = [one[0] for one in known]
wanted = {}
for trace in sys.argv[2:]:
    for line in open(trace):
        address = int(line, 16)
        place = bisect.bisect_right(starts, address) - 1
        if place < 0 or address >= known[place][0] + known[place][1]:
            continue
        found = pattern(known[place][2], known[place][3])
        if found:
            wanted.setdefault(found[0], {})[found[1]] = None
print(HEAD, end="")
for file, names in sorted(wanted.items()):
    print(f"    {file}(")
    for name in sorted(names):
        print(f"      {name}")
    print("    )")
print(TAIL, end="")

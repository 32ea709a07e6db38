"""Builds the drivers of `drivers/` with the commands that a vendor uses."""

import pathlib

from .process import CACHE, HERE, run

SOURCES = HERE / "drivers"


def build_c(folder: pathlib.Path) -> pathlib.Path:
    """Zig's compiler rather than Debian's clang: what it makes imports no WASI interface."""
    source, generated = SOURCES / "c", folder / "generated"
    bindgen = CACHE / "bindgen-c" / "debug" / "bindgen-c"
    core, component = folder / "settle.core.wasm", folder / "settle.wasm"
    run([bindgen, "bindings", source / "wit", "settle", generated])
    run([CACHE / "zig-venv" / "bin" / "python", "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", "-s",
         "-Wall", "-Werror", "-I", generated, "-o", core,
         source / "driver.c", generated / "settle.c", generated / "settle_component_type.o"],
        300, {"ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig"), "ZIG_LOCAL_CACHE_DIR": str(CACHE / "zig")})
    run([bindgen, "component", core, component])
    return component


def build_js(folder: pathlib.Path) -> pathlib.Path:
    component = folder / "plain.wasm"
    source = SOURCES / "js"
    run([CACHE / "npm" / "node_modules" / ".bin" / "componentize-qjs", "--wit", source / "wit", "--js", source / "driver.js",
         "--world", "plain", "--sync", "--stub-wasi", "--output", component], 300, cwd=source)
    return component

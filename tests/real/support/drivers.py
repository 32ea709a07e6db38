"""Builds the drivers of `drivers/` with the commands that a vendor uses."""

import pathlib
import shutil

from .process import CACHE, HERE, run

SOURCES = HERE / "drivers"


BINDGEN = CACHE / "bindgen" / "debug" / "bindgen"


def build_c(folder: pathlib.Path, source: pathlib.Path = SOURCES / "c", wit: pathlib.Path = SOURCES / "c" / "wit",
            world: str = "settle") -> pathlib.Path:
    """Zig's compiler rather than Debian's clang: what it makes imports no WASI interface."""
    generated, core, component = folder / "generated", folder / f"{world}.core.wasm", folder / f"{world}.wasm"
    run([BINDGEN, "bindings", "c", wit, world, generated])
    run([CACHE / "zig-venv" / "bin" / "python", "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", "-s",
         "-Wall", "-Werror", "-I", generated, "-o", core,
         source / "driver.c", generated / f"{world}.c", generated / f"{world}_component_type.o"],
        300, {"ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig"), "ZIG_LOCAL_CACHE_DIR": str(CACHE / "zig")})
    run([BINDGEN, "component", core, component])
    return component


def build_js(folder: pathlib.Path, source: pathlib.Path = SOURCES / "js", wit: pathlib.Path = SOURCES / "js" / "wit",
             world: str = "plain") -> pathlib.Path:
    component = folder / f"{world}.wasm"
    run([CACHE / "npm" / "node_modules" / ".bin" / "componentize-qjs", "--wit", wit, "--js", source / "driver.js",
         "--world", world, "--sync", "--stub-wasi", "--output", component], 300, cwd=source)
    return component


def build_python(folder: pathlib.Path, source: pathlib.Path, wit: pathlib.Path, world: str) -> pathlib.Path:
    component = folder / f"{world}.wasm"
    run([CACHE / "componentize-venv" / "bin" / "componentize-py", "-d", wit, "-w", world, "componentize", "-p", source, "app",
         "-o", component], 300, cwd=folder)
    return component


def build_go(folder: pathlib.Path, source: pathlib.Path, wit: pathlib.Path, world: str) -> pathlib.Path:
    """The driver's packages go into the generated module, which knows them by their names."""
    module, core, component = folder / "module", folder / f"{world}.core.wasm", folder / f"{world}.wasm"
    run([BINDGEN, "bindings", "go", wit, world, module])
    shutil.copytree(source, module, dirs_exist_ok=True)
    go = CACHE / "go-venv" / "bin" / "go"
    environment = {"GOOS": "wasip1", "GOARCH": "wasm", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod",
                   "GOCACHE": str(CACHE / "go-build"), "GOPATH": str(CACHE / "go-path")}
    run([go, "mod", "edit", "-replace", f"go.bytecodealliance.org/pkg={CACHE / 'go-runtime'}"], 60, environment, cwd=module)
    # The shared part of the glue reaches into Go's runtime, which the linker would refuse.
    run([go, "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w -checklinkname=0", "-o", core, "."], 600, environment, cwd=module)
    run([BINDGEN, "component", core, component, wit, world])
    return component

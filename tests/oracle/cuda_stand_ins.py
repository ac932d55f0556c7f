"""Makes stand-ins for the CUDA libraries that PyPI's torch wheel is linked against.

The oracles run on the CPU, so none of these libraries is ever called, yet the loader insists on them: together they
are 2 GB of packages. Each stand-in carries the name and the symbol versions that torch asks for; every function in it
aborts. (The CUDA runtime and CUPTI are called while torch loads; deploy/dependencies.sh has the real ones.)

usage: cuda_stand_ins.py TORCH_LIB_FOLDER OUTPUT_FOLDER
"""
import pathlib
import subprocess
import sys

# Library -> how the names of its functions begin, longest first where one begins like another.
PREFIXES = {
    "libcublasLt.so.13": "cublasLt",
    "libcublas.so.13": "cublas",
    "libcusparseLt.so.0": "cusparseLt",
    "libcusparse.so.12": "cusparse",
    "libcufft.so.12": "cufft",
    "libcurand.so.10": "curand",
    "libcudnn.so.9": "cudnn",
    "libnccl.so.2": "nccl",
    "libcufile.so.0": "cuFile",
    "libnvshmem_host.so.3": "nvshmem",
}
USERS = ("libtorch_cuda.so", "libtorch_python.so", "libtorch_nvshmem.so")


def needed_symbols(folder):
    """Yields (symbol, library that has to hold it, version or None)."""
    seen = set()
    for user in USERS:
        table = subprocess.run(["nm", "-D", "--undefined-only", folder / user], check=True, capture_output=True,
                               text=True).stdout
        for line in table.splitlines():
            kind, _, rest = line.strip().partition(" ")
            symbol, _, version = rest.partition("@")
            if kind != "U" or symbol in seen:
                continue
            version = version.strip("@")
            library = version if version in PREFIXES else next(
                (name for name, prefix in PREFIXES.items() if symbol.startswith(prefix)), None)
            if library is None:
                continue
            seen.add(symbol)
            yield symbol, library, version or None


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    symbols = {name: [] for name in PREFIXES}
    versions = {}
    for symbol, library, version in needed_symbols(folder):
        symbols[library].append(symbol)
        if version:
            versions[library] = version
    for library, names in symbols.items():
        # Plain C, so that the names stay as they are; mangled C++ names are valid C identifiers too.
        code = "#include <stdlib.h>\n" + "".join(f"void {name}(void) {{ abort(); }}\n" for name in names)
        command = ["gcc", "-w", "-fno-builtin", "-shared", "-fPIC", "-x", "c", "-", "-o", out / library,
                   f"-Wl,-soname,{library}"]
        if library in versions:
            script = out / (library + ".map")
            script.write_text(f"{versions[library]} {{ global: *; }};\n")
            command.append(f"-Wl,--version-script={script}")
        subprocess.run(command, input=code, text=True, check=True)


if __name__ == "__main__":
    main()

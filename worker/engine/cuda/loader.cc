#include "worker/engine/cuda/loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace uaqf::engine {
namespace {

constexpr char kFile[] = "libuaqf_cuda.so";

absl::StatusOr<std::string> FindModule() {
  if (const char* named = std::getenv("UAQF_CUDA_MODULE"); named != nullptr && *named != '\0') return named;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path beside = program.parent_path() / kFile;
  if (!error && std::filesystem::exists(beside, error)) return beside.string();
  return absl::UnimplementedError(
      absl::StrCat("this build has no CUDA module: no ", kFile, " beside ", program.string(),
                   "; build on a machine with nvcc, or name the module in UAQF_CUDA_MODULE, or use the device cpu"));
}

absl::StatusOr<const CudaModule*> FindAndOpen() {
  auto path = FindModule();
  if (!path.ok()) return path.status();
  return OpenCudaModule(*path);
}

}  // namespace

absl::StatusOr<const CudaModule*> OpenCudaModule(const std::string& path) {
  // Local: libtorch's symbols are nobody else's business.
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    const char* why = dlerror();
    return absl::FailedPreconditionError(
        absl::StrCat("the CUDA module ", path, " cannot be loaded: ", why == nullptr ? "no reason given" : why,
                     "; put the folders of libtorch and of CUDA's libraries in LD_LIBRARY_PATH"));
  }
  const auto function = reinterpret_cast<CudaModuleFunction>(dlsym(module, kCudaModuleSymbol));
  if (function == nullptr) {
    dlclose(module);
    return absl::FailedPreconditionError(absl::StrCat(path, " is no CUDA module: it has no symbol ", kCudaModuleSymbol,
                                                      "; name another file in UAQF_CUDA_MODULE"));
  }
  const CudaModule* functions = function();
  const std::string build = functions->build;
  if (build != CudaModuleBuild()) {
    dlclose(module);
    return absl::FailedPreconditionError(absl::StrCat("the CUDA module ", path, " is of build ", build, ", expected ",
                                                      CudaModuleBuild(), ", this program's; install both together"));
  }
  return functions;
}

absl::StatusOr<const CudaModule*> LoadCudaModule() {
  static const absl::StatusOr<const CudaModule*> module = FindAndOpen();
  return module;
}

}  // namespace uaqf::engine

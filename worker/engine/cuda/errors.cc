#include "worker/engine/cuda/errors.h"

#include <c10/util/Exception.h>

#include <exception>

#include "absl/strings/str_cat.h"

namespace uaqf::engine {
namespace {

absl::StatusCode CodeOf(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return absl::StatusCode::kResourceExhausted;
    case cudaErrorInvalidValue:
      return absl::StatusCode::kInvalidArgument;
    // After these the context is gone: nothing on the GPU works any more in this process.
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorECCUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorNoDevice:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

std::string Advice(absl::StatusCode code) {
  if (code == absl::StatusCode::kResourceExhausted) return "; use a smaller variant or another GPU";
  if (code == absl::StatusCode::kUnavailable)
    return "; restart the worker, and look for Xid errors in the kernel's log";
  return "";
}

}  // namespace

absl::Status ToStatus(const cuda::Status& status, const std::string& doing) {
  if (status.ok()) return absl::OkStatus();
  const absl::StatusCode code = CodeOf(status.code);
  return absl::Status(code, absl::StrCat(doing, ": ", status.message, Advice(code)));
}

absl::Status ToStatus(cudaError_t code, const std::string& doing) {
  if (code == cudaSuccess) return absl::OkStatus();
  const absl::StatusCode status = CodeOf(code);
  return absl::Status(status, absl::StrCat(doing, ": ", cudaGetErrorString(code), Advice(status)));
}

absl::Status FromCurrentException(const std::string& doing) {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat(doing, ": ", error.what_without_backtrace(), Advice(absl::StatusCode::kResourceExhausted)));
  } catch (const c10::Error& error) {
    return ToStatus(cudaPeekAtLastError(), doing).ok()
               ? absl::InternalError(absl::StrCat(doing, ": ", error.what_without_backtrace()))
               : ToStatus(cudaGetLastError(), doing);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(doing, ": ", error.what()));
  }
}

}  // namespace uaqf::engine

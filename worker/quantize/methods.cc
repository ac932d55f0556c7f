#include "worker/quantize/methods.h"

#include "worker/quantize/atom.h"
#include "worker/quantize/awq.h"
#include "worker/quantize/gptq.h"
#include "worker/quantize/smoothquant.h"

namespace uaqf::quantize {

const CalibratedMethod* FindCalibrated(Method method) {
  static constexpr CalibratedMethod kSmooth = {QuantizeSmoothQuant, false};
  static constexpr CalibratedMethod kGptq = {QuantizeGptq, true};
  static constexpr CalibratedMethod kAwq = {QuantizeAwq, false};
  static constexpr CalibratedMethod kAtom = {QuantizeAtom, true, AtomHook};
  switch (method) {
    case Method::kSmoothQuant:
      return &kSmooth;
    case Method::kGptq:
      return &kGptq;
    case Method::kAwq:
      return &kAwq;
    case Method::kAtom:
      return &kAtom;
    default:
      return nullptr;
  }
}

}  // namespace uaqf::quantize

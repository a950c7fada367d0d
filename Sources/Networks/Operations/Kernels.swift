import CKernels
import Tensors

/// The kernels of this processor for one element type.
struct Kernels: Sendable {
  let table: rfm_kernel_table
  let layers: rfm_layer_kernels
  let precision: Precision

  init(_ precision: Precision) {
    guard let found = rfm_kernels() else {
      fatalError(
        "RFM_KERNELS names kernels that this processor doesn't run; use avx512bf16, avx512, avx2 or "
          + "generic, on 64-bit Arm neonbf16 or neon, plain anywhere, or leave it unset")
    }
    self.precision = precision
    table = precision == .float32 ? found.pointee.f32.pointee : found.pointee.bf16.pointee
    layers =
      precision == .float32 ? found.pointee.f32_layers.pointee : found.pointee.bf16_layers.pointee
  }

  /// "avx512bf16", "avx512", "avx2" or "generic"; "neonbf16" or "neon"; "plain".
  static var instructionSet: String {
    guard let found = rfm_kernels() else { return "none" }
    return String(cString: found.pointee.name)
  }
}

/// The name of the kernels in use, for the record of a run.
public enum KernelSelection {
  public static var instructionSet: String { Kernels.instructionSet }
}

/// No ReLU.
let noFloor = -Float.infinity

import CKernels
import Tensors

/// The weights as a pass reads them: matrix operands in the pass's precision, depthwise weights and
/// everything per channel in float32.
///
/// In float32 these are the master weights themselves; in bfloat16 a copy that `refresh` renews.
final class WorkingWeights: @unchecked Sendable {
  let precision: Precision
  private let detector: Detector
  private let copies: AlignedMemory?

  init(_ detector: Detector, precision: Precision) {
    self.detector = detector
    self.precision = precision
    copies =
      precision == .float32 ? nil : AlignedMemory(size: detector.values.count * precision.size)
  }

  /// A matrix operand: (out, in) or (out, 9·in).
  @inline(__always)
  func matrix(_ index: Int) -> UnsafeRawPointer {
    guard let copies else { return UnsafeRawPointer(detector.value(index)) }
    return UnsafeRawPointer(copies.address + detector.parameters[index].offset * precision.size)
  }

  @inline(__always)
  func floats(_ index: Int) -> UnsafePointer<Float> { UnsafePointer(detector.value(index)) }

  /// Follows the master weights. Call after they changed and before the next pass.
  func refresh(_ kernels: Kernels, _ workers: WorkerPool) {
    guard let copies else { return }
    let chunk = 1 << 16
    let count = detector.values.count
    let source = detector.values.baseAddress!
    let size = precision.size
    workers.run((count + chunk - 1) / chunk) { task, _ in
      let start = task * chunk
      kernels.table.from_float(
        source + start, copies.address + start * size, min(chunk, count - start))
    }
  }
}

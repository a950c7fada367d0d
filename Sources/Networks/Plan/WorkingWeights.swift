import CKernels
import Tensors

/// The weights as a pass reads them, and the multiplies by them: matrix operands in the pass's
/// precision, depthwise weights and everything per channel in float32.
///
/// In float32 these are the master weights themselves, and so where bfloat16 is multiplied in float32
/// arithmetic. In bfloat16 they are copies that `refresh` renews: packed once for all tiles where this project's
/// own multiply runs, plain where the library's does.
final class WorkingWeights: @unchecked Sendable {
  let precision: Precision
  /// How bfloat16 is multiplied.
  let way: MultiplyWays.BFloat16
  /// Matrices are packed (`bfloat16_multiply.h`).
  var isPacked: Bool { precision == .bfloat16 && way == .packed }
  private var isWidened: Bool { precision == .bfloat16 && way == .widened }
  private let detector: Detector
  private let copies: AlignedMemory?
  private let matrices: [Matrix]
  /// The pieces of work that make the copies; made once, so that `refresh` allocates nothing.
  private var parts: [Part] = []
  private var refreshPart: (Int, Int) -> Void = { _, _ in }

  /// A parameter as its multiplies need it.
  private struct Matrix {
    var outputs = 0
    var inputs = 0
    /// Bytes from the start of `copies` to the right operand of the forward and of the backward
    /// multiply; the same where nothing is packed.
    var forward = 0
    var backward = 0
  }

  private enum Part {
    case plain(start: Int, count: Int)
    case forward(parameter: Int, panels: Range<Int64>)
    case backward(parameter: Int, panels: Range<Int64>)
  }

  init(_ detector: Detector, kernels: Kernels) {
    self.detector = detector
    precision = kernels.precision
    way = MatrixMultiply.ways.bfloat16
    var matrices = detector.parameters.map { parameter in
      Matrix(
        outputs: parameter.matrixShape?.outputs ?? 0, inputs: parameter.matrixShape?.inputs ?? 0)
    }
    guard precision == .bfloat16, way != .widened else {
      copies = nil
      self.matrices = matrices
      return
    }
    var plan = MemoryPlan()
    let size = precision.size
    if way == .packed {
      for i in matrices.indices where matrices[i].outputs > 0 {
        let (outputs, inputs) = (matrices[i].outputs, matrices[i].inputs)
        matrices[i].forward = plan.take(
          rfm_bf16_packed_size(pairs(inputs), Int64(outputs)) * size)
        matrices[i].backward = plan.take(
          rfm_bf16_packed_size(pairs(outputs), Int64(inputs)) * size)
        parts += Self.panels(outputs, inputs).map { .forward(parameter: i, panels: $0) }
        parts += Self.panels(inputs, outputs).map { .backward(parameter: i, panels: $0) }
      }
    } else {
      _ = plan.take(detector.values.count * size)
      for i in matrices.indices {
        matrices[i].forward = detector.parameters[i].offset * size
        matrices[i].backward = matrices[i].forward
      }
      let chunk = 1 << 16
      for start in stride(from: 0, to: detector.values.count, by: chunk) {
        parts.append(.plain(start: start, count: min(chunk, detector.values.count - start)))
      }
    }
    self.matrices = matrices
    copies = AlignedMemory(size: plan.size)
    refreshPart = { [unowned self] part, _ in refresh(parts[part], kernels) }
  }

  /// The panels of a right operand of (k, columns), cut into pieces of some 64 Ki elements.
  private static func panels(_ columns: Int, _ k: Int) -> [Range<Int64>] {
    let each = max(1, 65536 / (48 * max(1, k)))
    let count = Int(rfm_bf16_panel_count(Int64(columns)))
    return stride(from: 0, to: count, by: each).map {
      Int64($0)..<Int64(min(count, $0 + each))
    }
  }

  @inline(__always)
  func floats(_ index: Int) -> UnsafePointer<Float> { UnsafePointer(detector.value(index)) }

  /// Follows the master weights. Call after they changed and before the next pass.
  func refresh(_ workers: WorkerPool) {
    if copies != nil { workers.run(parts.count, refreshPart) }
  }

  private func refresh(_ part: Part, _ kernels: Kernels) {
    let base = copies!.address
    switch part {
    case .plain(let start, let count):
      kernels.table.from_float(
        detector.values.baseAddress! + start, base + start * precision.size, count)
    case .forward(let index, let panels):
      let matrix = matrices[index]
      rfm_bf16_pack_transposed(
        detector.value(index), Int64(matrix.outputs), Int64(matrix.inputs), panels.lowerBound,
        panels.upperBound, (base + matrix.forward).assumingMemoryBound(to: UInt16.self))
    case .backward(let index, let panels):
      let matrix = matrices[index]
      rfm_bf16_pack(
        detector.value(index), Int64(matrix.outputs), Int64(matrix.inputs), panels.lowerBound,
        panels.upperBound, (base + matrix.backward).assumingMemoryBound(to: UInt16.self))
    }
  }

  /// y (pixels, outputs) = x·Wᵀ, for the parameter W (outputs, inputs).
  ///
  /// - Parameters:
  ///   - stride: elements of a pixel of x; those beyond `inputs` are zero.
  ///   - outStride: elements of a pixel of y.
  @inline(__always)
  func forward(
    _ index: Int, pixels: Int, _ x: UnsafeRawPointer, stride: Int, to y: UnsafeMutableRawPointer,
    stride outStride: Int
  ) {
    let matrix = matrices[index]
    if isWidened {
      MatrixMultiply.multiplyWidened(
        transposeB: true, m: pixels, n: matrix.outputs, k: matrix.inputs,
        a: x.assumingMemoryBound(to: UInt16.self), lda: stride, b: floats(index),
        ldb: matrix.inputs, c: y.assumingMemoryBound(to: UInt16.self), ldc: outStride)
      return
    }
    guard isPacked else {
      MatrixMultiply.multiply(
        precision, transposeB: true, m: pixels, n: matrix.outputs, k: matrix.inputs, a: x,
        lda: stride,
        b: plain(index, matrix), ldb: matrix.inputs, c: y, ldc: outStride)
      return
    }
    rfm_bf16_multiply(
      Int64(pixels), Int64(matrix.outputs), pairs(matrix.inputs),
      x.assumingMemoryBound(to: UInt16.self),
      Int64(stride), (copies!.address + matrix.forward).assumingMemoryBound(to: UInt16.self),
      y, Int64(outStride), Int32(RFM_BF16_STORE))
  }

  /// dx (pixels, inputs) = dy·W, for the parameter W (outputs, inputs); strides as in `forward`.
  @inline(__always)
  func backward(
    _ index: Int, pixels: Int, _ dy: UnsafeRawPointer, stride: Int,
    to dx: UnsafeMutableRawPointer, stride outStride: Int
  ) {
    let matrix = matrices[index]
    if isWidened {
      MatrixMultiply.multiplyWidened(
        transposeB: false, m: pixels, n: matrix.inputs, k: matrix.outputs,
        a: dy.assumingMemoryBound(to: UInt16.self), lda: stride, b: floats(index),
        ldb: matrix.inputs, c: dx.assumingMemoryBound(to: UInt16.self), ldc: outStride)
      return
    }
    guard isPacked else {
      MatrixMultiply.multiply(
        precision, m: pixels, n: matrix.inputs, k: matrix.outputs, a: dy, lda: stride,
        b: plain(index, matrix),
        ldb: matrix.inputs, c: dx, ldc: outStride)
      return
    }
    rfm_bf16_multiply(
      Int64(pixels), Int64(matrix.inputs), pairs(matrix.outputs),
      dy.assumingMemoryBound(to: UInt16.self),
      Int64(stride),
      (copies!.address + matrix.backward).assumingMemoryBound(to: UInt16.self), dx,
      Int64(outStride), Int32(RFM_BF16_STORE))
  }

  /// c (outputs, inputs) = dyᵀ·x over `pixels` rows, or c += with `accumulate`, in float32; the operands not packed.
  func weightGradient(
    outputs: Int, inputs: Int, pixels: Int, _ dy: UnsafeRawPointer, stride outStride: Int,
    _ x: UnsafeRawPointer, stride: Int, accumulate: Bool, to c: UnsafeMutablePointer<Float>
  ) {
    if isWidened {
      MatrixMultiply.multiplyWidened(
        m: outputs, n: inputs, k: pixels, a: dy.assumingMemoryBound(to: UInt16.self),
        lda: outStride, b: x.assumingMemoryBound(to: UInt16.self), ldb: stride,
        accumulate: accumulate, c: c, ldc: inputs)
    } else {
      MatrixMultiply.multiply(
        precision, transposeA: true, m: outputs, n: inputs, k: pixels, a: dy, lda: outStride, b: x,
        ldb: stride, accumulate: accumulate, c: c, ldc: inputs, floatResult: true)
    }
  }

  /// (outputs, inputs), not packed.
  @inline(__always)
  private func plain(_ index: Int, _ matrix: Matrix) -> UnsafeRawPointer {
    guard let copies else { return UnsafeRawPointer(detector.value(index)) }
    return UnsafeRawPointer(copies.address + matrix.forward)
  }
}

/// Pairs of elements along the summed dimension of a packed multiply.
@inline(__always)
func pairs(_ elements: Int) -> Int64 { Int64((elements + 1) / 2) }

import CKernels
import Testing

@testable import Networks
@testable import Tensors

/// The versions of the kernels for different processors give what the plain one gives on ordinary numbers,
/// where fused multiply-adds round differently.
@Suite struct KernelPathTests {
  @Test func kernelsAreNamed() throws {
    for name in KernelPath.names where KernelPath.runs(name) {
      let found = try #require(rfm_kernels_named(name))
      #expect(String(cString: found.pointee.name) == name)
    }
    #expect(KernelPath.runs("plain"))
    #expect(rfm_kernels_named("no such kernels") == nil)
    #expect(KernelPath.names.contains(KernelSelection.instructionSet))
  }

  /// Each that this processor runs; of others launch/test --arm tries those of 64-bit Arm.
  @Test(arguments: KernelPath.runnable.filter { $0.name != "plain" })
  func eachAgreesWithThePlainKernels(path: KernelPath) throws {
    let results = Self.results(path)
    let references = Self.results(try #require(KernelPath("plain", path.precision)))
    #expect(results.count == references.count)
    for (result, reference) in zip(results, references) {
      #expect(result.kernel == reference.kernel)
      #expect(!reference.values.contains { $0.isNaN })
      // Sums and masks round in float32; a stored bfloat16 may fall to the other neighbour now and
      // then, a relative 2⁻⁸ of a few elements.
      let tolerance = path.precision == .float32 || !result.isStored ? 2e-6 : 1e-3
      let distance = relativeDistance(result.values, reference.values)
      #expect(distance < tolerance, "\(result.kernel): \(distance)")
    }
  }

  private struct Result {
    let kernel: String
    let values: [Float]
    /// As elements, and so rounded to bfloat16.
    var isStored = true
  }

  /// Every kernel's results on the same inputs.
  private static func results(_ path: KernelPath) -> [Result] {
    var draws = Draws(41)
    let (height, width, ld) = (13, 11, 48)
    let (half, halfWidth) = (7, 6)
    let pixels = height * width
    let table = path.table
    let input = NormalisedMap(
      path, height: height, width: width, ld: ld, rectified: true, exact: false, &draws)
    let skip = NormalisedMap(
      path, height: half, width: halfWidth, ld: ld, rectified: false, exact: false, &draws)
    var (activation, skipActivation) = (input.activation, skip.activation)
    let weights = Elements(draws.rough(9 * ld))
    let gradient = Elements(draws.rough(pixels * ld), path.precision)
    let halfGradient = Elements(draws.rough(half * halfWidth * ld), path.precision)
    let coefficients = Elements(draws.rough(3 * ld))
    let (h, w, stride) = (Int32(height), Int32(width), Int32(ld))
    var results: [Result] = []

    func stored(_ kernel: String, _ count: Int, _ run: (UnsafeMutableRawPointer) -> Void) {
      let out = Elements(count: count, path.precision)
      run(out.address)
      results.append(Result(kernel: kernel, values: out.values))
    }
    func sums(_ kernel: String, _ values: [Double]) {
      results.append(Result(kernel: kernel, values: values.map { Float($0) }, isStored: false))
    }

    var bits = [UInt16](repeating: 0, count: pixels * ld / 16)
    stored("depthwise_forward", pixels * ld) {
      table.depthwise_forward(&activation, weights.floats, $0, &bits, h, w, 0, h)
    }
    results.append(
      Result(
        kernel: "depthwise_forward's bits", values: bits.map { Float($0) }, isStored: false))
    for kind in [RFM_RESIDUAL_NONE, RFM_RESIDUAL_DENSE, RFM_RESIDUAL_STRIDED] {
      let residual = kind == RFM_RESIDUAL_DENSE ? gradient : halfGradient
      var total = [Double](repeating: 0, count: 2 * ld)
      let dw = Elements([Float](repeating: 0, count: 9 * ld))
      stored("depthwise_backward", pixels * ld) {
        table.depthwise_backward(
          &activation, weights.floats, gradient.address, 0, residual.address, Int32(kind), $0,
          &total, dw.floats, h, w, 0, h)
      }
      sums("depthwise_backward's sums", total)
      results.append(
        Result(
          kernel: "depthwise_backward's weight gradient", values: dw.values, isStored: false))
      stored("depthwise_backward_input", pixels * ld) {
        table.depthwise_backward_input(
          gradient.address, 0, weights.floats, bits, input.scale.floats, residual.address,
          Int32(kind), $0, stride, h, w, 0, h)
      }
    }
    var total = [Double](repeating: 0, count: 2 * ld)
    table.statistics(gradient.address, Int32(pixels), stride, &total)
    sums("statistics", total)
    total = [Double](repeating: 0, count: 2 * ld)
    table.gradient_sums(gradient.address, input.data.address, Int32(pixels), stride, &total)
    sums("gradient_sums", total)
    stored("affine_gradient", pixels * ld) {
      table.affine_gradient(
        gradient.address, input.data.address, coefficients.floats, $0, Int32(pixels), stride)
    }
    var winners = [UInt8](repeating: 0, count: half * halfWidth * ld)
    stored("pool_forward", half * halfWidth * ld) {
      table.pool_forward(&activation, &skipActivation, $0, &winners, nil, h, w)
    }
    stored("pool_forward's maxima", half * halfWidth * ld) {
      let out = Elements(count: half * halfWidth * ld, path.precision)
      table.pool_forward(&activation, &skipActivation, out.address, &winners, $0, h, w)
    }
    results.append(
      Result(kernel: "pool_forward's winners", values: winners.map { Float($0) }, isStored: false))
    stored("pool_backward", pixels * ld) {
      table.pool_backward(
        halfGradient.address, winners, input.data.address, coefficients.floats, $0, stride, h, w,
        0, h)
    }
    stored("gather_strided", half * halfWidth * ld) {
      table.gather_strided(&activation, $0, h, w)
    }
    return results
  }
}

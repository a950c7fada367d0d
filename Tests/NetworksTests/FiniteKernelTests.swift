import CKernels
import Testing

@Suite struct FiniteKernelTests {
  /// Lengths around those of vectors, and every place in them.
  @Test(arguments: [0, 1, 7, 16, 33, 100]) func oneBadElementIsNoticedWhereverItIs(count: Int) {
    let edges: [Float] = [0, -0.0, .leastNonzeroMagnitude, -.greatestFiniteMagnitude, 1e38]
    let good = (0..<count).map { edges[$0 % edges.count] }
    func narrow(_ values: [Float]) -> [UInt16] { values.map { UInt16($0.bitPattern >> 16) } }
    #expect(rfm_all_finite(good, count) == 1)
    #expect(rfm_all_finite_bf16(narrow(good), count) == 1)
    #expect(rfm_all_finite_double(good.map { Double($0) * 1e200 }, count) == 1)
    for place in 0..<count {
      for bad in [Float.infinity, -.infinity, .nan, -.nan, .signalingNaN] {
        var values = good
        values[place] = bad
        #expect(rfm_all_finite(values, count) == 0)
        #expect(rfm_all_finite_bf16(narrow(values), count) == 0)
        #expect(rfm_all_finite_double(values.map(Double.init), count) == 0)
      }
    }
  }
}

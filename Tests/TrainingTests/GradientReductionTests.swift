import CKernels
import Testing

@testable import Training

/// What one process can check; mpi-checks does the rest under mpirun.
@Suite struct GradientReductionTests {
  @Test(arguments: [0, 1, 15, 16, 17, 1000, 4096, 100_003], [1, 64, 4096, 1 << 20])
  func bucketsCoverTheArenaOnceAndGrowSmallerTowardsTheEnd(count: Int, bytes: Int) {
    let buckets = GradientReducer.buckets(count: count, bucketBytes: bytes)
    var end = 0
    for bucket in buckets {
      #expect(bucket.lowerBound == end && !bucket.isEmpty)
      #expect(bucket.lowerBound % 16 == 0)
      #expect(bucket.count <= max(16, bytes / 4))
      end = bucket.upperBound
    }
    #expect(end == count)
    let sizes = buckets.dropFirst().map(\.count)
    #expect(zip(sizes, sizes.dropFirst()).allSatisfy { $0 >= $1 })
  }

  @Test func theLastBucketsAreParts() {
    let sizes = GradientReducer.buckets(count: 1 << 14, bucketBytes: 1 << 12).map(\.count)
    #expect(sizes.suffix(4) == [1024, 512, 256, 128])
    #expect(sizes.dropLast(3).dropFirst().allSatisfy { $0 == 1024 })
  }

  @Test func aSingleRankKeepsItsGradients() throws {
    var gradients = (0..<1000).map { Float($0) * 0.37 }
    let before = gradients
    try gradients.withUnsafeMutableBufferPointer { arena in
      let reducer = try GradientReducer(
        communicator: .world(), arena: arena, bucketBytes: 256, compression: .bfloat16)
      for _ in 0..<3 {
        reducer.begin()
        reducer.markReady(upTo: 500)
        try reducer.finish()
      }
      #expect(reducer.timing == GradientReducer.Timing())
    }
    #expect(gradients == before)
  }

  @Test func packingRoundsToTheNearestEven() {
    let values: [(Float, UInt16)] = [
      (0, 0), (-0.0, 0x8000), (1, 0x3f80), (-2, 0xc000), (.infinity, 0x7f80),
      (Float(bitPattern: 0x3f80_7fff), 0x3f80), (Float(bitPattern: 0x3f80_8000), 0x3f80),
      (Float(bitPattern: 0x3f80_8001), 0x3f81), (Float(bitPattern: 0x3f81_8000), 0x3f82),
      (.greatestFiniteMagnitude, 0x7f80), (Float(bitPattern: 1), 0),
    ]
    var packed = [UInt16](repeating: 0, count: values.count)
    rfm_gradients_pack(values.map(\.0), &packed, values.count)
    #expect(packed == values.map(\.1))
    for bits: UInt32 in [0x7f80_0001, 0xffff_ffff, 0x7fc0_0000] {
      rfm_gradients_pack([Float(bitPattern: bits)], &packed, 1)
      var back: Float = 0
      rfm_gradients_unpack(packed, &back, 1)
      #expect(back.isNaN)
    }
  }

  @Test func packingErrsByAtMostHalfAStep() {
    let values = (0..<10_000).map { Float(($0 * 7919) % 10_007 - 5000) * 1.0001e-3 }
    var packed = [UInt16](repeating: 0, count: values.count)
    var back = [Float](repeating: 0, count: values.count)
    rfm_gradients_pack(values, &packed, values.count)
    rfm_gradients_unpack(packed, &back, values.count)
    #expect(zip(values, back).allSatisfy { abs($0 - $1) <= abs($0) / 256 })
  }

  @Test(arguments: [1, 2, 5], [0, 1, 1023, 1024, 3000])
  func sumsAreAddedInOrderAndRoundedOnce(ranks: Int, count: Int) {
    let stride = count + 3
    let parts = (0..<ranks * stride).map {
      UInt16(truncatingIfNeeded: 0x3f00 + ($0 * 31) % 600) | UInt16($0 % 2) << 15
    }
    var sum = [UInt16](repeating: 0, count: count + 1)
    sum[count] = 0xabcd
    rfm_gradients_sum(parts, ranks, stride, &sum, count)
    var expected = [UInt16](repeating: 0, count: 1)
    for index in 0..<count {
      var total: Float = Float(bitPattern: UInt32(parts[index]) << 16)
      for rank in 1..<max(1, ranks) {
        total += Float(bitPattern: UInt32(parts[rank * stride + index]) << 16)
      }
      rfm_gradients_pack([total], &expected, 1)
      #expect(sum[index] == expected[0])
    }
    #expect(sum[count] == 0xabcd)
  }

  /// The order of Rabenseifner's algorithm, written as the tree that it is.
  private func sum(_ values: [Float]) -> Float {
    let leaves = 1 << (Int.bitWidth - 1 - values.count.leadingZeroBitCount)
    let pairs = values.count - leaves
    var sums = (0..<leaves).map {
      $0 < pairs ? values[2 * $0] + values[2 * $0 + 1] : values[$0 + pairs]
    }
    while sums.count > 1 {
      sums = stride(from: 0, to: sums.count, by: 2).map { sums[$0] + sums[$0 + 1] }
    }
    return sums[0]
  }

  @Test(arguments: 1...17, [0, 1, 1023, 1024, 2500])
  func arenasOfAHostBecomeTheirSumWithinTheShareOnly(ranks: Int, count: Int) {
    let (length, start) = (count + 7, 3)
    let values: [[Float]] = (0..<ranks).map { rank in
      (0..<length).map { index -> Float in
        let mixed = (rank * 7919 + index * 31) % 2003 - 1001
        return Float(mixed) * 1.0001e-3 * Float(index % 89)
      }
    }
    let arenas = values.map { values in
      let arena = UnsafeMutablePointer<Float>.allocate(capacity: length)
      arena.initialize(from: values, count: length)
      return arena
    }
    defer { for arena in arenas { arena.deallocate() } }
    // All receive the sums, or the first alone, as in a host that goes on to others with them.
    let receivers = count % 2 == 0 ? ranks : 1
    #expect(rfm_gradients_share(arenas, ranks, start, count, receivers) == 1)
    for index in 0..<length {
      let isShared = (start..<start + count).contains(index)
      let expected = isShared ? sum(values.map { $0[index] }) : nil
      for (rank, arena) in arenas.enumerated() {
        let here = rank < receivers ? expected : nil
        #expect(arena[index].bitPattern == (here ?? values[rank][index]).bitPattern)
      }
    }
  }

  @Test(arguments: [0, 1022, 1023, 1024, 2499], [Float.infinity, -.infinity, .nan])
  func aSumThatIsNotFiniteIsSeen(place: Int, value: Float) {
    var (first, second) = ([Float](repeating: 1, count: 2500), [Float](repeating: 2, count: 2500))
    second[place] = value
    let isFinite = first.withUnsafeMutableBufferPointer { first in
      second.withUnsafeMutableBufferPointer { second in
        rfm_gradients_share([first.baseAddress!, second.baseAddress!], 2, 0, 2500, 2)
      }
    }
    #expect(isFinite == 0)
    #expect(!first[place].isFinite)
    // Finite gradients with a sum that is not.
    first = Array(repeating: .greatestFiniteMagnitude, count: 2)
    second = first
    let overflows = first.withUnsafeMutableBufferPointer { first in
      second.withUnsafeMutableBufferPointer { second in
        rfm_gradients_share([first.baseAddress!, second.baseAddress!], 2, 0, 2, 2)
      }
    }
    #expect(overflows == 0)
  }
}

import Testing

@testable import Tensors

@Suite struct PhiloxTests {
  /// The known answers that Random123 publishes for `philox4x32 10`.
  @Test func agreesWithThePublishedVectors() {
    #expect(
      Philox.block(counter: SIMD4(0, 0, 0, 0), key: SIMD2(0, 0))
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = UInt32.max
    #expect(
      Philox.block(counter: SIMD4(ones, ones, ones, ones), key: SIMD2(ones, ones))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      Philox.block(
        counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
        key: SIMD2(0xa409_3822, 0x299f_31d0))
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func mapsKeyAndCounterAsDocumented() {
    var generator = CounterGenerator(
      seed: 0x0123_4567_89ab_cdef, epoch: 0xfedc_ba98, sample: 0x1234_5678_9abc, purpose: .flip)
    let key = SIMD2<UInt32>(0x89ab_cdef, 0x0123_4567)
    for block in 0..<3 {
      let expected = Philox.block(
        counter: SIMD4(UInt32(block), 0x5678_9abc, 0x0003_1234, 0xfedc_ba98), key: key)
      for lane in 0..<4 {
        let draw = generator.nextUInt32()
        #expect(draw == expected[lane])
      }
    }
    generator.blockIndex = 0x12_0000_0001
    let expected = Philox.block(
      counter: SIMD4(1, 0x5678_9abc, 0x1203_1234, 0xfedc_ba98), key: key)
    let next = generator.next()
    #expect(next == UInt64(expected.x) | UInt64(expected.y) << 32)
  }

  @Test func aPartIsFarFromTheBeginningOfItsStream() {
    var generator = CounterGenerator(
      seed: 7, epoch: 3, sample: 1 << 40, purpose: .augmentation, part: 0xab)
    let expected = Philox.block(counter: SIMD4(0, 0, 0xab0c_0100, 3), key: SIMD2(7, 0))
    for lane in 0..<4 {
      let draw = generator.nextUInt32()
      #expect(draw == expected[lane])
    }
  }

  @Test func streamsThatDifferInOneCoordinateShareNoDraw() {
    var seen = Set<UInt64>()
    var streams = 0
    for seed: UInt64 in [0, 1, 1 << 32] {
      for epoch: UInt64 in [0, 1, 1 << 31] {
        for sample: UInt64 in [0, 1, 1 << 32, 1 << 47] {
          for purpose in [RandomPurpose.order, .crop, .flip, .erase, .split] {
            var generator = CounterGenerator(
              seed: seed, epoch: epoch, sample: sample, purpose: purpose)
            for _ in 0..<8 { seen.insert(generator.next()) }
            streams += 1
          }
        }
      }
    }
    #expect(seen.count == streams * 8)
  }

  @Test func uniformHasTheRightMomentsAndRange() {
    var generator = CounterGenerator(seed: 5, purpose: .fill)
    let n = 200_000
    var (sum, squares, lagged, last) = (0.0, 0.0, 0.0, 0.5)
    var outside = 0
    for _ in 0..<n {
      let x = Double(generator.uniform())
      if x < 0 || x >= 1 { outside += 1 }
      sum += x
      squares += x * x
      lagged += (x - 0.5) * (last - 0.5)
      last = x
    }
    #expect(outside == 0)
    // Five standard errors each.
    #expect(abs(sum / Double(n) - 0.5) < 5 * (1.0 / 12 / Double(n)).squareRoot())
    #expect(abs(squares / Double(n) - 1.0 / 3) < 5 * (4.0 / 45 / Double(n)).squareRoot())
    #expect(abs(lagged / Double(n)) < 5 / 12 / Double(n).squareRoot())
  }

  @Test func firstDrawsOfNeighbouringSamplesAreUniform() {
    // One draw from each of many streams, as training uses them: chi-square over 64 cells.
    var cells = [Int](repeating: 0, count: 64)
    for sample in 0..<64_000 {
      var generator = CounterGenerator(seed: 9, epoch: 3, sample: UInt64(sample), purpose: .crop)
      cells[generator.below(64)] += 1
    }
    let chiSquare = cells.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
    #expect(chiSquare > 25 && chiSquare < 120)  // 63 degrees of freedom: mean 63, deviation 11
  }

  @Test func belowStaysInRangeAndIsUnbiased() {
    var generator = CounterGenerator(seed: 1, purpose: .order)
    for n in [1, 2, 3, 7, 1 << 40, Int.max] {
      for _ in 0..<100 {
        let draw = generator.below(n)
        #expect((0..<n).contains(draw))
      }
    }
    // 3/8 of the range of 64 bits: a plain remainder would give the lower part more often.
    let n = Int.max / 4 * 3
    var low = 0
    for _ in 0..<20_000 where generator.below(n) < n / 2 { low += 1 }
    #expect(abs(low - 10_000) < 400)
  }

  @Test func normalHasTheRightMoments() {
    var generator = CounterGenerator(seed: 2, purpose: .initialisation)
    let n = 200_000
    var moments = [0.0, 0.0, 0.0, 0.0]
    for _ in 0..<n {
      let x = generator.normal()
      var power = x
      for order in 0..<4 {
        moments[order] += power / Double(n)
        power *= x
      }
    }
    #expect(abs(moments[0]) < 0.012)
    #expect(abs(moments[1] - 1) < 0.016)
    #expect(abs(moments[2]) < 0.045)
    #expect(abs(moments[3] - 3) < 0.12)
  }

  @Test(arguments: [0, 1, 3, 4, 5, 17, 64]) func fillUniformEqualsSingleDraws(count: Int) {
    for skipped in 0..<5 {
      var one = CounterGenerator(seed: 77, epoch: 1, sample: 2, purpose: .fill)
      for _ in 0..<skipped { _ = one.nextUInt32() }
      var many = one
      var filled = [Float](repeating: .nan, count: count)
      filled.withUnsafeMutableBufferPointer { many.fillUniform($0, low: -1, high: 1) }
      #expect(filled == (0..<count).map { _ in -1 + 2 * one.uniform() })
      let (next, expected) = (many.next(), one.next())
      #expect(next == expected, "the stream goes on where it stopped")
    }
  }
}

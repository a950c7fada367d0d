import Testing

@testable import ForgeryMining

@Suite struct EpochPrototypesTests {
  private func noise(_ count: Int, seed: UInt64) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 24)
    }
  }

  @Test(arguments: [1, 2, 3, 7, 40, 97, 224])
  func planningAheadChangesNoBitOfANormalisedMap(side: Int) {
    let normaliser = AttentionNormaliser(side: side)
    for seed in 0..<3 {
      let map = noise(side * side, seed: UInt64(seed)).map { $0 * $0 * 1e-3 }
      var planned = map
      var scratch = [Float](repeating: .nan, count: normaliser.scratchCount)
      planned.withUnsafeMutableBufferPointer { planned in
        scratch.withUnsafeMutableBufferPointer {
          normaliser.normalise(planned.baseAddress!, scratch: $0.baseAddress!)
        }
      }
      #expect(planned == normalisedAttention(map, height: side, width: side))
    }
  }

  @Test func aMapThatIsNotFiniteIsNaNThroughoutHereToo() {
    let normaliser = AttentionNormaliser(side: 4)
    var map = [Float](repeating: 1, count: 16)
    map[5] = .infinity
    var scratch = [Float](repeating: 0, count: normaliser.scratchCount)
    map.withUnsafeMutableBufferPointer { map in
      scratch.withUnsafeMutableBufferPointer {
        normaliser.normalise(map.baseAddress!, scratch: $0.baseAddress!)
      }
    }
    #expect(map.allSatisfy { $0.isNaN })
  }

  private struct Sample {
    var map: [Float]
    var method: Int
    var placement: MapPlacement
  }

  private func samples(_ count: Int, side: Int, methods: Int) -> [Sample] {
    (0..<count).map { index in
      Sample(
        map: noise(side * side, seed: UInt64(100 + index)), method: index % methods,
        placement: MapPlacement(
          down: index % 5 - 2, right: index % 7 - 3, isFlipped: index % 2 == 1))
    }
  }

  private func add(_ samples: [Sample], to gatherer: EpochPrototypeGatherer, bands: Int = 3) {
    let side = gatherer.side
    for sample in samples {
      gatherer.count(method: sample.method)
      for band in 0..<bands {
        gatherer.add(
          sample.map, method: sample.method, placement: sample.placement,
          rows: band * side / bands..<(band + 1) * side / bands)
      }
    }
  }

  /// Pixel by pixel as the definition says: unmirrored, moved, averaged over what lies there.
  @Test func everyMapIsPutBackToItsPlaceAndAveragedOverThoseThatReachThePixel() throws {
    let (side, methods) = (9, 2)
    let gatherer = EpochPrototypeGatherer(methods: ["a", "b"], side: side)
    gatherer.begin(epoch: 3)
    let samples = samples(24, side: side, methods: methods)
    add(samples, to: gatherer)
    let gathered = gatherer.gathered
    #expect(gathered.epoch == 3 && gathered.counts == [12, 12])
    let means = gathered.prototypes.maps
    for method in 0..<methods {
      for y in 0..<side {
        for x in 0..<side {
          let values = samples.filter { $0.method == method }.compactMap { sample -> Double? in
            let (row, column) = (y - sample.placement.down, x - sample.placement.right)
            guard (0..<side).contains(row), (0..<side).contains(column) else { return nil }
            let source = sample.placement.isFlipped ? side - 1 - column : column
            return Double(sample.map[row * side + source])
          }
          let mean = values.reduce(0, +) / Double(max(1, values.count))
          let index = (method * side + y) * side + x
          #expect(gathered.coverage[index] == values.count)
          #expect(abs(Double(means[index]) - mean) < 1e-7)
        }
      }
    }
  }

  @Test func aCropThatLiesElsewhereEntirelyReachesNoPixel() {
    let gatherer = EpochPrototypeGatherer(methods: ["a"], side: 4)
    gatherer.begin(epoch: 0)
    for (down, right) in [(4, 0), (-4, 0), (0, 4), (0, -4), (100, -100)] {
      add(
        [
          Sample(
            map: [Float](repeating: 1, count: 16), method: 0,
            placement: MapPlacement(down: down, right: right, isFlipped: false))
        ], to: gatherer)
    }
    #expect(gatherer.gathered.coverage.allSatisfy { $0 == 0 })
    #expect(gatherer.gathered.prototypes.maps.allSatisfy { $0 == 0 })
  }

  /// However images are spread over ranks, in whatever order, and with an interruption in between,
  /// the sums are the same to the last bit.
  @Test func orderRanksAndInterruptionsLeaveNoTrace() {
    let samples = samples(40, side: 8, methods: 3)
    let names = ["a", "b", "c"]
    let whole = EpochPrototypeGatherer(methods: names, side: 8)
    whole.begin(epoch: 1)
    add(samples, to: whole)

    let first = EpochPrototypeGatherer(methods: names, side: 8)
    first.begin(epoch: 1)
    add(Array(samples[25...].reversed()), to: first, bands: 1)
    let ranks = (0..<2).map { _ in EpochPrototypeGatherer(methods: names, side: 8) }
    ranks[0].resume(first.gathered)
    for rank in ranks { rank.begin(epoch: 1) }
    for (index, sample) in samples[..<25].enumerated() {
      add([sample], to: ranks[index % 2], bands: 8)
    }
    var sum = ranks[0].gathered
    let other = ranks[1].gathered
    for pixel in sum.sums.indices {
      sum.sums[pixel] += other.sums[pixel]
      sum.coverage[pixel] += other.coverage[pixel]
    }
    for method in sum.counts.indices { sum.counts[method] += other.counts[method] }
    #expect(sum == whole.gathered)
  }

  @Test func anEpochBeginsWithNothingAndMethodsAreKnownByName() {
    let gatherer = EpochPrototypeGatherer(methods: ["a", "b"], side: 3)
    gatherer.begin(epoch: 0)
    add(samples(2, side: 3, methods: 1), to: gatherer)
    gatherer.begin(epoch: 0)
    #expect(gatherer.gathered.counts == [2, 0])
    #expect(gatherer.gathered.seen.methods == ["a"])

    let renamed = EpochPrototypeGatherer(methods: ["c", "a"], side: 3)
    renamed.resume(gatherer.gathered)
    renamed.begin(epoch: 0)
    #expect(renamed.gathered.counts == [0, 2])
    #expect(renamed.gathered.seen.sums == gatherer.gathered.seen.sums)

    gatherer.begin(epoch: 1)
    #expect(gatherer.gathered.sums.allSatisfy { $0 == 0 })
    #expect(gatherer.gathered.counts == [0, 0])
  }
}

import Testing

@testable import ForgeryMining

private struct ErasingGolden: Decodable {
  struct Case: Decodable {
    var address: [String]
    var height: Int
    var width: Int
    var fill: ErasingFill
    var probability: Double
    var attention: [Float]?
    var activation: [Float]?
    var chosen: Bool?
    var blocks: Int?
    var maxHeight: Int?
    var maxWidth: Int?
    var attempts: Int?
    var fraction: Double?
    var rectangles: [[Int]]?
    var mask: [Int]?
    var erased: [Float]

    var image: [Float] {
      (0..<height * width * 3).map { Float($0 * 37 % 101) / 32 - 1.5 }
    }
    var streams: ErasingStreams {
      get throws {
        ErasingStreams(
          seed: try #require(UInt64(address[0])), epoch: try #require(UInt64(address[1])),
          sample: try #require(UInt64(address[2])))
      }
    }
  }
  var sfe: [Case]
  var re: [Case]
  var ae: [Case]
  var full: [[[Int]]]
}

private func rectangles(_ values: [[Int]]?) -> [PixelRectangle] {
  (values ?? []).map { PixelRectangle(top: $0[0], left: $0[1], height: $0[2], width: $0[3]) }
}

@Suite struct ErasingTests {
  // MARK: Against the independent implementation

  @Test func suspiciousForgeriesErasingFollowsTheOracle() throws {
    for expected in try golden("erasing", as: ErasingGolden.self).sfe {
      var image = expected.image
      var streams = try expected.streams
      let chosen = streams.chooses(probability: expected.probability)
      #expect(chosen == expected.chosen)
      let settings = SuspiciousForgeriesErasing(
        blocks: try #require(expected.blocks), maxHeight: try #require(expected.maxHeight),
        maxWidth: try #require(expected.maxWidth), fill: expected.fill)
      let blocks = eraseSuspiciousForgeries(
        image: &image, attention: try #require(expected.attention), height: expected.height,
        width: expected.width, settings: settings, streams: &streams)
      #expect(blocks == rectangles(expected.rectangles))
      #expect(largestDifference(image, expected.erased) < 1e-6)
    }
  }

  @Test func suspiciousForgeriesErasingFollowsTheOracleAtTheSizeOfTraining() throws {
    let attention = (0..<224 * 224).map { Float(($0 * 7919) % 50021) }
    for (sample, expected) in try golden("erasing", as: ErasingGolden.self).full.enumerated() {
      var image = [Float](repeating: 0, count: 224 * 224 * 3)
      var streams = ErasingStreams(seed: 5, epoch: 2, sample: UInt64(sample))
      let chosen = streams.chooses(probability: 1)
      #expect(chosen)
      let blocks = eraseSuspiciousForgeries(
        image: &image, attention: attention, height: 224, width: 224,
        settings: SuspiciousForgeriesErasing(), streams: &streams)
      #expect(blocks == rectangles(expected))
    }
  }

  @Test func randomErasingFollowsTheOracle() throws {
    for expected in try golden("erasing", as: ErasingGolden.self).re {
      var image = expected.image
      var streams = try expected.streams
      _ = streams.chooses(probability: expected.probability)
      let erased = eraseRandomly(
        image: &image, height: expected.height, width: expected.width,
        settings: RandomErasing(
          attempts: try #require(expected.attempts), fill: expected.fill), streams: &streams)
      #expect([erased].compactMap { $0 } == rectangles(expected.rectangles))
      #expect(largestDifference(image, expected.erased) < 1e-6)
    }
  }

  @Test func attentionErasingFollowsTheOracle() throws {
    for expected in try golden("erasing", as: ErasingGolden.self).ae {
      var image = expected.image
      var streams = try expected.streams
      let mask = eraseAttention(
        image: &image, activation: try #require(expected.activation),
        settings: AttentionErasing(fraction: try #require(expected.fraction), fill: expected.fill),
        streams: &streams)
      #expect(mask.map { $0 == 0 ? 0 : 1 } == expected.mask)
      #expect(mask.allSatisfy { $0 == 0 || $0 == 255 })
      #expect(largestDifference(image, expected.erased) < 1e-6)
    }
  }

  // MARK: Laws

  @Test func blocksObeyTheirLimitsAndTheMostSensitivePixelIsAlwaysErased() {
    var random = TestRandom(11)
    for trial in 0..<300 {
      let height = Int.random(in: 1...20, using: &random)
      let width = Int.random(in: 1...20, using: &random)
      let settings = SuspiciousForgeriesErasing(
        blocks: Int.random(in: 1...6, using: &random),
        maxHeight: Int.random(in: 1...12, using: &random),
        maxWidth: Int.random(in: 1...12, using: &random), fill: .zero)
      let attention = random.floats(height * width, in: 0...1)
      var image = [Float](repeating: 7, count: height * width * 3)
      var streams = ErasingStreams(seed: 3, epoch: 0, sample: UInt64(trial))
      let blocks = eraseSuspiciousForgeries(
        image: &image, attention: attention, height: height, width: width, settings: settings,
        streams: &streams)
      #expect(!blocks.isEmpty && blocks.count <= settings.blocks)

      var covered = [Bool](repeating: false, count: height * width)
      for block in blocks {
        #expect(block.height >= 1 && block.height <= settings.maxHeight)
        #expect(block.width >= 1 && block.width <= settings.maxWidth)
        #expect(block.top >= 0 && block.top + block.height <= height)
        #expect(block.left >= 0 && block.left + block.width <= width)
        // The pixel that the block was drawn for: the most sensitive one not erased before.
        let free = attention.indices.filter { !covered[$0] }
        if let pixel = free.max(by: { attention[$0] < attention[$1] }) {
          #expect(block.contains(row: pixel / width, column: pixel % width))
        }
        for row in block.top..<block.top + block.height {
          for column in block.left..<block.left + block.width {
            covered[row * width + column] = true
          }
        }
      }
      if blocks.count < settings.blocks { #expect(covered.allSatisfy { $0 }) }
      #expect(coverage(of: blocks, height: height, width: width).map { $0 == 255 } == covered)
      // Exactly the covered pixels changed, in all channels.
      for index in image.indices { #expect(image[index] == (covered[index / 3] ? 0 : 7)) }
    }
  }

  @Test func noBlocksEraseNothing() {
    var image: [Float] = [1, 2, 3]
    var streams = ErasingStreams(seed: 1, epoch: 1, sample: 1)
    let blocks = eraseSuspiciousForgeries(
      image: &image, attention: [1], height: 1, width: 1,
      settings: SuspiciousForgeriesErasing(blocks: 0), streams: &streams)
    #expect(blocks.isEmpty && image == [1, 2, 3])
  }

  @Test func probabilityZeroNeverChoosesAndOneAlways() {
    for sample in 0..<UInt64(200) {
      var never = ErasingStreams(seed: 9, epoch: 0, sample: sample)
      var always = never
      let (no, yes) = (never.chooses(probability: 0), always.chooses(probability: 1))
      #expect(!no && yes)
    }
  }

  @Test func probabilityIsTheFractionOfImagesChosen() {
    var chosen = 0
    for sample in 0..<20_000 {
      var streams = ErasingStreams(seed: 2, epoch: 4, sample: UInt64(sample))
      if streams.chooses(probability: 0.3) { chosen += 1 }
    }
    // Five standard deviations of the binomial distribution.
    #expect(abs(Double(chosen) - 6000) < 5 * (20_000 * 0.3 * 0.7).squareRoot())
  }

  @Test func theFillDoesNotChangeWhichPixelsAreErased() {
    var random = TestRandom(5)
    let attention = random.floats(400, in: 0...1)
    var places: [[PixelRectangle]] = []
    for fill in ErasingFill.allCases {
      var image = [Float](repeating: 0.5, count: 1200)
      var streams = ErasingStreams(seed: 8, epoch: 1, sample: 77)
      _ = streams.chooses(probability: 1)
      places.append(
        eraseSuspiciousForgeries(
          image: &image, attention: attention, height: 20, width: 20,
          settings: SuspiciousForgeriesErasing(maxHeight: 8, maxWidth: 8, fill: fill),
          streams: &streams))
    }
    #expect(places[0] == places[1] && places[1] == places[2])
  }

  @Test func scalingTheAttentionDoesNotChangeWhatIsErased() {
    var random = TestRandom(6)
    let attention = random.floats(256, in: 0...1)
    func erase(_ attention: [Float]) -> [Float] {
      var image = [Float](repeating: 0.5, count: 768)
      var streams = ErasingStreams(seed: 8, epoch: 1, sample: 2)
      eraseSuspiciousForgeries(
        image: &image, attention: attention, height: 16, width: 16,
        settings: SuspiciousForgeriesErasing(maxHeight: 6, maxWidth: 6), streams: &streams)
      return image
    }
    #expect(erase(attention) == erase(attention.map { $0 * 0x1p-20 }))
  }

  @Test func equalAttentionStartsAtTheFirstPixelAndNaNIsNeverTaken() {
    var image = [Float](repeating: 1, count: 12)
    var streams = ErasingStreams(seed: 1, epoch: 0, sample: 0)
    let settings = SuspiciousForgeriesErasing(blocks: 2, maxHeight: 1, maxWidth: 1, fill: .zero)
    let blocks = eraseSuspiciousForgeries(
      image: &image, attention: [.nan, 0, 0, 0], height: 2, width: 2, settings: settings,
      streams: &streams)
    #expect(
      blocks == [
        PixelRectangle(top: 0, left: 1, height: 1, width: 1),
        PixelRectangle(top: 1, left: 0, height: 1, width: 1),
      ])
  }

  @Test func noiseStaysInItsRangeAndTheMeanIsTheImagesOwn() {
    var image = [Float](repeating: 0, count: 64 * 64 * 3)
    for pixel in 0..<64 * 64 { image[pixel * 3 + 1] = Float(pixel % 2) }
    let original = image
    let attention = [Float](repeating: 1, count: 64 * 64)
    for fill in [ErasingFill.noise, .mean] {
      image = original
      var streams = ErasingStreams(seed: 1, epoch: 0, sample: 0)
      let blocks = eraseSuspiciousForgeries(
        image: &image, attention: attention, height: 64, width: 64,
        settings: SuspiciousForgeriesErasing(maxHeight: 40, maxWidth: 40, fill: fill),
        streams: &streams)
      let mask = coverage(of: blocks, height: 64, width: 64)
      for pixel in mask.indices where mask[pixel] == 255 {
        let values = image[pixel * 3..<pixel * 3 + 3]
        if fill == .mean {
          #expect(Array(values) == [0, 0.5, 0])
        } else {
          #expect(values.allSatisfy { $0 >= -1 && $0 <= 1 })
        }
      }
    }
  }

  @Test func blocksScaleWithTheCrop() {
    #expect(SuspiciousForgeriesErasing.proportionalSide(crop: 224) == 120)
    #expect(SuspiciousForgeriesErasing.proportionalSide(crop: 112) == 60)
    #expect(SuspiciousForgeriesErasing.proportionalSide(crop: 64) == 34)
    #expect(SuspiciousForgeriesErasing.proportionalSide(crop: 1) == 1)
  }

  @Test func randomErasingObeysItsRanges() {
    let settings = RandomErasing()
    var found = 0
    for sample in 0..<500 {
      var streams = ErasingStreams(seed: 4, epoch: 0, sample: UInt64(sample))
      _ = streams.chooses(probability: settings.probability)
      guard
        let erased = randomRectangle(
          height: 100, width: 120, settings: settings, generator: &streams.placement)
      else { continue }
      found += 1
      #expect(erased.top >= 0 && erased.top + erased.height <= 100)
      #expect(erased.left >= 0 && erased.left + erased.width <= 120)
      // Rounding moves each side by half a pixel at most.
      let area = Double(erased.height * erased.width)
      let slack = Double(erased.height + erased.width) / 2 + 1
      #expect(area >= 0.02 * 12_000 - slack && area <= 0.4 * 12_000 + slack)
      #expect((Double(erased.height) - 0.5) / (Double(erased.width) + 0.5) <= 1 / 0.3)
      #expect((Double(erased.height) + 0.5) / (Double(erased.width) - 0.5) >= 0.3)
    }
    #expect(found > 490)
  }

  /// Sides that no whole number holds are drawn anew like any that do not fit.
  @Test func randomErasingBearsAnyAspectRatio() {
    for least in [1e-9, 1e-40, Double.leastNonzeroMagnitude] {
      let settings = RandomErasing(aspectRatio: least...(1 / least))
      for sample in 0..<50 {
        var streams = ErasingStreams(seed: 1, epoch: 0, sample: UInt64(sample))
        let rectangle = randomRectangle(
          height: 48, width: 48, settings: settings, generator: &streams.placement)
        #expect(rectangle.map { $0.height < 48 && $0.width < 48 } ?? true)
      }
    }
  }

  @Test func randomErasingLeavesAnImageTooSmallToEraseAlone() {
    var image: [Float] = [1, 2, 3]
    var streams = ErasingStreams(seed: 4, epoch: 0, sample: 0)
    let erased = eraseRandomly(
      image: &image, height: 1, width: 1, settings: RandomErasing(), streams: &streams)
    #expect(erased == nil && image == [1, 2, 3])
  }

  @Test func highestPixelsAreThoseOfASort() {
    var random = TestRandom(21)
    for trial in 0..<100 {
      let count = Int.random(in: 1...300, using: &random)
      var values = random.floats(count, in: -3...3)
      if trial % 2 == 0 { values = values.map { ($0 * 2).rounded() } }  // many ties, and −0
      if trial % 5 == 0 { values[count / 2] = .nan }
      if trial % 7 == 0 { values[0] = -.infinity }
      let marked = Int.random(in: 0...count, using: &random)
      var mask = [UInt8](repeating: 9, count: count)
      values.withUnsafeBufferPointer { values in
        mask.withUnsafeMutableBufferPointer { markHighest(marked, of: values, into: $0) }
      }
      let order = values.indices.sorted {
        if values[$0].isNaN || values[$1].isNaN {
          return !values[$0].isNaN || (values[$1].isNaN && $0 < $1)
        }
        return values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1
      }
      let expected = Set(order.prefix(marked))
      #expect(mask == values.indices.map { expected.contains($0) ? 255 : 0 })
    }
  }
}

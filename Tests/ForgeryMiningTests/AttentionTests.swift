import Testing

@testable import ForgeryMining

private struct AttentionGolden: Decodable {
  struct Gradient: Decodable {
    var gradient: [Float]
    var height: Int
    var width: Int
    var channels: Int
    var map: [Float]
  }
  struct Normalised: Decodable {
    var height: Int
    var width: Int
    var attention: [Float]
    var normalised: [Float]
  }
  struct Resized: Decodable {
    var fromHeight: Int
    var fromWidth: Int
    var height: Int
    var width: Int
    var map: [Float]
    var resized: [Float]
  }
  struct Activation: Decodable {
    var fromHeight: Int
    var fromWidth: Int
    var height: Int
    var width: Int
    var channels: Int
    var features: [Float]
    var classifier: [Float]
    var map: [Float]
  }
  var fam: [Gradient]
  var normalised: [Normalised]
  var resized: [Resized]
  var cam: [Activation]
}

@Suite struct AttentionTests {
  // MARK: Against PyTorch

  @Test func forgeryAttentionMapIsPyTorchs() throws {
    for expected in try golden("attention", as: AttentionGolden.self).fam {
      let map = forgeryAttentionMap(
        inputGradient: expected.gradient, height: expected.height, width: expected.width,
        channels: expected.channels)
      #expect(map == expected.map)
    }
  }

  @Test func normalisedAttentionIsPyTorchs() throws {
    for expected in try golden("attention", as: AttentionGolden.self).normalised {
      let map = normalisedAttention(
        expected.attention, height: expected.height, width: expected.width)
      #expect(largestDifference(map, expected.normalised) < 1e-6)
    }
  }

  @Test func bilinearResizingIsPyTorchs() throws {
    for expected in try golden("attention", as: AttentionGolden.self).resized {
      var map = [Float](repeating: .nan, count: expected.height * expected.width)
      expected.map.withUnsafeBufferPointer { source in
        map.withUnsafeMutableBufferPointer {
          resizeBilinear(
            source, height: expected.fromHeight, width: expected.fromWidth, into: $0,
            height: expected.height, width: expected.width)
        }
      }
      #expect(largestDifference(map, expected.resized) < 2e-6)
    }
  }

  @Test func classActivationMapIsPyTorchs() throws {
    for expected in try golden("attention", as: AttentionGolden.self).cam {
      let map = classActivationMap(
        features: expected.features, height: expected.fromHeight, width: expected.fromWidth,
        channels: expected.channels, classifier: expected.classifier,
        imageHeight: expected.height, imageWidth: expected.width)
      #expect(largestDifference(map, expected.map) < 1e-5)
    }
  }

  // MARK: Laws

  @Test func forgeryAttentionScalesWithTheGradientAndIgnoresItsSign() {
    var random = TestRandom(1)
    let gradient = random.floats(7 * 5 * 3)
    let map = forgeryAttentionMap(inputGradient: gradient, height: 7, width: 5)
    for factor in [Float(-1), 4, -0.125] {
      let scaled = forgeryAttentionMap(
        inputGradient: gradient.map { $0 * factor }, height: 7, width: 5)
      #expect(scaled == map.map { $0 * factor.magnitude })
    }
    #expect(map.allSatisfy { $0 >= 0 })
  }

  @Test func forgeryAttentionIsNaNExactlyWhereTheGradientIs() {
    var gradient = [Float](repeating: 1, count: 12)
    gradient[3] = .nan
    gradient[8] = .nan
    let map = forgeryAttentionMap(inputGradient: gradient, height: 2, width: 2)
    #expect(map.map(\.isNaN) == [false, true, true, false])
  }

  /// The gradient of softmax probabilities is that of the logits times 2·p_fake·p_real, so pixels
  /// rank alike and the normalised maps agree.
  @Test func probabilitiesAndLogitsGiveTheSameNormalisedAttention() {
    var random = TestRandom(2)
    let gradient = random.floats(8 * 8 * 3)
    let probability: Float = 0.93
    let factor = 2 * probability * (1 - probability)
    let logits = normalisedAttention(
      forgeryAttentionMap(inputGradient: gradient, height: 8, width: 8), height: 8, width: 8)
    let probabilities = normalisedAttention(
      forgeryAttentionMap(inputGradient: gradient.map { $0 * factor }, height: 8, width: 8),
      height: 8, width: 8)
    #expect(largestDifference(logits, probabilities) < 1e-6)
  }

  @Test func normalisedAttentionReachesZeroAndOneAndIgnoresScaleAndOffset() {
    var random = TestRandom(3)
    for (height, width) in [(4, 4), (5, 7), (16, 12)] {
      let map = random.floats(height * width, in: 0...1)
      let normalised = normalisedAttention(map, height: height, width: width)
      #expect(normalised.min() == 0 && normalised.max() == 1)
      let moved = normalisedAttention(map.map { $0 * 8 + 2 }, height: height, width: width)
      #expect(largestDifference(normalised, moved) < 1e-5)
    }
  }

  @Test func aConstantMapNormalisesToZero() {
    #expect(normalisedAttention([3, 3, 3, 3], height: 2, width: 2) == [0, 0, 0, 0])
    #expect(normalisedAttention([0.1], height: 1, width: 1) == [0])
  }

  @Test func aMapThatIsNotFiniteNormalisesToNaN() {
    for bad in [Float.nan, .infinity] {
      var map = [Float](repeating: 1, count: 16)
      map[5] = bad
      #expect(normalisedAttention(map, height: 4, width: 4).allSatisfy { $0.isNaN })
    }
  }

  @Test func resizingKeepsConstantsAndTheSameSizeIsTheSameMap() {
    var random = TestRandom(4)
    let map = random.floats(6 * 5)
    func resize(_ map: [Float], to height: Int, _ width: Int) -> [Float] {
      var resized = [Float](repeating: 0, count: height * width)
      map.withUnsafeBufferPointer { map in
        resized.withUnsafeMutableBufferPointer {
          resizeBilinear(map, height: 6, width: 5, into: $0, height: height, width: width)
        }
      }
      return resized
    }
    #expect(resize(map, to: 6, 5) == map)
    let constant = resize([Float](repeating: 0.3, count: 30), to: 17, 2)
    #expect(constant.allSatisfy { ($0 - 0.3).magnitude < 1e-6 })
  }

  /// The mean of CAM_k over positions is the class's logit without its bias.
  @Test func theMeanOfAClassActivationMapIsTheLogit() {
    var random = TestRandom(5)
    let (height, width, channels) = (5, 4, 6)
    let features = random.floats(height * width * channels)
    let weights = random.floats(channels)
    var map = [Float](repeating: 0, count: height * width)
    features.withUnsafeBufferPointer { features in
      weights.withUnsafeBufferPointer { weights in
        map.withUnsafeMutableBufferPointer {
          classActivationMap(
            features: features, height: height, width: width, channels: channels,
            weights: weights, into: $0)
        }
      }
    }
    var logit: Float = 0
    for channel in 0..<channels {
      var pooled: Float = 0
      for pixel in 0..<height * width { pooled += features[pixel * channels + channel] }
      logit += weights[channel] * pooled / Float(height * width)
    }
    #expect((map.reduce(0, +) / Float(map.count) - logit).magnitude < 1e-5)
  }
}
